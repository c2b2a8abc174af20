package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/store"
)

// cutting is a transport whose answers break off after as many bytes as cuts say, one
// after the other, and then no more.
type cutting struct {
	mu   sync.Mutex
	next http.RoundTripper
	cuts []int
}

func (c *cutting) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.next.RoundTrip(r)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil && len(c.cuts) > 0 {
		resp.Body = &cutBody{resp.Body, c.cuts[0]}
		c.cuts = c.cuts[1:]
	}
	return resp, err
}

type cutBody struct {
	io.ReadCloser
	left int
}

func (b *cutBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// followed is a harness whose server listens.
type followed struct {
	*harness
	live *httptest.Server
}

func newFollowed(t *testing.T, change ...func(*Config)) *followed {
	t.Helper()
	h := newHarness(t, change...)
	live := httptest.NewServer(h.server)
	t.Cleanup(live.Close)
	return &followed{h, live}
}

// client is a client of the server that reconnects at once, through a transport.
func (f *followed) client(key string, through http.RoundTripper) *bctrl.Client {
	f.Helper()
	c, err := bctrl.New(bctrl.WithBaseURL(f.live.URL), bctrl.WithAPIKey(bctrl.NewSecret(key)),
		bctrl.WithRetryWait(time.Microsecond, time.Millisecond), bctrl.WithHTTPClient(&http.Client{Transport: through}))
	require.NoError(f, err)
	f.Cleanup(c.CloseIdleConnections)
	return c
}

// runtime launches a runtime of the alias r in a new workspace.
func (f *followed) runtime(c *bctrl.Client, mounts bctrl.Mounts) (*bctrl.Workspace, *bctrl.Runtime) {
	f.Helper()
	name := fmt.Sprint("w", time.Now().UnixNano())
	ws, err := c.Workspaces.Create(f.Context(), bctrl.WorkspaceCreate{Name: name, Mounts: mounts})
	require.NoError(f, err)
	rt, err := ws.Runtimes.Browser("r").Stagehand(f.Context(), bctrl.Launch{})
	require.NoError(f, err)
	return ws, rt
}

// typesOf reads a stream to its end.
func typesOf(t *testing.T, events func(func(bctrl.Event, error) bool)) (types []bctrl.EventType) {
	t.Helper()
	for e, err := range events {
		require.NoError(t, err)
		types = append(types, e.Type)
	}
	return types
}

// TestAReaderThatIsCutAtRandomSeesEachEventOnceInOrder: by each of the two streams.
func TestAReaderThatIsCutAtRandomSeesEachEventOnceInOrder(t *testing.T) {
	f := newFollowed(t)
	plain := f.live.Client().Transport
	org := f.org()
	_, rt := f.runtime(f.client(f.key, plain), bctrl.Mounts{})
	var told int64
	rapid.Check(t, func(r *rapid.T) {
		count := rapid.IntRange(1, 40).Draw(r, "events")
		cuts := rapid.SliceOfN(rapid.IntRange(0, 900), 0, 12).Draw(r, "cuts")
		client := f.client(f.key, &cutting{next: plain, cuts: cuts})
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		_, newest, err := f.db.Read().EventBounds(ctx, org)
		require.NoError(r, err)
		first := told
		go func() {
			for range count {
				e := bctrl.NewEvent(time.Now(), bctrl.HostRefusedEvent{Host: fmt.Sprint(told)})
				e.WorkspaceID, e.RuntimeID = rt.Info.WorkspaceID, rt.ID
				told++
				f.server.events.Tell(org, e)
			}
		}()
		events := client.Updates(ctx, bctrl.UpdatesOptions{After: newest})
		if rapid.Bool().Draw(r, "of the runtime") {
			events = f.handle(client, rt).Events(ctx, bctrl.EventsOptions{After: newest})
		}
		want, last := first, newest
		for e, err := range events {
			require.NoError(r, err)
			require.Equal(r, last+1, e.Seq)
			require.Equal(r, bctrl.HostRefusedEvent{Host: fmt.Sprint(want)}, e.Data)
			last = e.Seq
			if want++; want == first+int64(count) {
				break
			}
		}
		require.EqualValues(r, count, want-first)
	})
}

// handle is a handle of another client on a runtime.
func (f *followed) handle(c *bctrl.Client, rt *bctrl.Runtime) *bctrl.Runtime {
	f.Helper()
	for range 100 { // its connections are cut, too
		ws, err := c.Workspaces.Get(f.Context(), rt.Info.WorkspaceID)
		if err == nil {
			if own, err := ws.Runtimes.Get(f.Context(), rt.Alias); err == nil {
				return own
			}
		}
	}
	require.Fail(f, "no handle")
	return nil
}

func TestARuntimesEventsTellItsLifeFromLaunchToEnd(t *testing.T) {
	f := newFollowed(t)
	_, rt := f.runtime(f.client(f.key, f.live.Client().Transport), bctrl.Mounts{})
	_, err := rt.Page.Goto(t.Context(), "http://127.0.0.1:9/a?token=abc&page=2")
	require.NoError(t, err)
	require.True(t, f.browsers.Happen(rt.ID, browser.Event{Kind: browser.EventDialog, Tab: "t1", Dialog: "confirm",
		Message: "Sure?", URL: "http://127.0.0.1:9/a"}))
	require.True(t, f.browsers.Happen(rt.ID, browser.Event{Kind: browser.EventTabOpened, Tab: "t2", Opener: "t1"}))
	require.True(t, f.browsers.Happen(rt.ID, browser.Event{Kind: browser.EventTabClosed, Tab: "t2"}))
	seen := make(chan bctrl.Event, 100)
	go func() {
		defer close(seen)
		for e, err := range rt.Events(t.Context()) {
			if err == nil {
				seen <- e
			}
		}
	}()
	require.Equal(t, bctrl.EventLaunched, (<-seen).Type)
	require.NoError(t, rt.Stop(t.Context()))
	var types []bctrl.EventType
	for e := range seen {
		types = append(types, e.Type)
		require.Equal(t, rt.ID, e.RuntimeID)
		if d, ok := e.Data.(bctrl.NavigatedEvent); ok {
			require.Equal(t, "http://127.0.0.1:9/a?token=[secret]&page=2", d.URL)
		}
	}
	want := []bctrl.EventType{
		bctrl.EventStepStarted, bctrl.EventNavigated, bctrl.EventStepEnded, bctrl.EventDialog, bctrl.EventTabOpened,
		bctrl.EventTabClosed, bctrl.EventStopped,
	}
	require.Equal(t, want, types)
	require.Equal(t, append([]bctrl.EventType{bctrl.EventLaunched}, want...), typesOf(t, rt.Events(t.Context())),
		"of a runtime that has ended, too")
	require.Equal(t, []bctrl.EventType{bctrl.EventDialog, bctrl.EventStopped},
		typesOf(t, rt.Events(t.Context(), bctrl.EventsOptions{Types: []bctrl.EventType{bctrl.EventDialog}})))
}

func TestACrashIsToldBeforeTheEndOfItsRuntime(t *testing.T) {
	f := newFollowed(t)
	_, rt := f.runtime(f.client(f.key, f.live.Client().Transport), bctrl.Mounts{})
	token, err := rt.Token(t.Context(), bctrl.TokenRequest{})
	require.NoError(t, err)
	self, err := f.client(token.Expose(), f.live.Client().Transport).Self(t.Context())
	require.NoError(t, err)
	var types []bctrl.EventType
	for e, err := range self.Runtime.Events(t.Context()) {
		require.NoError(t, err)
		types = append(types, e.Type)
		if e.Type == bctrl.EventLaunched { // the token has ended by the time that the end is told
			require.True(t, f.browsers.Crash(rt.ID))
		}
	}
	require.Equal(t, []bctrl.EventType{bctrl.EventLaunched, bctrl.EventCrashed, bctrl.EventFailed}, types)
}

func TestARuntimeCallerIsToldOfItsOwnRuntimeAlone(t *testing.T) {
	f := newFollowed(t)
	client := f.client(f.key, f.live.Client().Transport)
	_, other := f.runtime(client, bctrl.Mounts{})
	_, rt := f.runtime(client, bctrl.Mounts{})
	token, err := rt.Token(t.Context(), bctrl.TokenRequest{})
	require.NoError(t, err)
	bound := f.client(token.Expose(), f.live.Client().Transport)
	for e, err := range bound.Updates(t.Context(), bctrl.UpdatesOptions{After: bctrl.FirstKept}) {
		require.NoError(t, err)
		require.Equal(t, rt.ID, e.RuntimeID)
		break
	}
	for _, err := range bound.Updates(t.Context(), bctrl.UpdatesOptions{RuntimeID: other.ID, After: bctrl.FirstKept}) {
		require.ErrorIs(t, err, bctrl.ErrForbidden)
	}
	require.NoError(t, client.RevokeToken(t.Context(), tokenID(t, token)))
	for _, err := range bound.Updates(t.Context(), bctrl.UpdatesOptions{}) {
		require.ErrorIs(t, err, bctrl.ErrUnauthorized)
	}
}

func TestANarrowedHandleIsShownNoAddressOutsideItsMounts(t *testing.T) {
	f := newFollowed(t)
	_, rt := f.runtime(f.client(f.key, f.live.Client().Transport), bctrl.Mounts{})
	for _, host := range []string{"a.example", "b.example"} {
		require.True(t, f.browsers.Happen(rt.ID, browser.Event{Kind: browser.EventNavigated, Tab: "t1",
			URL: "https://" + host + "/x"}))
	}
	lower, err := rt.Narrow(bctrl.Mounts{Web: &bctrl.WebMount{Allow: []string{"b.example"}}})
	require.NoError(t, err)
	var seen []string
	for e, err := range lower.Events(t.Context()) {
		require.NoError(t, err)
		if d, ok := e.Data.(bctrl.NavigatedEvent); ok {
			if seen = append(seen, d.URL); len(seen) == 2 {
				break
			}
		}
	}
	require.Equal(t, []string{"", "https://b.example/x"}, seen)
}

func TestWhoWasAwayForTooLongIsToldOfTheGap(t *testing.T) {
	f := newFollowed(t, func(c *Config) { c.EventsKept = 10 })
	client := f.client(f.key, f.live.Client().Transport)
	for range 130 {
		f.server.events.Tell(f.org(), bctrl.NewEvent(time.Now(), bctrl.WorkspaceDeletedEvent{}))
	}
	f.server.events.Flush()
	oldest, newest, err := f.db.Read().EventBounds(t.Context(), f.org())
	require.NoError(t, err)
	require.Greater(t, oldest, int64(100))
	require.EqualValues(t, 130, newest)
	var all []bctrl.Event
	for e, err := range client.Updates(t.Context(), bctrl.UpdatesOptions{After: 3}) {
		require.NoError(t, err)
		if all = append(all, e); e.Seq == newest {
			break
		}
	}
	require.Equal(t, bctrl.GapEvent{From: 4, To: oldest - 1}, all[0].Data)
	require.Equal(t, oldest, all[1].Seq)
	require.Len(t, all, int(newest-oldest)+2, "and no second one")
	for e, err := range client.Updates(t.Context(), bctrl.UpdatesOptions{After: 5000}) {
		require.NoError(t, err)
		require.Equal(t, bctrl.EventGap, e.Type, "the database was put back: it is of another history")
		break
	}
}

// TestPagesThatMakeEventsWithoutEndAreCounted: they neither fill the store nor are they
// lost in silence.
func TestPagesThatMakeEventsWithoutEndAreCounted(t *testing.T) {
	f := newFollowed(t)
	_, rt := f.runtime(f.client(f.key, f.live.Client().Transport), bctrl.Mounts{})
	for i := range 5000 {
		require.True(t, f.browsers.Happen(rt.ID, browser.Event{Kind: browser.EventNavigated, Tab: "t1",
			URL: fmt.Sprintf("https://a.example/%d", i)}))
	}
	require.NoError(t, rt.Stop(t.Context()))
	navigated, missed := 0, int64(0)
	for e, err := range rt.Events(t.Context()) {
		require.NoError(t, err)
		switch d := e.Data.(type) {
		case bctrl.NavigatedEvent:
			navigated++
		case bctrl.GapEvent:
			missed += d.Missed
		}
	}
	require.EqualValues(t, 5000, int64(navigated)+missed)
	require.Less(t, navigated, 1000)
}

func TestAnEventIsWaitedForFromNowOnOrAfterAnother(t *testing.T) {
	f := newFollowed(t)
	_, rt := f.runtime(f.client(f.key, f.live.Client().Transport), bctrl.Mounts{})
	dialogs := bctrl.WaitEventOptions{Types: []bctrl.EventType{bctrl.EventDialog}}
	require.True(t, f.browsers.Happen(rt.ID, browser.Event{Kind: browser.EventDialog, Tab: "t1", Message: "before"}))
	path := []string{"workspaces", rt.Info.WorkspaceID, "runtimes", "r", "events", "wait"}
	got := f.do("POST", path, nil, object{"types": []string{"runtime.dialog"}, "timeoutMs": 1})
	require.Contains(t, string(got.Body), `"event":null`)
	refused(t, f.do("POST", path, nil, object{"types": []string{"runtime.slept"}}), 400, "events.unknown_type",
		"a typing error")
	for _, ms := range tooLong(60000) {
		refused(t, f.do("POST", path, nil, object{"timeoutMs": ms}), 400, "events.timeout", "too long")
	}
	refused(t, f.do("POST", path, nil, object{"after": -1}), 400, "events.after", "no number")
	refused(t, f.do("GET", []string{"updates"}, map[string][]string{"types": {"x"}}, nil), 400, "events.unknown_type",
		"a typing error")
	refused(t, f.do("GET", []string{"updates"}, nil, nil, "Last-Event-ID", "x"), 400, "request.last_event_id", "no number")
	dialogs.After = bctrl.FirstKept
	e, err := rt.WaitEvent(t.Context(), dialogs)
	require.NoError(t, err)
	require.Equal(t, "before", e.Data.(bctrl.DialogEvent).Message)
	ended := make(chan error, 1)
	go func() {
		e, err := rt.WaitEvent(t.Context(), bctrl.WaitEventOptions{
			Types: []bctrl.EventType{bctrl.EventStopped},
			After: e.Seq,
		})
		if err == nil && e.Type != bctrl.EventStopped {
			err = errors.New("another event")
		}
		ended <- err
	}()
	dialogs.After = e.Seq
	waiting, leave := context.WithCancel(t.Context())
	leave()
	_, err = rt.WaitEvent(waiting, dialogs)
	require.ErrorIs(t, err, context.Canceled)
	require.Eventually(t, func() bool { return f.server.Underway() > 0 }, 10*time.Second, time.Millisecond)
	require.NoError(t, rt.Stop(t.Context()))
	require.NoError(t, <-ended, "the end itself may be waited for")
	_, err = rt.WaitEvent(t.Context(), dialogs)
	require.Error(t, err)
}

func TestWhatHappensToWorkspacesAndOperationsIsToldOnce(t *testing.T) {
	f := newFollowed(t)
	client := f.client(f.key, f.live.Client().Transport)
	ws, rt := f.runtime(client, bctrl.Mounts{})
	require.NoError(t, ws.Update(t.Context(), bctrl.WorkspaceUpdate{Mounts: &bctrl.Mounts{}}))
	step, err := bctrl.GotoStep(bctrl.GotoArgs{URL: "http://127.0.0.1:9/"})
	require.NoError(t, err)
	op, err := ws.ExecuteAsync(t.Context(), bctrl.Execution{Runtime: "r", Steps: []bctrl.Step{step}})
	require.NoError(t, err)
	_, err = op.Wait(t.Context())
	require.NoError(t, err)
	require.NoError(t, client.Workspaces.Delete(t.Context(), ws.ID, bctrl.WithForce()))
	var types []bctrl.EventType
	for e, err := range client.Updates(t.Context(), bctrl.UpdatesOptions{WorkspaceID: ws.ID, After: bctrl.FirstKept}) {
		require.NoError(t, err)
		types = append(types, e.Type)
		if e.ExecutionID != "" {
			require.Equal(t, op.ID, e.ExecutionID)
			require.Equal(t, rt.ID, e.RuntimeID)
		}
		if e.Type == bctrl.EventWorkspaceDeleted {
			break
		}
	}
	require.Equal(t, []bctrl.EventType{
		bctrl.EventWorkspaceCreated, bctrl.EventLaunched, bctrl.EventWorkspaceChanged, bctrl.EventOperationStarted,
		bctrl.EventOperationProgress, bctrl.EventStepStarted, bctrl.EventNavigated, bctrl.EventStepEnded,
		bctrl.EventOperationEnded, bctrl.EventStopped, bctrl.EventWorkspaceDeleted,
	}, types)
}

// TestEventsOutliveTheirServer: what the next one finds unfinished it ends, and tells.
func TestEventsOutliveTheirServer(t *testing.T) {
	h := newHarness(t)
	ws := h.made("w", object{})
	rt := h.launchIn(ws, "r", "")
	require.NoError(t, h.server.runtimes.EndAbandoned(t.Context())) // as a server does that follows one which died
	list, err := h.db.Read().Happened(t.Context(), store.HappenedRange{Org: h.org(), Runtime: rt.ID, Limit: 10})
	require.NoError(t, err)
	require.Equal(t, bctrl.FailedEvent{Alias: "r", Reason: "the server ended", Code: "runtimes.server_ended"},
		list[len(list)-1].Data)
	require.True(t, slices.IsSortedFunc(list, func(a, b bctrl.Event) int { return int(a.Seq - b.Seq) }))
}
