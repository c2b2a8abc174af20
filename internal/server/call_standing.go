package server

import (
	"context"
	"slices"

	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/broker"
	"github.com/bctrl-go/bctrl/internal/registry"
	"github.com/bctrl-go/bctrl/internal/store"
)

// changeRules is [change] for what calls under way depend on. Those that do not
// stand any more have ended when it returns.
func changeRules[Out any](ctx context.Context, s *Server, rq *request, fn func(tx *store.Tx, e *audit.Event) (Out, error)) (Out, error) {
	out, err := change(ctx, s, rq, fn)
	if err == nil {
		s.recheck(ctx, rq.caller.Org, "")
	}
	return out, err
}

// watchCall counts a call as underway, whoever makes it, until leave is called.
// It does so before the call is resolved: a change is either seen by the
// transaction that resolves it, or asks about what that found.
func (s *Server) watchCall(c *call, end context.CancelCauseFunc) (leave func()) {
	e := &effect{org: c.caller.Org, workspace: c.context.WorkspaceID()}
	e.end = func(why error) {
		c.cut.Store(true)
		end(why)
	}
	e.still = func(ctx context.Context) error { return s.stands(ctx, s.db.Read(), c) }
	for !s.underway.enter(e, s.underway.age()) {
		continue // of which nothing is decided yet
	}
	return func() { s.underway.leave(e) }
}

var errReplaced = conflict("credentials.replaced", "what the call was made with was replaced while it ran")

// stands decides again about a call under way: its credential is there, enabled
// and visible, the capability still permits the request, and the same call would
// use the same secrets. That a secret has another value does not end it: what
// was sent is with the provider.
func (s *Server) stands(ctx context.Context, q store.Queries, c *call) error {
	query := c.standing.Load()
	if query == nil {
		return nil
	}
	if c.capability.ID != "" {
		now, err := s.defined(ctx, q, c.caller.Org, c.capability.ID)
		if err != nil {
			return err
		}
		elsewhere := c.resolved.AI == nil && len(now.Hosts) > 0 &&
			!slices.ContainsFunc(now.Hosts, func(pattern string) bool { return registry.MatchHost(pattern, c.host) })
		if elsewhere || !slices.Contains(now.Methods, c.method) || !slices.Contains(now.Paths, c.template) ||
			now.Credential != "" && now.Credential != c.credential {
			return errCapabilityChanged
		}
	}
	if c.resolved.AI != nil {
		if _, err := s.askable(ctx, q, c.caller, c.credential); err != nil {
			return err // as every other question about it is refused
		}
	}
	now, err := s.resolveCall(ctx, q, c.caller.Org, *query)
	if err != nil {
		return err
	}
	if now.UID != c.uid && !(now.Credential.Provisioned && c.resolved.Credential.Provisioned) {
		return errReplaced
	}
	return sameSecrets(c.resolved.Resolved, now.Resolved)
}

// sameSecrets refuses where now has other secrets than before, but for more of
// them.
func sameSecrets(before, now broker.Resolved) error {
	for field, id := range before.Secrets {
		if other, ok := now.Secrets[field]; !ok || other != id {
			return errReplaced
		}
	}
	return nil
}
