// Package broker is the only way out to a provider and the only holder of its
// key: what calls a provider gets a [Client], which adds the key to requests
// that go where the key belongs and takes it out of what comes back.
//
// A [Client] promises:
//
//   - a request goes to its target's scheme, host and port, at or below its
//     base path, or nowhere. Plain http is refused unless the egress policy
//     explicitly allows the address, as for a local model server.
//   - the address is checked and the checked address is dialled; no proxy of
//     the environment is used.
//   - a redirect is an error, so no key follows one.
//   - a caller that brings HTTP's own authentication, or a header or parameter
//     that its target authenticates with, is refused; cookies are dropped in
//     both directions.
//   - an answer is bounded, and its headers and body are scrubbed of every
//     secret of the target, and of what was made of them for the request, in
//     any usual encoding. A body in a content coding is looked into, and passed
//     on to the byte unless a secret is in it. Ranges are looked through beyond
//     their ends, so that no secret is had in pieces.
//   - an error holds neither a secret nor the URL's query nor anything that the
//     provider wrote.
//   - a request's body streams, unless its signature needs its hash; then at
//     most [MaxSigned] bytes of it are kept in memory.
//   - a request is sent once. The exceptions are net/http's, for a request that
//     has no effect and whose idle connection turned out to be dead, and one
//     repetition with a new access token after the provider answered 401 to an
//     old one.
//
// How a target's secrets authenticate a request is data, a
// [bctrl.CredentialAuth]: see there for the strategies and their standards.
package broker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/url"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/egress"
	"github.com/bctrl-go/bctrl/internal/httpconn"
)

// DefaultMaxAnswer is how many bytes of an answer are read unless the target
// says otherwise.
const DefaultMaxAnswer = 16 << 20

// An answer's header may have maxHeader bytes. More is read of it, so that it
// can be said what is wrong with one that has not.
const (
	maxHeader     = 64 << 10
	maxReadHeader = 1 << 20
)

// Target is a provider as one credential reaches it.
type Target struct {
	// BaseURL is https, or http where the egress policy explicitly allows the
	// address. It has no query, fragment or user info.
	BaseURL string
	// Auth says how Secrets, by field, authenticate a request. The zero Auth is
	// [bctrl.AuthNone]. A zero Secret is a missing one.
	Auth    bctrl.CredentialAuth
	Secrets map[string]bctrl.Secret
	// Identity names the credential among all there are. Access tokens are kept
	// and renewed by it: two targets with the same secrets and different
	// identities share none.
	Identity string
	// Rotated stores a refresh token that the provider has put in place of another,
	// and returns when that is durable; the access token that came with it is not used
	// before. Where the stored one is no longer from, it stores nothing and returns
	// [ErrSuperseded]. Its context outlives the request, since the provider takes the
	// old token no more. Nil keeps the new one in memory alone.
	Rotated func(ctx context.Context, field string, from, to bctrl.Secret) error
	// Alone keeps others who use the same credential, on other servers, from renewing its
	// access token until done, and returns the refresh token that is stored by then: a
	// provider may take the use of one that it has replaced for a theft. Nil where there is
	// one server.
	Alone func(ctx context.Context, field string) (stored bctrl.Secret, done func(), err error)
	// MaxAnswer bounds an answer's body in bytes, as it is passed on; zero is
	// [DefaultMaxAnswer].
	MaxAnswer int64
	// Unpack makes every answer complete and without a content coding, for a caller
	// who reads or changes it: no range is asked for.
	Unpack bool
}

// Config says how a [Broker] reaches the world.
type Config struct {
	// Egress decides which addresses providers may have.
	Egress egress.Policy
	// RootCAs are the only authorities that are trusted; nil trusts the system's.
	RootCAs *x509.CertPool
	// Instead, for tests, returns the address that is dialled in place of one such as
	// "api.openai.com:443", without asking Egress; ok is false for an address that
	// Egress decides about. The certificate must still be the host's own.
	Instead func(address string) (to string, ok bool)
}

// Broker makes clients, which share its connections. It is safe for concurrent
// use.
type Broker struct {
	secure, plain *httpconn.Transport
	// overTLS makes a transport of its own, whose connections use these settings.
	overTLS   func(*tls.Config) *httpconn.Transport
	roots     *x509.CertPool
	tokens    tokenCache
	certified transportCache
	now       func() time.Time
}

// New returns a Broker.
func New(cfg Config) *Broker {
	transport := func(dial dialer, tls *tls.Config) *httpconn.Transport {
		return httpconn.New(&http.Transport{
			DialContext:            instead(cfg.Instead, dial),
			TLSClientConfig:        tls,
			TLSHandshakeTimeout:    10 * time.Second,
			ForceAttemptHTTP2:      true,
			MaxIdleConnsPerHost:    8,
			IdleConnTimeout:        60 * time.Second,
			MaxResponseHeaderBytes: maxReadHeader,
		})
	}
	b := &Broker{now: time.Now}
	b.overTLS = func(tls *tls.Config) *httpconn.Transport { return transport(cfg.Egress.DialContext, tls) }
	b.secure = b.overTLS(tlsConfig(cfg.RootCAs))
	b.plain = transport(dialAllowed(cfg.Egress), nil)
	b.roots = cfg.RootCAs
	return b
}

// tlsConfig are the settings of every connection to a provider.
func tlsConfig(roots *x509.CertPool) *tls.Config {
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
}

// Close waits for access tokens that are being renewed, at most half a minute,
// forgets all of them and closes the idle connections. Clients still work
// afterwards.
func (b *Broker) Close() {
	b.tokens.wait()
	b.Forget()
	b.secure.CloseIdleConnections()
	b.plain.CloseIdleConnections()
}

// Forget drops the access tokens and the client certificates that are kept
// between requests. Requests under way end with what they have.
func (b *Broker) Forget() {
	b.tokens.clear()
	b.certified.clear()
}

// Client returns a client for one target, or an error that wraps [ErrTarget].
func (b *Broker) Client(t Target) (*Client, error) {
	base, err := parseBase(t.BaseURL)
	if err != nil {
		return nil, err
	}
	if t.Auth.Type == "" {
		t.Auth.Type = bctrl.AuthNone
	}
	if t.MaxAnswer == 0 {
		t.MaxAnswer = DefaultMaxAnswer
	}
	auth, err := b.compile(t, base)
	if err != nil {
		return nil, err
	}
	c := &Client{
		base:      base,
		auth:      auth,
		maxAnswer: t.MaxAnswer,
		unpack:    t.Unpack,
		transport: b.secure,
	}
	switch {
	case t.Auth.Type == bctrl.AuthMTLS:
		c.transport, err = b.withCertificate(t, base)
	case base.Scheme == "http":
		c.transport = b.plain
	}
	return c, err
}

// parseBase checks a base URL and brings it into the form that requests are
// compared with.
func parseBase(text string) (*url.URL, error) {
	// The text is not repeated: a key may have been pasted into it.
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, fail(ErrTarget, "the base URL cannot be parsed")
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, fail(ErrTarget, "the base URL is neither https nor http")
	case u.Hostname() == "" || u.Opaque != "":
		return nil, fail(ErrTarget, "the base URL has no host")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, fail(ErrTarget, "the base URL has user info, a query or a fragment")
	case climbs(u.EscapedPath()):
		return nil, fail(ErrTarget, "the base URL's path is not in canonical form")
	}
	return u, nil
}
