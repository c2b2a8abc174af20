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

// execution is a run of steps in a runtime. What a runtime does by itself, keeping
// a download, is decided and recorded as one too: without an id or a caller.
type execution struct {
	id   string
	org  string
	live *liveRuntime
	ws   store.Workspace
	rt   store.Runtime
	// below are the mounts that were declared below the runtime, the widest first: by
	// the caller's token, with its request, for the execution, for the step.
	below []bctrl.Mounts
	// caller is who began it. The execution ends with its key or token.
	caller    access.Caller
	requestID string
	traceID   string // of that request
	// recorder keeps what an operation's agents do; nil of an execution that somebody
	// waits for.
	recorder *recorder
	// report tells who waits what is done; nil is nobody.
	report func(string)
}

// actor is the execution's caller as access and the audit log know it, acting as rt.
func (x *execution) actor(rt *access.Runtime) access.Caller {
	return access.Caller{
		Org:     x.org,
		Parent:  x.caller.Parent,
		KeyID:   x.caller.KeyID,
		Token:   x.caller.Token,
		Runtime: rt,
	}
}

// currentCaller is who the execution acts as, under the mounts as they are now: what
// its workspace has been lowered to since it began counts. A caller that has ended is
// refused, and everybody while the server is locked.
func (s *Service) currentCaller(ctx context.Context, x *execution) (access.Caller, error) {
	if s.Custody.Locked() {
		return access.Caller{}, web.ErrLocked
	}
	rt := web.RuntimeOf(x.rt, x.ws)
	rt.Chain, rt.Launched = append(rt.Chain, x.below...), append(rt.Launched, x.below...)
	return s.CallerNow(ctx, x.actor(rt))
}

// reporting is the execution as it tells what is done.
func (x *execution) reporting(report func(string)) *execution {
	reporting := *x
	reporting.report = report
	return &reporting
}

// event is the audit event of something that the execution may do, without its
// outcome.
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
		TraceID:   x.traceID,
	}
}

// lowerExecution returns the execution under mounts that are declared for a part of
// it; nil declares none. Mounts that would widen what it has now are refused.
func (s *Service) lowerExecution(ctx context.Context, x *execution, mounts *bctrl.Mounts) (*execution, error) {
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
	if err := checkLevel(*mounts, s.usableCredential(ctx, caller)); err != nil {
		return nil, err
	}
	lowered := *x
	lowered.below = append(slices.Clip(x.below), *mounts)
	return &lowered, nil
}

// recordOutsideMount records that the mounts did not permit something that an
// execution was to do, and returns the refusal; where it cannot be recorded, why.
func (s *Service) recordOutsideMount(ctx context.Context, x *execution, verb bctrl.Verb, object string) error {
	return s.recordRefusal(ctx, x, verb, object, web.OutsideMount(verb))
}

// recordRefusal records that something that an execution was to do was refused, and
// returns the refusal; where it cannot be recorded, why. It is recorded also when ctx
// has ended.
func (s *Service) recordRefusal(
	ctx context.Context, x *execution, verb bctrl.Verb, object string, refusal *bctrl.Error,
) error {
	ev := x.event(verb, object)
	ev.Decision, ev.Outcome, ev.Status = audit.Denied, refusal.Code, refusal.Status
	if err := s.Audit.Record(context.WithoutCancel(ctx), ev); err != nil {
		return err
	}
	return refusal
}
