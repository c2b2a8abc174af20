package calls

import (
	"context"
	"slices"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/server/catalog"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// identifyCaller says who makes the call of a request, in which context and for
// which consumer. A runtime has its own context and is its own consumer; a request of
// it that names others is refused.
func (s *Service) identifyCaller(
	ctx context.Context, rq *web.Request, asked bctrl.Scope, consumer string,
) (as callIdentity, err error) {
	as = callIdentity{caller: rq.Caller, context: bctrl.Global(), consumer: consumer}
	rt := rq.Caller.Runtime
	if rt == nil {
		if asked.IsZero() {
			return as, nil
		}
		if asked, err = web.StoredScope(ctx, s.DB.Read(), rq.Caller.Org, asked); err == nil {
			as.context = asked
		}
		return as, err
	}
	as.context, as.consumer = web.RuntimeScope(rt), rt.Alias
	own := consumer == "" || consumer == rt.Alias
	if own && !asked.IsZero() {
		own, err = web.NamesOwnContext(ctx, s.DB.Read(), rq.Caller.Org, rt, asked)
	}
	if err == nil && !own {
		err = web.WithHint(
			web.Forbidden("invoke.context_mismatch", "the call names another context than the runtime's own"),
			"leave context and consumer out: a runtime brings its own",
		)
	}
	return as, err
}

// permitCapability decides about a call as the capability with an id, and returns
// its identity as that. What a runtime's capabilities mount decides for others, its
// ai mount decides for calls of language models.
func (s *Service) permitCapability(
	ctx context.Context, rq *web.Request, as callIdentity, id string,
) (callIdentity, error) {
	as.capability.ID = id
	_, builtin, _ := s.registry.Capability(id)
	if !builtin.Model || rq.Caller.Runtime == nil {
		if err := rq.Authorize(id); err != nil {
			return as, err
		}
	}
	rq.MarkDecided(id)
	found, err := s.definitionNow(ctx, rq.Caller.Org, id)
	if err != nil {
		return as, err
	}
	return s.completeIdentity(ctx, rq, as, found)
}

// completeIdentity returns the identity of a call as a capability that was decided
// about, with the credential that the capability fixes. For a runtime's call of a
// language model it decides by the ai mount, which chooses the credential.
func (s *Service) completeIdentity(
	ctx context.Context, rq *web.Request, as callIdentity, found bctrl.Capability,
) (callIdentity, error) {
	rq.Object = found.ID
	as.caller, as.capability, as.provider = rq.Caller, found, found.Provider
	if found.Credential != "" {
		if as.credential != "" && as.credential != found.Credential {
			return as, web.WithHint(
				web.Conflict(
					"invoke.credential_fixed",
					"the capability has a credential of its own, and the call names another",
				),
				"leave the credential out",
			)
		}
		as.credential = found.Credential
	}
	if !as.asksModel() {
		return as, nil
	}
	view, err := s.viewCapabilities(ctx, rq, as.context)
	if err != nil {
		return as, err
	}
	if !view.permits(found.ID) {
		return as, web.OutsideMount(bctrl.UseAI)
	}
	// Semantics 2.5: the mounts choose the credential.
	p, _ := s.registry.Provider(as.provider)
	if p.AI == "" { // no AI credential is one of this provider
		return as, web.OutsideMount(bctrl.UseAI)
	}
	chosen, err := s.ChooseModel(ctx, rq.Caller, ModelChoice{Provider: p.AI, Credential: as.credential}, ModelChoice{})
	if err != nil {
		return as, err
	}
	as.credential = chosen.Credential.ID
	rq.Granted.Require(func(ctx context.Context, q store.Queries, caller access.Caller) error {
		_, err := s.models.FindUsable(ctx, q, caller, chosen.Credential.ID)
		return err
	})
	return as, nil
}

// maxOwnCapabilities bounds how many own capabilities of one provider are
// looked at for one that permits a request.
const maxOwnCapabilities = 1000

// permitAtProvider finds which capability of a provider a request is one of, among
// those that the caller's mounts permit, decides about that, and returns the request
// as one of it.
func (s *Service) permitAtProvider(
	ctx context.Context, rq *web.Request, req providerRequest, provider string,
) (providerRequest, error) {
	all, err := s.capabilitiesOf(ctx, rq.Caller.Org, provider)
	if err != nil {
		return req, err
	}
	view, err := s.viewCapabilities(ctx, rq, req.context)
	if err != nil {
		return req, err
	}
	usable := slices.DeleteFunc(all, func(found bctrl.Capability) bool { return !view.permits(found.ID) })
	rq.MarkDecided(provider + "/")
	if len(usable) == 0 && rq.Caller.Runtime != nil {
		if p, _ := s.registry.ForAI(bctrl.OpenAICompatible); provider == p.ID && req.credential == "" {
			return req, web.OutsideMount(bctrl.UseAI)
		}
		return req, errTargetNotMounted(req) // also for what is not there
	}
	if req, err = s.atOwnServer(ctx, req, provider); err != nil {
		return req, err
	}
	best, err := req.chooseCapability(usable)
	if err != nil {
		return req, s.explainNotMounted(rq, req, provider, err)
	}
	req.capability = best
	if !best.Model || rq.Caller.Runtime == nil {
		if err := rq.Authorize(best.ID); err != nil {
			return req, err
		}
	}
	req.callIdentity, err = s.completeIdentity(ctx, rq, req.callIdentity, best)
	return req, err
}

// explainNotMounted refuses a runtime's request that none of its capabilities
// permits, as not mounted where one of the registry would permit it, and records that
// one. Own capabilities are not looked at: a runtime does not learn what there is
// beyond its mounts.
func (s *Service) explainNotMounted(rq *web.Request, req providerRequest, provider string, refused error) error {
	p, known := s.registry.Provider(provider)
	if rq.Caller.Runtime == nil || !known {
		return refused
	}
	var all []bctrl.Capability
	for _, builtin := range p.Capabilities {
		all = append(all, catalog.BuiltinCapability(p, builtin))
	}
	wanted, err := req.chooseCapability(all)
	if err != nil {
		return refused
	}
	rq.Object = wanted.ID
	return errTargetNotMounted(req)
}

// errTargetNotMounted refuses what a runtime may not call. It is the same for what
// is there and for what is not.
func errTargetNotMounted(req providerRequest) error {
	e := web.OutsideMount(bctrl.InvokeCapability)
	if req.credential != "" {
		e.Hint = "the missing right is capability.invoke for the request, or where the target is an " +
			"AI credential ai.use of it: mount them in the workspace and keep them in every narrower level"
	}
	return e
}

// capabilitiesOf lists the capabilities of a provider: those of the registry, then
// the organization's own in the order of ids.
func (s *Service) capabilitiesOf(ctx context.Context, org, provider string) (all []bctrl.Capability, err error) {
	if p, known := s.registry.Provider(provider); known {
		for _, c := range p.Capabilities {
			all = append(all, catalog.BuiltinCapability(p, c))
		}
	}
	rows, err := s.DB.Read().Capabilities(ctx, org, provider+"/", maxOwnCapabilities)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		if !strings.HasPrefix(row.ID, provider+"/") {
			break
		}
		own, err := s.catalog.VerifyCapability(org, row)
		if err != nil {
			return nil, err
		}
		all = append(all, own)
	}
	return all, nil
}
