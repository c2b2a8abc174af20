package egress

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bctrl-go/bctrl/internal/httpconn"
)

const (
	// insideHandshake bounds a TLS handshake, with the browser or with a site.
	insideHandshake = 20 * time.Second
	// certificateLife is how long the certificates for a browser are valid, which is
	// longer than it lives.
	certificateLife = 30 * 24 * time.Hour
	// maxSitesKnown bounds what is remembered of sites.
	maxSitesKnown = 1000
	// tlsRecord is the first byte of a connection that begins with a handshake of
	// TLS (RFC 8446 §5.1).
	tlsRecord = 22
)

// inside is the part of a proxy that looks into connections to the few hosts of which
// its route says something. Towards the browser it is the site, with a key of its
// own that this browser alone is told to take; towards the site it is a client that
// verifies the certificate, unless the route trusts any. What it adds to requests
// so never was in the browser.
type inside struct {
	proxy *Proxy
	key   *ecdsa.PrivateKey
	spki  string
	// verified and trusting send to sites, the latter whatever their certificate.
	verified, trusting sender
	forward            *httputil.ReverseProxy

	mu    sync.Mutex
	certs map[string]*tls.Certificate // by host
	// protocols are what sites speak, by address.
	protocols map[string][]string
}

// sender is two transports: a request that is to become another protocol needs
// HTTP/1.1.
type sender struct{ any, upgrades *httpconn.Transport }

func newInside(p *Proxy) (*inside, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the proxy's key: %w", err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, fmt.Errorf("encode the proxy's key: %w", err)
	}
	sum := sha256.Sum256(public)
	in := &inside{
		proxy:     p,
		key:       key,
		spki:      base64.StdEncoding.EncodeToString(sum[:]),
		verified:  p.newSender(false),
		trusting:  p.newSender(true),
		certs:     map[string]*tls.Certificate{},
		protocols: map[string][]string{},
	}
	in.forward = &httputil.ReverseProxy{
		Rewrite:       in.rewrite,
		Transport:     in,
		ErrorHandler:  p.answerFailure,
		ErrorLog:      log.New(io.Discard, "", 0),
		FlushInterval: -1,
	}
	return in, nil
}

func (p *Proxy) newSender(trusting bool) sender {
	config := &tls.Config{InsecureSkipVerify: trusting, MinVersion: tls.VersionTLS12} //nolint:gosec // as asked
	transport := func(h2 bool) *httpconn.Transport {
		return httpconn.New(&http.Transport{
			DialContext:           p.dial,
			TLSClientConfig:       config,
			TLSHandshakeTimeout:   insideHandshake,
			ForceAttemptHTTP2:     h2,
			MaxIdleConnsPerHost:   6,
			MaxIdleConns:          64,
			IdleConnTimeout:       30 * time.Second,
			ExpectContinueTimeout: time.Second,
		})
	}
	return sender{any: transport(true), upgrades: transport(false)}
}

func (s sender) closeIdle() {
	s.any.CloseIdleConnections()
	s.upgrades.CloseIdleConnections()
}

// RoundTrip sends a request to its site.
func (in *inside) RoundTrip(r *http.Request) (*http.Response, error) {
	by := in.verified
	if in.proxy.route.trustsAny(hostOf(r.URL.Host)) {
		by = in.trusting
	}
	if r.Header.Get("Upgrade") != "" {
		return by.upgrades.RoundTrip(r)
	}
	return by.any.RoundTrip(r)
}

// insideConn is a connection of the browser that is looked into.
type insideConn struct {
	address string // of the site, with its port
	scheme  string
}

type insideKey struct{}

// rewrite addresses a request to the site that the browser believes to speak to.
func (in *inside) rewrite(r *httputil.ProxyRequest) {
	to, _ := r.In.Context().Value(insideKey{}).(insideConn) // serve has put it there
	keepForwarded(r)
	r.Out.URL.Scheme, r.Out.URL.Host = to.scheme, to.address
	r.Out.Host = r.In.Host
	if _, ok := r.In.Header["User-Agent"]; !ok {
		r.Out.Header["User-Agent"] = nil // net/http would put its own
	}
	in.proxy.route.setHeaders(r.In.Context(), to.scheme, to.address, r.Out.Header)
}

