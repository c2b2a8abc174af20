package egress

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
)

// localNames resolves every name to this machine, but for those that it keeps to itself.
type localNames struct{}

func (localNames) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if strings.HasPrefix(host, "private.") {
		return []netip.Addr{netip.MustParseAddr("10.1.2.3")}, nil
	}
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
}

// proxyServer is somebody's proxy, of either protocol, that asks for a login.
type proxyServer struct {
	t     *testing.T
	url   *url.URL
	roots *x509.CertPool // of its certificate; nil where it has none
	mu    sync.Mutex
	asked []string
}

const proxyUser, proxyPassword = "eu", "canary-of-the-proxy"

func newProxyServer(t *testing.T, scheme string) *proxyServer {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxyServer{t: t, url: &url.URL{Scheme: scheme, Host: listener.Addr().String()}}
	if scheme == "https" {
		known := httptest.NewTLSServer(nil) // for its certificate
		known.Close()
		p.roots = x509.NewCertPool()
		p.roots.AddCert(known.Certificate())
		listener = tls.NewListener(listener, &tls.Config{Certificates: known.TLS.Certificates})
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()
				p.serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		serving.Wait()
	})
	return p
}

func (p *proxyServer) serve(conn net.Conn) {
	in := bufio.NewReader(conn)
	var address string
	if p.url.Scheme == "socks5" {
		if address = p.greetSocks(conn, in); address == "" {
			return
		}
	} else {
		r, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		r.Header["Authorization"] = r.Header["Proxy-Authorization"]
		if user, password, ok := r.BasicAuth(); !ok || user != proxyUser || password != proxyPassword {
			_, _ = io.WriteString(conn, "HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n")
			return
		}
		address = r.Host
	}
	p.mu.Lock()
	p.asked = append(p.asked, address)
	p.mu.Unlock()
	up, err := net.Dial("tcp", address)
	if err != nil {
		_, _ = io.WriteString(conn, "HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n")
		return
	}
	defer up.Close()
	if p.url.Scheme == "socks5" {
		_, _ = conn.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	} else {
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n")
	}
	tunnel(conn, in, up)
}

// greetSocks takes a login and a request for a connection, and returns its address.
func (p *proxyServer) greetSocks(conn net.Conn, in *bufio.Reader) string {
	read := func(n int) []byte {
		b := make([]byte, n)
		if _, err := io.ReadFull(in, b); err != nil {
			return make([]byte, n)
		}
		return b
	}
	if methods := read(int(read(2)[1])); !strings.Contains(string(methods), "\x02") {
		_, _ = conn.Write([]byte{5, 0xff})
		return ""
	}
	_, _ = conn.Write([]byte{5, 2})
	user := read(int(read(2)[1]))
	password := read(int(read(1)[0]))
	if string(user) != proxyUser || string(password) != proxyPassword {
		_, _ = conn.Write([]byte{1, 1})
		return ""
	}
	_, _ = conn.Write([]byte{1, 0})
	if read(4)[3] != 1 {
		return ""
	}
	addr, _ := netip.AddrFromSlice(read(4))
	port := read(2)
	return netip.AddrPortFrom(addr, uint16(port[0])<<8|uint16(port[1])).String()
}

func login(password string) func(context.Context) (string, string, error) {
	return func(context.Context) (string, string, error) { return proxyUser, password, nil }
}

// viaRoute returns a client behind a proxy of a route, under the policy given.
func viaRoute(t *testing.T, policy Policy, route Route) (*Proxy, *http.Client) {
	t.Helper()
	proxy := openProxy(t, policy, nil, route)
	at, err := url.Parse(proxy.URL())
	require.NoError(t, err)
	transport := &http.Transport{
		Proxy:             http.ProxyURL(at),
		ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{
			InsecureSkipVerify: true, // as a browser with the key's hash: see below
			VerifyConnection: func(s tls.ConnectionState) error {
				if proxy.KeyHash() == "" || keyHash(s.PeerCertificates[0]) == proxy.KeyHash() {
					return nil
				}
				return errors.New("another certificate")
			},
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return proxy, &http.Client{Transport: transport}
}

func keyHash(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}

func TestHostsAreReachedByTheUpstreamProxyUnderThePolicy(t *testing.T) {
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Host)
	}))
	defer site.Close()
	secure := httptest.NewTLSServer(site.Config.Handler)
	defer secure.Close()
	_, port, err := net.SplitHostPort(site.Listener.Addr().String())
	require.NoError(t, err)
	policy := onlyLoopback
	policy.Resolver = localNames{}
	for _, scheme := range []string{"http", "https", "socks5"} {
		t.Run(scheme, func(t *testing.T) {
			via := newProxyServer(t, scheme)
			_, client := viaRoute(t, policy, Route{Upstream: &Upstream{
				URL:      via.url,
				Bypasses: func(host string) bool { return host == "near.example" },
				Login:    login(proxyPassword),
				roots:    via.roots,
			}})
			status, text := get(t, client, "http://far.example:"+port)
			require.Equal(t, http.StatusOK, status)
			require.Equal(t, "far.example:"+port, text)
			_, text = get(t, client, secure.URL)
			require.Equal(t, secure.Listener.Addr().String(), text, "a tunnel in the tunnel")
			via.asked = via.asked[:1]
			require.Equal(t, []string{"127.0.0.1:" + port}, via.asked, "the address that was checked, not the name")
			status, _ = get(t, client, "http://near.example:"+port)
			require.Equal(t, http.StatusOK, status)
			status, _ = get(t, client, "http://private.example:"+port)
			require.Equal(t, http.StatusForbidden, status)
			require.Len(t, via.asked, 1, "a host that bypasses, and one that the policy refuses, are not asked for")
		})
	}
}

