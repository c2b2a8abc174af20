package server

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/unicode/norm"

	"github.com/bctrl-go/bctrl"
)

func TestTheSDKAndTheServerAgreeAboutFiles(t *testing.T) {
	h := newHarness(t)
	ctx := t.Context()
	files := h.sdk(straight).Storage("sales")
	unsized := io.MultiReader(bytes.NewReader([]byte("a,b\n")), bytes.NewReader([]byte("1,2\n")))
	o, err := files.Upload(ctx, "exports/Übersicht 1%.csv", unsized, bctrl.WithContentType("text/csv"))
	require.NoError(t, err)
	require.EqualValues(t, 8, o.SizeBytes)
	stat, err := files.Stat(ctx, o.LogicalPath)
	require.NoError(t, err)
	require.Equal(t, o, stat)
	content, err := files.Get(ctx, o.LogicalPath)
	require.NoError(t, err)
	require.Equal(t, "a,b\n1,2\n", string(content))
	r, err := files.Open(ctx, o.LogicalPath, bctrl.WithRange(4, 3))
	require.NoError(t, err)
	content, err = io.ReadAll(r)
	require.NoError(t, err)
	require.NoError(t, r.Close())
	require.Equal(t, "1,2", string(content))
	require.Equal(t, *o, r.Object)

	_, err = files.Upload(ctx, o.LogicalPath, bytes.NewReader(nil), bctrl.WithIfAbsent())
	require.ErrorIs(t, err, bctrl.ErrConflict)
	empty, err := files.Upload(ctx, o.LogicalPath, bytes.NewReader(nil), bctrl.WithIfMatch(o.ETag))
	require.NoError(t, err)
	require.Zero(t, empty.SizeBytes)
	for _, length := range []int64{-1, 1, 100} {
		r, err := files.Open(ctx, o.LogicalPath, bctrl.WithRange(0, length))
		require.NoError(t, err, "what there is of an empty file from its beginning on")
		content, err = io.ReadAll(r)
		require.NoError(t, err)
		require.NoError(t, r.Close())
		require.Empty(t, content)
		require.Zero(t, r.Length)
		_, err = files.Open(ctx, o.LogicalPath, bctrl.WithRange(1, length))
		var e *bctrl.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, "storage.invalid_range", e.Code)
		require.Equal(t, http.StatusRequestedRangeNotSatisfiable, e.Status)
	}
	_, err = files.Upload(ctx, o.LogicalPath, bytes.NewReader(nil), bctrl.WithIfMatch(o.ETag))
	require.ErrorIs(t, err, bctrl.ErrConflict)
	picture, err := files.Upload(ctx, "p", bytes.NewReader([]byte("\x89PNG\r\n\x1a\n")))
	require.NoError(t, err)
	require.Equal(t, "image/png", picture.ContentType, "suggested")

	link, err := files.DownloadURL(ctx, "p", time.Hour)
	require.NoError(t, err)
	req, err := http.NewRequestWithContext(ctx, "GET", link, nil)
	require.NoError(t, err)
	resp, err := http.DefaultTransport.RoundTrip(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, 200, resp.StatusCode)
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()

	var seen []string
	for item, err := range files.Browse(ctx, bctrl.BrowseOptions{Delimiter: "/"}) {
		require.NoError(t, err)
		seen = append(seen, item.Path)
	}
	require.Equal(t, []string{"exports/", "p"}, seen)
	for object, err := range files.Objects(ctx, bctrl.ObjectFilter{PathPrefix: "p"}) {
		require.NoError(t, err)
		require.Equal(t, *picture, object)
	}
	require.NoError(t, files.Delete(ctx, "p"))
	_, err = files.Get(ctx, "p")
	require.ErrorIs(t, err, bctrl.ErrNotFound)
	require.ErrorIs(t, files.Delete(ctx, "p"), bctrl.ErrNotFound)
}

// cutOnce breaks the connection of the first answer to GET after some bytes.
type cutOnce struct {
	http.ResponseWriter
	left int
}

func (w *cutOnce) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		panic(http.ErrAbortHandler)
	}
	return w.ResponseWriter.Write(p)
}