// serve looks into a tunnel that the browser has opened to address. up is a
// connection to there that nothing was sent over yet.
func (in *inside) serve(ctx context.Context, down net.Conn, early *bufio.Reader, up net.Conn, address string) {
	defer up.Close()
	stop := context.AfterFunc(ctx, func() { _, _ = up.Close(), down.Close() })
	defer stop()
	first, err := early.Peek(1)
	if err != nil {
		return
	}
	conn := withEarly(down, early)
	if first[0] != tlsRecord {
		up.Close()
		in.serveConn(ctx, conn, insideConn{address, "http"})
		return
	}
	protocols, err := in.protocolsOf(ctx, up, address)
	if _, untrusted := errors.AsType[*tls.CertificateVerificationError](err); untrusted {
		in.tunnelUntrusted(ctx, conn, address)
		return
	}
	if err != nil {
		if ctx.Err() == nil {
			in.proxy.failed.record(withPort(address, "https"), ErrUnanswered)
		}
		return
	}
	up.Close()
	in.serveConn(ctx, tls.Server(conn, &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: protocols,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return in.certificate(hostOf(address))
		},
	}), insideConn{address, "https"})
}

// tunnelUntrusted passes a connection on as it is, so that the browser sees the
// certificate and says what is wrong with it. Nothing is added to what it sends.
func (in *inside) tunnelUntrusted(ctx context.Context, down net.Conn, address string) {
	up, err := in.proxy.dial(ctx, "tcp", address)
	if err != nil {
		return
	}
	defer up.Close()
	stop := context.AfterFunc(ctx, func() { _ = up.Close() })
	defer stop()
	tunnel(down, bufio.NewReader(down), up)
}

// protocolsOf returns what is to be offered to the browser in the place of a site: the
// protocols that the site speaks. The first connection finds out.
func (in *inside) protocolsOf(ctx context.Context, up net.Conn, address string) ([]string, error) {
	in.mu.Lock()
	known := in.protocols[address]
	in.mu.Unlock()
	if known != nil {
		return known, nil
	}
	ctx, cancel := context.WithTimeout(ctx, insideHandshake)
	defer cancel()
	host := hostOf(address)
	client := tls.Client(up, &tls.Config{
		ServerName:         host,
		MinVersion:         tls.VersionTLS12,
		NextProtos:         []string{"h2", "http/1.1"},
		InsecureSkipVerify: in.proxy.route.trustsAny(host), //nolint:gosec // as asked
	})
	if err := client.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	known = []string{"http/1.1"}
	if client.ConnectionState().NegotiatedProtocol == "h2" {
		known = []string{"h2", "http/1.1"}
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.protocols) >= maxSitesKnown {
		clear(in.protocols)
	}
	in.protocols[address] = known
	return known, nil
}

// certificate is the one that the browser is shown for a host.
func (in *inside) certificate(host string) (*tls.Certificate, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if cert := in.certs[host]; cert != nil {
		return cert, nil
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "bctrl"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(certificateLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, in.key.Public(), in.key)
	if err != nil {
		return nil, err
	}
	if len(in.certs) >= maxSitesKnown {
		clear(in.certs)
	}
	in.certs[host] = &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: in.key}
	return in.certs[host], nil
}

// serveConn answers the requests of one connection of the browser until it ends.
func (in *inside) serveConn(ctx context.Context, conn net.Conn, to insideConn) {
	ctx = context.WithValue(ctx, insideKey{}, to)
	listener := &oneConn{conn: conn, gone: make(chan struct{})}
	var became atomic.Bool // another protocol, of which the server tells nothing more
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer func() {
				if became.Load() {
					listener.end()
				}
			}()
			if withPort(r.Host, to.scheme) != withPort(to.address, to.scheme) {
				http.Error(w, refusedText, http.StatusMisdirectedRequest)
				return
			}
			in.forward.ServeHTTP(w, r)
		}),
		ReadHeaderTimeout: proxyHeaderTimeout,
		IdleTimeout:       proxyIdleTimeout,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          log.New(io.Discard, "", 0),
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateHijacked:
				became.Store(true)
			case http.StateClosed:
				listener.end()
			}
		},
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	_ = server.Serve(listener) // it ends with its connection
	_ = server.Close()
}

// oneConn is a listener with one connection.
type oneConn struct {
	conn  net.Conn
	taken bool
	once  sync.Once
	gone  chan struct{} // closed when the connection has ended
}

// Accept implements [net.Listener].
func (l *oneConn) Accept() (net.Conn, error) {
	if !l.taken {
		l.taken = true
		return l.conn, nil
	}
	<-l.gone
	return nil, net.ErrClosed
}

func (l *oneConn) end() { l.once.Do(func() { close(l.gone) }) }

// Close implements [net.Listener].
func (l *oneConn) Close() error { l.end(); return nil }

// Addr implements [net.Listener].
func (l *oneConn) Addr() net.Addr { return l.conn.LocalAddr() }

// hostOf is a host without its port, in small letters.
func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = strings.Trim(address, "[]")
	}
	return strings.ToLower(host)
}
