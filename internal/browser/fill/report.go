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
	// maxReports bounds the reports of one filled field: a page decides how many
	// requests it makes.
	maxReports = 10
)

// Report tells whoever wants reports of a field what became of it.
func (gs *Guards) Report(ctx context.Context, g *Guard, what *bctrl.Error) {
	gs.mu.Lock()
	g.reports++
	over := g.Report == nil || g.reports > maxReports
	gs.mu.Unlock()
	if !over {
		g.Report(ctx, what)
	}
}

// TakeUnsent returns the guards of those fields of a tab whose form has been sent
// without their value. It returns each guard once only.
func (gs *Guards) TakeUnsent(tab target.SessionID) []*Guard {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	var unsent []*Guard
	for _, guards := range []map[*Guard]bool{gs.live, gs.retired} {
		for g := range guards {
			if g.Tab == tab && g.leftWithout && !g.valueSent && !g.unsentReported {
				g.unsentReported = true
				unsent = append(unsent, g)
			}
		}
	}
	return unsent
}

// NoteSocketMessage takes note of a message that a tab has sent over a websocket.
// Such messages cannot be stopped, and placeholders in them are not replaced.
func (gs *Guards) NoteSocketMessage(tab target.SessionID, message string) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	for g := range gs.live {
		if g.Tab == tab && g.Placeholder != "" && g.found(g.heldSet, g.Placeholder, []byte(message)) {
			g.leftWithout = true
		}
	}
}

// ExpectSubmit takes note that something is about to be done on a tab which may
// send a form: from then on a request without the value is missed.
func (gs *Guards) ExpectSubmit(tab target.SessionID) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	for g := range gs.live {
		g.submitExpected = g.submitExpected || g.Tab == tab
	}
}

// HoldsPlaceholder reports whether text holds a placeholder that is, or was lately,
// in use.
func (gs *Guards) HoldsPlaceholder(text string) bool {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	for _, guards := range []map[*Guard]bool{gs.live, gs.retired} {
		for g := range guards {
			if g.Placeholder != "" && g.found(g.heldSet, g.Placeholder, []byte(text)) {
				return true
			}
		}
	}
	return false
}
