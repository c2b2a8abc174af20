package egress

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
)

var onlyLoopback = Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}

// through returns a proxy and a client that uses it.
func through(t *testing.T, policy Policy) (*Proxy, *http.Client) {
	t.Helper()
	proxy := openProxy(t, policy, nil, Route{})
	at, err := url.Parse(proxy.URL())
	require.NoError(t, err)
	transport := &http.Transport{
		Proxy:           http.ProxyURL(at),
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // a test's certificate
	}
	t.Cleanup(transport.CloseIdleConnections)
	return proxy, &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// get returns the status and text of url.
func get(t *testing.T, client *http.Client, url string) (int, string) {
	t.Helper()
	resp, err := client.Get(url)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(b)
}

func TestTheProxyPassesOnWhatThePolicyPermits(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "https://elsewhere.example/")
		w.WriteHeader(http.StatusFound)
		_, _ = fmt.Fprint(w, r.Method, " ", r.Host, " ", r.URL)
	})
	plain, secure := httptest.NewServer(handler), httptest.NewTLSServer(handler)
	defer plain.Close()
	defer secure.Close()
	_, client := through(t, onlyLoopback)
	for _, srv := range []*httptest.Server{plain, secure} {
		code, text := get(t, client, srv.URL+"/a%2Fb?q=1")
		require.Equal(t, http.StatusFound, code, "a redirect is the browser's to follow")
		require.Equal(t, "GET "+strings.Split(srv.URL, "//")[1]+" /a%2Fb?q=1", text)
	}
}

func TestTheProxyRefusesWithoutSayingWhere(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("reached") }))
	defer srv.Close()
	_, port, err := net.SplitHostPort(srv.Listener.Addr().String())
	require.NoError(t, err)
	_, client := through(t, Policy{Resolver: &names{answers: [][]netip.Addr{{netip.MustParseAddr("10.9.8.7")}}}})

	code, text := get(t, client, "http://127.0.0.1:"+port)
	require.Equal(t, http.StatusForbidden, code)
	require.Equal(t, refusedText, strings.TrimSpace(text))
	_, text = get(t, client, "http://internal.example")
	require.NotContains(t, text, "10.9.8.7", "a page could ask for the addresses of internal names")
	_, err = client.Get("https://127.0.0.1:" + port)
	require.ErrorContains(t, err, "Forbidden")
}

func TestOnlyAProxyIsServed(t *testing.T) {
	proxy, client := through(t, onlyLoopback)
	direct := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	code, _ := get(t, direct, proxy.URL()+"/x")
	require.Equal(t, http.StatusBadRequest, code, "it has no pages of its own")
	code, _ = get(t, client, proxy.URL()+"/x")
	require.Equal(t, http.StatusBadRequest, code, "nor through itself")

	conn, err := net.Dial("tcp", strings.TrimPrefix(proxy.URL(), "http://"))
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "GET ftp://127.0.0.1/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
	require.NoError(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusBadRequest, resp.StatusCode, "other schemes")
}

func TestTheProxyAddsAndKeepsNoHeadersOfItsOwn(t *testing.T) {
	var seen http.Header
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = r.Header.Clone()
		w.Header().Set("Connection", "X-Hop")
		w.Header().Set("X-Hop", "1")
		w.Header().Set("Proxy-Authenticate", "Basic")
		w.Header().Set("X-End", "1")
	}))
	defer srv.Close()
	_, client := through(t, onlyLoopback)
	req, err := http.NewRequest(http.MethodGet, srv.URL, nil)
	require.NoError(t, err)
	for name, value := range map[string]string{
		"Proxy-Authorization": "Basic canary", "Proxy-Connection": "keep-alive", "Connection": "X-Mine", "X-Mine": "hop",
		"Te": "gzip", "X-Forwarded-For": "the page's own", "X-End": "1", "User-Agent": "",
	} {
		req.Header.Set(name, value)
	}
	resp, err := client.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, "1", resp.Header.Get("X-End"))
	require.Empty(t, resp.Header.Get("X-Hop"))
	require.Empty(t, resp.Header.Get("Proxy-Authenticate"), "a server cannot ask for the proxy's password")
	seen.Del("Accept-Encoding") // of the test's client
	require.Equal(t, http.Header{"X-End": {"1"}, "X-Forwarded-For": {"the page's own"}}, seen)
}