func TestAnUpstreamProxyIsAskedBeforeItIsUsed(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	gone := silent.Addr().String()
	require.NoError(t, silent.Close())
	older, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer older.Close()
	go func() { // until it is closed
		for {
			conn, err := older.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte{4, 0})
			_ = conn.Close()
		}
	}()
	page := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		panic(http.ErrAbortHandler)
	}))
	defer page.Close()
	http1, socks, tls1 := newProxyServer(t, "http"), newProxyServer(t, "socks5"), newProxyServer(t, "https")
	tellsNobody := func(context.Context) (string, string, error) {
		t.Error("the password is told to who has no valid certificate")
		return "", "", nil
	}
	for _, tc := range []struct {
		why    string
		to     Upstream
		policy Policy
		want   error // nil is let in; errAny is some other error
	}{
		{"it lets its user in", Upstream{URL: http1.url, Login: login(proxyPassword)}, onlyLoopback, nil},
		{"a wrong password", Upstream{URL: http1.url, Login: login("wrong")}, onlyLoopback, ErrProxyRefused},
		{"no login where one is asked for", Upstream{URL: http1.url}, onlyLoopback, ErrProxyRefused},
		{"it lets its user in", Upstream{URL: socks.url, Login: login(proxyPassword)}, onlyLoopback, nil},
		{"a wrong password", Upstream{URL: socks.url, Login: login("wrong")}, onlyLoopback, ErrProxyRefused},
		{"no login where one is asked for", Upstream{URL: socks.url}, onlyLoopback, ErrProxyRefused},
		{"it lets its user in", Upstream{URL: tls1.url, Login: login(proxyPassword), roots: tls1.roots}, onlyLoopback, nil},
		{"a wrong password", Upstream{URL: tls1.url, Login: login("wrong"), roots: tls1.roots}, onlyLoopback,
			ErrProxyRefused},
		{"a certificate that nobody has signed", Upstream{URL: tls1.url, Login: tellsNobody}, onlyLoopback, io.EOF},
		{"no TLS where there should be", Upstream{URL: &url.URL{Scheme: "https", Host: http1.url.Host}, Login: tellsNobody},
			onlyLoopback, io.EOF},
		{"the policy does not permit where it is", Upstream{URL: http1.url}, Policy{}, ErrRefused},
		{"nobody is there", Upstream{URL: &url.URL{Scheme: "http", Host: gone}}, onlyLoopback, io.EOF},
		{"a site, and no proxy", Upstream{URL: &url.URL{Scheme: "http", Host: page.Listener.Addr().String()}}, onlyLoopback,
			io.EOF},
		{"an older protocol", Upstream{URL: &url.URL{Scheme: "socks5", Host: older.Addr().String()}}, onlyLoopback, io.EOF},
	} {
		err := tc.to.Check(t.Context(), tc.policy)
		switch {
		case tc.want == nil:
			require.NoError(t, err, tc.why)
		case tc.want == io.EOF:
			require.Error(t, err, tc.why)
		default:
			require.ErrorIs(t, err, tc.want, tc.why)
		}
		if err != nil {
			require.False(t, strings.Contains(err.Error(), proxyPassword), "an error shows the password")
		}
	}
}

