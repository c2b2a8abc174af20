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

// proxyTarget is what a request that is passed through is made as.
type proxyTarget struct {
	// name is a capability, "github/repos", all of a provider, "github/", or a
	// credential. What cannot be decoded is none of them.
	name string
	// host is the one of the target's hosts that is meant, or empty.
	host string
}

// readTarget reads a target as an address has it, in one segment: with a tilde
// for the slash, since many clients decode an encoded one, and perhaps with @ and
// a host: "github~", "github~repos", "s3-eu", "github~@uploads.github.com".
// Neither tilde nor @ is in the name of a provider, a capability or a credential.
func readTarget(segment string) (t proxyTarget) {
	text, err := url.PathUnescape(segment)
	if err != nil {
		return t
	}
	t.name, t.host, _ = strings.Cut(text, "@")
	t.name = strings.Replace(t.name, "~", "/", 1)
	return t
}

// proxy passes a provider's own request through: the target, one segment, says
// as what, and the path behind it is the provider's.
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
		return err
	}
	if target.host != "" { // which is for this address, a header often for all of a client's
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

// proxiedRequest is what is sent of a request to the proxy, before what is ours is
// taken out.
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

// splitProxyPath returns the segment of a request's path that names the target,
// and the path behind it, both as they were sent. Bytes that no path holds as
// they are, which some clients send all the same, are escaped.
func splitProxyPath(r *http.Request) (segment, path string) {
	sent, _, _ := strings.Cut(r.RequestURI, "?")
	if !strings.HasPrefix(sent, proxyPrefix) { // with its host in front
		sent = r.URL.EscapedPath()
	}
	segment, path, _ = strings.Cut(strings.TrimPrefix(sent, proxyPrefix), "/")
	return segment, broker.EscapePath("/" + path)
}

// proxyHeaders is what headers of ours say of a request that is passed through.
type proxyHeaders struct {
	context  bctrl.Scope
	consumer string
	host     string
	timeout  time.Duration
}

// readProxyHeaders reads the headers that say in which context an organization key
// calls, which host is meant, and how long it may take.
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
			return in, web.Invalid("invoke.timeout", wire.HeaderTimeout, "a call may take from 1 to 1800000 milliseconds")
		}
		in.timeout = time.Duration(ms) * time.Millisecond
	}
	return in, nil
}

// permitTarget returns a request as one of what its address names: a capability,
// that of a provider's which permits it, or a credential.
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

// permitWithCredential returns a request as one with a credential, of a
// capability of its provider. A runtime learns of a credential only what its
// mounts permit.
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

// hintAtProvider says, where a credential is refused that has the id of a provider,
// how a provider is written. It says so whether or not there is such a
// credential.
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

// providerOf is the provider of a credential that the caller can name in a
// context: a runtime no other than it could call with.
func (s *Service) providerOf(ctx context.Context, caller access.Caller, id string, in bctrl.Scope) (string, error) {
	query := broker.Query{Credential: id, Context: in, NoAI: hidesAI(caller, id)}
	found, err := s.candidates(ctx, s.DB.Read(), caller.Org, query)
	if err != nil {
		return "", err
	}
	_, err = broker.Choose(found.state, query)
	if known := found.state.Credentials; len(known) > 0 && (err == nil || web.AsError(err).Status != http.StatusNotFound) {
		return known[0].Provider, nil // what else is wrong with it is said once the call is permitted
	}
	return "", err
}

// isTransparent reports whether a request comes of a client that calls the
// provider, as far as it knows.
func isTransparent(h http.Header) bool { return h.Get(wire.HeaderTransparent) == "true" }
