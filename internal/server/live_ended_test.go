package server

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/blob"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/custody"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/store/storetest"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// TestALiveViewThatHasEndedSaysWhy ends views while they are open, and asks for them after.
func TestALiveViewThatHasEndedSaysWhy(t *testing.T) {
	for _, c := range []struct {
		why, code string
		ttl       time.Duration
		end       func(*liveWorld)
	}{
		{"its time is up", "live.expired", 10 * time.Second, func(*liveWorld) {}},
		{"it is revoked", "live.revoked", time.Hour, func(w *liveWorld) {
			list := wire.List[wire.LiveView]{Plural: wire.LiveViews}
			w.ok("GET", w.below("embed", "live"), nil, &list)
			w.ok("DELETE", w.below("embed", "live", list.Items[0].ID), nil, nil)
		}},
		{"its runtime is stopped", "live.runtime_ended", time.Hour, func(w *liveWorld) {
			w.ok("POST", w.below("stop"), nil, nil)
		}},
	} {
		t.Run(c.why, func(t *testing.T) {
			t.Parallel()
			w := newLiveWorld(t)
			w.stage.show(nil, browser.Tab{ID: "t1", URL: "https://a.example/", Active: true})
			begun := time.Now()
			page := w.watchFor(bctrl.NewSecret(w.key), true, c.ttl)
			page.say(object{"type": "take"})
			page.told(func(m map[string]any) bool { return m["shown"] == "t1" && m["person"] == "you" })
			c.end(w)
			end := page.told(func(m map[string]any) bool { return m["type"] == "end" })
			require.Equal(t, c.code, end["code"])
			if c.code == "live.expired" {
				require.GreaterOrEqual(t, time.Since(begun), c.ttl, "not before its time")
			}
			_, _, err := page.conn.Read(t.Context())
			require.Equal(t, websocket.StatusNormalClosure, websocket.CloseStatus(err), "nothing is left open")
			require.Eventually(t, func() bool { return w.server.Underway() == 0 }, 10*time.Second, time.Millisecond)

			require.Equal(t, []string{"allow ok"}, w.outcomes("live.handed_back", ""), "the browser is nobody's any more")

			path := strings.TrimSuffix(w.opens, "/open")
			got := w.send("GET", path, nil)
			require.Equal(t, http.StatusGone, got.Status)
			require.Contains(t, string(got.Body), c.code, "the page says so")
			refused(t, w.send("POST", w.opens, strings.NewReader("{}"), "Content-Type", "application/json"),
				http.StatusGone, c.code, "opening it")
			refused(t, w.send("GET", path+"/socket", nil), http.StatusGone, c.code, "its websocket")
			require.Equal(t, []string{"allow ok", "deny " + c.code}, w.outcomes("live.claimed", ""),
				"it is on record once, whoever asks")
		})
	}
}

// TestASecondTabIsToldSoByTheWebsocketToo has somebody with the address skip the page.
func TestASecondTabIsToldSoByTheWebsocketToo(t *testing.T) {
	w := newLiveWorld(t)
	w.stage.show(nil, browser.Tab{ID: "t1", URL: "https://a.example/", Active: true})
	first := w.watch(bctrl.NewSecret(w.key), true)
	first.told(func(m map[string]any) bool { return m["shown"] == "t1" })
	conn, _, err := websocket.Dial(t.Context(), w.srv.URL+strings.TrimSuffix(w.opens, "/open")+"/socket", nil)
	require.NoError(t, err)
	defer conn.CloseNow()
	second := watcher{w, conn}
	second.say(object{"type": "hello", "session": "guessed"})
	end := second.told(func(m map[string]any) bool { return m["type"] == "end" })
	require.Equal(t, "live.opened_twice", end["code"])
	first.say(object{"type": "take"})
	first.told(func(m map[string]any) bool { return m["person"] == "you" })
	require.Equal(t, []string{"allow ok", "deny live.opened_twice"}, w.outcomes("live.claimed", ""))
}

// slowBlobs is a file store that keeps a file half written until it may go on.
type slowBlobs struct {
	blob.Store
	begun chan struct{} // has room for the first
	goOn  chan struct{}
	free  func() // lets all go on
}

func newSlowBlobs() *slowBlobs {
	s := &slowBlobs{begun: make(chan struct{}, 1), goOn: make(chan struct{})}
	s.free = sync.OnceFunc(func() { close(s.goOn) })
	return s
}

