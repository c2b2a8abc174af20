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
//   - a caller that brings an auth header or a key in the query is refused;
//     cookies are dropped in both directions.
//   - an answer is bounded, and its headers and body are scrubbed of the key
//     in any usual encoding.
//   - an error holds neither the key nor the URL's query nor anything that the
//     provider wrote.
package broker

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/egress"
	"github.com/bctrl-go/bctrl/internal/scrub"
)

// DefaultMaxAnswer is how many bytes of an answer are read unless the target
// says otherwise.
const DefaultMaxAnswer = 16 << 20

// Errors of this package. Each is wrapped with what is safe to say.
var (
	// ErrTarget: the target itself is malformed.
	ErrTarget = errors.New("not a usable provider address")
	// ErrRefused: the request does not belong to the target, or brings its own
	// authentication.
	ErrRefused = errors.New("request refused by the broker")
	// ErrAddress: the egress policy does not permit the provider's address.
	ErrAddress = errors.New("provider address refused")
	// ErrUnreachable: no whole answer came.
	ErrUnreachable = errors.New("provider unreachable")
	// ErrTimeout: the provider took too long to connect or to answer.
	ErrTimeout = errors.New("provider timed out")
	// ErrAnswer: the answer is a redirect or in an encoding that cannot be
	// scrubbed.
	ErrAnswer = errors.New("provider answer refused")
	// ErrTooLarge: the answer is longer than the target allows.
	ErrTooLarge = errors.New("provider answer too large")
)

// Auth says where a provider takes its key.
type Auth int

// The places.
const (
	// Bearer is "Authorization: Bearer <key>".
	Bearer Auth = iota
	// AnthropicKey is "x-api-key: <key>", with "anthropic-version".
	AnthropicKey
	// GoogleKey is "x-goog-api-key: <key>".
	GoogleKey
)

// anthropicVersion is the version of Anthropic's API that we speak.
const anthropicVersion = "2023-06-01"

// Target is a provider as one credential reaches it.
type Target struct {
	// BaseURL is https, or http where the egress policy explicitly allows the
	// address. It has no query, fragment or user info.
	BaseURL string
	Auth    Auth
	// Key may be zero, for a local server that wants none.
	Key bctrl.Secret
	// MaxAnswer bounds an answer's body in bytes, after decompression; zero is
	// [DefaultMaxAnswer].
	MaxAnswer int64
}

// Config says how a [Broker] reaches the world.
type Config struct {
	// Egress decides which addresses providers may have.
	Egress egress.Policy
	// RootCAs are trusted besides nothing else; nil trusts the system's.
	RootCAs *x509.CertPool
}

// Broker makes clients, which share its connections. It is safe for concurrent
// use.
type Broker struct {
	secure, plain *http.Transport
}

// New returns a Broker.
func New(cfg Config) *Broker {
	secure := &http.Transport{
		DialContext:            cfg.Egress.DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: cfg.RootCAs, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    10 * time.Second,
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    8,
		IdleConnTimeout:        60 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
	plain := secure.Clone()
	plain.DialContext = dialAllowed(cfg.Egress)
	return &Broker{secure: secure, plain: plain}
}

// Close closes the idle connections. Clients still work afterwards.
func (b *Broker) Close() {
	b.secure.CloseIdleConnections()
	b.plain.CloseIdleConnections()
}

// Client returns a client for one target, or an error that wraps [ErrTarget].
func (b *Broker) Client(t Target) (*Client, error) {
	base, err := parseBase(t.BaseURL)
	if err != nil {
		return nil, err
	}
	for _, r := range t.Key.Expose() {
		if r <= ' ' || r > '~' {
			return nil, fmt.Errorf("%w: the key holds a character that no header can carry", ErrTarget)
		}
	}
	if t.MaxAnswer == 0 {
		t.MaxAnswer = DefaultMaxAnswer
	}
	c := &Client{base: base, target: t, transport: b.secure, key: scrub.New(t.Key)}
	if base.Scheme == "http" {
		c.transport = b.plain
	}
	return c, nil
}

// parseBase checks a base URL and brings it into the form that requests are
// compared with.
func parseBase(text string) (*url.URL, error) {
	// The text is not repeated: a key may have been pasted into it.
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: the base URL cannot be parsed", ErrTarget)
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, fmt.Errorf("%w: the base URL is neither https nor http", ErrTarget)
	case u.Hostname() == "" || u.Opaque != "":
		return nil, fmt.Errorf("%w: the base URL has no host", ErrTarget)
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, fmt.Errorf("%w: the base URL has user info, a query or a fragment", ErrTarget)
	case climbs(u.EscapedPath()):
		return nil, fmt.Errorf("%w: the base URL's path is not in canonical form", ErrTarget)
	}
	return u, nil
}
