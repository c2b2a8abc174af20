package web

import (
	"context"
	"errors"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// ErrNotActive is the answer to whoever may know of the runtime, wherever it
// turns out that it has no browser; and of one that never was, as another's.
var ErrNotActive = Conflict(wire.CodeNotActive, "the runtime is not active")

// LiveRuntime reads what bounds a runtime now. One that has ended, and one that
// never was, is [ErrNotActive].
func LiveRuntime(ctx context.Context, q store.Queries, org, id string) (*access.Runtime, error) {
	rt, err := q.Runtime(ctx, org, id)
	if errors.Is(err, store.ErrNotFound) || err == nil && !rt.Live {
		return nil, ErrNotActive
	}
	if err != nil {
		return nil, err
	}
	ws, err := q.Workspace(ctx, org, rt.WorkspaceID)
	if errors.Is(err, store.ErrNotFound) { // deleted in this moment
		return nil, ErrNotActive
	}
	if err != nil {
		return nil, err
	}
	return RuntimeOf(rt, ws), nil
}

// RuntimeOf is what bounds a runtime: the mounts of its workspace and its own, with
// nothing declared below it.
func RuntimeOf(rt store.Runtime, ws store.Workspace) *access.Runtime {
	return &access.Runtime{
		ID:          rt.ID,
		Alias:       rt.Alias,
		WorkspaceID: rt.WorkspaceID,
		Group:       rt.Group,
		Version:     ws.Version,
		Chain:       bctrl.Chain{ws.Mounts, rt.Mounts},
		Launched:    bctrl.Chain{rt.Launched},
	}
}

// CallerNow returns a caller under the newest rules, and refuses one who has ended:
// whose key or token was revoked or has expired, or whose subaccount or runtime is
// gone.
func (k *Kernel) CallerNow(ctx context.Context, c access.Caller) (access.Caller, error) {
	if err := k.callerLives(ctx, c); err != nil {
		return c, err
	}
	return k.UnderCeiling(ctx, k.DB.Read(), c)
}

// UnderCeiling returns a caller with the mounts of its workspace as q has them, and
// refuses one whose runtime has ended. An organization key comes back as it is: no
// mounts apply to it.
func (k *Kernel) UnderCeiling(ctx context.Context, q store.Queries, c access.Caller) (access.Caller, error) {
	if c.Runtime == nil {
		return c, nil
	}
	version, live, err := q.RuntimeCeiling(ctx, c.Org, c.Runtime.ID)
	if errors.Is(err, store.ErrNotFound) || err == nil && !live {
		return c, errEnded(c)
	}
	if err != nil || version == c.Runtime.Version {
		return c, err
	}
	rt, err := LiveRuntime(ctx, q, c.Org, c.Runtime.ID)
	if errors.Is(err, ErrNotActive) {
		err = errEnded(c)
	}
	if err != nil {
		return c, err
	}
	below := c.Runtime.Chain[2:]
	rt.Chain, rt.Launched = append(rt.Chain, below...), append(rt.Launched, below...)
	c.Runtime = rt
	return c, nil
}

// SameCeiling reports whether a caller is under the same mounts of its workspace.
func SameCeiling(before, now access.Caller) bool {
	return before.Runtime == nil || before.Runtime.Version == now.Runtime.Version
}

// ReadConsistently reads for a request, and where the rules changed between the
// decision and what was read, decides and reads once more: what is shown and what
// permitted it are of one moment. What is on record was decided in the
// transaction that recorded it.
//
// To decide once more about what was granted would not do here: a list shows
// what its caller's mounts left of it, and newer ones may have left more.
func ReadConsistently[T any](
	ctx context.Context, rq *Request, read func(context.Context) (T, error),
) (T, error) {
	return ReadUntilUnchanged(func() (T, error) { return read(ctx) }, func() (bool, error) {
		if rq.Caller.Runtime == nil || rq.recorded {
			return true, nil
		}
		return rq.isUnderNewest(ctx)
	})
}

// isUnderNewest reports whether a request's caller is bound by the mounts as they
// are now, and where it is not makes it so, with nothing permitted yet.
func (rq *Request) isUnderNewest(ctx context.Context) (bool, error) {
	g := &rq.Granted
	g.renewing.Lock()
	defer g.renewing.Unlock()
	if why := EndedBecause(ctx); why != nil {
		return false, why
	}
	now, err := rq.kernel.UnderCeiling(ctx, rq.kernel.DB.Read(), rq.Caller)
	if err != nil || SameCeiling(rq.Caller, now) {
		return err == nil, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	rq.Caller, g.Caller, g.Actions = now, now, nil
	return false, nil
}

// ReadUntilUnchanged reads until what permits it is found as it was before. The
// error of read is returned only then: it may be of rules that are gone.
func ReadUntilUnchanged[T any](read func() (T, error), unchanged func() (bool, error)) (T, error) {
	for {
		out, err := read()
		same, refused := unchanged()
		if refused != nil {
			return out, refused
		}
		if same {
			return out, err
		}
	}
}
