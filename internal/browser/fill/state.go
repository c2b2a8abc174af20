package fill

import (
	"context"
	"sync"
	"time"

	"github.com/chromedp/cdproto/target"
)

// lookTimeout is how long a page may take to tell about a filled field. A page that
// waits for a request cannot tell at all.
const lookTimeout = time.Second

// Submission tells under which names, and to which addresses, a form sends a field.
type Submission struct {
	// Name and ID are attributes of the field.
	Name string `json:"name"`
	ID   string `json:"id"`
	// Hidden are the names of the hidden fields of its form.
	Hidden []string `json:"hidden"`
	// Targets are the addresses that its form may send to.
	Targets []string `json:"targets"`
}

// FormState is what is known of a filled field, its form and the fields beside it.
type FormState struct {
	Submission
	known bool // it was read once
	// spread says that one of the others holds the placeholder, or once did.
	spread bool
	// Attached says that the field is still in the document.
	Attached bool `json:"attached"`
	// Others are the names and ids of the other fields that show their text.
	Others []string `json:"others"`
	// Holders are those of the other fields that show the placeholder.
	Holders []Holder `json:"holders"`
}

// Holder is another field than the filled one, with the placeholder in it.
type Holder struct {
	Submission
	// Password says that it shows dots.
	Password bool `json:"password"`
	// Whole says that it holds the placeholder and nothing else.
	Whole bool `json:"whole"`
}

// heir returns the field that a page has put in the place of the filled one, as pages do
// that are made anew of what they know: the only one that holds the placeholder, itself a
// password's or called as the one before. It returns nil when there is none.
func (s FormState) heir(before FormState) *Holder {
	if s.Attached || len(s.Holders) != 1 || !s.Holders[0].Whole {
		return nil
	}
	h, filled := &s.Holders[0], s.Submission
	if before.known {
		filled = before.Submission // of one that is gone for good nothing is told
	}
	if named := h.Name+h.ID != "" && h.Name == filled.Name && h.ID == filled.ID; !named && !h.Password {
		return nil
	}
	return h
}

// UpdateAll calls [Guards.Update] for several guards at once.
func (gs *Guards) UpdateAll(ctx context.Context, guards []*Guard) {
	var each sync.WaitGroup
	for _, g := range guards {
		each.Go(func() { gs.Update(ctx, g) })
	}
	each.Wait()
}

// HeldBy returns the guards whose placeholder a request has in its body.
func (gs *Guards) HeldBy(r Request) []*Guard {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	var out []*Guard
	for g := range gs.live {
		if g.Look != nil && g.Placeholder != "" && g.found(g.heldSet, g.Placeholder, r.body) {
			out = append(out, g)
		}
	}
	return out
}

// OfTab returns the guards of the fields of the tab with that session.
func (gs *Guards) OfTab(tab target.SessionID) []*Guard {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	var out []*Guard
	for g := range gs.live {
		if g.Tab == tab {
			out = append(out, g)
		}
	}
	return out
}

// Update reads the state of a guard's field. What was known stays when the page does
// not answer, because it is being replaced or waits for the request.
func (gs *Guards) Update(ctx context.Context, g *Guard) {
	if g.Look == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	held := g.Placeholder
	if held == "" {
		held = g.Value.Expose() // the page holds it itself
	}
	gs.mu.Lock()
	field := g.Element
	gs.mu.Unlock()
	now, ok := g.Look(ctx, field, held)
	if !ok {
		return
	}
	gs.mu.Lock()
	defer gs.mu.Unlock()
	before := g.state
	if heir := now.heir(before); heir != nil {
		now.Submission, now.Holders = heir.Submission, nil
	} else if !now.Attached && before.known {
		now.Submission = before.Submission // its form is taken as it was before
	}
	now.known, now.spread = true, before.spread || len(now.Holders) > 0
	g.state = now
}
