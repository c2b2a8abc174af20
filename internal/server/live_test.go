package server

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// stagedDriver is the fake, with tabs and a dialog that a test puts on its screens.
type stagedDriver struct {
	browser.Driver

	mu     sync.Mutex
	tabs   []browser.Tab
	dialog *browser.Dialog
	did    []string // what people did, and to which tab
	change chan struct{}
}

type stagedBrowser struct {
	browser.Browser
	on *stagedDriver
}

func (s *stagedDriver) Launch(ctx context.Context, spec browser.Spec) (browser.Browser, error) {
	b, err := s.Driver.Launch(ctx, spec)
	return stagedBrowser{b, s}, err
}

func (b stagedBrowser) Screen(context.Context) (browser.Screen, error) { return b.on, nil }

// show puts tabs and a dialog on the screen.
func (s *stagedDriver) show(dialog *browser.Dialog, tabs ...browser.Tab) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dialog, s.tabs = dialog, tabs
	close(s.change)
	s.change = make(chan struct{})
}

func (s *stagedDriver) Tabs(context.Context) ([]browser.Tab, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tabs, nil
}

func (s *stagedDriver) TabsChange() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.change
}

func (s *stagedDriver) Dialog() *browser.Dialog {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dialog
}

// Cast shows a tab once.
func (s *stagedDriver) Cast(ctx context.Context, _ browser.TabID, show func(browser.Frame)) error {
	show(browser.Frame{Width: 16, Height: 16, Withheld: true})
	<-ctx.Done()
	return nil
}

func (s *stagedDriver) Do(_ context.Context, tab browser.TabID, g browser.Gesture) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.did = append(s.did, string(g.Kind)+" "+string(tab))
	return nil
}

func (s *stagedDriver) done() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.did
}

func (s *stagedDriver) Bring(context.Context, browser.TabID) error { return nil }

func (s *stagedDriver) TakeOver(context.Context) (release func()) { return func() {} }

// liveWorld is a recorded runtime that may speak to two hosts.
type liveWorld struct {
	*harness
	stage *stagedDriver
	srv   *httptest.Server
	ws    store.Workspace
	rt    bctrl.RuntimeInfo
	path  []string // of the runtime
	opens string   // opens the view that was watched last
}

func newLiveWorld(t *testing.T, change ...func(*Config)) *liveWorld {
	h := newHarness(t, change...)
	w := &liveWorld{harness: h, stage: &stagedDriver{Driver: h.browsers, change: make(chan struct{})}}
	w.startWith(w.stage)
	w.srv = httptest.NewServer(w.server)
	t.Cleanup(w.srv.Close)
	w.ws = w.made("sales", object{
		"web": object{"allow": []string{"a.example", "b.example"}}, "storage": object{"workspace": "s"},
	})
	w.rt = w.launchRecorded(w.ws, "r")
	w.path = []string{"workspaces", w.ws.ID, "runtimes", "r"}
	return w
}

// below returns the path of something of the runtime.
func (w *liveWorld) below(segments ...string) []string { return append(w.path[:4:4], segments...) }

// narrowed are the mounts of who may see the first host alone.
var narrowed = object{"mounts": object{"web": object{"allow": []string{"a.example"}}}}

// TestARecordingIsNotShownToWhoMaySeeOnlySomeOfItsHosts records a page of each host. Who may
// see both of them may see the recording, also where a web of their own says so: what counts
// is what is in it, and what the mounts are now.
func TestARecordingIsNotShownToWhoMaySeeOnlySomeOfItsHosts(t *testing.T) {
	w := newLiveWorld(t)
	for i, host := range []string{"a.example", "b.example"} {
		w.stage.show(nil, browser.Tab{ID: browser.TabID(host), URL: "https://" + host + "/", Active: true})
		require.Eventually(t, func() bool { return len(w.recording().Marks) == i+1 }, 10*time.Second, time.Millisecond)
	}
	handle := func(mounts object) []string {
		raw, err := json.Marshal(mounts["mounts"])
		require.NoError(t, err)
		return []string{wire.HeaderRuntime, w.rt.ID, wire.HeaderMounts, base64.RawURLEncoding.EncodeToString(raw)}
	}
	record := w.below("embed", "recording")
	both := object{"mounts": object{"web": object{"allow": []string{"b.example", "a.example"}}}}
	none := w.mint(w.ws.ID, "r", object{})
	refused(t, w.with(w.mint(w.ws.ID, "r", narrowed), "POST", record, object{}), 403, "recordings.wider", "a token")
	refused(t, w.do("POST", record, nil, object{}, handle(narrowed)...), 403, "recordings.wider", "a handle")
	for why, got := range map[string]answer{
		"the organization":           w.do("POST", record, nil, object{}),
		"a token of no web":          w.with(none, "POST", record, object{}),
		"a token of both hosts":      w.with(w.mint(w.ws.ID, "r", both), "POST", record, object{}),
		"a handle of no mount":       w.do("POST", record, nil, object{}, wire.HeaderRuntime, w.rt.ID),
		"a handle of both the hosts": w.do("POST", record, nil, object{}, handle(both)...),
	} {
		require.Equal(t, http.StatusOK, got.Status, "%s: %s", why, got.Body)
	}

	var shown struct{ URL string }
	require.NoError(t, json.Unmarshal(w.with(none, "POST", record, object{}).Body, &shown))
	_, path, _ := strings.Cut(shown.URL, "/embed/")
	for _, of := range []string{"", "/index", "/frames/0", "/file"} {
		require.Equal(t, http.StatusOK, w.send("GET", "/embed/"+path+of, nil).Status, of)
	}
	mounts := object{"web": object{"allow": []string{"a.example"}}, "storage": object{"workspace": "s"}}
	w.ok("PATCH", []string{"workspaces", w.ws.ID}, object{"mounts": mounts}, nil)
	refused(t, w.with(none, "POST", record, object{}), 403, "recordings.wider", "after a lowering")
	for _, of := range []string{"/index", "/frames/0", "/file"} {
		refused(t, w.send("GET", "/embed/"+path+of, nil), 403, "recordings.wider", of)
	}
	require.Equal(t, http.StatusForbidden, w.send("GET", "/embed/"+path, nil).Status, "the page")
	require.Equal(t, http.StatusOK, w.do("POST", record, nil, object{}).Status, "the organization")
	played := w.log(bctrl.AuditFilter{Action: "recording.shown", Outcome: "recordings.wider"})
	require.Len(t, played, 1, "that it is played no more is on record once")
	require.Equal(t, []string{"allow ok", "deny recordings.wider"}, w.outcomes("recording.shown", played[0].Object))
}

