package broker

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/bctrl-go/bctrl/internal/scrub"
)

// Client sends requests to one target with the target's key. It is an
// [http.RoundTripper]; call [Client.Do] rather than wrapping it in an
// [http.Client], whose errors repeat the query of the URL.
type Client struct {
	base      *url.URL
	target    Target
	transport http.RoundTripper
	key       *scrub.Set
}

// BaseURL returns the target's base URL.
func (c *Client) BaseURL() *url.URL {
	u := *c.base
	return &u
}

// Do is [Client.RoundTrip] under the name that API clients look for.
func (c *Client) Do(req *http.Request) (*http.Response, error) { return c.RoundTrip(req) }

// RoundTrip implements [http.RoundTripper]. Its errors wrap one of this
// package's, or the context's.
func (c *Client) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := c.admit(req); err != nil {
		if req.Body != nil {
			_ = req.Body.Close() // the contract of a RoundTripper; nothing was read
		}
		return nil, err
	}
	resp, err := c.transport.RoundTrip(c.outgoing(req))
	if err != nil {
		return nil, classify(req.Context(), err)
	}
	if err := c.acceptable(resp); err != nil {
		_ = resp.Body.Close() // the answer is refused whole
		return nil, err
	}
	return c.cleaned(req, resp), nil
}

// authHeaders carry somebody's authentication. A caller that sets one wants to
// be someone else than the target's key says.
var authHeaders = []string{
	"Authorization", "Proxy-Authorization", "X-Api-Key", "Api-Key", "X-Goog-Api-Key", "X-Auth-Token", "X-Amz-Security-Token",
}

// authParams are query parameters that do the same.
var authParams = []string{"key", "api_key", "api-key", "apikey", "access_token", "token"}

// admit checks that a request is the target's business.
func (c *Client) admit(req *http.Request) error {
	u := req.URL
	switch {
	case u.Scheme != c.base.Scheme || !sameHost(u, c.base):
		return fmt.Errorf("%w: not the target's host", ErrRefused)
	case req.Host != "" && !strings.EqualFold(req.Host, u.Host):
		return fmt.Errorf("%w: the Host header is not the target's", ErrRefused)
	case u.User != nil || u.Opaque != "" || u.Fragment != "":
		return fmt.Errorf("%w: user info, an opaque URL or a fragment", ErrRefused)
	case climbs(u.EscapedPath()) || !below(u.EscapedPath(), c.base.EscapedPath()):
		return fmt.Errorf("%w: not below the target's base path", ErrRefused)
	case req.Method == http.MethodConnect || req.Method == http.MethodTrace:
		return fmt.Errorf("%w: method", ErrRefused)
	}
	for _, name := range authHeaders {
		if len(req.Header.Values(name)) > 0 {
			return fmt.Errorf("%w: it brings its own %s header", ErrRefused, name)
		}
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return fmt.Errorf("%w: the query is malformed", ErrRefused)
	}
	for name := range query {
		for _, auth := range authParams {
			if strings.EqualFold(name, auth) {
				return fmt.Errorf("%w: it brings its own %s parameter", ErrRefused, auth)
			}
		}
	}
	return nil
}

// outgoing returns the request as it leaves: the caller's own request never
// holds the key.
func (c *Client) outgoing(req *http.Request) *http.Request {
	out := req.Clone(req.Context())
	out.Host, out.URL.Host = c.base.Host, c.base.Host
	out.Close, out.TransferEncoding, out.Trailer = false, nil, nil
	// Without Accept-Encoding the transport decompresses itself, so that the
	// scrubber sees the text.
	for _, name := range []string{
		"Cookie", "Accept-Encoding", "Connection", "Proxy-Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding",
		"Upgrade", "Expect", "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto",
	} {
		out.Header.Del(name)
	}
	if out.Header.Get("User-Agent") == "" {
		out.Header.Set("User-Agent", "bctrl")
	}
	if c.target.Auth == AnthropicKey && out.Header.Get("Anthropic-Version") == "" {
		out.Header.Set("Anthropic-Version", anthropicVersion)
	}
	if c.target.Key.IsZero() {
		return out
	}
	switch c.target.Auth {
	case AnthropicKey:
		out.Header.Set("X-Api-Key", c.target.Key.Expose())
	case GoogleKey:
		out.Header.Set("X-Goog-Api-Key", c.target.Key.Expose())
	case Bearer:
		out.Header.Set("Authorization", "Bearer "+c.target.Key.Expose())
	}
	return out
}

// acceptable refuses answers that must not reach a caller at all.
func (c *Client) acceptable(resp *http.Response) error {
	switch {
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return fmt.Errorf("%w: a redirect (%d)", ErrAnswer, resp.StatusCode)
	case resp.StatusCode == http.StatusSwitchingProtocols:
		return fmt.Errorf("%w: another protocol", ErrAnswer)
	case resp.Header.Get("Content-Encoding") != "":
		return fmt.Errorf("%w: an encoding that was not asked for", ErrAnswer)
	case resp.ContentLength > c.target.MaxAnswer:
		return fmt.Errorf("%w: more than %d bytes", ErrTooLarge, c.target.MaxAnswer)
	}
	return nil
}

// cleaned returns resp as the caller may see it. Trailers are left out.
func (c *Client) cleaned(req *http.Request, resp *http.Response) *http.Response {
	header := make(http.Header, len(resp.Header))
	for name, values := range resp.Header {
		clean := c.key.String(name)
		for _, v := range values {
			header[clean] = append(header[clean], c.key.String(v))
		}
	}
	for _, name := range append([]string{
		"Set-Cookie", "Set-Cookie2", "Www-Authenticate", "Proxy-Authenticate", "Authentication-Info", "Content-Length",
	}, authHeaders...) {
		header.Del(name)
	}
	limited := &bounded{src: resp.Body, left: c.target.MaxAnswer, limit: c.target.MaxAnswer, ctx: req.Context()}
	return &http.Response{
		Status: c.key.String(resp.Status), StatusCode: resp.StatusCode,
		Proto: resp.Proto, ProtoMajor: resp.ProtoMajor, ProtoMinor: resp.ProtoMinor,
		Header: header, ContentLength: -1,
		Body: body{Reader: c.key.Reader(limited), Closer: resp.Body},
		// The caller's request, not the one that held the key.
		Request: req, TLS: resp.TLS,
	}
}

type body struct {
	io.Reader
	io.Closer
}
