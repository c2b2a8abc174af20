package runtimes

import (
	"context"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/browser"
)

// clientRights are what a client of a runtime's browser may, over DevTools or WebDriver, and
// what is recorded of it.
type clientRights struct {
	s      *Service
	live   *liveRuntime
	caller access.Caller
	// requestID and traceID are of the request that the connection began with.
	requestID, traceID string
	*seenHosts
}

// PrintedText implements [browser.ClientRights].
func (c clientRights) PrintedText(ctx context.Context, pdf []byte) (string, error) {
	return c.s.printedText(ctx, pdf)
}

// RecordRefusal implements [browser.ClientRights].
func (c clientRights) RecordRefusal(ctx context.Context, refusal *bctrl.Error) error {
	x, err := c.execution(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	if refusal.Code == browser.CodeMachinePath {
		return c.s.recordRefusal(ctx, x, bctrl.GetStorage, c.s.refusedObject(ctx, x, bctrl.GetStorage, ""), refusal)
	}
	return c.s.recordRefusal(ctx, x, access.RuntimeExecute, x.rt.ID, refusal)
}

// execution is what the client does, as the mounts and the log know it.
func (c clientRights) execution(ctx context.Context) (*execution, error) {
	rt, err := c.s.DB.Read().Runtime(ctx, c.live.org, c.live.id)
	if err != nil {
		return nil, err
	}
	ws, err := c.s.DB.Read().Workspace(ctx, c.live.org, rt.WorkspaceID)
	if err != nil {
		return nil, err
	}
	x := &execution{
		org:       c.live.org,
		live:      c.live,
		ws:        ws,
		rt:        rt,
		caller:    c.caller,
		requestID: c.requestID,
		traceID:   c.traceID,
	}
	if own := c.caller.Runtime; own != nil {
		x.below = own.Chain[2:]
	}
	return x, nil
}
