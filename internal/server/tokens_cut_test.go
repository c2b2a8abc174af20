package server

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/wire"
)

func TestRevokingATokenCutsItsExecutions(t *testing.T) {
	h := newHarness(t)
	ws, _, loading := h.slow()
	token := h.mint(ws.ID, "crm", object{})
	body := visits("a.example")
	body["async"] = true
	start := func(send func() answer) (op bctrl.OperationInfo) {
		got := send()
		require.Equal(t, http.StatusOK, got.Status, "%s", got.Body)
		require.NoError(t, json.Unmarshal(got.Body, &op))
		return op
	}
	path := []string{"workspaces", ws.ID, "execute"}
	left := start(func() answer { return h.do("POST", path, nil, body) })
	<-loading // it has the page, for which the other waits
	cut := start(func() answer { return h.with(token, "POST", path, body) })
	h.ok("DELETE", []string{"tokens", tokenID(t, token)}, nil, nil)

	var waited wire.Waited[bctrl.OperationInfo]
	h.ok("POST", []string{"operations", cut.ID, "wait"}, object{"timeoutMs": 10000}, &waited)
	require.Equal(t, wire.WaitCompleted, waited.WaitStatus)
	require.Equal(t, bctrl.OperationFailed, waited.Operation.Status)
	require.Equal(t, "auth.token_revoked", waited.Operation.Error.Code)
	var other bctrl.OperationInfo
	h.ok("GET", []string{"operations", left.ID}, nil, &other)
	require.False(t, other.Status.Final(), "another caller's goes on")
}

// openBrowser keeps a DevTools connection until it is told to end.
type openBrowser struct {
	browser.Browser
	open chan struct{}
}

func (b openBrowser) ServeCDP(ctx context.Context, _ browser.CDPConn) error {
	b.open <- struct{}{}
	<-ctx.Done()
	return ctx.Err()
}

// openDriver starts such browsers.
type openDriver struct {
	browser.Driver
	open chan struct{}
}

func (d openDriver) Launch(ctx context.Context, s browser.Spec) (browser.Browser, error) {
	b, err := d.Driver.Launch(ctx, s)
	return openBrowser{b, d.open}, err
}

func TestRevokingATokenCutsItsConnections(t *testing.T) {
	h := newHarness(t)
	var handling sync.WaitGroup
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handling.Add(1)
		defer handling.Done()
		h.server.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	open := make(chan struct{})
	h.startWith(openDriver{h.browsers, open})
	ws := h.workspace("sales", sales())
	h.launch(ws, "crm", nil)
	path := []string{"workspaces", ws.ID, "runtimes", "crm", "connect"}
	dial := func(got answer) (*websocket.Conn, *http.Response, error) {
		var c wire.Connection
		require.NoError(t, json.Unmarshal(got.Body, &c))
		_, address, _ := strings.Cut(c.URL.Reveal(), "/devtools/")
		return websocket.Dial(t.Context(), srv.URL+"/devtools/"+address, nil)
	}
	token := h.mint(ws.ID, "crm", object{})
	ticket := h.with(token, "GET", path, nil)
	conn, _, err := dial(ticket)
	require.NoError(t, err)
	<-open
	kept, _, err := dial(h.do("GET", path, nil, nil))
	require.NoError(t, err)
	<-open
	h.ok("DELETE", []string{"tokens", tokenID(t, token)}, nil, nil)
	_, _, err = conn.Read(t.Context())
	require.Error(t, err, "the connection was cut")
	_, resp, err := dial(ticket)
	require.Error(t, err)
	require.Equal(t, http.StatusUnauthorized, resp.StatusCode, "its connect URL is dead too")
	require.NoError(t, kept.Write(t.Context(), websocket.MessageText, []byte("{}")), "the organization's goes on")
	require.NoError(t, kept.CloseNow())
	h.ok("POST", []string{"workspaces", ws.ID, "runtimes", "crm", "stop"}, nil, nil)
	handling.Wait() // what a token held is let go after its connection has ended
	require.Zero(t, h.server.Underway())
}

func TestWhatATokenHasRunningEndsWithItsExpiry(t *testing.T) {
	h := newHarness(t)
	ws, _, loading := h.slow()
	h.begin(ws, visits("a.example"))
	<-loading // somebody else has the page
	long := h.mint(ws.ID, "crm", object{})
	token, err := bctrl.Attenuate(long, bctrl.Mounts{}, time.Now().Add(2*time.Second))
	require.NoError(t, err)
	body := object{"runtime": "crm", "async": true, "steps": []object{{"call": "page.screenshot", "args": object{}}}}
	got := h.with(token, "POST", []string{"workspaces", ws.ID, "execute"}, body)
	require.Equal(t, http.StatusOK, got.Status, "%s", got.Body)
	var op bctrl.OperationInfo
	require.NoError(t, json.Unmarshal(got.Body, &op))
	var waited wire.Waited[bctrl.OperationInfo]
	h.ok("POST", []string{"operations", op.ID, "wait"}, object{"timeoutMs": 30000}, &waited)
	require.Equal(t, bctrl.OperationFailed, waited.Operation.Status)
	require.Equal(t, "auth.token_expired", waited.Operation.Error.Code)
}
