package calls

import (
	"context"
	"slices"

	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/broker"
	"github.com/bctrl-go/bctrl/internal/registry"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// watchCall has a call end when it could not be made any more as it was, whoever
// makes it. It is called in the transaction that resolves the call: what has
// changed before is seen by that, and who changes something after it asks.
func (s *Service) watchCall(c *intendedCall, query broker.Query) {
	c.unwatch = c.grant.Require(func(ctx context.Context, q store.Queries, _ access.Caller) error {
		return s.sameCall(ctx, q, c, query)
	})
}

var errReplaced = web.Conflict("credentials.replaced", "what the call was made with was replaced while it ran")

// sameCall decides once more about a call that was made: its credential is there,
// enabled and visible, the capability still permits the request, and the same
// call would use the same secrets. That a secret has another value does not end
// it: what was sent is with the provider.
func (s *Service) sameCall(ctx context.Context, q store.Queries, c *intendedCall, query broker.Query) error {
	if c.capability.ID != "" {
		now, err := s.catalog.FindDefinition(ctx, q, c.caller.Org, c.capability.ID)
		if err != nil {
			return err
		}
		elsewhere := c.with.AI == nil && len(now.Hosts) > 0 &&
			!slices.ContainsFunc(now.Hosts, func(pattern string) bool { return registry.MatchHost(pattern, c.to.host) })
		if elsewhere || !slices.Contains(now.Methods, c.method) || !slices.Contains(now.Paths, c.template) ||
			now.Credential != "" && now.Credential != query.Credential {
			return errCapabilityChanged
		}
	}
	if c.with.AI != nil {
		if _, err := s.models.FindUsable(ctx, q, c.caller, query.Credential); err != nil {
			return err // as every other question about it is refused
		}
	}
	now, err := s.Resolve(ctx, q, c.caller.Org, query)
	if err != nil {
		return err
	}
	if now.UID != c.with.UID && !(now.Credential.Provisioned && c.with.Credential.Provisioned) {
		return errReplaced
	}
	return sameSecrets(c.with.Resolved, now.Resolved)
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
