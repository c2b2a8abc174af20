package server

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/broker"
	"github.com/bctrl-go/bctrl/internal/registry"
	"github.com/bctrl-go/bctrl/internal/store"
)

// newCall begins the call of a request. From here on the request's event says
// what is known of it.
func (s *Server) newCall(rq *request) *call {
	c := &call{caller: rq.caller, grant: &rq.granted, header: http.Header{}, timeout: defaultCallTimeout, context: bctrl.Global()}
	c.event = rq.event
	rq.describe = c.complete
	return c
}

// inContext decides in which workspace and group a call is made: a runtime's in
// its own.
func (s *Server) inContext(ctx context.Context, rq *request, c *call, asked bctrl.Scope, consumer string) (err error) {
	rt := rq.caller.Runtime
	if rt == nil {
		c.consumer = consumer
		if asked.IsZero() {
			return nil
		}
		asked, err = storedScope(ctx, s.db.Read(), rq.caller.Org, asked)
		if err == nil {
			c.context = asked
		}
		return err
	}
	c.context, c.consumer = contextOf(rt), rt.Alias
	if !asked.IsZero() && asked != c.context || consumer != "" && consumer != rt.Alias {
		return &bctrl.Error{
			Status: http.StatusForbidden, Code: "invoke.context_mismatch",
			Message: "the call names another context than the runtime's own", Hint: "leave context and consumer out: a runtime brings its own",
		}
	}
	return nil
}

// asCapability makes the call as one capability, which the caller's mounts must
// permit, or for a call of a language model the AI credential.
func (s *Server) asCapability(ctx context.Context, rq *request, c *call, id string) (err error) {
	_, builtin, _ := s.registry.Capability(id)
	if !builtin.Model || rq.caller.Runtime == nil {
		if err := s.authorize(rq, id); err != nil {
			return err
		}
	}
	rq.object, rq.decided = id, true
	found, err := s.defined(ctx, s.db.Read(), rq.caller.Org, id)
	if err != nil {
		return err
	}
	return s.become(ctx, rq, c, found)
}

// become makes the call as a capability that was found and decided about.
func (s *Server) become(ctx context.Context, rq *request, c *call, found bctrl.Capability) error {
	rq.object = found.ID
	c.caller, c.capability, c.provider = rq.caller, found, found.Provider
	if found.Credential != "" {
		if c.credential != "" && c.credential != found.Credential {
			e := conflict("invoke.credential_fixed", "the capability has a credential of its own, and the call names another")
			e.Hint = "leave the credential out"
			return e
		}
		c.credential = found.Credential
	}
	if !c.model() {
		return nil
	}
	view, err := s.viewCapabilities(ctx, rq, c.context)
	if err != nil {
		return err
	}
	if !view.permits(found.ID) {
		return outsideMount(bctrl.UseAI)
	}
	// Semantics 2.5: the mounts choose the credential.
	p, _ := s.registryProvider(c)
	if p.AI == "" { // no AI credential is one of this provider
		return outsideMount(bctrl.UseAI)
	}
	chosen, err := s.chooseModel(ctx, rq.caller, modelChoice{Provider: p.AI, Credential: c.credential}, modelChoice{})
	if err != nil {
		return err
	}
	c.credential = chosen.credential.ID
	rq.granted.require(func(ctx context.Context, q store.Queries, caller access.Caller) error {
		_, err := s.askable(ctx, q, caller, chosen.credential.ID)
		return err
	})
	return nil
}

// maxOwnCapabilities bounds how many own capabilities of one provider are
// looked at for one that permits a request.
const maxOwnCapabilities = 1000