// in has a server use the store.
func (s *slowBlobs) in(cfg *Config) { s.Store, cfg.Blobs = cfg.Blobs, s }

func (s *slowBlobs) Put(ctx context.Context, r io.Reader, limit int64) (blob.Blob, error) {
	return s.Store.Put(ctx, &slowReader{r, s, ctx, false}, limit)
}

type slowReader struct {
	io.Reader
	of    *slowBlobs
	ctx   context.Context //nolint:containedctx // of the call that it is part of
	begun bool
}

func (r *slowReader) Read(p []byte) (int, error) {
	if !r.begun {
		r.begun = true
		return r.Reader.Read(p[:min(len(p), 10)])
	}
	select {
	case r.of.begun <- struct{}{}:
	default:
	}
	select {
	case <-r.of.goOn:
		return r.Reader.Read(p)
	case <-r.ctx.Done():
		return 0, r.ctx.Err()
	}
}

// newKeptWorld is a runtime with a recording, whose file store is slow.
func newKeptWorld(t *testing.T) (*liveWorld, *slowBlobs) {
	t.Helper()
	slow := newSlowBlobs()
	w := newLiveWorld(t, slow.in)
	t.Cleanup(slow.free) // before the server is closed
	w.stage.show(nil, browser.Tab{ID: "t1", URL: "https://a.example/", Active: true})
	require.Eventually(t, func() bool {
		var shown struct{ Bytes int64 }
		w.ok("POST", w.below("embed", "recording"), object{}, &shown)
		return shown.Bytes > 0
	}, 10*time.Second, time.Millisecond)
	return w, slow
}

// recordings are those that are in storage.
func (h *harness) recordings() (list []bctrl.StorageObject) {
	h.Helper()
	recorded := bctrl.ObjectFilter{Source: bctrl.SourceRecording}
	for o, err := range h.sdk(straight).Storage("s").Objects(h.Context(), recorded) {
		require.NoError(h, err)
		list = append(list, o)
	}
	return list
}

func TestAStopFreesTheAliasWhileTheRecordingIsKept(t *testing.T) {
	w, slow := newKeptWorld(t)
	var shown struct{ URL string }
	w.ok("POST", w.below("embed", "recording"), object{}, &shown)
	_, path, _ := strings.Cut(shown.URL, "/embed/")
	w.ok("POST", w.below("stop"), nil, nil)
	<-slow.begun
	again := w.launchRecorded(w.ws, "r")
	require.NotEqual(t, w.rt.ID, again.ID, "the alias is free")
	require.Empty(t, w.recordings())
	require.Equal(t, http.StatusOK, w.send("GET", "/embed/"+path+"/frames/0", nil).Status, "it is played meanwhile")
	slow.free()
	require.Eventually(t, func() bool { return len(w.recordings()) == 1 }, 10*time.Second, time.Millisecond)
	require.Equal(t, w.rt.ID, w.recordings()[0].RuntimeID)
	require.Equal(t, http.StatusOK, w.send("GET", "/embed/"+path+"/frames/0", nil).Status, "and after")
	part := w.send("GET", "/embed/"+path+"/file", nil, "Range", "bytes=0-3")
	require.Equal(t, http.StatusPartialContent, part.Status)
	require.Len(t, part.Body, 4)
	for _, none := range []string{"bytes=-0", "bytes=999999999-", "bytes=x"} {
		got := w.send("GET", "/embed/"+path+"/file", nil, "Range", none)
		refused(t, got, http.StatusRequestedRangeNotSatisfiable, "recordings.invalid_range", none)
	}
	require.Equal(t, []string{"allow ok"}, w.outcomes("recording.kept", ""))
}

