package browser

import (
	"context"

	"github.com/chromedp/cdproto/target"

	"github.com/bctrl-go/bctrl"
)

const (
	// codeStopped is the code of a request that was stopped because of a filled
	// value, codeUnsent that of a form that left without it.
	codeStopped = "vault.fill_stopped"
	codeUnsent  = "vault.fill_not_sent"
	// maxReports bounds how often one filled field is reported of: a page decides
	// how many requests it makes.
	maxReports = 10
)

// report tells the field's own report what became of a filled field.
func (gs *fillGuards) report(ctx context.Context, g *fillGuard, what *bctrl.Error) {
	gs.mu.Lock()
	g.reports++
	over := g.report == nil || g.reports > maxReports
	gs.mu.Unlock()
	if !over {
		g.report(ctx, what)
	}
}

// takeUnsent returns the guards of a tab's fields whose form has left without
// their value, each once.
func (gs *fillGuards) takeUnsent(tab target.SessionID) []*fillGuard {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	var unsent []*fillGuard
	for _, guards := range []map[*fillGuard]bool{gs.live, gs.spent} {
		for g := range guards {
			if g.tab == tab && g.unsent && !g.sent && !g.told {
				g.told = true
				unsent = append(unsent, g)
			}
		}
	}
	return unsent
}

// socketSends takes note of placeholders in a message of a websocket, which
// cannot be stopped.
func (gs *fillGuards) socketSends(tab target.SessionID, message string) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	for g := range gs.live {
		if g.tab == tab && g.placeholder != "" && g.holds(g.seen, g.placeholder, []byte(message)) {
			g.unsent = true
		}
	}
}

// submitting takes note that something is about to be done on a tab that may
// send a form.
func (gs *fillGuards) submitting(tab target.SessionID) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	for g := range gs.live {
		g.submitted = g.submitted || g.tab == tab
	}
}

// holdsPlaceholder reports whether text holds what stands, or stood lately, for
// a filled value.
func (gs *fillGuards) holdsPlaceholder(text string) bool {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	for _, guards := range []map[*fillGuard]bool{gs.live, gs.spent} {
		for g := range guards {
			if g.placeholder != "" && g.holds(g.seen, g.placeholder, []byte(text)) {
				return true
			}
		}
	}
	return false
}
