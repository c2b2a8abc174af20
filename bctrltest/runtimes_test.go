package bctrltest_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest"
	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
)

// temporary lets browsers keep what ends with them in a folder of the test's
// own, which the browsers' user can reach.
func temporary(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "bctrltest-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o711))
	t.Setenv("TMPDIR", dir)
	return dir
}

func requireNothingLeft(t *testing.T, dir string) {
	t.Helper()
	require.Empty(t, descendants(), "processes")
	left, err := filepath.Glob(filepath.Join(dir, "bctrl-*"))
	require.NoError(t, err)
	require.Empty(t, left, "folders")
}

// killBrowser ends a browser as a crash does, by the process that leads it.
func killBrowser(t *testing.T) {
	t.Helper()
	for _, pid := range descendants() {
		cmdline, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
		if strings.Contains(string(cmdline), "--remote-debugging-pipe") && !strings.Contains(string(cmdline), "--type=") {
			require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
			return
		}
	}
	require.Fail(t, "there is no browser to kill")
}

func TestACrashIsSeenAndLeavesNothing(t *testing.T) {
	dir := temporary(t)
	crash := func(turn modeltest.Turn) modeltest.Call {
		killBrowser(t)
		return modeltest.Wait(10)
	}
	srv := bctrltest.New(t, bctrltest.WithBrowser(), bctrltest.WithModel(crash))
	client, ctx := srv.Client(), t.Context()
	_, err := client.AICredentials.Create(ctx, srv.ModelCredential("m"))
	require.NoError(t, err)
	ws, err := client.Workspaces.Create(ctx,
		bctrl.WorkspaceCreate{Name: "w", Mounts: bctrl.Mounts{AI: &bctrl.AIMount{Allow: []string{"m"}}}})
	require.NoError(t, err)
	launch := func() *bctrl.Runtime {
		rt, err := ws.Runtimes.Browser("b").Stagehand(ctx, bctrl.Launch{})
		require.NoError(t, err, "the alias is free")
		return rt
	}
	ended := func(rt *bctrl.Runtime, since time.Time) {
		t.Helper()
		require.Eventually(t, func() bool {
			require.NoError(t, rt.Refresh(ctx))
			return rt.Status == bctrl.RuntimeFailed
		}, 5*time.Second-time.Since(since), 10*time.Millisecond)
		require.False(t, rt.Info.Summary.BrowserRunning)
		require.NotEmpty(t, rt.Info.Summary.Message)
		require.Equal(t, "runtimes.browser_killed", rt.Info.Summary.Code)
		requireNothingLeft(t, dir)
	}

	rt := launch()
	d := dialDevTools(t, connectURL(t, rt))
	killBrowser(t)
	start := time.Now()
	<-d.done
	ended(rt, start)
	_, err = rt.Page.Goto(ctx, "http://127.0.0.1")
	require.ErrorIs(t, err, bctrl.ErrConflict, "a runtime that has ended may do nothing")

	// In the middle of an agent's work.
	rt = launch()
	start = time.Now()
	_, err = rt.Stagehand.Act(ctx, "anything")
	require.Error(t, err)
	ended(rt, start)
	require.NoError(t, rt.Stop(ctx), "stopping what has ended changes nothing")
	require.Equal(t, bctrl.RuntimeFailed, rt.Status)

	rt = launch()
	start = time.Now()
	op, err := rt.Stagehand.ActAsync(ctx, "anything")
	require.NoError(t, err)
	info, err := op.Wait(ctx)
	require.Error(t, err)
	require.NotNil(t, info, "how the operation ended can be read though its runtime has")
	require.Equal(t, bctrl.OperationFailed, info.Status)
	ended(rt, start)
	again := launch()
	require.NoError(t, rt.Refresh(ctx))
	require.Equal(t, bctrl.RuntimeFailed, rt.Status, "the alias is another runtime's now")
	require.NoError(t, again.Stop(ctx))
	require.NoError(t, again.Refresh(ctx))
	require.Equal(t, bctrl.RuntimeStopped, again.Status)
}

