package fill

import (
	"context"

	"github.com/chromedp/cdproto/target"

	"github.com/bctrl-go/bctrl"
)

const (
	// CodeStopped is the code of a request that was stopped because of a filled
	// value.
	CodeStopped = "vault.fill_stopped"
	// CodeUnsent is the code of a form that was sent without the filled value.
	CodeUnsent = "vault.fill_not_sent"
	// maxReports bounds how often one filled field is reported of: a page decides
	// how many requests it makes.
	maxReports = 10
)

// Report tells the field's own report what became of a filled field.
func (gs *Guards) Report(ctx context.Context, g *Guard, what *bctrl.Error) {
	gs.mu.Lock()
	g.reports++
	over := g.Report == nil || g.reports > maxReports
	gs.mu.Unlock()
	if !over {
		g.Report(ctx, what)
	}
}

// TakeUnsent returns the guards of a tab's fields whose form has left without
// their value, each once.
func (gs *Guards) TakeUnsent(tab target.SessionID) []*Guard {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	var unsent []*Guard
	for _, guards := range []map[*Guard]bool{gs.live, gs.retired} {
		for g := range guards {
			if g.Tab == tab && g.unsent && !g.sent && !g.unsentReported {
				g.unsentReported = true
				unsent = append(unsent, g)
			}
		}
	}
	return unsent
}

// NoteSocketMessage takes note of placeholders in a message of a websocket, which
// cannot be stopped.
func (gs *Guards) NoteSocketMessage(tab target.SessionID, message string) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	for g := range gs.live {
		if g.Tab == tab && g.Placeholder != "" && g.found(g.seen, g.Placeholder, []byte(message)) {
			g.unsent = true
		}
	}
}

// ExpectSubmit takes note that something is about to be done on a tab that may
// send a form.
func (gs *Guards) ExpectSubmit(tab target.SessionID) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	for g := range gs.live {
		g.submitted = g.submitted || g.Tab == tab
	}
}

// HoldsPlaceholder reports whether text holds what stands, or stood lately, for
// a filled value.
func (gs *Guards) HoldsPlaceholder(text string) bool {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	for _, guards := range []map[*Guard]bool{gs.live, gs.retired} {
		for g := range guards {
			if g.Placeholder != "" && g.found(g.seen, g.Placeholder, []byte(text)) {
				return true
			}
		}
	}
	return false
}
