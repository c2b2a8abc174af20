package egress

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bctrl-go/bctrl/internal/httpconn"
)

const (
	// maxProxied bounds the requests and tunnels of one browser at a time; its
	// own limit is 256 websockets and 32 other connections.
	maxProxied = 1024
	// proxyHeaderTimeout bounds how long a request's header may take.
	proxyHeaderTimeout = 30 * time.Second
	// proxyIdleTimeout ends connections that nobody uses. Tunnels are not
	// ended: a websocket may be silent for hours.
	proxyIdleTimeout = 2 * time.Minute
)

// Gate lets a browser speak to a host, beside what the policy says of addresses. It
// returns an error and does nothing where the browser may not; else it calls speak
// and returns when that has. The context of speak ends once the browser no longer
// may. The host is a name or an IP address as the browser has it, in small letters
// and without port and brackets.
type Gate func(ctx context.Context, host string, speak func(context.Context)) error

// refusedText is all that a page learns: not which address a name has.
const refusedText = "This address cannot be reached from here."

// Proxy is an HTTP proxy on a loopback port for one browser. It passes on what
// its policy permits: CONNECT (https and websockets) and plain http.
//
// It asks for no password, because Chromium takes none on its command line
// and answering its question needs the very DevTools domain that fills
// secrets. It asks an [Owner] about each connection instead: another program of the
// machine that finds the port is told nothing and given nothing. Where there is no owner
// to ask, such a program gets what the policy and the gate permit, with the headers and
// by the upstream proxy of the route.
type Proxy struct {
	// rules is nil until Open, and nothing is let through before.
	rules     atomic.Pointer[rules]
	route     Route
	inside    *inside // nil where the route looks into nothing
	listener  net.Listener
	server    *http.Server
	transport *httpconn.Transport
	forward   *httputil.ReverseProxy

	ctx    context.Context // ends with the proxy, and every connection with it
	cancel context.CancelFunc
	slots  chan struct{}

	failed failures

	mu     sync.Mutex
	closed bool
	work   sync.WaitGroup // grows under mu while not closed
	err    error          // of the first Close
}

// rules are what a proxy lets through.
type rules struct {
	policy Policy
	gate   Gate // nil lets everything through
}

// NewProxy listens on a free loopback port for a browser of which it is not known yet
// which it is and what it may reach: it serves nobody until Serve, and refuses every
// address until Open.
func NewProxy(route Route) (*Proxy, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the browser: %w", err)
	}
	p := &Proxy{route: route, listener: listener, slots: make(chan struct{}, maxProxied)}
	if route.opensAny() {
		if p.inside, err = newInside(p); err != nil {
			return nil, errors.Join(err, listener.Close())
		}
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.transport = httpconn.New(&http.Transport{
		DialContext:           p.dial,
		MaxIdleConnsPerHost:   6,
		MaxIdleConns:          64,
		IdleConnTimeout:       30 * time.Second,
		ExpectContinueTimeout: time.Second,
	})
	silent := log.New(io.Discard, "", 0) // its lines hold whole URLs
	p.forward = &httputil.ReverseProxy{
		Rewrite:       p.rewrite,
		Transport:     p.transport,
		ErrorHandler:  p.answerFailure,
		ErrorLog:      silent,
		FlushInterval: -1, // server-sent events
	}
	p.server = &http.Server{
		Handler:           http.HandlerFunc(p.serve),
		ReadHeaderTimeout: proxyHeaderTimeout,
		IdleTimeout:       proxyIdleTimeout,
		BaseContext:       func(net.Listener) context.Context { return p.ctx },
		ErrorLog:          silent,
	}
	return p, nil
}

// Serve serves the connections of owner from now on, also those that were opened before;
// nil is everybody's. It returns at once and is called once.
func (p *Proxy) Serve(owner Owner) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.work.Go(func() { _ = p.server.Serve(ownedListener{p.listener, owner}) }) // ends by Close
	}
}

// Open applies policy and gate from now on. It is called once.
func (p *Proxy) Open(policy Policy, gate Gate) { p.rules.Store(&rules{policy, gate}) }

// dial connects as the policy permits, directly or by the route's proxy.
func (p *Proxy) dial(ctx context.Context, network, address string) (net.Conn, error) {
	r := p.rules.Load()
	if r == nil {
		return nil, fmt.Errorf("%w: the browser has not been given to anybody", ErrRefused)
	}
	if p.route.Upstream.bypasses(hostOf(address)) {
		return r.policy.DialContext(ctx, network, address)
	}
	return p.route.Upstream.dial(ctx, r.policy, address)
}

// URL is what --proxy-server takes: "http://127.0.0.1:40123".
func (p *Proxy) URL() string {
	return (&url.URL{Scheme: "http", Host: p.listener.Addr().String()}).String()
}

// KeyHash is the SHA-256 of the public key (SPKI) that this proxy has in the place of
// the sites that its route looks into, as --ignore-certificate-errors-spki-list takes
// it: that of nobody else. It is empty where the route looks into nothing.
func (p *Proxy) KeyHash() string {
	if p.inside == nil {
		return ""
	}
	return p.inside.spki
}

