package runtimes

import (
	"context"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// explainAction says whether mounts permit an action, and which level does not: to a
// caller that acts as the runtime by all levels down to its own, to an organization
// key by those of the workspace and the runtime.
func (s *Service) explainAction(ctx context.Context, rq *web.Request, in bctrl.Action) (bctrl.Decision, error) {
	rt, ws, err := s.authorizedRuntime(ctx, rq)
	if err != nil {
		return bctrl.Decision{}, err
	}
	chain := web.RuntimeOf(rt, ws).Chain
	if own := rq.Caller.Runtime; own != nil {
		chain = own.Chain
	}
	return chain.Explain(in), nil
}

// What callers are told that they are.
const (
	kindKey   = string(bctrl.CallerKey)
	kindToken = string(bctrl.CallerToken)
)

func (s *Service) getSelf(
	ctx context.Context, rq *web.Request, _ web.None,
) (out wire.Self[bctrl.RuntimeInfo], err error) {
	if err := rq.Authorize(""); err != nil {
		return out, err
	}
	c := rq.Caller
	out = wire.Self[bctrl.RuntimeInfo]{Kind: kindKey, Organization: c.Org, KeyID: c.KeyID}
	if c.Token != nil {
		out.Kind, out.TokenID, out.ExpiresAt = kindToken, c.Token.ID, &c.Token.Expires
	}
	if c.Runtime == nil {
		return out, nil
	}
	rt, err := s.DB.Read().Runtime(ctx, c.Org, c.Runtime.ID)
	if err != nil {
		return out, err
	}
	ws, err := s.DB.Read().Workspace(ctx, c.Org, rt.WorkspaceID)
	if err != nil {
		return out, err
	}
	info := s.describeRuntimeTo(c, rt, ws)
	out.Runtime = &info
	return out, nil
}
