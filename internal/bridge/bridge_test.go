package bridge

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest"
)

// What is not about files passes as it is, whichever way it goes.
func TestMessagesPassUnchanged(t *testing.T) {
	x := bridgeTo(t, runtimeOf(t, bctrl.Mounts{}), Config{})
	for _, m := range []struct {
		kind websocket.MessageType
		text string
		why  string
	}{
		{websocket.MessageText, `{"id":1,"method":"Page.enable"}`, "a command"},
		{websocket.MessageText, ` {"method" : "Page.enable", "id": 1.0 }`, "white space and numbers as they are"},
		{websocket.MessageText, `{"id":1,"id":2,"method":"Browser.close","x":"\ud800"}`, "what the server may refuse"},
		{websocket.MessageText, `no message, setDownloadBehavior`, "what is no message"},
		{websocket.MessageText, ``, "nothing"},
		{websocket.MessageText, `{"id":3,"method":"DOM.setFileInputFiles","params":{"files":["/storage/a"]}}`, "in storage"},
		{websocket.MessageText, `{"id":3,"method":"DOM.setFileInputFiles","params":{"files":["a/b.txt"]}}`, "in storage"},
		{websocket.MessageText, `{"id":4,"method":"Browser.setDownloadBehavior","params":{"behavior":"deny"}}`, "no folder"},
		{websocket.MessageText, `{"id":4,"method":"Browser.setDownloadBehavior","params":7}`, "parameters that are none"},
		{websocket.MessageText, `{"method":"Target.targetCreated","params":null}`, "an event without its parameters"},
		{websocket.MessageText, `{"method":"Page.downloadProgress","params":{"guid":"g","state":"completed"}}`, "unasked"},
		{websocket.MessageBinary, "\x00\xff", "bytes"},
		{websocket.MessageText, strings.Repeat("x", 4<<20), "4 MiB"},
	} {
		for _, back := range []bool{false, true} {
			from, to := x.connect()
			browser := to
			if back {
				from, to = to, from
			}
			sent := make(chan error, 1)
			go func() { sent <- from.conn.Write(t.Context(), m.kind, []byte(m.text)) }()
			kind, got, err := to.conn.Read(t.Context())
			require.NoError(t, err, m.why)
			require.NoError(t, <-sent, m.why)
			require.Equal(t, m.kind, kind, m.why)
			require.True(t, m.text == string(got), m.why)
			close(browser.over)
		}
	}
}

// An end reaches the other side as what it was.
func TestAConnectionEndsAsTheOtherSideHasEndedIt(t *testing.T) {
	x := bridgeTo(t, runtimeOf(t, bctrl.Mounts{}), Config{})
	for _, back := range []bool{false, true} {
		for _, code := range []websocket.StatusCode{
			websocket.StatusNormalClosure, websocket.StatusMessageTooBig, 4321, websocket.StatusNoStatusRcvd,
		} {
			from, to := x.connect()
			if back {
				from, to = to, from
			}
			reason := "why"
			if code == websocket.StatusNoStatusRcvd {
				reason = ""
			}
			go func() { _ = from.conn.Close(code, reason) }()
			_, _, err := to.conn.Read(t.Context())
			var end websocket.CloseError
			require.ErrorAs(t, err, &end)
			require.Equal(t, websocket.CloseError{Code: code, Reason: reason}, end)
		}
		from, to := x.connect()
		if back {
			from, to = to, from
		}
		require.NoError(t, from.conn.CloseNow())
		_, _, err := to.conn.Read(t.Context())
		require.Error(t, err)
		require.Equal(t, websocket.StatusCode(-1), websocket.CloseStatus(err), "there is no frame that ends it")
	}
}

// Two clients have a connection each, and one that does not read holds only itself up.
func TestEachClientHasItsOwnConnection(t *testing.T) {
	x := bridgeTo(t, runtimeOf(t, bctrl.Mounts{}), Config{})
	_, slow := x.connect()
	client, browser := x.connect()
	full, cancel := context.WithCancel(t.Context())
	stuck := make(chan struct{})
	go func() {
		defer close(stuck)
		for slow.conn.Write(full, websocket.MessageText, make([]byte, 1<<20)) == nil {
		}
	}()
	for range 100 {
		client.say(`{"id":1}`)
		require.Equal(t, `{"id":1}`, browser.hear())
		browser.say(`{"id":1,"result":{}}`)
		require.Equal(t, `{"id":1,"result":{}}`, client.hear())
	}
	cancel()
	<-stuck
}

// Whoever does not know the address does not get in, and a page of a browser does not
// learn it.
func TestTheAddressIsTheProof(t *testing.T) {
	rt := runtimeOf(t, bctrl.Mounts{})
	x := bridgeTo(t, rt, Config{})
	base, token, _ := strings.Cut(x.address, pathBrowser)
	require.Len(t, token, 64, "256 bits")
	base = strings.Replace(base, "ws://", "http://", 1)
	get := func(path, host string, header ...string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+path, nil)
		require.NoError(t, err)
		if host != "" {
			r.Host = host
		}
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, string(body)
	}
	status, _ := get(pathBrowser+strings.Repeat("0", 64), "")
	require.Equal(t, http.StatusNotFound, status)
	status, _ = get("/", "")
	require.Equal(t, http.StatusNotFound, status)

	status, text := get("/json/version", "")
	require.Equal(t, http.StatusOK, status, "a process of the same user")
	var told map[string]string
	require.NoError(t, json.Unmarshal([]byte(text), &told))
	require.True(t, told["webSocketDebuggerUrl"] == x.address)
	status, text = get("/json/version", "rebound.example.com")
	require.Equal(t, http.StatusForbidden, status)
	require.NotContains(t, text, token)

	upgrade := []string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13",
		"Sec-WebSocket-Key", "short"} // go-rod's has not the 16 bytes of the RFC either
	go func() { close((<-x.browsers).over) }()
	status, _ = get(pathBrowser+token, "", append(upgrade, "Origin", "https://example.com")...)
	require.Equal(t, http.StatusForbidden, status)
	go func() { close((<-x.browsers).over) }()
	status, _ = get(pathBrowser+token, "", upgrade...)
	require.Equal(t, http.StatusSwitchingProtocols, status)
}