func TestADownloadThatBreaksIsTakenUpWhereItBroke(t *testing.T) {
	h := newHarness(t)
	var gets atomic.Int32
	files := h.sdk(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "GET" && gets.Add(1) == 1 {
				w = &cutOnce{w, 1 << 20}
			}
			next.ServeHTTP(w, r)
		})
	}).Storage("s")
	content := bytes.Repeat([]byte("0123456789abcdef"), 3<<16)
	_, err := files.Upload(t.Context(), "f", bytes.NewReader(content))
	require.NoError(t, err)
	got, err := files.Get(t.Context(), "f")
	require.NoError(t, err)
	require.True(t, bytes.Equal(content, got))
	require.EqualValues(t, 2, gets.Load(), "the second asked for the rest alone")
}

func TestAnUploadWhoseAnswerIsLostHasOneEffect(t *testing.T) {
	h := newHarness(t)
	var puts atomic.Int32
	files := h.sdk(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "PUT" && puts.Add(1) == 1 {
				next.ServeHTTP(httptest.NewRecorder(), r)
				panic(http.ErrAbortHandler)
			}
			next.ServeHTTP(w, r)
		})
	}).Storage("s")
	o, err := files.Upload(t.Context(), "f", bytes.NewReader([]byte("x")), bctrl.WithIfAbsent())
	require.NoError(t, err, "the first attempt made it: the second is told so, and not that the file exists")
	require.EqualValues(t, 2, puts.Load())
	now, err := files.Stat(t.Context(), "f")
	require.NoError(t, err)
	require.Equal(t, o, now)
}

// TestAPathThatIsShortInNFCIsSentAndKept: a name of 85 Hangul syllables has 255 bytes
// in NFC, and thrice as many in the form that macOS gives file names.
func TestAPathThatIsShortInNFCIsSentAndKept(t *testing.T) {
	h := newHarness(t)
	ws := h.made("w", object{"storage": object{"workspace": "sales"}})
	h.launch(ws, "crm", nil)
	files := h.sdk(straight).Storage("sales")
	composed := "reports/" + strings.Repeat("각", 85)
	apart := norm.NFD.String(composed)
	o, err := files.Upload(t.Context(), apart, strings.NewReader("1"))
	require.NoError(t, err)
	require.Equal(t, composed, o.LogicalPath)
	for _, path := range []string{composed, apart} {
		content, err := files.Get(t.Context(), path)
		require.NoError(t, err)
		require.Equal(t, "1", string(content))
	}
	for _, path := range []string{composed + "각", apart + "\u1100", strings.Repeat("x", 256)} {
		_, err = files.Get(t.Context(), path)
		require.ErrorIs(t, err, bctrl.ErrInvalid)
	}

	printed := h.printed(ws.ID, object{"path": apart})
	require.Nil(t, printed.Error)
	require.Contains(t, string(printed.Result), composed)
	posted := h.post([]string{"workspace", "sales", "path", "x", "filename", strings.TrimPrefix(apart, "reports/"),
		"file", "1"})
	require.Equal(t, http.StatusOK, posted.Status, "%s", posted.Body)
	require.Contains(t, string(posted.Body), `"filename":"각`)
}

// TestAHandleIsGivenTheNamespaceThatItsWorkspaceHasNow: what a workspace gives instead
// of the namespace that a runtime was launched with, its handle has once it is refreshed.
func TestAHandleIsGivenTheNamespaceThatItsWorkspaceHasNow(t *testing.T) {
	h := newHarness(t)
	made := h.made("w", object{"storage": object{"access": "none"}})
	ws, err := h.sdk(straight).Workspaces.Get(t.Context(), made.ID)
	require.NoError(t, err)
	rt, err := ws.Runtimes.Browser("r").Stagehand(t.Context(), bctrl.Launch{})
	require.NoError(t, err)
	require.Empty(t, rt.Storage.Namespace())
	for _, namespace := range []string{"first", "second"} {
		h.ok("PATCH", []string{"workspaces", made.ID},
			object{"mounts": object{"storage": object{"workspace": namespace}}}, nil)
		require.NoError(t, rt.Refresh(t.Context()))
		require.Equal(t, namespace, rt.Storage.Namespace())
		o, err := rt.Storage.Upload(t.Context(), "a", strings.NewReader("1"))
		require.NoError(t, err)
		require.Equal(t, namespace, o.Workspace)
		shot, err := rt.Page.Screenshot(t.Context(), bctrl.ScreenshotArgs{})
		require.NoError(t, err)
		require.Equal(t, namespace, shot.Workspace)
	}
}