// Close ends the proxy and every connection through it, and returns when
// nothing of it runs any more. It is safe to call twice.
func (p *Proxy) Close() error {
	p.mu.Lock()
	first := !p.closed
	p.closed = true
	if first {
		p.cancel()
		p.err = p.server.Close()
		if err := p.listener.Close(); !errors.Is(err, net.ErrClosed) { // it was never served
			p.err = errors.Join(p.err, err)
		}
	}
	p.mu.Unlock()

	p.work.Wait()
	p.transport.CloseIdleConnections()
	if p.inside != nil {
		p.inside.verified.closeIdle()
		p.inside.trusting.closeIdle()
	}
	if p.err != nil {
		return fmt.Errorf("close the browser's proxy: %w", p.err)
	}
	return nil
}

// beginRequest counts a request that begins. It reports false when the proxy is closed
// or has too many.
func (p *Proxy) beginRequest() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	select {
	case p.slots <- struct{}{}:
		p.work.Add(1)
		return true
	default:
		return false
	}
}

func (p *Proxy) endRequest() {
	<-p.slots
	p.work.Done()
}

func (p *Proxy) serve(w http.ResponseWriter, r *http.Request) {
	if !p.beginRequest() {
		http.Error(w, "Too many connections.", http.StatusServiceUnavailable)
		return
	}
	defer p.endRequest()
	switch {
	case r.Method == http.MethodConnect:
		p.throughGate(w, r, p.connect)
	case r.URL.Scheme == "http" && r.URL.Host != "":
		p.throughGate(w, r, p.forward.ServeHTTP)
	default:
		http.Error(w, "This is a proxy.", http.StatusBadRequest)
	}
}

// throughGate serves a request if the browser may speak to its host, and for as long
// as it may.
func (p *Proxy) throughGate(w http.ResponseWriter, r *http.Request, serve http.HandlerFunc) {
	applied := p.rules.Load()
	if applied == nil || applied.gate == nil {
		serve(w, r) // where nothing applies yet, dial refuses
		return
	}
	opened := false
	err := applied.gate(r.Context(), strings.ToLower(r.URL.Hostname()), func(ctx context.Context) {
		opened = true
		serve(w, r.WithContext(ctx))
	})
	if err != nil && !opened {
		p.answerFailure(w, r, fmt.Errorf("%w: %w", ErrHostRefused, err))
	}
}

// rewrite prepares a plain request to be sent.
func (p *Proxy) rewrite(r *httputil.ProxyRequest) {
	keepForwarded(r)
	p.route.setHeaders(r.In.Context(), "http", r.In.URL.Host, r.Out.Header)
}

// keepForwarded restores the headers about forwarding that a page may send to
// its own server: ReverseProxy drops them, and adds none of its own.
func keepForwarded(r *httputil.ProxyRequest) {
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if values, ok := r.In.Header[name]; ok {
			r.Out.Header[name] = values
		}
	}
}

// answerFailure answers a request whose address was refused or does not answer.
func (p *Proxy) answerFailure(w http.ResponseWriter, r *http.Request, err error) {
	host := withPort(r.URL.Host, r.URL.Scheme)
	for _, refused := range []error{ErrRefused, ErrHostRefused} {
		if errors.Is(err, refused) {
			p.failed.record(host, refused)
			http.Error(w, refusedText, http.StatusForbidden)
			return
		}
	}
	if r.Context().Err() == nil { // else the browser has left, and did not wait for the answer
		p.failed.record(host, ErrUnanswered)
	}
	http.Error(w, "The address does not answer.", http.StatusBadGateway)
}

// connect opens a tunnel to r.Host and copies until either side ends.
func (p *Proxy) connect(w http.ResponseWriter, r *http.Request) {
	up, err := p.dial(r.Context(), "tcp", r.Host)
	if err != nil {
		p.answerFailure(w, r, err)
		return
	}
	defer up.Close()
	down, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		p.answerFailure(w, r, err)
		return
	}
	defer down.Close()
	if err := down.SetDeadline(time.Time{}); err != nil {
		return
	}
	if _, err := io.WriteString(down, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	if p.inside != nil && p.route.opens(hostOf(r.Host)) {
		p.inside.serve(r.Context(), down, buffered.Reader, up, r.Host)
		return
	}
	// The proxy's end breaks both copies, and so does the gate.
	stop := context.AfterFunc(r.Context(), func() { _, _ = up.Close(), down.Close() })
	defer stop()
	tunnel(down, buffered.Reader, up)
}

// tunnel copies both ways. A server that has sent all may still listen; a
// browser that has left wants nothing any more.
func tunnel(down net.Conn, early *bufio.Reader, up net.Conn) {
	var both sync.WaitGroup
	both.Go(func() {
		defer up.Close()
		if n := early.Buffered(); n > 0 {
			if _, err := io.CopyN(up, early, int64(n)); err != nil {
				return
			}
		}
		_, _ = io.Copy(up, down) // an end is an end
	})
	both.Go(func() {
		_, _ = io.Copy(down, up)
		if half, ok := down.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
	})
	both.Wait()
}
