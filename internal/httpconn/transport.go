// Package httpconn is for HTTP clients that must not repeat what a server
// sends: net/http writes into the standard log what arrives on a connection
// that waits for no answer, as the bytes behind the length that an answer
// declares. What a server sends may be a secret.
//
// Connections of a [Transport] take the answers to requests from a server and
// nothing else. One that brings more is ended; net/http does not see what it
// brought, and does not take it for the answer to the next request.
//
// Over HTTP/2 there is no such thing: frames name the request that they answer.
package httpconn

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"sync"
)

// maxInterim is how many interim answers (1xx) may precede an answer.
const maxInterim = 16

// ErrInterim: more interim answers came than anybody sends in good faith.
var ErrInterim = errors.New("too many interim answers")

// Transport is a [http.Transport] over connections of this package. It is safe
// for concurrent use.
type Transport struct {
	*http.Transport
	// proxy says which proxy a request takes; nil for none.
	proxy func(*http.Request) (*url.URL, error)
}

// New returns a Transport with the settings of base, which must not be used for
// anything else: its functions that dial are replaced. Its DialTLSContext, and
// what it has for the header of CONNECT, is not taken over. It decompresses
// nothing: the length of an answer is that of its body.
func New(base *http.Transport) *Transport {
	base.DisableCompression = true
	t := &Transport{Transport: base}
	if base.DialContext == nil {
		base.DialContext = new(net.Dialer).DialContext
	}
	d := &dialing{of: base, dial: base.DialContext, proxy: base.Proxy}
	base.DialContext, base.DialTLSContext = d.plain, d.secure
	if base.Proxy != nil {
		t.proxy = base.Proxy
		base.Proxy = d.proxyOfOthers
	}
	return t
}

// RoundTrip implements [http.RoundTripper].
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	var s sending
	s.trace.GotConn, s.trace.Got1xxResponse = s.got, s.interim
	ctx := httptrace.WithClientTrace(req.Context(), &s.trace)
	var once bool
	if t.proxy != nil {
		if via, err := t.proxy(req); err == nil && via != nil && !tunnels(via) {
			ctx = context.WithValue(ctx, viaSocks{}, true)
			once = req.URL.Scheme == "https" // TLS is inside of what we dial, where nothing can be held back
		}
	}
	out := req.WithContext(ctx)
	out.Close = out.Close || once
	resp, err := t.Transport.RoundTrip(out)
	if err != nil {
		return nil, err
	}
	resp.Request = req
	if c := s.conn(); c != nil {
		c.begin(resp)
		if resp.TLS == nil {
			resp.TLS = c.tls
		}
	}
	return resp, nil
}

// sending is one request, maybe over several connections, one after the other.
type sending struct {
	trace httptrace.ClientTrace

	mu       sync.Mutex
	last     *conn
	interims int
}

func (s *sending) conn() *conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// got is called before a request is written.
func (s *sending) got(info httptrace.GotConnInfo) {
	c, _ := info.Conn.(*conn) // nil for HTTP/2
	s.mu.Lock()
	s.last = c
	s.mu.Unlock()
	if c != nil {
		c.expect()
	}
}

// interim is called between an interim answer and what follows it.
func (s *sending) interim(int, textproto.MIMEHeader) error {
	s.mu.Lock()
	s.interims++
	c, n := s.last, s.interims
	s.mu.Unlock()
	if n > maxInterim {
		return ErrInterim
	}
	if c != nil {
		c.expectMore()
	}
	return nil
}

// dialing makes the connections.
type dialing struct {
	of    *http.Transport // for its settings
	dial  func(ctx context.Context, network, address string) (net.Conn, error)
	proxy func(*http.Request) (*url.URL, error)
}

// plain dials for http, and for what net/http puts TLS into itself.
func (d *dialing) plain(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := d.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	due := none
	if ctx.Value(viaSocks{}) != nil {
		due = all
	}
	return &conn{Conn: c, due: due}, nil
}

// secure dials for https. HTTP/2 gets its connection as it is.
func (d *dialing) secure(ctx context.Context, network, address string) (net.Conn, error) {
	raw, err := d.reach(ctx, network, address)
	if err != nil {
		return nil, err
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		_ = raw.Close() // nothing was written
		return nil, err
	}
	protocols := []string{"http/1.1"}
	if d.of.ForceAttemptHTTP2 {
		protocols = []string{"h2", "http/1.1"}
	}
	c, err := d.handshakeWith(ctx, raw, host, protocols)
	if err != nil {
		return nil, err
	}
	state := c.ConnectionState()
	if state.NegotiatedProtocol == "h2" {
		return c, nil
	}
	return &conn{Conn: c, tls: &state, due: none}, nil
}

// handshakeWith puts TLS into a connection, which it closes when it fails.
func (d *dialing) handshakeWith(ctx context.Context, raw net.Conn, host string, protocols []string) (*tls.Conn, error) {
	cfg := d.of.TLSClientConfig.Clone()
	if cfg == nil {
		cfg = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if cfg.ServerName == "" {
		cfg.ServerName = host
	}
	cfg.NextProtos = protocols
	if limit := d.of.TLSHandshakeTimeout; limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, limit, errHandshake)
		defer cancel()
	}
	c := tls.Client(raw, cfg)
	if err := c.HandshakeContext(ctx); err != nil {
		_ = raw.Close() // the handshake's error says all
		if context.Cause(ctx) == errHandshake {
			err = errHandshake
		}
		return nil, err
	}
	return c, nil
}

// errHandshake is a [net.Error], as net/http's own is.
var errHandshake error = handshakeTimeoutError{}

type handshakeTimeoutError struct{}

// Error implements error.
func (handshakeTimeoutError) Error() string { return "the TLS handshake took too long" }

// Timeout implements [net.Error].
func (handshakeTimeoutError) Timeout() bool { return true }

// Temporary implements [net.Error].
func (handshakeTimeoutError) Temporary() bool { return true }
