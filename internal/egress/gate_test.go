package egress

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// testGate lets the hosts of allowed through until they are closed.
type testGate struct {
	mu      sync.Mutex
	allowed map[string]bool
	asked   []string
	open    map[string][]context.CancelFunc
}

func (g *testGate) gate(ctx context.Context, host string, speak func(context.Context)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g.mu.Lock()
	g.asked = append(g.asked, host)
	allowed := g.allowed[host]
	if g.open == nil {
		g.open = map[string][]context.CancelFunc{}
	}
	g.open[host] = append(g.open[host], cancel)
	g.mu.Unlock()
	if !allowed {
		return errors.New("not this one")
	}
	speak(ctx)
	return nil
}

// lower ends what is open to a host and lets no more through.
func (g *testGate) lower(host string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.allowed[host] = false
	for _, end := range g.open[host] {
		end()
	}
}

func throughGate(t *testing.T, g *testGate) (*Proxy, *http.Client) {
	t.Helper()
	proxy := openProxy(t, onlyLoopback, g.gate, Route{})
	at, err := url.Parse(proxy.URL())
	require.NoError(t, err)
	transport := &http.Transport{Proxy: http.ProxyURL(at)}
	t.Cleanup(transport.CloseIdleConnections)
	return proxy, &http.Client{Transport: transport}
}

func TestTheGateIsAskedForEachHostBeforeAnythingIsSent(t *testing.T) {
	var reached []string
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		reached = append(reached, r.URL.Path)
	}))
	defer srv.Close()
	_, port, err := net.SplitHostPort(srv.Listener.Addr().String())
	require.NoError(t, err)
	g := &testGate{allowed: map[string]bool{"127.0.0.1": true}}
	proxy, client := throughGate(t, g)
	mark := proxy.Mark()
	code, _ := get(t, client, "http://127.0.0.1:"+port+"/one")
	require.Equal(t, http.StatusOK, code)
	require.NoError(t, proxy.FailedSince(mark, ""))
	code, text := get(t, client, "http://LocalHost:"+port+"/two")
	require.Equal(t, http.StatusForbidden, code)
	require.Equal(t, refusedText, strings.TrimSpace(text))
	require.Equal(t, ErrHostRefused, proxy.FailedSince(mark, "http://localhost:"+port+"/"))
	_, err = client.Get("https://[::1]:" + port)
	require.ErrorContains(t, err, "Forbidden")
	require.Equal(t, []string{"127.0.0.1", "localhost", "::1"}, g.asked)
	require.Equal(t, []string{"/one"}, reached)
}

func TestWhatTheGateNoLongerPermitsEnds(t *testing.T) {
	begun := make(chan struct{}, 2)
	ended := make(chan struct{}, 2)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "a")
		_ = http.NewResponseController(w).Flush()
		begun <- struct{}{}
		<-r.Context().Done()
		ended <- struct{}{}
	}))
	defer srv.Close()
	g := &testGate{allowed: map[string]bool{"127.0.0.1": true}}
	proxy, client := throughGate(t, g)

	tunnel, err := net.Dial("tcp", strings.TrimPrefix(proxy.URL(), "http://"))
	require.NoError(t, err)
	defer tunnel.Close()
	host := srv.Listener.Addr().String()
	_, err = io.WriteString(tunnel, "CONNECT "+host+" HTTP/1.1\r\nHost: "+host+"\r\n\r\n"+
		"GET / HTTP/1.1\r\nHost: "+host+"\r\n\r\n")
	require.NoError(t, err)
	resp, err := client.Get(srv.URL)
	require.NoError(t, err)
	defer resp.Body.Close()
	<-begun
	<-begun
	g.lower("127.0.0.1")
	<-ended
	<-ended
	_, err = io.ReadAll(resp.Body)
	require.Error(t, err, "an answer that is cut is no whole one")
	_, err = io.ReadAll(tunnel)
	require.NoError(t, err, "the tunnel ends")
}
