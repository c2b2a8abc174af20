package calls

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/broker"
	"github.com/bctrl-go/bctrl/internal/registry"
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
	caller access.Caller
	// context is the workspace and the group, by id, whose secrets the call sees.
	context bctrl.Scope
	// consumer is a runtime's alias, or what an organization key calls itself.
	consumer string
	// capability permits the call. A provider's model may be asked without one.
	capability bctrl.Capability
	// provider is empty where the credential alone says what is called.
	provider string
	// credential is the id that is named or chosen; empty leaves it to the
	// resolution.
	credential string
}

// asksModel reports whether a runtime calls a language model, which its ai mount
// decides about and not its capabilities mount.
func (as callIdentity) asksModel() bool { return as.capability.Model && as.caller.Runtime != nil }

// sentRequest is what is sent, as the caller has it.
type sentRequest struct {
	method string
	// path is percent-encoded.
	path string
	// template is the path of the capability that permits it.
	template string
	// host is which of the provider's hosts is meant; empty leaves it open.
	host string
	// hostNamed is set where a header names the host, and not the address.
	hostNamed bool
	query     string
	header    http.Header
	// body is nil where there is none.
	body *requestBody
	// made is the whole request where package model made it. It goes where the AI
	// credential says.
	made *http.Request
	// brought says where a request that is passed through had our token; nil for any
	// other request.
	brought *broughtToken
	// transparent is set where the caller's client takes this server for the
	// provider: it uses the provider's addresses, and some word for its key.
	transparent bool
}

// callOrigin is on whose behalf a call is made, and what goes with it into the
// transaction that records its intent.
type callOrigin struct {
	// grant is what was granted to the request, or to the agent's question, that
	// makes the call. That transaction decides about it once more, and the call adds
	// a condition to it for as long as it lasts.
	grant *web.Grant
	// event begins the event of the intent.
	event func() audit.Event
	// classify finds in that transaction which capability the request is one of; nil
	// where that was found before.
	classify func(context.Context, store.Queries, providerRequest) (providerRequest, error)
	// keepSent keeps that the request was sent; nil where it may be sent again.
	keepSent func(context.Context, *store.Tx) error
	// test is set where it is the test of a credential, which may be disabled.
	test bool
}

// describe adds to an event what is asked, as far as that is known. A text in the place
// of a method or a host that is none is left out: somebody may have pasted a key there, or
// an address that holds one.
func (r providerRequest) describe(ev *audit.Event) {
	ev.Capability, ev.Credential, ev.Consumer = r.capability.ID, r.credential, r.consumer
	ev.Path = r.template
	if isMethod(r.method) {
		ev.Method = r.method
	}
	if r.host != "" && isHost(r.host) {
		ev.Host = r.host
	}
	if ev.Runtime == "" {
		web.SetEventScope(ev, r.context)
	}
}

// isMethod reports whether a text can be the method of a request.
func isMethod(text string) bool {
	const longest = 24
	return len(text) <= longest && strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-") == ""
}

// isHost reports whether a text can be a host, or its address, with or without a port. An
// address with a zone, which may be any text, is none.
func isHost(text string) bool {
	if registry.Host(strings.ToLower(text)) == nil { // nearly always, and it takes no memory
		return true
	}
	if host, port, err := net.SplitHostPort(text); err == nil {
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return false
		}
		text = host
	}
	addr, err := netip.ParseAddr(text)
	return err == nil && addr.Zone() == "" || text == "localhost" || registry.Host(strings.ToLower(text)) == nil
}

// queryOf is the query for what a request is to be made with.
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

// hidesAI reports whether an id finds no AI credential for a caller: a runtime
// finds only those that it mounts.
func hidesAI(c access.Caller, id string) bool {
	return c.Runtime != nil && !access.Decide(c, access.Action{Verb: bctrl.UseAI, Object: id})
}

// newProviderRequest begins the request to a provider that a request to this server
// makes. What is asked is added as it is read.
func newProviderRequest(rq *web.Request) providerRequest {
	return providerRequest{
		callIdentity: callIdentity{caller: rq.Caller, context: bctrl.Global()},
		callOrigin:   callOrigin{grant: &rq.Granted, event: rq.Event},
	}
}

// permittedBy returns the request with the path of the capability that permits it,
// and refuses it where the capability does not, or where no provider is sent such a
// request. The limits of the capability's policy are applied when the call is
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

// checkSourceHeaders refuses headers that name something else than the path to read
// or write, such as the source of a copy, unless the capability permits every path.
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

// chooseCapability returns the capability that permits the request; of several, the
// one whose path has the most segments. Its error is the refusal of the one that
// comes nearest.
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
