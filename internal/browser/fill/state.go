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

// FormState is what is known of a filled field, its form and the fields beside it.
// It tells under which names the form sends the field.
type FormState struct {
	known bool // it was read once
	// Name and ID are attributes of the field.
	Name string `json:"name"`
	ID   string `json:"id"`
	// Hidden are the names of the hidden fields of its form.
	Hidden []string `json:"hidden"`
	// Targets are the addresses that its form may send to.
	Targets []string `json:"targets"`
	// Attached says that the field is still in the document.
	Attached bool `json:"attached"`
	// Others are the names and ids of the other fields that show their text.
	Others []string `json:"others"`
	// Spread says that one of the others holds the placeholder, or once did.
	Spread bool `json:"spread"`
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
	now, ok := g.Look(ctx, held)
	if !ok {
		return
	}
	gs.mu.Lock()
	defer gs.mu.Unlock()
	before := g.state
	if !now.Attached && before.known {
		// The field was taken out of the document: its form is taken as it was before.
		now.Name, now.ID, now.Hidden, now.Targets = before.Name, before.ID, before.Hidden, before.Targets
	}
	now.known, now.Spread = true, now.Spread || before.Spread
	g.state = now
}