// recording is what the organization is told of the recording.
func (w *liveWorld) recording() (out struct {
	Status string
	Marks  []struct{ Kind, Text string }
	Object *bctrl.StorageObject
}) {
	w.Helper()
	w.ok("POST", w.below("embed", "recording"), object{}, &out)
	return out
}

// watcher is a page that shows a live view.
type watcher struct {
	*liveWorld
	conn *websocket.Conn
}

// watch opens a live view that a caller asks for.
func (w *liveWorld) watch(as bctrl.Secret, interactive bool) watcher {
	w.Helper()
	return w.watchFor(as, interactive, time.Hour)
}

// watchFor is [liveWorld.watch] of a view that lasts for a time.
func (w *liveWorld) watchFor(as bctrl.Secret, interactive bool, ttl time.Duration) watcher {
	w.Helper()
	got := w.with(as, "POST", w.below("embed", "live"),
		object{"interactive": interactive, "ttlMs": ttl.Milliseconds()})
	require.Equal(w, http.StatusOK, got.Status, "%s", got.Body)
	var view wire.LiveView
	require.NoError(w, json.Unmarshal(got.Body, &view))
	_, path, _ := strings.Cut(view.URL.Reveal(), "/embed/live/")
	path = "/embed/live/" + path
	w.opens = path + "/open"
	got = w.send("POST", path+"/open", strings.NewReader(`{"session":""}`), "Content-Type", "application/json")
	require.Equal(w, http.StatusOK, got.Status, "%s", got.Body)
	conn, _, err := websocket.Dial(w.Context(), w.srv.URL+path+"/socket", nil)
	require.NoError(w, err)
	w.Cleanup(func() { _ = conn.CloseNow() })
	var opened object
	require.NoError(w, json.Unmarshal(got.Body, &opened))
	watching := watcher{w, conn}
	watching.say(object{"type": "hello", "session": opened["session"]})
	return watching
}

func (w watcher) say(message object) {
	w.Helper()
	data, err := json.Marshal(message)
	require.NoError(w, err)
	require.NoError(w, w.conn.Write(w.Context(), websocket.MessageText, data))
}

func (w watcher) gesture(kind string) {
	w.say(object{"type": "gesture", "gesture": object{"kind": kind}})
}

// told reads what the page is told until it is what is awaited.
func (w watcher) told(awaited func(message map[string]any) bool) map[string]any {
	w.Helper()
	for {
		kind, data, err := w.conn.Read(w.Context())
		require.NoError(w, err)
		if kind != websocket.MessageText {
			continue
		}
		var m map[string]any
		require.NoError(w, json.Unmarshal(data, &m))
		if awaited(m) {
			return m
		}
	}
}

