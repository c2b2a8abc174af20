package calls

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/broker"
	"github.com/bctrl-go/bctrl/internal/names"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// proxyPrefix is where providers' own requests are passed through.
const proxyPrefix = "/v1/proxy/"

// proxyTarget says as what a request is passed through.
type proxyTarget struct {
	// name is a capability, "github/repos", all of a provider, "github/", or a
	// credential, "my-github". It is empty where it cannot be decoded.
	name string
	// host is the one of the target's hosts that is meant, or empty.
	host string
}

// readTarget reads a target from its segment of the address. There a tilde stands
// for the slash, since many clients decode an encoded one, and @ and a host may
// follow: "github~", "github~repos", "s3-eu", "github~@uploads.github.com". No name
// of a provider, a capability or a credential has a tilde or @.
func readTarget(segment string) (t proxyTarget) {
	text, err := url.PathUnescape(segment)
	if err != nil {
		return t
	}
	t.name, t.host, _ = strings.Cut(text, "@")
	t.name = strings.Replace(t.name, "~", "/", 1)
	return t
}

// proxy passes a request of a provider's own form through. The first segment of the
// path says as what, and the rest is the path at the provider.
func (s *Service) proxy(w http.ResponseWriter, rq *web.Request) error {
	ctx := rq.Context()
	segment, path := splitProxyPath(rq.Request)
	target := readTarget(segment)
	req := newProviderRequest(rq)
	req.sentRequest = proxiedRequest(rq, path)
	rq.Describe = func(ev *audit.Event) { req.describe(ev) }

	in, err := readProxyHeaders(rq.Header)
	if err != nil {
		return err
	}
	req.host, req.hostNamed = in.host, in.host != ""
	req.timeout, req.maxAnswer = in.timeout, maxStreamedAnswer
	if req.callIdentity, err = s.identifyCaller(ctx, rq, in.context, in.consumer); err != nil {
		return web.ScopeAt(err, "", wire.Spelled(wire.HeaderWorkspace), wire.Spelled(wire.HeaderGroup))
	}
	if target.host != "" { // it goes before the header, which often is for all requests of a client
		req.host, req.hostNamed = target.host, false
	}
	if req, err = s.permitTarget(ctx, rq, req, target.name); err != nil {
		return err
	}
	for name := range req.header {
		if wire.IsOwnHeader(name) || name == "Authorization" {
			delete(req.header, name) // ours
		}
	}
	if err := req.checkPathKey(); err != nil {
		return err
	}
	if req.sentRequest, err = req.permittedBy(req.capability); err != nil {
		return err
	}

	a, err := s.callForRequest(ctx, rq, w, req)
	if err != nil {
		return err
	}
	if !req.transparent {
		s.rewriteAddresses(rq, a.call, segment, a.Header)
	}
	return s.streamAnswer(w, rq, a, a.StatusCode)
}

// proxiedRequest is a request to the proxy as it is to be sent. What is ours of its
// headers is still among them.
func proxiedRequest(rq *web.Request, path string) sentRequest {
	r := sentRequest{
		method:      rq.Method,
		path:        path,
		query:       rq.URL.RawQuery,
		header:      rq.Header.Clone(),
		brought:     broughtTokenOf(rq.Context()),
		transparent: isTransparent(rq.Header),
	}
	if rq.ContentLength != 0 {
		r.body = &requestBody{src: rq.Body, length: rq.ContentLength}
	}
	return r
}

// splitProxyPath splits a request's path into the segment of the target and the path
// behind it, both as they were sent. Bytes that some clients send though they belong
// escaped in a path are escaped.
func splitProxyPath(r *http.Request) (segment, path string) {
	sent, _, _ := strings.Cut(r.RequestURI, "?")
	if !strings.HasPrefix(sent, proxyPrefix) { // with its host in front
		sent = r.URL.EscapedPath()
	}
	segment, path, _ = strings.Cut(strings.TrimPrefix(sent, proxyPrefix), "/")
	return segment, broker.EscapePath("/" + path)
}

// proxyHeaders is what our own headers say of a request that is passed through.
type proxyHeaders struct {
	context  bctrl.Scope
	consumer string
	host     string
	timeout  time.Duration
}

