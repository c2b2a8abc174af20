package egress

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"
)

// ErrProxyRefused is in the error of [Upstream.Check] about a proxy that does not let
// its user in.
var ErrProxyRefused = errors.New("the proxy refuses")

const (
	// upstreamTimeout bounds what a proxy needs to say whether it lets somebody in.
	upstreamTimeout = 8 * time.Second
	// maxUpstreamTries bounds how many addresses of a name a proxy is asked for.
	maxUpstreamTries = 3
	// nobodysHost is asked of a proxy that is only to say whether it lets its user
	// in: no name ends in .invalid (RFC 2606 §2).
	nobodysHost = "proxy-check.invalid:443"
)

// Upstream is a proxy on the way to hosts. What the policy says of addresses holds
// behind it: names are resolved here, and the proxy is asked for an address that was
// checked. So a name that the proxy would resolve otherwise gains nothing.
type Upstream struct {
	// URL is scheme://host[:port], where scheme is http, https or socks5.
	URL *url.URL
	// Bypasses reports whether a host is reached directly; nil is none.
	Bypasses func(host string) bool
	// Login returns the name and the password for the proxy, for each
	// connection; nil is none.
	Login func(context.Context) (name, password string, err error)
	// roots are whom the certificate of an https proxy has to be of; nil is the system's.
	roots *x509.CertPool
}

// bypasses reports whether a host is reached without the proxy. A nil Upstream is
// none at all.
func (u *Upstream) bypasses(host string) bool {
	return u == nil || u.Bypasses != nil && u.Bypasses(host)
}

// address is the host and port of the proxy.
func (u *Upstream) address() string {
	port := u.URL.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443", "socks5": "1080"}[u.URL.Scheme]
	}
	return net.JoinHostPort(u.URL.Hostname(), port)
}

// Check returns nil when the proxy answers and lets its user in, else why not: an
// error that wraps [ErrRefused] where the policy does not permit the address of the
// proxy, or [ErrProxyRefused]. It takes 8 seconds at most, and reaches nobody behind
// the proxy.
func (u *Upstream) Check(ctx context.Context, policy Policy) error {
	ctx, cancel := context.WithTimeout(ctx, upstreamTimeout)
	defer cancel()
	conn, err := u.dialProxy(ctx, policy)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if u.URL.Scheme == "socks5" {
		return u.greetSocks(ctx, conn)
	}
	status, _, err := u.askConnect(ctx, conn, nobodysHost)
	switch {
	case err != nil:
		return err
	case status == http.StatusProxyAuthRequired || status == http.StatusUnauthorized:
		return fmt.Errorf("%w its user", ErrProxyRefused)
	}
	return nil
}

// dial connects to address ("host:port") by the proxy.
func (u *Upstream) dial(ctx context.Context, policy Policy, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("address to dial: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	addrs, err := policy.lookup(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	var failures []error
	for _, addr := range addrs[:min(len(addrs), maxUpstreamTries)] {
		conn, err := u.dialAddress(ctx, policy, addr, port)
		if err == nil {
			return conn, nil
		}
		failures = append(failures, err)
		if ctx.Err() != nil || errors.Is(err, ErrProxyRefused) {
			break
		}
	}
	return nil, errors.Join(failures...)
}

func (u *Upstream) dialAddress(
	ctx context.Context, policy Policy, addr netip.Addr, port string,
) (_ net.Conn, err error) {
	conn, err := u.dialProxy(ctx, policy)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer func() {
		if !stop() && err == nil {
			err = ctx.Err()
		}
		if err != nil {
			conn.Close()
		}
	}()
	if u.URL.Scheme == "socks5" {
		if err := u.greetSocks(ctx, conn); err != nil {
			return nil, err
		}
		return conn, connectSocks(conn, addr, port)
	}
	status, early, err := u.askConnect(ctx, conn, net.JoinHostPort(addr.String(), port))
	switch {
	case err != nil:
		return nil, err
	case status == http.StatusProxyAuthRequired:
		return nil, fmt.Errorf("%w its user", ErrProxyRefused)
	case status != http.StatusOK:
		return nil, fmt.Errorf("the proxy answers a request for a tunnel with %d", status)
	}
	return withEarly(conn, early), nil
}

// dialProxy connects to the proxy itself, whose address the policy decides about too.
func (u *Upstream) dialProxy(ctx context.Context, policy Policy) (net.Conn, error) {
	conn, err := policy.DialContext(ctx, "tcp", u.address())
	if err != nil {
		return nil, fmt.Errorf("reach the proxy: %w", err)
	}
	if u.URL.Scheme != "https" {
		return conn, nil
	}
	secure := tls.Client(conn, &tls.Config{
		ServerName: u.URL.Hostname(), RootCAs: u.roots, MinVersion: tls.VersionTLS12,
	})
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("reach the proxy: %w", err), conn.Close())
	}
	return secure, nil
}

