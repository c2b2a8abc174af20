package server

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/store"
)

// grant is what a caller was permitted, and what else has to go on being so:
// all that is needed to decide about it once more, by the rules of a
// transaction or by the newest ones.
type grant struct {
	mu sync.Mutex
	// caller is who was permitted, under the newest rules that were looked at.
	caller access.Caller
	// actions are what its mounts permitted so far. Nothing is noted of an
	// organization key, to which no mounts apply.
	actions    []access.Action
	conditions []*condition
}

// condition is what must go on being so beside the caller and its mounts. It
// asks q, for the caller under the mounts as q has them.
type condition func(ctx context.Context, q store.Queries, c access.Caller) error

// require adds a condition. drop takes it out again.
func (g *grant) require(c condition) (drop func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	added := &c
	g.conditions = append(g.conditions, added)
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.conditions = slices.DeleteFunc(g.conditions, func(c *condition) bool { return c == added })
	}
}

// grantee is the caller that was permitted.
func (g *grant) grantee() access.Caller {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.caller
}

// permitted is what the caller was permitted so far.
func (g *grant) permitted() []access.Action {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.actions)
}

// decide asks access by the newest rules, and remembers what it permits. It
// brings c, who asks, to those rules.
func (g *grant) decide(c *access.Caller, a access.Action) bool {
	if c.Runtime == nil {
		return access.Decide(*c, a)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	*c = g.caller
	if !access.Decide(*c, a) {
		return false
	}
	if !slices.Contains(g.actions, a) {
		g.actions = append(g.actions, a)
	}
	return true
}

// holds decides about all that is granted, for its caller as q has it.
func (g *grant) holds(ctx context.Context, q store.Queries, c access.Caller) error {
	for _, a := range g.actions {
		if !access.Decide(c, a) {
			return outsideMount(a.Verb)
		}
	}
	for _, met := range g.conditions {
		if err := (*met)(ctx, q, c); err != nil {
			return err
		}
	}
	return nil
}

// stillPermitted decides once more about all that is granted, by the rules as q
// has them: what a transaction decides and what it does are of one moment.
//
// It does not ask whether the caller has ended. That cannot be taken back, so
// whoever ends one ends all that it has underway; and a transaction that has
// begun by then is one that came before.
func (s *Server) stillPermitted(ctx context.Context, q store.Queries, g *grant) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	now, err := s.underCeiling(ctx, q, g.caller)
	if err != nil {
		return err
	}
	return g.holds(ctx, q, now)
}

// stillPermittedNow is [Server.stillPermitted] by the newest rules, by which the
// grant decides from then on. It refuses a caller that has ended, too.
func (s *Server) stillPermittedNow(ctx context.Context, g *grant) error {
	// Without the lock, for which a transaction may wait: who the caller is does not
	// change with its mounts.
	if err := s.callerLives(ctx, g.grantee()); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	now, err := s.underCeiling(ctx, s.db.Read(), g.caller)
	if err != nil {
		return err
	}
	g.caller = now
	return g.holds(ctx, s.db.Read(), now)
}

// entry is what begins with a grant that was decided.
func (s *Server) entry(g *grant) entry {
	return entry{
		caller:         g.grantee(),
		stillPermitted: func(ctx context.Context) error { return s.stillPermittedNow(ctx, g) },
	}
}

// whileGranted runs do for as long as all of a grant is permitted. It is for
// what outlives the request that began it, or has none.
func (s *Server) whileGranted(ctx context.Context, g *grant, do func(context.Context) error) error {
	return s.underway.during(ctx, func(ctx context.Context) (entry, error) {
		return s.entry(g), s.stillPermittedNow(ctx, g)
	}, do)
}

// callerNow returns a caller under the newest rules, and refuses one who has
// ended.
func (s *Server) callerNow(ctx context.Context, c access.Caller) (access.Caller, error) {
	if err := s.callerLives(ctx, c); err != nil {
		return c, err
	}
	return s.underCeiling(ctx, s.db.Read(), c)
}

// underCeiling returns a caller with the mounts of its workspace as q has them.
// To an organization key none apply.
func (s *Server) underCeiling(ctx context.Context, q store.Queries, c access.Caller) (access.Caller, error) {
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
	rt, err := runtimeCaller(ctx, q, c.Org, c.Runtime.ID)
	if errors.Is(err, errNotActive) {
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

// sameCeiling reports whether a caller is under the same mounts of its workspace.
func sameCeiling(before, now access.Caller) bool {
	return before.Runtime == nil || before.Runtime.Version == now.Runtime.Version
}

// untilUnchanged reads until what permits it is found as it was before.
func untilUnchanged[T any](read func() (T, error), unchanged func() (bool, error)) (T, error) {
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

// ofOneMoment reads for a request, and reads once more, newly decided, where the
// rules changed between the decision and what was read: what is shown and what
// permitted it are of one moment. What is on record was decided in the
// transaction that recorded it.
//
// To decide once more about what was granted would not do here: a list shows
// what its caller's mounts left of it, and newer ones may have left more.
func ofOneMoment[T any](
	ctx context.Context, s *Server, rq *request, read func(context.Context) (T, error),
) (T, error) {
	return untilUnchanged(func() (T, error) { return read(ctx) }, func() (bool, error) {
		if rq.caller.Runtime == nil || rq.recorded {
			return true, nil
		}
		return s.isUnderNewest(ctx, rq)
	})
}

// isUnderNewest reports whether a request's caller is bound by the mounts as they
// are now, and where it is not makes it so, with nothing permitted yet.
func (s *Server) isUnderNewest(ctx context.Context, rq *request) (bool, error) {
	g := &rq.granted
	g.mu.Lock()
	defer g.mu.Unlock()
	if why := endedBecause(ctx); why != nil {
		return false, why
	}
	now, err := s.underCeiling(ctx, s.db.Read(), rq.caller)
	if err != nil || sameCeiling(rq.caller, now) {
		return err == nil, err
	}
	rq.caller, g.caller, g.actions = now, now, nil
	return false, nil
}
