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

// requireUnchanged has a call end once it could no longer be made as it was: it
// adds that as a condition to what the call was granted, until drop takes it out.
// It is added in the transaction that resolves the call. What was changed before,
// the transaction sees; whoever changes something after it asks all conditions.
func (s *Service) requireUnchanged(c *intendedCall) (drop func()) {
	return c.grant.Require(func(ctx context.Context, q store.Queries, _ access.Caller) error {
		return s.checkUnchanged(ctx, q, c)
	})
}

// errReplaced ends a call that would use another credential or secret now.
var errReplaced = web.Conflict("credentials.replaced", "what the call was made with was replaced while it ran")

// checkUnchanged refuses a call that could not be made now as it was made: whose
// credential is gone, disabled or not visible any more, whose capability no longer
// permits the request, or that would use other secrets. That a secret has another
// value does not end it: what was sent is with the provider.
func (s *Service) checkUnchanged(ctx context.Context, q store.Queries, c *intendedCall) error {
	if c.capability.ID != "" {
		now, err := s.catalog.FindDefinition(ctx, q, c.caller.Org, c.capability.ID)
		if err != nil {
			return err
		}
		elsewhere := c.with.ai == nil && len(now.Hosts) > 0 &&
			!slices.ContainsFunc(now.Hosts, func(pattern string) bool { return registry.MatchHost(pattern, c.to.host) })
		if elsewhere || !slices.Contains(now.Methods, c.method) || !slices.Contains(now.Paths, c.template) ||
			now.Credential != "" && now.Credential != c.lookup.Credential {
			return errCapabilityChanged
		}
	}
	if c.with.ai != nil {
		if _, err := s.models.FindUsable(ctx, q, c.caller, c.lookup.Credential); err != nil {
			return err // as every other question about it is refused
		}
	}
	now, err := s.Resolve(ctx, q, c.caller.Org, c.lookup)
	if err != nil {
		return err
	}
	if now.uid != c.with.uid && !(now.Credential.Provisioned && c.with.Credential.Provisioned) {
		return errReplaced
	}
	return sameSecrets(c.with.Resolved, now.Resolved)
}

// sameSecrets refuses a call of which now has another secret for a field, or none,
// than before. Further fields may have been added.
func sameSecrets(before, now broker.Resolved) error {
	for field, id := range before.Secrets {
		if other, ok := now.Secrets[field]; !ok || other != id {
			return errReplaced
		}
	}
	return nil
}
