package command

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

// browsers are the processes whose arguments name a folder below dir, as those
// of every browser that was started with it as its temporary directory do.
func browsers(t *testing.T, dir string) (pids []int) {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	require.NoError(t, err)
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		cmdline, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if err == nil && strings.Contains(string(cmdline), dir) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// cookiesKept is the size of the one profile's cookies on disk.
func cookiesKept(t *testing.T, data string) int64 {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(data, "profiles", "*", "cookies"))
	require.NoError(t, err)
	if len(found) != 1 {
		return 0
	}
	info, err := os.Stat(found[0])
	require.NoError(t, err)
	return info.Size()
}

// TestAKilledServerTakesItsBrowsersAlong kills the real process while browsers
// run: they must go too, and the next server must find their runtimes ended,
// their names free, their cookies kept and their folders gone.
func TestAKilledServerTakesItsBrowsersAlong(t *testing.T) {
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		title := "stranger"
		if _, err := r.Cookie("who"); err == nil {
			title = "friend"
		}
		if _, err := r.Cookie("session"); err == nil {
			title += " in session"
		}
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "x", Path: "/"})
		http.SetCookie(w, &http.Cookie{
			Name:   "who",
			Value:  "x",
			MaxAge: 3600,
			Path:   "/",
		})
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<title>" + title + "</title>"))
	}))
	t.Cleanup(site.Close)
	temp, err := os.MkdirTemp("", "killed-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(temp)) })
	require.NoError(t, os.Chmod(temp, 0o711)) // the browsers' user must reach it

	where := newPlace(t)
	where.args = []string{"--allow-address", "127.0.0.1"}
	srv := where.start(t, "TMPDIR="+temp)
	key := srv.firstKey
	ctx := t.Context()
	launch := func(alias string, l bctrl.Launch) *bctrl.Runtime {
		t.Helper()
		ws, err := srv.client(key).Workspaces.GetByName(ctx, "w")
		require.NoError(t, err)
		rt, err := ws.Runtimes.Browser(alias).Stagehand(ctx, l)
		require.NoError(t, err)
		return rt
	}
	profile := bctrl.Launch{Mode: bctrl.ModeProfile, ProfileID: "bot"}
	_, err = srv.client(key).Workspaces.Create(ctx, bctrl.WorkspaceCreate{Name: "w"})
	require.NoError(t, err)
	first := launch("kept", profile)
	page, err := first.Page.Goto(ctx, site.URL)
	require.NoError(t, err)
	require.Equal(t, "stranger", page.Title)
	launch("passing", bctrl.Launch{})
	require.Greater(t, len(browsers(t, temp)), 1)
	require.Eventually(t, func() bool { return cookiesKept(t, where.data) > 150 }, 30*time.Second, 5*time.Millisecond,
		"cookies are kept while the browser runs, before Chromium writes them")

	srv.kill()
	require.Eventually(t, func() bool {
		return len(browsers(t, temp)) == 0
	}, 5*time.Second, 10*time.Millisecond, "browsers outlive their server")

	srv = where.start(t, "TMPDIR="+temp)
	left, err := filepath.Glob(filepath.Join(temp, "bctrl-*"))
	require.NoError(t, err)
	require.Empty(t, left, "folders that the killed server's browsers left")
	ws, err := srv.client(key).Workspaces.GetByName(ctx, "w")
	require.NoError(t, err)
	for rt, err := range ws.Runtimes.List(ctx) {
		require.NoError(t, err)
		require.Equal(t, bctrl.RuntimeFailed, rt.Status)
		require.NotEmpty(t, rt.Info.Summary.Message)
	}
	launch("passing", bctrl.Launch{})
	again := launch("kept", profile)
	require.NotEqual(t, first.ID, again.ID)
	page, err = again.Page.Goto(ctx, site.URL)
	require.NoError(t, err)
	require.Equal(t, "friend in session", page.Title, "a login outlives its server")
	srv.terminate()
	require.Empty(t, browsers(t, temp))
	left, err = filepath.Glob(filepath.Join(temp, "bctrl-*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

// TestALaunchThatIsInterruptedLeavesNoBrowser interrupts the command once the server has
// launched, before the command hears of it.
func TestALaunchThatIsInterruptedLeavesNoBrowser(t *testing.T) {
	d := furnished(t)
	to, err := url.Parse(d.srv.URL)
	require.NoError(t, err)
	pass := httputil.NewSingleHostReverseProxy(to)
	ctx, interrupt := context.WithCancel(t.Context())
	var once sync.Once
	between := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/runtimes") {
			pass.ServeHTTP(w, r)
			return
		}
		answer := httptest.NewRecorder()
		pass.ServeHTTP(answer, r.WithContext(context.WithoutCancel(r.Context())))
		once.Do(func() { interrupt(); <-r.Context().Done() })
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes()) // the first time nobody reads it
	}))
	defer between.Close()
	t.Setenv("BCTRL_BASE_URL", between.URL)
	ran := runIn(ctx, strings.NewReader(""), "runtime", "launch", "sales/late")
	require.Equal(t, exitInterrupted, ran.code, ran.stderr)
	t.Setenv("BCTRL_BASE_URL", d.srv.URL)
	require.Equal(t, "stopped\n", d.do("runtime", "get", "sales/late", "--output", "status"))
}
