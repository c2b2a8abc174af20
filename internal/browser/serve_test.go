package browser

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/remote"
	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
)

// wsConn is a websocket as a [CDPConn].
type wsConn struct{ ws *websocket.Conn }

func (c wsConn) Read(ctx context.Context) ([]byte, error) {
	_, b, err := c.ws.Read(ctx)
	return b, err
}

func (c wsConn) Write(ctx context.Context, msg []byte) error {
	return c.ws.Write(ctx, websocket.MessageText, msg)
}

// connect serves b's DevTools protocol on a websocket as the server does, and
// returns its address. Errors of ServeCDP fail the test.
func connect(t *testing.T, b *chromium) string {
	t.Helper()
	var serving sync.WaitGroup
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		serving.Add(1)
		defer serving.Done()
		ws, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Errorf("accept: %v", err)
			return
		}
		defer ws.CloseNow()
		ws.SetReadLimit(MaxCommand)
		if err := b.ServeCDP(r.Context(), wsConn{ws}); err != nil {
			t.Errorf("ServeCDP: %v", err)
		}
	}))
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
		serving.Wait()
	})
	return "ws" + strings.TrimPrefix(srv.URL, "http") + "/devtools/browser/0"
}

// client connects chromedp to b as a user's program would.
func client(t *testing.T, b *chromium) context.Context {
	t.Helper()
	actx, cancelAllocator := remote.NewAllocator(context.Background(), connect(t, b), remote.NoModifyURL)
	ctx, cancel := chromedp.NewContext(actx, chromedp.WithErrorf(t.Logf))
	ctx, cancelTimeout := context.WithTimeout(ctx, 30*time.Second)
	t.Cleanup(func() {
		cancelTimeout()
		cancel()
		cancelAllocator()
		chromedp.FromContext(ctx).Allocator.Wait()
	})
	require.NoError(t, chromedp.Do(ctx))
	return ctx
}

// site serves a small page at every path.
func site(t *testing.T, html string) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(html))
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

func TestChromedpDrivesABrowserThroughTheFilter(t *testing.T) {
	b := launch(t, Spec{ID: "drive", Egress: loopback()})
	url := site(t, `<title>one</title><input id=name><button onclick="document.title='hello '+document.querySelector('#name').value">go</button>`)
	ctx := client(t, b)

	require.NoError(t, chromedp.Do(ctx,
		chromedp.Navigate(url),
		chromedp.SendKeys(chromedp.CSS("#name"), "Ada"),
		chromedp.Click(chromedp.CSS("button")),
	))
	title, err := chromedp.Run(ctx, chromedp.Title())
	require.NoError(t, err)
	require.Equal(t, "hello Ada", title)
	shot, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	require.NoError(t, err)
	require.Equal(t, "\x89PNG", string(shot[:4]))

	other, cancel := chromedp.NewContext(ctx)
	defer cancel()
	require.NoError(t, chromedp.Do(other, chromedp.Navigate(url+"/other")))
	tabs, err := chromedp.Targets(ctx)
	require.NoError(t, err)
	pages := 0
	for _, tab := range tabs {
		if tab.Type == "page" {
			pages++
		}
	}
	require.GreaterOrEqual(t, pages, 2, "both tabs are seen")

	// The same commands go wrong in the ways that the table says.
	_, err = cdp.Call(ctx, chromedp.FromContext(ctx).Target, page.Navigate, page.NavigateParams{URL: "file:///etc/passwd"})
	require.ErrorContains(t, err, "refused")
	_, err = cdp.Call(ctx, chromedp.FromContext(ctx).Target, fetch.Enable, fetch.EnableParams{})
	require.ErrorContains(t, err, "refused")
	_, err = cdp.Call(ctx, chromedp.FromContext(ctx).Browser, cdpbrowser.Crash, cdp.Empty{})
	require.ErrorContains(t, err, "refused")
}

func TestTwoClientsDoNotSeeEachOthersSessions(t *testing.T) {
	b := launch(t, Spec{ID: "two", Egress: loopback()})
	first, second := client(t, b), client(t, b)
	url := site(t, "<title>x</title>")
	require.NoError(t, chromedp.Do(first, chromedp.Navigate(url)))
	session := chromedp.FromContext(first).Target.SessionID

	ws, _, err := websocket.Dial(t.Context(), connect(t, b), nil)
	require.NoError(t, err)
	defer ws.CloseNow()
	ask := func(m message) message {
		t.Helper()
		raw, err := json.Marshal(m)
		require.NoError(t, err)
		require.NoError(t, ws.Write(t.Context(), websocket.MessageText, raw))
		_, raw, err = ws.Read(t.Context())
		require.NoError(t, err)
		var answer message
		require.NoError(t, json.Unmarshal(raw, &answer))
		return answer
	}
	answer := ask(message{ID: 1, SessionID: session, Method: "Runtime.evaluate", Params: []byte(`{"expression":"1"}`)})
	require.NotNil(t, answer.Error, "another client's session")
	require.EqualValues(t, codeSessionNotFound, answer.Error.Code)
	answer = ask(message{ID: 2, Method: "Target.detachFromTarget", Params: []byte(`{"sessionId":"` + string(session) + `"}`)})
	require.NotNil(t, answer.Error, "another client's session")

	title, err := chromedp.Run(first, chromedp.Title())
	require.NoError(t, err, "it is untouched")
	require.Equal(t, "x", title)
	require.NoError(t, chromedp.Do(second, chromedp.Navigate(url)), "and so is the other client")
}

func TestAClientThatLeavesIsDetached(t *testing.T) {
	b := launch(t, Spec{ID: "leave", Egress: loopback()})
	ctx, cancel := context.WithCancel(t.Context())
	here, there := pipeConn()
	served := make(chan error, 1)
	go func() { served <- b.ServeCDP(ctx, there) }()
	here.call(t, `{"id":1,"method":"Target.getTargets"}`)
	require.Len(t, b.mux.clients, 1)
	cancel()
	require.NoError(t, <-served)
	b.mux.mu.Lock()
	defer b.mux.mu.Unlock()
	require.Empty(t, b.mux.clients)
	require.Empty(t, b.mux.sessions)
	require.Empty(t, b.mux.pending)
}

// memConn is one end of an in-memory DevTools connection.
type memConn struct {
	in  <-chan []byte
	out chan<- []byte
}

func pipeConn() (memConn, memConn) {
	a, b := make(chan []byte, 64), make(chan []byte, 64)
	return memConn{a, b}, memConn{b, a}
}

func (c memConn) Read(ctx context.Context) ([]byte, error) {
	select {
	case b, ok := <-c.in:
		if !ok {
			return nil, errors.New("closed")
		}
		return b, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (c memConn) Write(ctx context.Context, b []byte) error {
	select {
	case c.out <- b:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// call sends a command and returns what comes next.
func (c memConn) call(t *testing.T, command string) message {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	require.NoError(t, c.Write(ctx, []byte(command)))
	raw, err := c.Read(ctx)
	require.NoError(t, err)
	var answer message
	require.NoError(t, json.Unmarshal(raw, &answer))
	return answer
}