// askConnect asks an HTTP proxy for a tunnel, and returns the status of its answer and
// what came behind it.
func (u *Upstream) askConnect(ctx context.Context, conn net.Conn, address string) (int, *bufio.Reader, error) {
	req := &http.Request{
		Method: http.MethodConnect,
		URL:    &url.URL{Opaque: address},
		Host:   address,
		Header: http.Header{},
	}
	if u.Login != nil {
		name, password, err := u.Login(ctx)
		if err != nil {
			return 0, nil, err
		}
		req.Header.Set("Proxy-Authorization",
			"Basic "+base64.StdEncoding.EncodeToString([]byte(name+":"+password)))
	}
	if err := req.Write(conn); err != nil {
		return 0, nil, fmt.Errorf("ask the proxy: %w", err)
	}
	answer := bufio.NewReader(conn)
	resp, err := http.ReadResponse(answer, req)
	if err != nil {
		return 0, nil, errors.New("what was reached does not answer as an HTTP proxy does") // err may quote it
	}
	resp.Body.Close() // of a tunnel there is none, and else the connection ends
	return resp.StatusCode, answer, nil
}

// The numbers of SOCKS 5 (RFC 1928) and of its passwords (RFC 1929).
const (
	socksVersion      = 5
	socksNoLogin      = 0
	socksPassword     = 2
	socksConnect      = 1
	socksIPv4         = 1
	socksName         = 3
	socksIPv6         = 4
	socksLoginVersion = 1
)

// greetSocks agrees with a SOCKS proxy on who is there.
func (u *Upstream) greetSocks(ctx context.Context, conn net.Conn) error {
	methods := []byte{socksNoLogin}
	if u.Login != nil {
		methods = append(methods, socksPassword)
	}
	if _, err := conn.Write(append([]byte{socksVersion, byte(len(methods))}, methods...)); err != nil {
		return fmt.Errorf("ask the proxy: %w", err)
	}
	var chosen [2]byte
	if _, err := io.ReadFull(conn, chosen[:]); err != nil {
		return fmt.Errorf("the proxy does not answer: %w", err)
	}
	switch {
	case chosen[0] != socksVersion:
		return errors.New("what was reached does not answer as a SOCKS 5 proxy does")
	case chosen[1] == socksNoLogin:
		return nil
	case chosen[1] != socksPassword || u.Login == nil:
		return fmt.Errorf("%w its user", ErrProxyRefused)
	}
	name, password, err := u.Login(ctx)
	if err != nil {
		return err
	}
	if len(name) == 0 || len(name) > 255 || len(password) == 0 || len(password) > 255 {
		return fmt.Errorf("%w: SOCKS 5 takes names and passwords of 1 to 255 bytes", ErrProxyRefused)
	}
	login := append([]byte{socksLoginVersion, byte(len(name))}, name...)
	login = append(append(login, byte(len(password))), password...)
	defer clear(login)
	if _, err := conn.Write(login); err != nil {
		return fmt.Errorf("ask the proxy: %w", err)
	}
	if _, err := io.ReadFull(conn, chosen[:]); err != nil {
		return fmt.Errorf("the proxy does not answer: %w", err)
	}
	if chosen[1] != 0 {
		return fmt.Errorf("%w its user", ErrProxyRefused)
	}
	return nil
}

// connectSocks asks a SOCKS proxy for a connection to an address.
func connectSocks(conn net.Conn, addr netip.Addr, port string) error {
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return fmt.Errorf("address to dial: %w", err)
	}
	kind := byte(socksIPv4)
	if addr.Is6() {
		kind = socksIPv6
	}
	request := append([]byte{socksVersion, socksConnect, 0, kind}, addr.AsSlice()...)
	if _, err := conn.Write(append(request, byte(number>>8), byte(number))); err != nil {
		return fmt.Errorf("ask the proxy: %w", err)
	}
	var answer [4]byte
	if _, err := io.ReadFull(conn, answer[:]); err != nil {
		return fmt.Errorf("the proxy does not answer: %w", err)
	}
	if answer[1] != 0 {
		return fmt.Errorf("the proxy answers a request for a connection with %d", answer[1])
	}
	rest := map[byte]int{socksIPv4: 4, socksIPv6: 16}[answer[3]]
	if answer[3] == socksName {
		var length [1]byte
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			return fmt.Errorf("the proxy does not answer: %w", err)
		}
		rest = int(length[0])
	}
	if _, err := io.CopyN(io.Discard, conn, int64(rest)+2); err != nil {
		return fmt.Errorf("the proxy does not answer: %w", err)
	}
	return nil
}

// withEarly is conn with what was read of it too early before the rest.
func withEarly(conn net.Conn, early *bufio.Reader) net.Conn {
	if early.Buffered() == 0 {
		return conn
	}
	head, _ := early.Peek(early.Buffered()) // they are there
	return &earlyConn{Conn: conn, from: io.MultiReader(bytes.NewReader(head), conn)}
}

// earlyConn is a connection of which something was read before.
type earlyConn struct {
	net.Conn
	from io.Reader
}

// Read implements [net.Conn].
func (c *earlyConn) Read(b []byte) (int, error) { return c.from.Read(b) }

// CloseWrite says that no more is sent, where the connection can.
func (c *earlyConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}
