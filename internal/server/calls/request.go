package calls

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/broker"
	"github.com/bctrl-go/bctrl/internal/server/catalog"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// providerRequest is what is asked of a provider: by an invocation, by a request
// that is passed through, by an agent's question to its model, by the test of an
// AI credential. It is a value: each step of reading and deciding returns it with
// what it found. All of them are made by [Service.callProvider].
type providerRequest struct {
	callIdentity
	sentRequest
	callOrigin
	// timeout bounds the call; maxAnswer its answer, in bytes.
	timeout   time.Duration
	maxAnswer int64
}

// callIdentity is who makes a call, and as what.
type callIdentity struct {
	caller   access.Caller
	context  bctrl.Scope
	consumer string
	// capability permits the call. A provider's model may be asked without one.
	capability bctrl.Capability
	// provider is empty where the credential alone says what is called.
	provider string
	// credential is the id that is named or chosen; empty leaves it to the
	// resolution.
	credential string
}

// asksModel reports whether a runtime makes it as a call of a language model,
// which its ai mount decides.
func (as callIdentity) asksModel() bool { return as.capability.Model && as.caller.Runtime != nil }

// sentRequest is what is sent.
type sentRequest struct {
	method string
	// path is percent-encoded; template is that of the capability's paths which
	// permits it.
	path, template string
	// host is the one of the provider's that is meant; empty leaves it open.
	host string
	// hostNamed is set where a header names the host.
	hostNamed bool
	query     string
	header    http.Header
	body      *requestBody
	// made is the request where the server itself made it, for a model. Then where
	// it goes is as the AI credential has it.
	made *http.Request
	// brought is the caller's own token where an SDK brings it in the place of its
	// provider's key; nil where it came as ours.
	brought *broughtToken
	// transparent is set where the caller's client calls the provider, as far as
	// it knows: with its addresses, and a word for its key.
	transparent bool
}

// callOrigin is on whose behalf a call is made, and what goes with it into the
// transaction that records its intent.
type callOrigin struct {
	// grant is what the request or the question that makes the call was permitted.
	// It is decided about once more in that transaction, and has a condition of the
	// call's own from then on.
	grant *web.Grant
	// event begins the event of the intent.
	event func() audit.Event
	// classify returns the request as the capability that it is by the rules that
	// the transaction sees; nil where that was decided before.
	classify func(context.Context, store.Queries, providerRequest) (providerRequest, error)
	// keepSent keeps that the request was sent; nil where it may be sent again.
	keepSent func(context.Context, *store.Tx) error
	// test is set where it is the test of a credential, which may be disabled.
	test bool
}

// describe adds to an event what is asked, as far as that is known.
func (r providerRequest) describe(ev *audit.Event) {
	ev.Capability, ev.Credential, ev.Consumer = r.capability.ID, r.credential, r.consumer
	ev.Method, ev.Host, ev.Path = r.method, r.host, r.template
	if ev.Runtime == "" {
		web.SetEventScope(ev, r.context)
	}
}

// queryOf asks for what a request is to be made with.
func queryOf(req providerRequest) broker.Query {
	return broker.Query{
		Provider:   req.provider,
		Capability: req.capability.ID,
		Credential: req.credential,
		Consumer:   req.consumer,
		Context:    req.context,
		Test:       req.test,
		NoAI:       hidesAI(req.caller, req.credential),
	}
}

// hidesAI reports whether a credential that a caller names is, where it is an AI
// credential, none to it: a runtime knows of those alone that are mounted.
func hidesAI(c access.Caller, id string) bool {
	return c.Runtime != nil && !access.Decide(c, access.Action{Verb: bctrl.UseAI, Object: id})
}

// newProviderRequest begins what a request asks of a provider.
func newProviderRequest(rq *web.Request) providerRequest {
	return providerRequest{
		callIdentity: callIdentity{caller: rq.Caller, context: bctrl.Global()},
		callOrigin:   callOrigin{grant: &rq.Granted, event: rq.Event},
	}
}

// permittedBy returns a request with the template of a capability that permits
// it, and refuses any other. The capability's policy is asked where the call is
// recorded.
func (r sentRequest) permittedBy(as bctrl.Capability) (sentRequest, error) {
	var err error
	if r.template, err = (broker.Rule{Methods: as.Methods, Paths: as.Paths}).Match(r.method, r.path); err != nil {
		return r, err
	}
	if err := broker.CheckHeader(r.header); err != nil {
		return r, err
	}
	if err := r.checkSourceHeaders(as); err != nil {
		return r, err
	}
	if err := broker.CheckQuery(r.query); err != nil {
		return r, err
	}
	broker.DropHopByHop(r.header)
	if r.body != nil {
		return r, r.body.limitTo(maxStreamedBody)
	}
	return r, nil
}

// checkSourceHeaders refuses headers that name something else to read or write: a
// capability for some paths alone is none for what such a header names.
func (r sentRequest) checkSourceHeaders(as bctrl.Capability) error {
	if slices.Contains(as.Paths, "/") {
		return nil
	}
	for name := range r.header {
		if broker.NamesAnother(name) {
			return web.WithField(web.Forbidden("invoke.path_not_allowed",
				"the header "+strings.ToLower(name)+
					" names something else than the path, and the capability does not permit every path"), "headers")
		}
	}
	return nil
}

// chooseCapability is the capability that permits the request; else the refusal
// says how near one comes.
func (r sentRequest) chooseCapability(all []bctrl.Capability) (best bctrl.Capability, err error) {
	longest := -1
	var near error
	for _, found := range all {
		template, err := (broker.Rule{Methods: []string{r.method}, Paths: found.Paths}).Match(r.method, r.path)
		switch {
		case err != nil:
			if near == nil || web.AsError(err).Status == http.StatusBadRequest {
				near = err
			}
			continue
		case !slices.Contains(found.Methods, r.method):
			// A path that is permitted with another method is nearer.
			_, near = (broker.Rule{Methods: found.Methods, Paths: found.Paths}).Match(r.method, r.path)
			continue
		case r.host != "" && len(found.Hosts) > 0 && !matchesAny(found.Hosts, strings.ToLower(r.host)):
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
		near = catalog.ErrNoCapability()
	}
	return best, near
}
