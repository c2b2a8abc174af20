package bctrltest_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest"
)

// twoNames is a site that answers as localhost and as 127.0.0.1, and notes who was
// asked as which.
type twoNames struct {
	mu    sync.Mutex
	asked []string
	// listening gets the end of each request for /listen.
	listening, left chan struct{}
	port            string
}

func newTwoNames(t *testing.T) *twoNames {
	t.Helper()
	s := &twoNames{listening: make(chan struct{}, 8), left: make(chan struct{}, 8)}
	mux := http.NewServeMux()
	note := func(r *http.Request) {
		host, _, _ := net.SplitHostPort(r.Host)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.asked = append(s.asked, host+r.URL.Path)
	}
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		note(r)
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintf(w, `<title>at %[1]s</title><h1>Here</h1><a href="http://127.0.0.1:%[2]s/">Out</a>
			<img src="http://127.0.0.1:%[2]s/image"><script>new EventSource('/listen')</script>`, r.Host, s.port)
	})
	mux.HandleFunc("GET /image", func(_ http.ResponseWriter, r *http.Request) { note(r) })
	mux.HandleFunc("GET /away", func(w http.ResponseWriter, r *http.Request) {
		note(r)
		http.Redirect(w, r, "http://127.0.0.1:"+s.port+"/", http.StatusFound)
	})
	mux.HandleFunc("GET /listen", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, ": open\n\n")
		_ = http.NewResponseController(w).Flush()
		s.listening <- struct{}{}
		<-r.Context().Done()
		s.left <- struct{}{}
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	u, err := url.Parse(srv.URL)
	require.NoError(t, err)
	s.port = u.Port()
	return s
}

func (s *twoNames) at(host, path string) string {
	return "http://" + net.JoinHostPort(host, s.port) + path
}

// askedAs lists what was asked for at a host.
func (s *twoNames) askedAs(host string) (paths []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, asked := range s.asked {
		if len(asked) > len(host) && asked[:len(host)] == host {
			paths = append(paths, asked[len(host):])
		}
	}
	return paths
}

// TestABrowserIsHeldToTheHostsOfItsMounts has a page of a host outside, an image of one,
// and a redirect to one.
func TestABrowserIsHeldToTheHostsOfItsMounts(t *testing.T) {
	site, ctx := newTwoNames(t), t.Context() // first, so that it ends after the browser
	client := bctrltest.New(t, bctrltest.WithBrowser()).Client()
	ws, err := client.Workspaces.Create(ctx, bctrl.WorkspaceCreate{Name: "sales", Mounts: bctrl.Mounts{
		Web: &bctrl.WebMount{Allow: []string{"localhost"}},
	}})
	require.NoError(t, err)
	_, err = ws.Runtimes.Browser("wide").Narrow(bctrl.Mounts{Web: &bctrl.WebMount{Allow: []string{"*"}}}).
		Stagehand(ctx, bctrl.Launch{})
	require.ErrorIs(t, err, bctrl.ErrWidening, "no runtime is wider than its workspace")
	rt, err := ws.Runtimes.Browser("crm").Stagehand(ctx, bctrl.Launch{})
	require.NoError(t, err)

	seen, err := rt.Page.Goto(ctx, site.at("localhost", "/"))
	require.NoError(t, err)
	require.Equal(t, "at localhost:"+site.port, seen.Title)
	for _, address := range []string{site.at("127.0.0.1", "/"), site.at("localhost", "/away")} {
		_, err = rt.Page.Goto(ctx, address)
		require.ErrorContains(t, err, "page.host_outside_mount")
		require.ErrorContains(t, err, "127.0.0.1")
	}
	require.Empty(t, site.askedAs("127.0.0.1"), "not a byte has left")
	info, err := ws.Runtimes.Get(ctx, "crm")
	require.NoError(t, err)
	require.Equal(t, []string{"127.0.0.1"}, info.Info.Summary.BlockedHosts)
	require.NotZero(t, info.Info.Summary.BlockedRequests)
	var refused []string
	for ev, err := range client.Audit.Events(ctx, bctrl.AuditFilter{Action: string(bctrl.VisitHost)}) {
		require.NoError(t, err)
		require.Equal(t, "page.host_outside_mount", ev.Outcome)
		refused = append(refused, ev.Object)
	}
	require.Contains(t, refused, "127.0.0.1")
	require.True(t, info.Info.EffectiveMounts.AllowsHost("localhost"))
	require.False(t, info.Info.EffectiveMounts.AllowsHost("127.0.0.1"))
}

// TestLoweringTheHostsEndsWhatIsOpenToThem has an open stream of a host that is lowered
// away.
func TestLoweringTheHostsEndsWhatIsOpenToThem(t *testing.T) {
	site, ctx := newTwoNames(t), t.Context() // first, so that it ends after the browser
	client := bctrltest.New(t, bctrltest.WithBrowser()).Client()
	ws, err := client.Workspaces.Create(ctx, bctrl.WorkspaceCreate{Name: "sales"})
	require.NoError(t, err)
	rt, err := ws.Runtimes.Browser("crm").Stagehand(ctx, bctrl.Launch{})
	require.NoError(t, err)
	_, err = rt.Page.Goto(ctx, site.at("localhost", "/"))
	require.NoError(t, err, "a workspace that says nothing of hosts permits all")
	<-site.listening
	mounts := ws.Mounts
	mounts.Web = &bctrl.WebMount{Allow: []string{"*"}, Deny: []string{"LocalHost"}}
	require.NoError(t, ws.Update(ctx, bctrl.WorkspaceUpdate{Mounts: &mounts}))
	<-site.left
	_, err = rt.Page.Goto(ctx, site.at("localhost", "/"))
	require.ErrorContains(t, err, "page.host_outside_mount")
	_, err = rt.Page.Goto(ctx, site.at("127.0.0.1", "/"))
	require.NoError(t, err, "an address is permitted by * alone")
}