// Where the system does not say whose a connection is, or says another's, the address is
// not told.
func TestTheAddressIsToldToNobodyOfWhomNothingIsKnown(t *testing.T) {
	x := bridgeTo(t, runtimeOf(t, bctrl.Mounts{}), Config{})
	open := bridgeTo(t, x.rt, Config{AnyUser: true})
	for b, want := range map[*Bridge]int{x.b: http.StatusForbidden, open.b: http.StatusOK} {
		w := &recorder{header: http.Header{}}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1/json/version", nil)
		require.NoError(t, err)
		r.RemoteAddr = "127.0.0.1:1"
		b.discover(w, r)
		require.Equal(t, want, w.status)
		require.Equal(t, want == http.StatusOK, strings.Contains(w.body.String(), b.token))
	}
}

type recorder struct {
	header http.Header
	status int
	body   strings.Builder
}

func (w *recorder) Header() http.Header    { return w.header }
func (w *recorder) WriteHeader(status int) { w.status = status }
func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.body.Write(b)
}

// TestTheBridgeEnds with its runtime, and with the browser that a client has closed.
func TestTheBridgeEnds(t *testing.T) {
	rt := runtimeOf(t, bctrl.Mounts{})
	t.Run("when it is told to", func(t *testing.T) {
		x := bridgeTo(t, rt, Config{})
		client, _ := x.connect()
		x.stop()
		require.NoError(t, <-x.ended)
		_, _, err := client.conn.Read(t.Context())
		require.Error(t, err)
	})
	t.Run("when a client has closed the browser", func(t *testing.T) {
		x := bridgeTo(t, rt, Config{EndWithClose: true})
		client, browser := x.connect()
		client.say(`{"id":1,"method":"Browser.close"}`)
		browser.hear()
		browser.say(`{"id":1,"result":{}}`)
		require.Equal(t, `{"id":1,"result":{}}`, client.hear())
		close(browser.over)
		require.NoError(t, <-x.ended)
	})
	t.Run("not where the runtime is not its own", func(t *testing.T) {
		x := bridgeTo(t, rt, Config{})
		client, browser := x.connect()
		client.say(`{"id":1,"method":"Browser.close"}`)
		browser.hear()
		close(browser.over)
		_, _ = x.connect()
	})
	t.Run("when the runtime does", func(t *testing.T) {
		x := bridgeTo(t, rt, Config{})
		other, err := rt.Narrow(bctrl.Mounts{}) // the handle is the bridge's
		require.NoError(t, err)
		require.NoError(t, other.Stop(t.Context()))
		close((<-x.own).over)
		err = <-x.ended
		require.EqualError(t, err, "bridge.runtime_ended: the runtime is stopped")
	})
}

// A client that is let in by a pipe is served like the others, and the bridge ends with it.
func TestAPipeIsServed(t *testing.T) {
	x := bridgeTo(t, runtimeOf(t, bctrl.Mounts{}), Config{})
	way, err := Open(t.Context(), Config{Runtime: x.rt, Server: x.b.Server, Report: func(string) {}})
	require.NoError(t, err)
	<-x.browsers // its own
	in, toBridge := io.Pipe()
	fromBridge, out := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- way.ServePipe(t.Context(), NewPipe(in, out)) }()
	browser := <-x.browsers
	_, err = io.WriteString(toBridge, "{\"id\":1}\x00{\"id\":2}\x00")
	require.NoError(t, err)
	require.Equal(t, `{"id":1}`, browser.hear())
	require.Equal(t, `{"id":2}`, browser.hear())
	go browser.say(`{"id":2,"result":{}}`)
	answer, err := bufio.NewReader(fromBridge).ReadString(0)
	require.NoError(t, err)
	require.Equal(t, "{\"id\":2,\"result\":{}}\x00", answer)
	require.NoError(t, toBridge.Close())
	require.NoError(t, <-ended)
}

// There is nothing to bridge to a runtime that is driven by WebDriver, and no error shows
// a connect URL.
func TestWhatCannotBeBridgedIsSaid(t *testing.T) {
	srv := bctrltest.New(t)
	ws, err := srv.Client().Workspaces.Create(t.Context(), bctrl.WorkspaceCreate{Name: "w"})
	require.NoError(t, err)
	rt, err := ws.Runtimes.Browser("s").Selenium(t.Context(), bctrl.Launch{})
	require.NoError(t, err)
	_, err = Open(t.Context(), Config{Runtime: rt, Server: srv.URL})
	require.ErrorContains(t, err, "bridge.not_devtools")

	rt, err = ws.Runtimes.Browser("p").Playwright(t.Context(), bctrl.Launch{})
	require.NoError(t, err)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close()) // nobody listens there
	_, err = Open(t.Context(), Config{Runtime: rt, Server: "http://" + l.Addr().String()})
	require.ErrorContains(t, err, "bridge.not_connected")
	require.False(t, strings.Contains(err.Error(), pathBrowser), "an error shows a connect URL")
	_, err = Open(t.Context(), Config{Runtime: rt, Server: "://"})
	require.Error(t, err)
}