// TestABrowserThatIsKilledEndsWhatItWasAskedFor kills the browser while calls wait for it.
func TestABrowserThatIsKilledEndsWhatItWasAskedFor(t *testing.T) {
	dir := temporary(t)
	asked := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/", servesHTML(`<script>onbeforeprint = () => {
		const x = new XMLHttpRequest(); x.open('GET', '/asks', false); x.send() }</script>`))
	mux.HandleFunc("/asks", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case asked <- struct{}{}:
			<-r.Context().Done()
		case <-r.Context().Done():
		}
	})
	site := httptest.NewServer(mux)
	t.Cleanup(site.Close)
	srv := bctrltest.New(t, bctrltest.WithBrowser())
	ctx := t.Context()
	ws, err := srv.Client().Workspaces.Create(ctx, bctrl.WorkspaceCreate{Name: "w"})
	require.NoError(t, err)
	for why, call := range map[string]func(*bctrl.Runtime) error{
		"a navigation": func(rt *bctrl.Runtime) error { _, err := rt.Page.Goto(ctx, site.URL+"/asks"); return err },
		"a new tab":    func(rt *bctrl.Runtime) error { _, err := rt.Pages.Open(ctx, site.URL+"/asks"); return err },
		"printing":     func(rt *bctrl.Runtime) error { _, err := rt.Page.PDF(ctx, bctrl.PDFOptions{}); return err },
	} {
		rt, err := ws.Runtimes.Browser("b").Stagehand(ctx, bctrl.Launch{})
		require.NoError(t, err, why)
		_, err = rt.Page.Goto(ctx, site.URL)
		require.NoError(t, err, why)
		ended := make(chan error, 1)
		go func() { ended <- call(rt) }()
		<-asked
		killBrowser(t)
		killed := time.Now()
		require.Equal(t, "runtimes.ended", codeOf(<-ended), why)
		require.Less(t, time.Since(killed), 4*time.Second, why)
		require.Eventually(t, func() bool {
			return rt.Refresh(ctx) == nil && rt.Status == bctrl.RuntimeFailed
		}, 5*time.Second, 10*time.Millisecond, why)
		requireNothingLeft(t, dir)
	}
}

func TestAProfileKeepsItsCookiesAndHasOneBrowser(t *testing.T) {
	dir := temporary(t)
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		title := "stranger"
		if c, err := r.Cookie("who"); err == nil {
			title = c.Value
		}
		http.SetCookie(w, &http.Cookie{
			Name:     "who",
			Value:    "friend",
			MaxAge:   3600,
			HttpOnly: true,
			Path:     "/",
		})
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<title>" + title + "</title>"))
	}))
	t.Cleanup(site.Close)
	launch := func(ws *bctrl.Workspace, alias, profile string) (*bctrl.Runtime, error) {
		l := bctrl.Launch{Mode: bctrl.ModeProfile, ProfileID: profile}
		if profile == "" {
			l = bctrl.Launch{}
		}
		return ws.Runtimes.Browser(alias).Stagehand(t.Context(), l)
	}
	visit := func(t *testing.T, ws *bctrl.Workspace, alias, profile, want string) *bctrl.Runtime {
		t.Helper()
		rt, err := launch(ws, alias, profile)
		require.NoError(t, err)
		page, err := rt.Page.Goto(t.Context(), site.URL)
		require.NoError(t, err)
		require.Equal(t, want, page.Title)
		return rt
	}
	t.Run("while the server runs", func(t *testing.T) {
		client := bctrltest.New(t, bctrltest.WithBrowser()).Client()
		ws, err := client.Workspaces.Create(t.Context(), bctrl.WorkspaceCreate{Name: "w"})
		require.NoError(t, err)
		first := visit(t, ws, "a", "bot", "stranger")
		_, err = launch(ws, "b", "bot")
		require.ErrorIs(t, err, bctrl.ErrConflict, "the profile has a browser")
		_, err = launch(ws, "a", "")
		require.ErrorIs(t, err, bctrl.ErrConflict, "the alias has a runtime")
		other := visit(t, ws, "b", "", "stranger")
		require.NoError(t, other.Stop(t.Context()))
		saved, err := first.SaveProfile(t.Context())
		require.NoError(t, err)
		require.Equal(t, 1, saved.Cookies, "set a moment ago")
		_, err = client.Profiles.Clone(t.Context(), "bot", bctrl.BrowserProfileCreate{ID: "copy"})
		require.NoError(t, err)
		require.NoError(t, visit(t, ws, "copied", "copy", "friend").Stop(t.Context()), "while the first one runs")
		page, err := first.Page.Goto(t.Context(), site.URL)
		require.NoError(t, err)
		require.Equal(t, "friend", page.Title, "which goes on")
		require.NoError(t, first.Stop(t.Context()))
		requireNothingLeft(t, dir)
		again := visit(t, ws, "a", "bot", "friend")
		require.NotEqual(t, first.ID, again.ID)
		visit(t, ws, "c", "", "stranger")
		require.NotEmpty(t, descendants())
		// Both are left to the server's end.
	})
	requireNothingLeft(t, dir)
}
