package broker

import (
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/prefix"
)

// Client sends requests to one target with the target's secrets. It is an
// [http.RoundTripper]; call [Client.Do] rather than wrapping it in an
// [http.Client], whose errors repeat the query of the URL.
type Client struct {
	base      *url.URL
	auth      *compiled
	maxAnswer int64
	unpack    bool
	transport http.RoundTripper
}

// BaseURL returns the target's base URL.
func (c *Client) BaseURL() *url.URL {
	u := *c.base
	return &u
}

// Limited returns the client with another [Target.MaxAnswer] and [Target.Unpack]. It
// shares everything else with the one that it was made of.
func (c *Client) Limited(maxAnswer int64, unpack bool) *Client {
	limited := *c
	limited.maxAnswer, limited.unpack = maxAnswer, unpack
	if maxAnswer == 0 {
		limited.maxAnswer = DefaultMaxAnswer
	}
	return &limited
}

// Do is [Client.RoundTrip] under the name that API clients look for.
func (c *Client) Do(req *http.Request) (*http.Response, error) { return c.RoundTrip(req) }

// RoundTrip implements [http.RoundTripper]. Its errors wrap one of this
// package's, or the context's.
func (c *Client) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := c.checkRequest(req); err != nil {
		discard(req) // a RoundTripper closes the body also where it fails
		return nil, err
	}
	asked, err := c.spanOf(req)
	if err != nil {
		discard(req)
		return nil, err
	}
	resp, made, err := c.send(req, asked)
	if err != nil {
		return nil, err
	}
	err = c.acceptable(resp, asked)
	if err == nil {
		var clean *http.Response
		if clean, err = c.cleanAnswer(req, resp, made, asked); err == nil {
			return clean, nil
		}
	}
	_ = resp.Body.Close() // nothing of a refused answer is read
	return nil, err
}

// send sends a request. Where the provider refuses an access token that was
// obtained before, it sends the request once more with a new one. It returns the
// secrets that were made for the request.
func (c *Client) send(req *http.Request, asked *span) (resp *http.Response, made []bctrl.Secret, err error) {
	begun := c.auth.now()
	resp, used, err := c.sendOnce(req, asked)
	if err != nil || resp.StatusCode != http.StatusUnauthorized || c.auth.tokens == nil ||
		!used.token.obtained.Before(begun) {
		return resp, used.made, err
	}
	again := req.Clone(req.Context())
	switch {
	case req.Body == nil || req.Body == http.NoBody:
	case req.GetBody == nil:
		return resp, used.made, nil
	default:
		if again.Body, err = req.GetBody(); err != nil {
			return resp, used.made, nil //nolint:nilerr // the answer to the first request stands
		}
	}
	_ = resp.Body.Close() // the answer was about a token that is replaced now
	c.auth.tokens.forgetToken(used.token)
	made = used.made
	resp, used, err = c.sendOnce(again, asked)
	return resp, append(made, used.made...), err
}

func (c *Client) sendOnce(req *http.Request, asked *span) (*http.Response, proof, error) {
	out := c.outgoingRequest(req)
	used, err := c.auth.authorize(out)
	if err != nil {
		discard(out)
		return nil, used, err
	}
	if asked != nil {
		asked.widen(out, slices.Concat(used.made, c.auth.scrubbed))
	}
	sendOnlyOnce(out)
	resp, err := c.transport.RoundTrip(out)
	if err != nil {
		return nil, used, classify(req.Context(), err)
	}
	return resp, used, nil
}

// sendOnlyOnce keeps the transport from repeating a request that the provider may
// have seen. net/http repeats one that has GetBody, or an idempotency key and no
// body.
func sendOnlyOnce(out *http.Request) {
	out.GetBody = nil
	if out.Body != nil && out.Body != http.NoBody {
		return
	}
	if len(out.Header["Idempotency-Key"])+len(out.Header["X-Idempotency-Key"]) > 0 {
		out.Body = io.NopCloser(strings.NewReader("")) // net/http takes it for a body of unknown length
	}
}

func discard(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}

// checkRequest refuses a request that is not for the target's host and base path,
// or that brings credentials of its own.
func (c *Client) checkRequest(req *http.Request) error {
	u, path := req.URL, req.URL.EscapedPath()
	switch {
	case u.Scheme != c.base.Scheme || !sameHost(u, c.base):
		return fail(ErrRefused, "not the target's host")
	case req.Host != "" && !strings.EqualFold(req.Host, u.Host):
		return fail(ErrRefused, "the Host header is not the target's")
	case u.User != nil || u.Opaque != "" || u.Fragment != "" || strings.Contains(u.RawQuery, "#"):
		return fail(ErrRefused, "user info, an opaque URL or a fragment")
	case climbs(path) || !prefix.PathWithin(c.base.EscapedPath(), path):
		return fail(ErrRefused, "not below the target's base path")
	case req.Method == http.MethodConnect || req.Method == http.MethodTrace:
		return fail(ErrRefused, "method")
	}
	for _, name := range callerHeaders {
		if len(req.Header.Values(name)) > 0 && name != "cookie" {
			return fail(ErrRefused, "it brings its own %s header", name)
		}
	}
	if err := c.auth.places.Check(req.Header, u.RawQuery); err != nil {
		return fail(ErrRefused, "%w", err)
	}
	return nil
}

// outgoing returns the request as it leaves: the caller's own request never
// holds the key.
func (c *Client) outgoingRequest(req *http.Request) *http.Request {
	out := req.Clone(req.Context())
	out.Host, out.URL.Host = c.base.Host, c.base.Host
	out.Close, out.TransferEncoding, out.Trailer = false, nil, nil
	DropHopByHop(out.Header)
	out.Header.Set("Accept-Encoding", acceptedCodings(req.Header))
	out.Header.Del("Cookie")
	if out.Header.Get("User-Agent") == "" {
		out.Header.Set("User-Agent", "bctrl")
	}
	return out
}