// readProxyHeaders reads our own headers: the context and the consumer of the call,
// the host that is meant, and how long the call may take. Each may be there once.
func readProxyHeaders(h http.Header) (in proxyHeaders, err error) {
	one := map[string]string{}
	for _, name := range []string{
		wire.HeaderWorkspace, wire.HeaderGroup, wire.HeaderConsumer, wire.HeaderHost, wire.HeaderTimeout,
	} {
		switch values := h.Values(name); len(values) {
		case 0:
		case 1:
			one[name] = values[0]
		default:
			return in, web.Invalid("invoke.repeated_header", name, name+" must be given at most once")
		}
	}
	if err := checkNames("", one[wire.HeaderConsumer]); err != nil {
		return in, err
	}
	in = proxyHeaders{consumer: one[wire.HeaderConsumer], host: one[wire.HeaderHost], timeout: maxCallTimeout}
	workspace, hasWorkspace := one[wire.HeaderWorkspace]
	group, hasGroup := one[wire.HeaderGroup]
	switch {
	case hasGroup:
		in.context = bctrl.InGroup(workspace, group)
	case hasWorkspace:
		in.context = bctrl.InWorkspace(workspace)
	}
	if text, ok := one[wire.HeaderTimeout]; ok {
		ms, err := strconv.ParseInt(text, 10, 64)
		if err != nil || ms < 1 || ms > maxCallTimeout.Milliseconds() {
			return in, web.Invalid("invoke.timeout", wire.HeaderTimeout,
				"a call may take from 1 to 1800000 milliseconds")
		}
		in.timeout = time.Duration(ms) * time.Millisecond
	}
	return in, nil
}

// permitTarget decides about a request as what its target names: a capability, any
// capability of a provider, or any of a credential's provider. It returns the request
// with what that makes of it.
func (s *Service) permitTarget(
	ctx context.Context, rq *web.Request, req providerRequest, target string,
) (_ providerRequest, err error) {
	provider, isProvider := strings.CutSuffix(target, "/")
	of, _, capability := strings.Cut(target, "/")
	if capability {
		if req.path, err = s.pathWithoutKey(ctx, req, of); err != nil {
			return req, err
		}
	}
	switch {
	case isProvider && names.Capability(target+"x") == nil:
		return s.permitAtProvider(ctx, rq, req, provider)
	case names.Capability(target) == nil:
		if req.callIdentity, err = s.permitCapability(ctx, rq, req.callIdentity, target); err != nil {
			return req, err
		}
		return s.atOwnServer(ctx, req, of)
	case names.CredentialID(target) == nil:
		req, err := s.permitWithCredential(ctx, rq, req, target)
		return req, s.hintAtProvider(target, err)
	}
	return req, web.WithHint(
		web.Invalid("invoke.target", "target", "the target is no capability, provider or credential"),
		"write /v1/proxy/github~/… for all of a provider, /v1/proxy/github~repos/… for a capability, "+
			"/v1/proxy/my-credential/… for a credential",
	)
}

// permitWithCredential decides about a request with a credential, as any capability
// of the credential's provider. To a runtime, a credential that is not there and one
// that its mounts do not permit are the same.
func (s *Service) permitWithCredential(
	ctx context.Context, rq *web.Request, req providerRequest, id string,
) (providerRequest, error) {
	provider, err := s.providerOf(ctx, rq.Caller, id, req.context)
	if rq.Caller.Runtime != nil && web.AsError(err).Status == http.StatusNotFound {
		rq.MarkDecided(id)
		req.credential = id
		return req, errTargetNotMounted(req)
	}
	if err != nil {
		return req, err
	}
	req.credential = id
	if req.path, err = s.pathWithoutKey(ctx, req, provider); err != nil {
		return req, err
	}
	return s.permitAtProvider(ctx, rq, req, provider)
}

// hintAtProvider adds to the refusal of a credential whose id is also a provider's
// how a provider is written. It does so whether or not there is such a credential.
func (s *Service) hintAtProvider(id string, err error) error {
	_, isProvider := s.registry.Provider(id)
	refused, ok := errors.AsType[*bctrl.Error](err)
	if !isProvider || !ok {
		return err
	}
	if refused.Status != http.StatusNotFound && refused.Code != "capability.outside_mount" {
		return err
	}
	e := *refused
	e.Hint = "all of a provider is /v1/proxy/" + id + "~/…, a capability /v1/proxy/" + id + "~name/…; " +
		"many clients decode an encoded slash"
	return &e
}

// providerOf is the provider of a credential that the caller sees in a context. An
// AI credential that a runtime does not mount is none.
func (s *Service) providerOf(ctx context.Context, caller access.Caller, id string, in bctrl.Scope) (string, error) {
	query := broker.Query{Credential: id, Context: in, NoAI: hidesAI(caller, id)}
	found, err := s.candidates(ctx, s.DB.Read(), caller.Org, query)
	if err != nil {
		return "", err
	}
	_, err = broker.Choose(found.state, query)
	known := found.state.Credentials
	if len(known) == 0 || err != nil && web.AsError(err).Status == http.StatusNotFound {
		return "", err
	}
	return known[0].Provider, nil // what else is wrong with it is said once the call is permitted
}

// isTransparent reports whether a request says that its client takes this server
// for the provider.
func isTransparent(h http.Header) bool { return h.Get(wire.HeaderTransparent) == "true" }
