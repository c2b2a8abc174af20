package egress

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// shutProxy returns a proxy for the connections of owner that may reach nothing yet.
func shutProxy(t *testing.T, route Route, owner Owner) *Proxy {
	t.Helper()
	proxy, err := NewProxy(route)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, proxy.Close()) })
	proxy.Serve(owner)
	return proxy
}

// openProxy returns a proxy for everybody.
func openProxy(t *testing.T, policy Policy, gate Gate, route Route) *Proxy {
	t.Helper()
	proxy := shutProxy(t, route, nil)
	proxy.Open(policy, gate)
	return proxy
}

// own is the address that an owner connects from; others have another of this machine.
var own, others = netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.3")

var errNoOwner = errors.New("none of the browser's")

// dialFrom opens a connection to a proxy from an address of this machine.
func dialFrom(t *testing.T, from netip.Addr, proxy *Proxy) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))}
	conn, err := d.Dial("tcp", strings.TrimPrefix(proxy.URL(), "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestAProxyServesTheConnectionsOfItsOwnerAlone(t *testing.T) {
	var reached atomic.Int64
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		reached.Add(1)
		_, _ = io.WriteString(w, "a page")
	}))
	defer site.Close()
	host := strings.TrimPrefix(site.URL, "http://")
	var asked atomic.Int64
	proxy := shutProxy(t, Route{}, func(peer, at netip.AddrPort) error {
		asked.Add(1)
		if peer.Addr() != own || at.Addr().IsUnspecified() {
			return errNoOwner
		}
		return nil
	})
	proxy.Open(onlyLoopback, nil)

	for _, said := range []string{
		"GET " + site.URL + "/ HTTP/1.1\r\nHost: " + host + "\r\n\r\n",
		"CONNECT " + host + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n",
		"nothing of HTTP\r\n\r\n",
	} {
		other := dialFrom(t, others, proxy)
		_, err := io.WriteString(other, said)
		require.NoError(t, err)
		answer, _ := io.ReadAll(other) // an end or a reset: what was sent was not read
		require.Empty(t, answer, "somebody else learns nothing, not even that it is a proxy: %q", said)
	}
	require.Equal(t, int64(3), asked.Swap(0))
	require.Zero(t, reached.Load())

	browser := dialFrom(t, own, proxy)
	in := bufio.NewReader(browser)
	for _, said := range []string{
		"GET " + site.URL + "/ HTTP/1.1\r\nHost: " + host + "\r\n\r\n",
		"CONNECT " + host + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n",
	} {
		_, err := io.WriteString(browser, said)
		require.NoError(t, err)
		method, _, _ := strings.Cut(said, " ")
		resp, err := http.ReadResponse(in, &http.Request{Method: method})
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, resp.StatusCode)
		if method == http.MethodGet {
			text, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.Equal(t, "a page", string(text))
		}
		require.NoError(t, resp.Body.Close())
	}
	require.Equal(t, int64(2), reached.Load())
	require.Equal(t, int64(1), asked.Load(), "its owner is asked about a connection once")
}

// TestWhoIsNoOwnerHoldsNobodyUp asks about the first connection for as long as the second
// is served.
func TestWhoIsNoOwnerHoldsNobodyUp(t *testing.T) {
	asked, release := make(chan struct{}), make(chan struct{})
	proxy := shutProxy(t, Route{}, func(peer, _ netip.AddrPort) error {
		if peer.Addr() == others {
			close(asked)
			<-release
			return errNoOwner
		}
		return nil
	})
	other := dialFrom(t, others, proxy)
	<-asked
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get(proxy.URL())
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	close(release)
	_, err = other.Read(make([]byte, 1))
	require.Error(t, err)
}

func TestAProxyThatWasNeverServedLeavesNothing(t *testing.T) {
	proxy, err := NewProxy(Route{})
	require.NoError(t, err)
	require.NoError(t, proxy.Close())
	proxy.Serve(nil)
	_, err = net.Dial("tcp", strings.TrimPrefix(proxy.URL(), "http://"))
	require.Error(t, err)
	require.NoError(t, proxy.Close())
}

// TestAnOwnerDoesNotSpeakForWhoLeft: who sends and leaves gives its port to the next that
// connects, of which the kernel then tells.
func TestAnOwnerDoesNotSpeakForWhoLeft(t *testing.T) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	for _, how := range []string{"with a reset", "in order"} {
		client, err := net.Dial("tcp4", listener.Addr().String())
		require.NoError(t, err)
		_, err = io.WriteString(client, "GET http://site.example/delete HTTP/1.1\r\n\r\n")
		require.NoError(t, err)
		if how == "with a reset" {
			require.NoError(t, client.(*net.TCPConn).SetLinger(0))
		}
		require.NoError(t, client.Close())
		conn, err := ownedListener{listener, func(_, _ netip.AddrPort) error { return nil }}.Accept()
		require.NoError(t, err)
		n, err := conn.Read(make([]byte, 1024))
		require.Error(t, err, how)
		require.Zero(t, n, how)
		_ = conn.Close() // it has been
	}
}