// TestHostsAreLoweredForOneExecution holds the browser while a lowered handle's step runs,
// and no longer.
func TestHostsAreLoweredForOneExecution(t *testing.T) {
	site, ctx := newTwoNames(t), t.Context() // first, so that it ends after the browser
	client := bctrltest.New(t, bctrltest.WithBrowser()).Client()
	ws, err := client.Workspaces.Create(ctx, bctrl.WorkspaceCreate{Name: "sales"})
	require.NoError(t, err)
	rt, err := ws.Runtimes.Browser("crm").Stagehand(ctx, bctrl.Launch{})
	require.NoError(t, err)
	lower, err := rt.Narrow(bctrl.Mounts{Web: &bctrl.WebMount{Allow: []string{"localhost"}}})
	require.NoError(t, err)
	_, err = lower.Narrow(bctrl.Mounts{Web: &bctrl.WebMount{Allow: []string{"127.0.0.1"}}})
	require.ErrorContains(t, err, "mounts.invalid_host_pattern")
	_, err = lower.Page.Goto(ctx, site.at("127.0.0.1", "/"))
	require.ErrorContains(t, err, "page.host_outside_mount")
	_, err = lower.Page.Goto(ctx, site.at("localhost", "/away"))
	require.ErrorContains(t, err, "page.host_outside_mount")
	_, err = lower.Page.Goto(ctx, site.at("localhost", "/"))
	require.NoError(t, err)
	require.Empty(t, site.askedAs("127.0.0.1"))
	_, err = rt.Page.Goto(ctx, site.at("127.0.0.1", "/"))
	require.NoError(t, err, "the handle was lowered, not the runtime")
	_, err = lower.Page.Screenshot(ctx, bctrl.ScreenshotArgs{})
	require.ErrorContains(t, err, "page.host_outside_mount", "what the wider handle opened is not shown to the lower")
	require.ErrorIs(t, err, bctrl.ErrOutsideMount)
	step, err := bctrl.GotoStep(bctrl.GotoArgs{URL: site.at("127.0.0.1", "/")})
	require.NoError(t, err)
	step.Mounts = &bctrl.Mounts{Web: &bctrl.WebMount{Deny: []string{"*"}}}
	result, err := ws.Execute(ctx, bctrl.Execution{Runtime: "crm", Steps: []bctrl.Step{step}})
	require.NoError(t, err)
	require.Equal(t, "page.host_outside_mount", result.Steps[0].Error.Code, "the server decides for itself")
}

// TestTabsAreOpenedChosenAndClosedByAProgram shows too what a tab outside the mounts shows.
func TestTabsAreOpenedChosenAndClosedByAProgram(t *testing.T) {
	site, ctx := newTwoNames(t), t.Context()
	client := bctrltest.New(t, bctrltest.WithBrowser()).Client()
	ws, err := client.Workspaces.Create(ctx, bctrl.WorkspaceCreate{Name: "sales"})
	require.NoError(t, err)
	rt, err := ws.Runtimes.Browser("crm").Stagehand(ctx, bctrl.Launch{})
	require.NoError(t, err)
	_, err = rt.Page.Goto(ctx, site.at("127.0.0.1", "/?token=1"))
	require.NoError(t, err)
	opened, err := rt.Pages.Open(ctx, site.at("localhost", "/"))
	require.NoError(t, err)
	require.Equal(t, "at localhost:"+site.port, opened.Title)
	pages, err := rt.Pages.List(ctx)
	require.NoError(t, err)
	require.Len(t, pages, 2)
	require.Equal(t, bctrl.PageInfo{
		ID: pages[0].ID, URL: site.at("127.0.0.1", "/"), Title: "at 127.0.0.1:" + site.port,
	}, pages[0], "an address has no query, where sites put tokens")
	require.Equal(t, *opened, pages[1])

	lower, err := rt.Narrow(bctrl.Mounts{Web: &bctrl.WebMount{Allow: []string{"localhost"}}})
	require.NoError(t, err)
	pages, err = lower.Pages.List(ctx)
	require.NoError(t, err)
	require.Equal(t, bctrl.PageInfo{ID: pages[0].ID}, pages[0], "what is open outside the mounts is not told")
	_, err = lower.Pages.Open(ctx, site.at("127.0.0.1", "/"))
	require.ErrorIs(t, err, bctrl.ErrOutsideMount)

	require.NoError(t, rt.Pages.Activate(ctx, pages[0].ID))
	require.NoError(t, rt.Pages.Close(ctx, opened.ID))
	require.ErrorContains(t, rt.Pages.Activate(ctx, opened.ID), "page.unknown_tab")
	require.ErrorContains(t, rt.Pages.Close(ctx, "t99"), "page.unknown_tab")
	blank, err := rt.Pages.Open(ctx, "")
	require.NoError(t, err)
	require.True(t, blank.Active)
	_, err = rt.Pages.Open(ctx, "file:///etc/passwd")
	require.Error(t, err)
}
