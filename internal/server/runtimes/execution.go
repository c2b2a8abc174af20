package runtimes

import (
	"context"
	"slices"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// execution is one run of steps in a runtime.
type execution struct {
	id   string
	org  string
	live *liveRuntime
	ws   store.Workspace
	rt   store.Runtime
	// below are the mounts that levels under the runtime declared: the
	// caller's own, the execution's, the step's.
	below []bctrl.Mounts
	// caller is who began it, and with whom it ends; without a key and a token
	// it is the runtime's own doing.
	caller    access.Caller
	requestID string
}

// actor is who the execution is run by, for access and the audit log.
func (x *execution) actor(rt *access.Runtime) access.Caller {
	return access.Caller{
		Org:     x.org,
		Parent:  x.caller.Parent,
		KeyID:   x.caller.KeyID,
		Token:   x.caller.Token,
		Runtime: rt,
	}
}

// currentCaller is who the execution acts as, with the mounts as they are now: a
// workspace that was lowered since the execution began counts as lowered.
func (s *Service) currentCaller(ctx context.Context, x *execution) (access.Caller, error) {
	if s.Custody.Locked() {
		return access.Caller{}, web.ErrLocked
	}
	rt := web.RuntimeOf(x.rt, x.ws)
	rt.Chain, rt.Launched = append(rt.Chain, x.below...), append(rt.Launched, x.below...)
	return s.CallerNow(ctx, x.actor(rt))
}

// event is an audit event of something the execution does.
func (x *execution) event(verb bctrl.Verb, object string) audit.Event {
	return audit.Event{
		Org:       x.org,
		Parent:    x.caller.Parent,
		Caller:    x.actor(&access.Runtime{ID: x.rt.ID}).Name(),
		Workspace: x.ws.ID,
		Group:     x.rt.Group,
		Runtime:   x.rt.ID,
		Execution: x.id,
		Action:    string(verb),
		Object:    object,
		Decision:  audit.Allowed,
		RequestID: x.requestID,
	}
}

// lower returns the execution one level down, refused when that widens.
func (x *execution) lower(ctx context.Context, s *Service, mounts *bctrl.Mounts) (*execution, error) {
	if mounts == nil {
		return x, nil
	}
	caller, err := s.currentCaller(ctx, x)
	if err != nil {
		return nil, err
	}
	if _, err := caller.Runtime.Narrow(*mounts); err != nil {
		return nil, err
	}
	lowered := *x
	lowered.below = append(slices.Clip(x.below), *mounts)
	return &lowered, nil
}