// TestHeadersAreSentToTheirHostsAlone follows a redirect to another host and back.
func TestHeadersAreSentToTheirHostsAlone(t *testing.T) {
	var plain, secure *httptest.Server
	handler := func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			ws, err := websocket.Accept(w, r, nil)
			if err != nil {
				return
			}
			defer ws.CloseNow()
			_ = ws.Write(r.Context(), websocket.MessageText, []byte(r.Header.Get("X-Stage")))
			return
		}
		w.Header().Set("X-Got", r.Header.Get("X-Stage")+" "+r.Proto)
		if to := r.URL.Query().Get("to"); to != "" {
			http.Redirect(w, r, to, http.StatusFound)
		}
	}
	plain = httptest.NewServer(http.HandlerFunc(handler))
	defer plain.Close()
	secure = httptest.NewUnstartedServer(http.HandlerFunc(handler))
	secure.EnableHTTP2 = true
	secure.StartTLS()
	defer secure.Close()
	port := func(s *httptest.Server) string { return s.URL[strings.LastIndexByte(s.URL, ':'):] }

	policy := onlyLoopback
	policy.Resolver = localNames{}
	isMine := func(host string) bool { return host == "mine.example" }
	var asked string // the origin that the value was asked for last
	_, client := viaRoute(t, policy, Route{
		Headers: []Header{{
			Of: isMine, Name: "X-Stage",
			Value: func(_ context.Context, origin string) (string, error) { asked = origin; return "blue", nil },
		}},
		TrustsAnyCertificate: isMine,
	})
	want := func(url, value, why string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		require.NoError(t, err)
		req.Header.Set("X-Stage", "the page's")
		resp, err := client.Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, value, resp.Header.Get("X-Got"), why)
	}
	mine, other := "://mine.example", "://other.example"
	want("http"+mine+port(plain), "blue HTTP/1.1", "plain")
	require.Equal(t, "http"+mine+port(plain), asked, "with scheme and port")
	want("https"+mine+port(secure), "blue HTTP/2.0", "encrypted, as the site speaks")
	require.Equal(t, "https"+mine+port(secure), asked)
	want("http"+other+port(plain), "the page's HTTP/1.1", "another host")
	want("https"+mine+port(secure)+"/?to=http"+other+port(plain), "the page's HTTP/1.1", "a redirect to another host")
	want("http"+other+port(plain)+"/?to=https"+mine+port(secure), "blue HTTP/2.0", "a redirect from another host")

	for _, at := range []string{"ws" + mine + port(plain), "wss" + mine + port(secure)} {
		ws, _, err := websocket.Dial(t.Context(), at, &websocket.DialOptions{HTTPClient: client})
		require.NoError(t, err, at)
		_, b, err := ws.Read(t.Context())
		require.NoError(t, err, at)
		require.Equal(t, "blue", string(b), "a websocket begins with a request as well")
		require.NoError(t, ws.CloseNow())
		require.Equal(t, "http"+strings.TrimPrefix(at, "ws"), asked, "and has the origin of that")
	}
}

func TestAnOriginHasNoPortThatItsSchemeHasAnyway(t *testing.T) {
	for _, tc := range []struct{ scheme, address, want string }{
		{"https", "Mine.example:443", "https://mine.example"},
		{"https", "mine.example", "https://mine.example"},
		{"https", "mine.example:80", "https://mine.example:80"},
		{"http", "mine.example:80", "http://mine.example"},
		{"http", "mine.example:443", "http://mine.example:443"},
		{"https", "[::1]:443", "https://[::1]"},
		{"http", "[::1]:8080", "http://[::1]:8080"},
	} {
		require.Equal(t, tc.want, originOf(tc.scheme, tc.address))
	}
}

func TestACertificateThatNobodyTrustsIsShownAsItIs(t *testing.T) {
	var sent string
	site := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		sent = r.Header.Get("X-Stage")
	}))
	defer site.Close()
	policy := onlyLoopback
	policy.Resolver = localNames{}
	proxy, _ := viaRoute(t, policy, Route{Headers: []Header{{
		Of:    func(string) bool { return true },
		Name:  "X-Stage",
		Value: func(context.Context, string) (string, error) { return "blue", nil },
	}}})
	at, err := url.Parse(proxy.URL())
	require.NoError(t, err)
	var shown string
	transport := &http.Transport{Proxy: http.ProxyURL(at), TLSClientConfig: &tls.Config{
		InsecureSkipVerify: true,
		VerifyConnection:   func(s tls.ConnectionState) error { shown = keyHash(s.PeerCertificates[0]); return nil },
	}}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Get(strings.Replace(site.URL, "127.0.0.1", "mine.example", 1))
	require.NoError(t, err, "it is for the browser to refuse it")
	require.NoError(t, resp.Body.Close())
	require.Equal(t, keyHash(site.Certificate()), shown)
	require.Empty(t, sent, "whoever is there gets no header")
}

func TestAHeaderThatCannotBeHadIsNotSent(t *testing.T) {
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, has := r.Header["X-Stage"]
		w.Header().Set("X-Has", map[bool]string{true: "yes", false: "no"}[has])
	}))
	defer site.Close()
	_, client := viaRoute(t, onlyLoopback, Route{Headers: []Header{{
		Of:    func(string) bool { return true },
		Name:  "X-Stage",
		Value: func(context.Context, string) (string, error) { return "", errors.New("the mounts permit it no longer") },
	}}})
	resp, err := client.Get(site.URL)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, "no", resp.Header.Get("X-Has"))
}
