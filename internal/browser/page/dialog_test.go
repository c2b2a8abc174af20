package page

import (
	"context"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/egress"
)

// leavingClient hears of dialogs until it is asked again.
type leavingClient struct {
	Clients
	hears bool
}

func (c *leavingClient) HearsDialogs(target.ID) bool {
	heard := c.hears
	c.hears = false
	return heard
}

// TestADialogDoesNotWaitForAClientThatLeftAsItOpened lets a client go between
// the question whether it hears of a dialog and the waiting for it: what tells
// of its leaving has found nothing that waits.
func TestADialogDoesNotWaitForAClientThatLeftAsItOpened(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // there is no browser to be told the answer
	s := &Set{ctx: ctx, proxy: new(egress.Proxy), clients: &leavingClient{hears: true}, agentTargets: map[target.ID]bool{}}
	tab := newTab(s, &session{targetID: "tab"})
	tab.onDialog(tab.session, page.EventJavascriptDialogOpening{Type: page.DialogTypeConfirm})
	require.Nil(t, tab.takeWaitingDialog(), "nobody is left to answer it")
}