// asProvider makes the call as the capability of a provider that permits it: of
// those that the caller's mounts permit too, the one with the longest path.
func (s *Server) asProvider(ctx context.Context, rq *request, c *call, provider string) error {
	all, err := s.capabilitiesOf(ctx, rq.caller.Org, provider)
	if err != nil {
		return err
	}
	view, err := s.viewCapabilities(ctx, rq, c.context)
	if err != nil {
		return err
	}
	usable := slices.DeleteFunc(all, func(found bctrl.Capability) bool { return !view.permits(found.ID) })
	rq.object, rq.decided = provider+"/", true
	if len(usable) == 0 && rq.caller.Runtime != nil {
		if p, _ := s.registry.ForAI(bctrl.OpenAICompatible); provider == p.ID && c.credential == "" {
			return outsideMount(bctrl.UseAI)
		}
		return errTargetNotMounted(c) // also for what is not there
	}
	if err := s.placed(ctx, c, rq.caller, provider); err != nil {
		return err
	}
	best, err := c.best(usable)
	if err != nil {
		return s.notMounted(rq, c, provider, err)
	}
	c.capability = best
	if !best.Model || rq.caller.Runtime == nil {
		if err := s.authorize(rq, best.ID); err != nil {
			return err
		}
	}
	return s.become(ctx, rq, c, best)
}

// notMounted says of a request that no usable capability permits which one of
// the registry would. Own ones are not looked at: a runtime does not learn what
// there is beyond its mounts.
func (s *Server) notMounted(rq *request, c *call, provider string, refused error) error {
	p, known := s.registry.Provider(provider)
	if rq.caller.Runtime == nil || !known {
		return refused
	}
	var all []bctrl.Capability
	for _, builtin := range p.Capabilities {
		all = append(all, describeBuiltin(p, builtin))
	}
	wanted, err := c.best(all)
	if err != nil {
		return refused
	}
	rq.object = wanted.ID
	return errTargetNotMounted(c)
}

// errTargetNotMounted refuses a request that is passed through as what a runtime
// may not call. It is the same for all that it may not, and for what is not there.
func errTargetNotMounted(c *call) error {
	e := outsideMount(bctrl.InvokeCapability)
	if c.credential != "" {
		e.Hint = "the missing right is capability.invoke for the request, or where the target is an AI credential ai.use of it: " +
			"mount them in the workspace and keep them in every narrower level"
	}
	return e
}

// best is the capability that permits the request; else the refusal says how
// near one comes.
func (c *call) best(all []bctrl.Capability) (best bctrl.Capability, err error) {
	longest := -1
	var near error
	for _, found := range all {
		template, err := (broker.Rule{Methods: []string{c.method}, Paths: found.Paths}).Admit(c.method, c.path)
		switch {
		case err != nil:
			if near == nil || asError(err).Status == http.StatusBadRequest {
				near = err
			}
			continue
		case !slices.Contains(found.Methods, c.method):
			// A path that is permitted with another method is nearer.
			_, near = (broker.Rule{Methods: found.Methods, Paths: found.Paths}).Admit(c.method, c.path)
			continue
		case c.host != "" && len(found.Hosts) > 0 && !slices.ContainsFunc(found.Hosts, func(p string) bool { return registry.MatchHost(p, strings.ToLower(c.host)) }):
			near = errHost(found.Hosts)
			continue
		}
		if n := strings.Count(strings.TrimSuffix(template, "/"), "/"); n > longest {
			best, longest = found, n
		}
	}
	switch {
	case longest >= 0:
		return best, nil
	case near == nil:
		near = errNoCapability()
	}
	return best, near
}

// capabilitiesOf are the capabilities of a provider, by id: those of the
// registry, then own ones.
func (s *Server) capabilitiesOf(ctx context.Context, org, provider string) (all []bctrl.Capability, err error) {
	if p, known := s.registry.Provider(provider); known {
		for _, c := range p.Capabilities {
			all = append(all, describeBuiltin(p, c))
		}
	}
	rows, err := s.db.Read().Capabilities(ctx, org, provider+"/", maxOwnCapabilities)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		if !strings.HasPrefix(row.ID, provider+"/") {
			break
		}
		own, err := s.proveCapability(org, row)
		if err != nil {
			return nil, err
		}
		all = append(all, own)
	}
	return all, nil
}