func TestAPersonActsOnNoTabThatTheViewMayNotShow(t *testing.T) {
	w := newLiveWorld(t)
	mine := browser.Tab{ID: "mine", URL: "https://a.example/", Active: true}
	theirs := browser.Tab{ID: "theirs", URL: "https://b.example/"}
	asks := func(tab browser.TabID) *browser.Dialog {
		return &browser.Dialog{Kind: "confirm", Message: "the dialog of " + string(tab), Tab: tab}
	}
	w.stage.show(asks("theirs"), mine, theirs)
	page := w.watch(w.mint(w.ws.ID, "r", narrowed), true)
	page.say(object{"type": "take"})
	state := page.told(func(m map[string]any) bool { return m["person"] == "you" })
	require.Nil(t, state["dialog"], "it is of the hidden tab")
	isRefused := func(m map[string]any) bool { return m["code"] == "live.hidden" }
	page.gesture("accept")
	page.told(isRefused)
	w.stage.show(asks("mine"), mine, theirs)
	page.told(func(m map[string]any) bool { return m["dialog"] != nil })
	page.say(object{"type": "tab", "tab": "mine"})
	for _, kind := range []string{"accept", "mousedown"} {
		page.gesture(kind)
	}
	page.say(object{"type": "unknown"}) // is refused once what was said before is done
	page.told(func(m map[string]any) bool { return m["code"] == "live.unknown_message" })
	mine.Active, theirs.Active = false, true
	w.stage.show(nil, mine, theirs)
	page.told(func(m map[string]any) bool { return m["hidden"] == true })
	for _, kind := range []string{"mousedown", "keydown", "text", "reload"} {
		page.gesture(kind)
		page.told(isRefused)
	}
	require.Equal(t, []string{"accept mine", "mousedown mine"}, w.stage.done())
}

func TestALoweringHidesAStillTabInALiveView(t *testing.T) {
	w := newLiveWorld(t)
	w.stage.show(nil, browser.Tab{ID: "t1", URL: "https://b.example/", Active: true})
	page := w.watch(w.mint(w.ws.ID, "r", object{}), false)
	page.told(func(m map[string]any) bool { return m["shown"] == "t1" && m["hidden"] == false })
	mounts := object{"web": object{"allow": []string{"a.example"}}, "storage": object{"workspace": "s"}}
	w.ok("PATCH", []string{"workspaces", w.ws.ID}, object{"mounts": mounts}, nil)
	page.told(func(m map[string]any) bool { return m["hidden"] == true })
}

func TestATokenSeesAndRevokesItsOwnLiveViewsAlone(t *testing.T) {
	w := newLiveWorld(t)
	path := w.below("embed", "live")
	callers := map[string]bctrl.Secret{
		"key": bctrl.NewSecret(w.key), "token": w.mint(w.ws.ID, "r", object{}), "other": w.mint(w.ws.ID, "r", object{}),
	}
	made := map[string]string{}
	for name, as := range callers {
		var view wire.LiveView
		require.NoError(t, json.Unmarshal(w.with(as, "POST", path, object{}).Body, &view))
		made[name] = view.ID
	}
	seen := func(as string) (ids []string) {
		list := wire.List[wire.LiveView]{Plural: wire.LiveViews}
		require.NoError(t, json.Unmarshal(w.with(callers[as], "GET", path, nil).Body, &list))
		for _, v := range list.Items {
			ids = append(ids, v.ID)
		}
		return ids
	}
	require.Equal(t, []string{made["token"]}, seen("token"))
	require.ElementsMatch(t, []string{made["key"], made["token"], made["other"]}, seen("key"))
	for _, of := range []string{"key", "other"} {
		got := w.with(callers["token"], "DELETE", append(path, made[of]), nil)
		refused(t, got, http.StatusNotFound, "live.not_found", of)
	}
	require.Equal(t, http.StatusOK, w.with(callers["token"], "DELETE", append(path, made["token"]), nil).Status)
	require.Equal(t, http.StatusOK, w.with(callers["key"], "DELETE", append(path, made["other"]), nil).Status)
	require.Equal(t, []string{made["key"]}, seen("key"))
}

func TestOpeningALiveViewIsOnRecordAndSoIsWhoCouldNot(t *testing.T) {
	w := newLiveWorld(t)
	w.stage.show(nil)
	w.watch(bctrl.NewSecret(w.key), false)
	again := func(code string, status int) {
		got := w.send("POST", w.opens, strings.NewReader(`{"session":""}`), "Content-Type", "application/json")
		refused(t, got, status, code, "once more")
	}
	again("live.opened_twice", http.StatusConflict)
	again("live.opened_twice", http.StatusConflict)
	list := wire.List[wire.LiveView]{Plural: wire.LiveViews}
	w.ok("GET", w.below("embed", "live"), nil, &list)
	w.ok("DELETE", w.below("embed", "live", list.Items[0].ID), nil, nil)
	again("live.revoked", http.StatusGone)
	require.Equal(t, []string{"allow ok", "deny live.opened_twice", "deny live.revoked"},
		w.outcomes("live.claimed", list.Items[0].ID))
}

// outcomes are the decisions and outcomes of the events of an action with an object, the oldest first; "" is any.
func (w *liveWorld) outcomes(action, object string) (all []string) {
	w.Helper()
	for _, e := range w.log(bctrl.AuditFilter{Action: action, Object: object}) {
		all = append(all, string(e.Decision)+" "+e.Outcome)
	}
	slices.Reverse(all)
	return all
}
