package bridge

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest"
)

// runtimeOf launches a runtime with a fake browser.
func runtimeOf(t testing.TB, mounts bctrl.Mounts) *bctrl.Runtime {
	t.Helper()
	ws, err := bctrltest.New(t).Client().Workspaces.Create(t.Context(), bctrl.WorkspaceCreate{Name: "w", Mounts: mounts})
	require.NoError(t, err)
	rt, err := ws.Runtimes.Browser("b").Playwright(t.Context(), bctrl.Launch{})
	require.NoError(t, err)
	return rt
}

// bridged is a bridge with a browser behind it that the test plays.
type bridged struct {
	t  *testing.T
	rt *bctrl.Runtime
	b  *Bridge
	// address is the bridge's, browsers the far ends of its connections, but for its own.
	address  string
	browsers chan *peer
	// own is the bridge's own connection, as it is made.
	own chan *peer
	// ended has why the bridge is over, reports what it reported.
	ended   chan error
	stop    func()
	mu      sync.Mutex
	reports []string
}

// bridgeTo runs a bridge to a runtime until the test ends.
func bridgeTo(t *testing.T, rt *bctrl.Runtime, with Config) *bridged {
	t.Helper()
	x := &bridged{t: t, rt: rt, browsers: make(chan *peer), own: make(chan *peer, 1), ended: make(chan error, 1)}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var made atomic.Bool
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, pathBrowser) {
			http.NotFound(w, r)
			return
		}
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		conn.SetReadLimit(-1)
		p := &peer{t: t, conn: conn, over: make(chan struct{})}
		if !made.Swap(true) {
			x.own <- p
		} else {
			select {
			case x.browsers <- p:
			case <-ctx.Done():
			}
		}
		select {
		case <-p.over:
		case <-ctx.Done():
		}
	}))
	with.Runtime, with.Server = rt, front.URL
	with.Report = func(text string) {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.reports = append(x.reports, text)
	}
	b, err := Open(ctx, with)
	require.NoError(t, err)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	x.b, x.address, x.stop = b, b.Address(l.Addr()), cancel
	var served sync.WaitGroup
	served.Go(func() { x.ended <- b.Serve(ctx, l) })
	t.Cleanup(func() {
		cancel()
		served.Wait()
		front.CloseClientConnections()
		front.Close()
	})
	return x
}

// connect is a client of the bridge and the browser's end of its connection.
func (x *bridged) connect() (client, browser *peer) {
	x.t.Helper()
	conn, _, err := websocket.Dial(x.t.Context(), x.address, nil)
	require.NoError(x.t, err)
	x.t.Cleanup(func() { _ = conn.CloseNow() })
	conn.SetReadLimit(-1)
	return &peer{t: x.t, conn: conn}, <-x.browsers
}

// peer is one end of a connection.
type peer struct {
	t    *testing.T
	conn *websocket.Conn
	over chan struct{} // of a browser's end: it lasts until it is closed
}

// say sends a message. It may be called from another goroutine than the test's.
func (p *peer) say(msg string) {
	p.t.Helper()
	assert.NoError(p.t, p.conn.Write(p.t.Context(), websocket.MessageText, []byte(msg)))
}

// hear waits for a message.
func (p *peer) hear() string {
	p.t.Helper()
	_, msg, err := p.conn.Read(p.t.Context())
	require.NoError(p.t, err)
	return string(msg)
}

// command is one of a client, as the browser reads it.
type command struct {
	ID     int64
	Method string
	Params struct {
		Files         []string
		EventsEnabled bool
		BackendNodeID int
	}
}

func (p *peer) hearCommand() (c command) {
	p.t.Helper()
	require.NoError(p.t, json.Unmarshal([]byte(p.hear()), &c))
	return c
}
