package browser

import (
	"context"
	"net/http"

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

// tell reports what became of a filled field.
func (gs *fillGuards) tell(ctx context.Context, g *fillGuard, what *bctrl.Error) {
	gs.mu.Lock()
	g.reports++
	over := g.report == nil || g.reports > maxReports
	gs.mu.Unlock()
	if !over {
		g.report(ctx, what)
	}
}

// noteUnsent tells of fields of a tab whose form has left without their value.
// It is called when a page is read: by then a page that asks something else
// first has sent the login, too.
func (t *tab) noteUnsent(ctx context.Context) {
	gs := t.set.guards
	gs.mu.Lock()
	var unsent []*fillGuard
	for _, guards := range []map[*fillGuard]bool{gs.live, gs.spent} {
		for g := range guards {
			if g.tab == t && g.unsent && !g.sent && !g.told {
				g.told = true
				unsent = append(unsent, g)
			}
		}
	}
	gs.mu.Unlock()
	for _, g := range unsent {
		why := "the page has sent its form without the " + g.what + " that was filled, or with something that " +
			"it made of it; " +
			"if the login fails, the entry needs fill: direct"
		t.note("%s: %s", codeUnsent, why)
		gs.tell(ctx, g, refuse(http.StatusConflict, codeUnsent, why, "set fill: direct on the entry"))
	}
}

// socketMessage is the part of Network.webSocketFrameSent that is read here. The
// generated type takes every message for base64, which only those of bytes are.
type socketMessage struct {
	Response struct {
		Text string `json:"payloadData"`
	} `json:"response"`
}

// socketSends takes note of placeholders in a message of a websocket, which
// cannot be stopped.
func (gs *fillGuards) socketSends(t *tab, message string) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	for g := range gs.live {
		if g.tab == t && g.placeholder != "" && g.holds(g.seen, g.placeholder, []byte(message)) {
			g.unsent = true
		}
	}
}

// submitting takes note that something is about to be done on a tab that may
// send a form.
func (gs *fillGuards) submitting(t *tab) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	for g := range gs.live {
		g.submitted = g.submitted || g.tab == t
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
