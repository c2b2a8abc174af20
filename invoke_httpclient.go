package bctrl

import (
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/bctrl-go/bctrl/internal/wire"
)

// CallTarget says as what an [CapabilitiesService.HTTPClient] calls.
type CallTarget struct {
	// Capability is one, "openai/chat-completions", or all of a provider,
	// "github/". Each request is then made as the capability that permits it.
	Capability string
	// Credential, in its place, names the credential to call with: the provider
	// is its.
	Credential string
	// Context and Consumer are as in [Invocation].
	Context  Scope
	Consumer string
}

// mayBePlain reports whether the target may be a server of one's own that an AI
// credential has at an http address. The request goes to that address, whatever
// the scheme that the program was given.
func (t CallTarget) mayBePlain() bool {
	return t.Credential != "" || strings.HasPrefix(t.Capability, string(OpenAICompatible)+"/")
}

// HTTPClient returns a client that sends its requests through the server, for
// the SDK of a provider: give it the client, and a word in place of the
// provider's key. Where the credential's key goes, the server puts it in place of
// that word; everything else of the request arrives as the SDK sent it. The
// addresses in an answer are the provider's. A request for
//
//	https://api.openai.com/v1/chat/completions
//
// arrives there as if it had been sent directly, streamed both ways. Its host
// must be one of the target's, and everything else what the target permits:
// what does not is answered by the server with a JSON error, and without the
// header Bctrl-Upstream-Status that marks a provider's answer.
//
// The client follows no redirects, keeps no cookies, and sends each request
// once. Only its own Timeout, which is not set, and the requests' contexts end
// a request early. An SDK that sends again of itself makes another call.
//
// Access: capability.invoke
func (s *CapabilitiesService) HTTPClient(target CallTarget) *http.Client {
	return httpClient(s.via, nil, target)
}

func httpClient(via via, as *limits, target CallTarget) *http.Client {
	return &http.Client{
		Transport:     &passage{via: via, as: as, target: target},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// passage is the way of a provider's request through the server.
type passage struct {
	via    via
	as     *limits
	target CallTarget
}

const pathProxied = "/v1/proxy/{target}/{path}"

// RoundTrip implements [http.RoundTripper].
func (p *passage) RoundTrip(req *http.Request) (*http.Response, error) {
	out, err := p.request(req)
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close() // the contract of a RoundTripper; nothing was read
		}
		return nil, err
	}
	resp, err := p.via().out.send(out, Attempt{PathTemplate: pathProxied, Number: 1})
	if resp != nil {
		resp.Request = req
	}
	return resp, err
}

// request makes the request to the server of one to a provider.
func (p *passage) request(req *http.Request) (*http.Request, error) {
	t := p.via()
	fail := func(e *Error) (*http.Request, error) {
		e.Method, e.PathTemplate = req.Method, pathProxied
		return nil, e
	}
	name := p.target.Capability + p.target.Credential
	switch {
	case (p.target.Capability == "") == (p.target.Credential == ""):
		return fail(refusal(http.StatusBadRequest, "invoke.target", "capability",
			"want a capability or a credential to call as"))
	case req.URL.Scheme != "https" && (req.URL.Scheme != "http" || !p.target.mayBePlain()):
		return fail(refusal(http.StatusBadRequest, "invoke.url_refused", "url", "a provider is called over https alone"))
	case req.URL.Opaque != "" || req.URL.User != nil:
		return fail(refusal(http.StatusBadRequest, "invoke.url_refused", "url", "the address has user info, or no path"))
	}
	if err := t.checkSubaccount(); err != nil {
		return nil, err
	}
	out := req.Clone(req.Context())
	out.URL = &url.URL{
		Scheme:     t.base.Scheme,
		Host:       t.base.Host,
		RawQuery:   req.URL.RawQuery,
		ForceQuery: req.URL.ForceQuery,
	}
	if err := behindProxy(out.URL, t.base.EscapedPath(), name, req.URL.EscapedPath()); err != nil {
		return fail(refusal(http.StatusBadRequest, "invoke.path_refused", "path", "the path is refused: "+err.Error()))
	}
	out.Host, out.RequestURI, out.GetBody = "", "", nil
	if out.Body == nil || out.Body == http.NoBody {
		// A request without a body may be sent again by net/http when its
		// connection breaks; one whose body cannot be had again is not.
		out.Body, out.ContentLength = io.NopCloser(strings.NewReader("")), 0
		if !slices.Contains([]string{"", http.MethodGet, http.MethodHead, http.MethodDelete, http.MethodOptions},
			out.Method) {
			out.Body = nil // such methods are not sent again, and want a length of 0
		}
	}
	if err := p.headers(out.Header, t, req.URL.Host); err != nil {
		return fail(err)
	}
	return out, nil
}

// behindProxy sets a URL's path to that of the proxy with the target and the path
// behind it, as escaped as they are.
func behindProxy(u *url.URL, base, target, path string) (err error) {
	if path == "" {
		path = "/"
	}
	u.RawPath = strings.TrimSuffix(base, "/") + "/v1/proxy/" + url.PathEscape(target) + path
	u.Path, err = url.PathUnescape(u.RawPath)
	return err
}

// headers authenticates to the server. What else the SDK authenticates with is
// for the server to replace, which knows where the credential's key goes. An id
// that a header would carry as another is refused.
func (p *passage) headers(h http.Header, t *transport, host string) *Error {
	for name := range h {
		if wire.IsOwnHeader(name) || strings.EqualFold(name, "Authorization") {
			delete(h, name)
		}
	}
	// Net/http sends again what has such a header. It looks for this spelling,
	// the provider for any.
	for _, name := range []string{wire.HeaderIdempotencyKey, "X-Idempotency-Key"} {
		if values, ok := h[name]; ok {
			delete(h, name)
			h[strings.ToLower(name)] = values
		}
	}
	h[wire.HeaderTransparent] = []string{"true"}
	for _, at := range []struct{ header, value string }{
		{wire.HeaderHost, host}, {wire.HeaderWorkspace, p.target.Context.WorkspaceID()},
		{wire.HeaderGroup, p.target.Context.GroupID()}, {wire.HeaderConsumer, p.target.Consumer},
	} {
		switch {
		case at.value == "":
			continue
		case !printable(at.value):
			return refusal(http.StatusBadRequest, "request.invalid_header", at.header,
				"the header has a blank, a control character or a letter that is not ASCII")
		}
		h[at.header] = []string{at.value}
	}
	t.headers(h, p.as, nil)
	return nil
}
