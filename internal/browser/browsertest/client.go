package browsertest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/remote"
	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// wsConn is a websocket as a [browser.CDPConn].
type wsConn struct{ ws *websocket.Conn }

func (c wsConn) Read(ctx context.Context) ([]byte, error) {
	_, b, err := c.ws.Read(ctx)
	return b, err
}

func (c wsConn) Write(ctx context.Context, msg []byte) error {
	return c.ws.Write(ctx, websocket.MessageText, msg)
}

// Connect serves b's DevTools protocol on a websocket as the server does, and
// returns its address. Errors of ServeCDP fail the test.
func Connect(t *testing.T, b browser.Browser) string {
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
		ws.SetReadLimit(browser.MaxCommand)
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

// Chromedp connects chromedp to b as a user's program would.
func Chromedp(t *testing.T, b browser.Browser) context.Context {
	t.Helper()
	actx, cancelAllocator := remote.NewAllocator(context.Background(), Connect(t, b), remote.NoModifyURL)
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

// MemConn is one end of an in-memory DevTools connection.
type MemConn struct {
	in  <-chan []byte
	out chan<- []byte
}

// PipeConn returns the two ends of a connection.
func PipeConn() (MemConn, MemConn) {
	a, b := make(chan []byte, 64), make(chan []byte, 64)
	return MemConn{a, b}, MemConn{b, a}
}

func (c MemConn) Read(ctx context.Context) ([]byte, error) {
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

func (c MemConn) Write(ctx context.Context, b []byte) error {
	select {
	case c.out <- b:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// filesConn is a connection of a client that has files.
type filesConn struct {
	MemConn
	texts map[string]string
}

// OpenFile implements [browser.ClientFiles].
func (c filesConn) OpenFile(_ context.Context, name string) (browser.File, error) {
	text, ok := c.texts[name]
	if !ok {
		return browser.File{}, errors.New("storage.not_found: there is no such file")
	}
	return browser.File{
		Name: path.Base(name),
		Size: int64(len(text)),
		WriteTo: func(_ context.Context, w io.Writer) error {
			_, err := io.WriteString(w, text)
			return err
		},
	}, nil
}

// Outsider is a client from outside that sees every event it is told.
type Outsider struct {
	*testing.T
	Conn   *protocol.Conn
	Root   protocol.Session
	events chan Event
	Leave  func()
}

// Tab is a tab that a client has attached.
type Tab struct {
	protocol.Session
	TargetID target.ID
}

// Event is what a client was told.
type Event struct {
	Session target.SessionID
	Method  string
	Params  jsonv2.Value
}

// Join connects a client to b as the server does, through the filter.
func Join(t *testing.T, b browser.Browser) *Outsider {
	t.Helper()
	return JoinWithFiles(t, b, nil)
}

// JoinWithFiles is [Join] of a client that gives pages files, whose texts these are.
func JoinWithFiles(t *testing.T, b browser.Browser, files map[string]string) *Outsider {
	t.Helper()
	return join(t, b, func(pipe MemConn) browser.CDPConn { return filesConn{pipe, files} })
}

// JoinWithRights is [Join] of a client that has rights.
func JoinWithRights(t *testing.T, b browser.Browser, rights *Rights) *Outsider {
	t.Helper()
	return join(t, b, func(pipe MemConn) browser.CDPConn { return RightsConn{pipe, rights} })
}

func join(t *testing.T, b browser.Browser, over func(MemConn) browser.CDPConn) *Outsider {
	t.Helper()
	here, pipe := PipeConn()
	there := over(pipe)
	life, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- b.ServeCDP(life, there) }()
	o := newOutsider(t, life, here)
	left := false
	o.Leave = func() {
		if !left {
			left = true
			cancel()
			require.NoError(t, <-served)
			<-o.Conn.Done()
		}
	}
	t.Cleanup(o.Leave)
	return o
}

// newOutsider is a client over a connection, until life or the connection ends.
func newOutsider(t *testing.T, life context.Context, conn browser.CDPConn) *Outsider {
	t.Helper()
	o := &Outsider{T: t, events: make(chan Event, 1<<12)}
	o.Conn = protocol.NewConn(life, conn, func(session target.SessionID, method string, params jsonv2.Value) {
		o.events <- Event{session, method, params}
	})
	o.Root = o.Conn.Root()
	return o
}

// Events are what the client is told, in order, for who follows all of it.
func (o *Outsider) Events() <-chan Event { return o.events }

// OpenTab opens a tab and attaches it.
func (o *Outsider) OpenTab(url string, in cdp.BrowserContextID) *Tab {
	o.Helper()
	made, err := protocol.Call(o.Context(), o.Root, target.CreateTarget, target.CreateTargetParams{
		URL:              url,
		BrowserContextID: in,
	})
	require.NoError(o, err)
	return o.AttachTab(made.TargetID)
}

// AttachTab attaches a tab.
func (o *Outsider) AttachTab(id target.ID) *Tab {
	o.Helper()
	flat := true
	got, err := protocol.Call(o.Context(), o.Root, target.AttachToTarget, target.AttachToTargetParams{
		TargetID: id,
		Flatten:  &flat,
	})
	require.NoError(o, err)
	return &Tab{Session: o.Conn.Session(got.SessionID), TargetID: id}
}

// NextEvent waits for an event.
func (o *Outsider) NextEvent(method string) Event {
	o.Helper()
	for {
		select {
		case ev := <-o.events:
			if ev.Method == method {
				return ev
			}
		case <-time.After(20 * time.Second):
			require.FailNow(o, "no "+method)
		}
	}
}

// ForgetEvents drops what it was told so far.
func (o *Outsider) ForgetEvents() {
	for len(o.events) > 0 {
		<-o.events
	}
}

// Evaluate runs a script in a tab, as a person who clicks may.
func (o *Outsider) Evaluate(s *Tab, script string) string {
	o.Helper()
	value, by := true, true
	got, err := protocol.Call(o.Context(), s, runtime.Evaluate, runtime.EvaluateParams{
		Expression:    script,
		ReturnByValue: &value,
		UserGesture:   &by,
		AwaitPromise:  &by,
	})
	require.NoError(o, err)
	require.Nil(o, got.ExceptionDetails)
	return string(got.Result.Value)
}

// Tabs are the tabs that a client sees.
func (o *Outsider) Tabs() (list []*target.Info) {
	o.Helper()
	got, err := protocol.Call(o.Context(), o.Root, target.GetTargets, target.GetTargetsParams{})
	require.NoError(o, err)
	return slices.DeleteFunc(got.TargetInfos, func(i *target.Info) bool { return i.Type != "page" })
}

// Ask has a page ask, and returns what becomes of its question: as soon as it
// is known.
func (o *Outsider) Ask(s *Tab, question string) {
	o.Helper()
	o.Evaluate(s, `window.became = "nothing"; setTimeout(() => window.became = String(`+question+`)); 1`)
}

// RequireAnswer waits until a question has become what is wanted: see [Outsider.Ask].
func (o *Outsider) RequireAnswer(s *Tab, want, why string) {
	o.Helper()
	require.Eventually(o, func() bool { return o.Evaluate(s, "became") == strconv.Quote(want) },
		10*time.Second, 10*time.Millisecond, why)
}

// InputValues reads what scripts of the page see in the inputs of every tab, in a
// world of its own that no script of the page has changed.
func InputValues(ctx context.Context, t *testing.T, b browser.Browser) string {
	t.Helper()
	o := Join(t, b)
	defer o.Leave()
	var all []string
	for _, info := range o.Tabs() {
		tab := o.AttachTab(info.TargetID)
		tree, err := protocol.Call(ctx, tab, page.GetFrameTree, cdp.Empty{})
		require.NoError(t, err)
		world, err := protocol.Call(ctx, tab, page.CreateIsolatedWorld, page.CreateIsolatedWorldParams{
			FrameID: tree.FrameTree.Frame.ID, WorldName: "test",
		})
		require.NoError(t, err)
		value := true
		got, err := protocol.Call(ctx, tab, runtime.Evaluate, runtime.EvaluateParams{
			ContextID: world.ExecutionContextID, ReturnByValue: &value, Expression: `
				[...document.querySelectorAll('input')].map(i => i.value).join('\n') + '\n' +
				document.documentElement.outerHTML + '\n' + location.href`,
		})
		require.NoError(t, err)
		require.Nil(t, got.ExceptionDetails)
		var text string
		require.NoError(t, json.Unmarshal(got.Result.Value, &text))
		all = append(all, text)
	}
	return strings.Join(all, "\n")
}

// Seen are the parameters of all events that it was told of and has not waited for.
func (o *Outsider) Seen() (all []string) {
	for len(o.events) > 0 {
		ev := <-o.events
		all = append(all, ev.Method+" "+string(ev.Params))
	}
	return all
}

// Rights are those of a client, for tests that look at what it was refused.
type Rights struct {
	// ReadPDF says what a PDF says.
	ReadPDF func(ctx context.Context, pdf []byte) (string, error)

	// Hosts are those that the client may see; nil is every one. They change by Lower alone
	// once it is connected.
	Hosts []string

	mu      sync.Mutex
	refused []string
}

// SeesEveryHost implements [browser.ClientRights].
func (r *Rights) SeesEveryHost() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.Hosts == nil
}

// SeesHost implements [browser.ClientRights].
func (r *Rights) SeesHost(host string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.Hosts == nil || slices.Contains(r.Hosts, host)
}

// Lower leaves the client these hosts.
func (r *Rights) Lower(hosts ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Hosts = append([]string{}, hosts...)
}

// SeesCookiesOf implements [browser.ClientRights].
func (r *Rights) SeesCookiesOf(domain string) bool {
	return r.SeesHost(strings.TrimPrefix(domain, "."))
}

// PrintedText implements [browser.ClientRights].
func (r *Rights) PrintedText(ctx context.Context, pdf []byte) (string, error) {
	return r.ReadPDF(ctx, pdf)
}

// RecordRefusal implements [browser.ClientRights].
func (r *Rights) RecordRefusal(_ context.Context, refusal *bctrl.Error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refused = append(r.refused, refusal.Code)
	return refusal
}

// Refused are the codes of what the client was refused, and records nothing of it any more.
func (r *Rights) Refused() (codes []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	codes, r.refused = r.refused, nil
	return codes
}

// RightsConn is the end of a connection of a client with rights.
type RightsConn struct {
	MemConn
	*Rights
}
