package server

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
	"github.com/bctrl-go/bctrl/internal/broker"
	"github.com/bctrl-go/bctrl/internal/names"
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
func (s *Server) proxy(w http.ResponseWriter, rq *request) error {
	ctx := rq.Context()
	segment, path := splitProxyPath(rq.Request)
	target := readTarget(segment)
	c := s.newCall(rq)
	c.method, c.path, c.query, c.header = rq.Method, path, rq.URL.RawQuery, rq.Header.Clone()
	c.brought, c.transparent = broughtBy(ctx), isTransparent(rq.Header)
	c.timeout, c.maxAnswer = maxCallTimeout, maxStreamedAnswer
	if rq.ContentLength != 0 {
		c.body = &callBody{src: rq.Body, length: rq.ContentLength}
	}
	if err := s.proxyContext(ctx, rq, c); err != nil {
		return err
	}
	if target.host != "" { // which is for this address, a header often for all of a client's
		c.host, c.hostNamed = target.host, false
	}
	if err := s.asTarget(ctx, rq, c, target.name); err != nil {
		return err
	}
	for name := range c.header {
		if wire.IsOwnHeader(name) || name == "Authorization" {
			delete(c.header, name) // ours
		}
	}
	if err := c.checkPathKey(); err != nil {
		return err
	}
	if err := c.admit(); err != nil {
		return err
	}
	a, err := s.perform(ctx, rq, w, c)
	if err != nil {
		return err
	}
	if !c.transparent {
		s.pointBack(rq, c, segment, a.Header)
	}
	return s.passOn(w, rq, a, a.StatusCode)
}

// isTransparent reports whether a request comes of a client that calls the
// provider, as far as it knows.
func isTransparent(h http.Header) bool { return h.Get(wire.HeaderTransparent) == "true" }

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

// proxyContext reads from headers in which context an organization key calls.
func (s *Server) proxyContext(ctx context.Context, rq *request, c *call) error {
	one := map[string]string{}
	for _, name := range []string{wire.HeaderWorkspace, wire.HeaderGroup, wire.HeaderConsumer, wire.HeaderHost, wire.HeaderTimeout} {
		switch values := rq.Header.Values(name); len(values) {
		case 0:
		case 1:
			one[name] = values[0]
		default:
			return invalid("invoke.repeated_header", name, name+" must be given at most once")
		}
	}
	if err := checkNames("", one[wire.HeaderConsumer]); err != nil {
		return err
	}
	var asked bctrl.Scope
	workspace, hasWorkspace := one[wire.HeaderWorkspace]
	group, hasGroup := one[wire.HeaderGroup]
	switch {
	case hasGroup:
		asked = bctrl.InGroup(workspace, group)
	case hasWorkspace:
		asked = bctrl.InWorkspace(workspace)
	}
	if text, ok := one[wire.HeaderTimeout]; ok {
		ms, err := strconv.ParseInt(text, 10, 64)
		if err != nil || ms < 1 || ms > maxCallTimeout.Milliseconds() {
			return invalid("invoke.timeout", wire.HeaderTimeout, "a call may take from 1 to 1800000 milliseconds")
		}
		c.timeout = time.Duration(ms) * time.Millisecond
	}
	c.host, c.hostNamed = one[wire.HeaderHost], one[wire.HeaderHost] != ""
	return s.inContext(ctx, rq, c, asked, one[wire.HeaderConsumer])
}

// asTarget makes the call as a capability, as that of a provider's which
// permits it, or with a credential.
func (s *Server) asTarget(ctx context.Context, rq *request, c *call, target string) error {
	provider, isProvider := strings.CutSuffix(target, "/")
	of, _, capability := strings.Cut(target, "/")
	if capability {
		if err := s.takeKeyFromPath(ctx, c, of); err != nil {
			return err
		}
	}
	switch {
	case isProvider && names.Capability(target+"x") == nil:
		return s.asProvider(ctx, rq, c, provider)
	case names.Capability(target) == nil:
		c.capability.ID = target
		if err := s.asCapability(ctx, rq, c, target); err != nil {
			return err
		}
		return s.placed(ctx, c, rq.caller, of)
	case names.CredentialID(target) == nil:
		return s.orProvider(target, s.asCredential(ctx, rq, c, target))
	}
	e := invalid("invoke.target", "target", "the target is no capability, provider or credential")
	e.Hint = "write /v1/proxy/github~/… for all of a provider, /v1/proxy/github~repos/… for a capability, " +
		"/v1/proxy/my-credential/… for a credential"
	return e
}

// asCredential makes the call with a credential, as a capability of its
// provider. A runtime learns of a credential only what its mounts permit.
func (s *Server) asCredential(ctx context.Context, rq *request, c *call, id string) error {
	provider, err := s.providerOf(ctx, rq.caller, id, c.context)
	if rq.caller.Runtime != nil && asError(err).Status == http.StatusNotFound {
		rq.object, rq.decided = id, true
		c.credential = id
		return errTargetNotMounted(c)
	}
	if err != nil {
		return err
	}
	c.credential = id
	if err := s.takeKeyFromPath(ctx, c, provider); err != nil {
		return err
	}
	return s.asProvider(ctx, rq, c, provider)
}

// orProvider says, where a credential is refused that has the id of a provider,
// how a provider is written. It says so whether or not there is such a
// credential.
func (s *Server) orProvider(id string, err error) error {
	var refused *bctrl.Error
	_, isProvider := s.registry.Provider(id)
	if !isProvider || !errors.As(err, &refused) {
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
func (s *Server) providerOf(ctx context.Context, caller access.Caller, id string, in bctrl.Scope) (string, error) {
	query := broker.Query{Credential: id, Context: in, NoAI: hidesAI(caller, id)}
	found, err := s.candidates(ctx, s.db.Read(), caller.Org, query)
	if err != nil {
		return "", err
	}
	_, err = broker.Choose(found.state, query)
	if known := found.state.Credentials; len(known) > 0 && (err == nil || asError(err).Status != http.StatusNotFound) {
		return known[0].Provider, nil // what else is wrong with it is said once the call is permitted
	}
	return "", err
}
