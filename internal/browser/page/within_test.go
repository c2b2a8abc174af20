package page_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
)

// twoHosts is a site by two names of the machine. It keeps what the second is asked for.
type twoHosts struct {
	home, elsewhere string
	mu              sync.Mutex
	asked           []string
}

func newTwoHosts(t *testing.T) *twoHosts {
	t.Helper()
	h := &twoHosts{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.Host, "localhost") {
			h.mu.Lock()
			h.asked = append(h.asked, r.Method+" "+r.URL.String())
			h.mu.Unlock()
		}
		if r.URL.Path == "/away" {
			http.Redirect(w, r, h.elsewhere+"/redirected", http.StatusTemporaryRedirect)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if r.URL.Path == "/frame" {
			return
		}
		_, _ = w.Write([]byte(strings.ReplaceAll(`<!doctype html><title>Home</title><h1>Home</h1>
			<a href=E/link>Link</a> <a href=E/tab target=_blank>Tab</a> <a href=/away>Redirect</a> <a href=/next>Next</a>
			<button onclick="location='E/script?'+document.title">Script</button>
			<button onclick="window.open('E/popup')">Popup</button>
			<button onclick="let w=window.open('about:blank'); w.location='E/late'">Late</button>
			<form method=post action=E/form><input name=a value=1><button>Post</button></form>
			<form method=post action=/away><input name=a value=1><button>Post away</button></form>
			<iframe src=E/frame></iframe><img src=E/image>`, "E", h.elsewhere)))
	}))
	t.Cleanup(srv.Close)
	h.home, h.elsewhere = srv.URL, strings.Replace(srv.URL, "127.0.0.1", "localhost", 1)
	return h
}

func (h *twoHosts) askedElsewhere() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.asked, "\n")
}

// TestTabsAreKeptToWhereTheyMayBe has a page lead elsewhere in every way that there is: the
// other host is asked for none of them, and the page stays.
func TestTabsAreKeptToWhereTheyMayBe(t *testing.T) {
	ctx, p, _ := openPage(t)
	h := newTwoHosts(t)
	b := p.KeepTo(func(address string) bool { return strings.HasPrefix(address, h.home) || address == "about:blank" })
	for _, c := range []struct{ role, name, path string }{
		{"link", "Link", "/link"}, {"link", "Tab", "/tab"}, {"link", "Redirect", "/redirected"},
		{"button", "Popup", "/popup"}, {"button", "Script", "/script?Home"}, {"button", "Late", "/late"},
		{"button", "Post", "/form"}, {"button", "Post away", "/redirected"},
	} {
		obs := browsertest.Open(ctx, t, p, h.home+"/")
		require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, c.role, c.name).Ref, browser.Click{}), c.name)
		var stopped []string
		require.Eventually(t, func() bool {
			stopped = append(stopped, b.Stopped()...)
			return len(stopped) > 0
		}, 10*time.Second, 10*time.Millisecond, c.name)
		require.Equal(t, []string{h.elsewhere + c.path}, stopped, c.name)
		require.Eventually(t, func() bool {
			obs, err := p.Observe(ctx) // a tab that is just being closed cannot be read
			return err == nil && obs.URL == h.home+"/" && len(obs.Tabs) == 1
		}, 10*time.Second, 10*time.Millisecond, "%s: the page stays, and no tab is left of it", c.name)
	}
	require.Error(t, p.Goto(ctx, h.elsewhere+"/goto", ""))
	require.Equal(t, []string{h.elsewhere + "/goto"}, b.Stopped())
	for line := range strings.SplitSeq(h.askedElsewhere(), "\n") {
		require.Contains(t, []string{"GET /frame", "GET /image"}, line, "what a page loads is not bounded, where it goes is")
	}

	obs := browsertest.Open(ctx, t, p, h.home+"/")
	require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "link", "Next").Ref, browser.Click{}))
	require.Eventually(t, func() bool { return browsertest.Observe(ctx, t, p).URL == h.home+"/next" }, 10*time.Second,
		10*time.Millisecond, "it goes where it may")
	b.Release()
	obs = browsertest.Open(ctx, t, p, h.home+"/")
	require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "link", "Link").Ref, browser.Click{}))
	require.Eventually(t, func() bool { return strings.Contains(h.askedElsewhere(), "GET /link") }, 10*time.Second,
		10*time.Millisecond, "once the bounds are released it goes anywhere")
	require.Empty(t, b.Stopped())
}

// TestTheBoundsOfOneTaskOutlastThoseOfAnother has two tasks in a browser, of which the one
// that began later ends first.
func TestTheBoundsOfOneTaskOutlastThoseOfAnother(t *testing.T) {
	ctx, p, _ := openPage(t)
	h := newTwoHosts(t)
	home := func(address string) bool { return strings.HasPrefix(address, h.home) || address == "about:blank" }
	first := p.KeepTo(home)
	second := p.KeepTo(func(string) bool { return true })
	stays := func(why string) {
		require.Error(t, p.Goto(ctx, h.elsewhere+"/goto", ""), why)
		require.Equal(t, []string{h.elsewhere + "/goto"}, first.Stopped(), why)
		require.Empty(t, second.Stopped(), "the other task may be there")
	}
	browsertest.Open(ctx, t, p, h.home+"/")
	stays("a task that may be anywhere lends that to none")
	second.Release()
	second.Release()
	stays("nor does its end end the bounds of the other")
	first.Release()
	require.NoError(t, p.Goto(ctx, h.elsewhere+"/goto", ""))
}