func TestWebsocketsPassAndEndWithTheProxy(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Errorf("accept: %v", err)
			return
		}
		defer ws.CloseNow()
		for {
			kind, b, err := ws.Read(context.Background())
			if err != nil {
				return // the proxy's end must reach this side
			}
			if err := ws.Write(context.Background(), kind, b); err != nil {
				return
			}
		}
	})
	plain, secure := httptest.NewServer(handler), httptest.NewTLSServer(handler)
	defer plain.Close()
	defer secure.Close()
	for _, srv := range []*httptest.Server{plain, secure} {
		t.Run(srv.URL[:5], func(t *testing.T) {
			proxy, client := through(t, onlyLoopback)
			ws, _, err := websocket.Dial(t.Context(), srv.URL, &websocket.DialOptions{HTTPClient: client})
			require.NoError(t, err)
			defer ws.CloseNow()
			require.NoError(t, ws.Write(t.Context(), websocket.MessageText, []byte("echo")))
			_, b, err := ws.Read(t.Context())
			require.NoError(t, err)
			require.Equal(t, "echo", string(b))

			require.NoError(t, proxy.Close())
			require.NoError(t, proxy.Close(), "twice")
			_, _, err = ws.Read(t.Context())
			require.Error(t, err, "the tunnel is gone")
			_, err = client.Get(srv.URL)
			require.Error(t, err)
		})
	}
}

func TestTheProxyEndsRequestsThatHang(t *testing.T) {
	arrived, left := make(chan struct{}), make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
		close(left)
	}))
	defer srv.Close()
	proxy, client := through(t, onlyLoopback)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if resp, err := client.Get(srv.URL); err == nil {
			resp.Body.Close()
		}
	}()
	<-arrived
	require.NoError(t, proxy.Close())
	<-left
	<-done
}

func TestTheProxyIsBounded(t *testing.T) {
	arrived, release := make(chan struct{}, maxProxied), make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		arrived <- struct{}{}
		<-release
	}))
	defer srv.Close()
	proxy, client := through(t, onlyLoopback)
	proxy.slots = make(chan struct{}, 1) // before the first request
	first := make(chan error, 1)
	go func() {
		resp, err := client.Get(srv.URL)
		if err == nil {
			err = resp.Body.Close()
		}
		first <- err
	}()
	<-arrived
	code, _ := get(t, client, srv.URL)
	require.Equal(t, http.StatusServiceUnavailable, code)
	close(release)
	require.NoError(t, <-first)
}

func TestTheProxyRemembersWhatFailed(t *testing.T) {
	proxy, client := through(t, Policy{})
	before := proxy.Mark()
	require.NoError(t, proxy.FailedSince(before, ""))
	status, _ := get(t, client, "http://127.0.0.1/a?secret")
	require.Equal(t, http.StatusForbidden, status)
	for _, tc := range []struct {
		address string
		want    error
	}{
		{"", ErrRefused},
		{"http://127.0.0.1:80/b", ErrRefused},
		{"http://127.0.0.1", ErrRefused},
		{"http://127.0.0.1:81/", nil},
		{"https://127.0.0.1/", nil},
		{"http://[::1]/", nil},
		{"%", nil},
	} {
		require.Equal(t, tc.want, proxy.FailedSince(before, tc.address), tc.address)
	}
	_, err := client.Get("https://LOCALHOST/")
	require.Error(t, err)
	require.Equal(t, ErrRefused, proxy.FailedSince(before, "https://localhost"))
	require.NoError(t, proxy.FailedSince(proxy.Mark(), ""))
	for range failuresKept {
		get(t, client, "http://[::1]/")
	}
	require.Equal(t, ErrRefused, proxy.FailedSince(before, "http://[::1]"))
	require.NoError(t, proxy.FailedSince(before, "http://127.0.0.1"), "forgotten")

	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, silent.Close())
	proxy, client = through(t, onlyLoopback)
	status, _ = get(t, client, "http://"+silent.Addr().String())
	require.Equal(t, http.StatusBadGateway, status)
	require.Equal(t, ErrUnanswered, proxy.FailedSince(0, "http://"+silent.Addr().String()))
}
