package fill

import (
	"context"
	"sync"
	"time"

	"github.com/chromedp/cdproto/target"
)

// lookTimeout is how long a page may take to tell about a filled field: it
// cannot while it waits for a request itself.
const lookTimeout = time.Second

// FormState is what is known of a filled field and the fields beside it: by
// what names its own form sends it.
type FormState struct {
	known bool
	// Name and ID are the field's own. Hidden are the names of the hidden fields
	// of its form, Targets where its form may send to.
	Name    string   `json:"name"`
	ID      string   `json:"id"`
	Hidden  []string `json:"hidden"`
	Targets []string `json:"targets"`
	// Attached says that the field is still in the document.
	Attached bool `json:"attached"`
	// Others are the names and ids of the other fields that show their text.
	Others []string `json:"others"`
	// Spread says that one of them holds the placeholder, or once did.
	Spread bool `json:"spread"`
}

// UpdateAll reads the state of the fields of guards.
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
		if g.Look != nil && g.Placeholder != "" && g.found(g.seen, g.Placeholder, r.body) {
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

// Update reads the state of a guard's field. A page that does not answer, because
// it is on its way out or waits for the request, leaves what was known.
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
		// It was taken out of the document: its form counts as it was.
		now.Name, now.ID, now.Hidden, now.Targets = before.Name, before.ID, before.Hidden, before.Targets
	}
	now.known, now.Spread = true, now.Spread || before.Spread
	g.state = now
}