// TestRecordingsThatAreKeptNoLongerAreRemoved by a sweep, and nothing else is: neither a copy nor one that is younger.
func TestRecordingsThatAreKeptNoLongerAreRemoved(t *testing.T) {
	w := newLiveWorld(t)
	w.stage.show(nil, browser.Tab{ID: "t1", URL: "https://a.example/", Active: true})
	require.Eventually(t, func() bool {
		var shown struct{ Bytes int64 }
		got := w.do("POST", w.below("embed", "recording"), nil, object{})
		return json.Unmarshal(got.Body, &shown) == nil && shown.Bytes > 0
	}, 10*time.Second, time.Millisecond)
	w.ok("POST", w.below("stop"), nil, nil)
	w.recording() // waits until it is kept
	first := w.recordings()[0]
	movie := w.do("GET", file("s", first.LogicalPath), nil, nil)
	require.Equal(t, http.StatusOK, movie.Status)
	copied := w.put("s", "recordings/copy.mov", string(movie.Body))
	require.Less(t, copied.Status, 300, "%s", copied.Body)

	require.NoError(t, w.server.Sweep(t.Context()))
	require.Len(t, w.recordings(), 1, "they are kept for ever unless somebody says otherwise")
	w.server.files.KeepRecordings(time.Hour)
	require.NoError(t, w.server.Sweep(t.Context()))
	require.Len(t, w.recordings(), 1, "it is younger")
	w.server.files.KeepRecordings(time.Millisecond)
	require.Eventually(t, func() bool { return time.Since(first.CreatedAt) > 2*time.Millisecond }, time.Second,
		time.Millisecond)
	require.NoError(t, w.server.Sweep(t.Context()))
	require.Empty(t, w.recordings())
	gone := w.log(bctrl.AuditFilter{Action: string(bctrl.DeleteStorage)})
	require.Len(t, gone, 1)
	require.Equal(t, "server", gone[0].Caller)
	require.Equal(t, first.ObjectKey, gone[0].Object)
	kept := w.do("GET", file("s", "recordings/copy.mov"), nil, nil)
	require.Equal(t, movie.Body, kept.Body)
	refused(t, w.do("POST", w.below("embed", "recording"), nil, object{}), http.StatusNotFound, "recordings.not_kept",
		"as one that somebody deleted")
	require.True(t, w.verified())
}

// TestWhoAsksForARecordingWaitsUntilItIsKept asks while it is put into storage.
func TestWhoAsksForARecordingWaitsUntilItIsKept(t *testing.T) {
	w, slow := newKeptWorld(t)
	w.ok("POST", w.below("stop"), nil, nil)
	<-slow.begun
	slow.free()
	got := w.recording()
	require.Equal(t, "stored", got.Status)
	require.Equal(t, w.recordings()[0].ID, got.Object.ID)
}

func TestARecordingIsKeptWhereTheMountsSaySoAsTheyAreThen(t *testing.T) {
	w, slow := newKeptWorld(t)
	w.ok("POST", w.below("stop"), nil, nil)
	<-slow.begun
	mounts := object{"storage": object{"access": "none"}}
	w.ok("PATCH", []string{"workspaces", w.ws.ID}, object{"mounts": mounts}, nil)
	refused(t, w.do("POST", w.below("embed", "recording"), nil, object{}), http.StatusNotFound, "recordings.not_kept",
		"the workspace was lowered meanwhile")
	require.Empty(t, w.recordings())
	require.Equal(t, []string{"allow storage.outside_mount"}, w.outcomes("recording.kept", ""))
}

// TestARecordingThatAKilledServerKeptIsNotThereInPart copies the files of a server as they are
// while a recording is half written, and starts the next server over them.
func TestARecordingThatAKilledServerKeptIsNotThereInPart(t *testing.T) {
	storetest.OnSQLite(t) // whose files can be copied
	w, slow := newKeptWorld(t)
	w.ok("POST", w.below("stop"), nil, nil)
	<-slow.begun
	require.NoError(t, w.db.Write(t.Context(), func(*store.Tx) error { return nil })) // what was queued is written
	killed := filepath.Join(t.TempDir(), "killed")
	require.NoError(t, os.CopyFS(killed, os.DirFS(w.dir)))
	require.NoError(t, os.Chmod(filepath.Join(killed, "kek"), 0o600))
	slow.free()

	next := newHarnessIn(t, killed, custody.Config{})
	next.key = w.key
	refused(t, next.do("POST", w.below("embed", "recording"), nil, object{}), http.StatusNotFound, "recordings.not_kept",
		"what was recorded is gone with the server")
	require.Empty(t, next.recordings())
	kept := next.log(bctrl.AuditFilter{Action: "recording.kept"})
	require.Len(t, kept, 1)
	require.Equal(t, bctrl.AuditUnknown, kept[0].Outcome)
}
