package compat

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-rod/rod"
	"github.com/go-rod/rod/lib/cdp"
	"github.com/go-rod/rod/lib/devices"
	"github.com/go-rod/rod/lib/proto"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest"
)

// office is a site to drive, with a file to download.
func office(t *testing.T) string {
	t.Helper()
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/report.csv" {
			w.Header().Set("Content-Disposition", `attachment; filename="report.csv"`)
			_, _ = io.WriteString(w, "a,b\n1,2\n")
			return
		}
		if name, password, _ := r.BasicAuth(); r.URL.Path == "/basic" && (name != "ada" || password != "lovelace") {
			w.Header().Set("WWW-Authenticate", `Basic realm="office"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, `<title>office</title><input id=name><p id=out></p>
			<button id=greet onclick="out.textContent = 'hello ' + document.querySelector('#name').value">Greet</button>
			<button id=ask onclick="out.textContent = String(confirm('sure?'))">Ask</button>
			<a id=open target=_blank href=/other>Open</a><a id=report href=/report.csv>Report</a>
			<input type=file multiple id=file onchange="(async () => took.textContent = (await Promise.all(
				[...this.files].map(async f => f.name + ': ' + await f.text()))).join(', '))()"><p id=took></p>`)
	}))
	t.Cleanup(site.Close)
	return site.URL
}

// usedRuntime is a runtime with a real browser, in which an agent has been at
// work: from then on the server watches the browser too.
func usedRuntime(t *testing.T, site string) *bctrl.Runtime {
	t.Helper()
	client := bctrltest.New(t, bctrltest.WithBrowser()).Client()
	ws, err := client.Workspaces.Create(t.Context(), bctrl.WorkspaceCreate{Name: "w"})
	require.NoError(t, err)
	rt, err := ws.Runtimes.Browser("b").Playwright(t.Context(), bctrl.Launch{})
	require.NoError(t, err)
	_, err = rt.Page.Goto(t.Context(), site+"/agent")
	require.NoError(t, err)
	_, err = rt.Storage.Upload(t.Context(), "reports/q1.txt", strings.NewReader("first"))
	require.NoError(t, err)
	return rt
}

// atWork has the agent go on in its own tab, and looks that it is still there.
func atWork(t *testing.T, rt *bctrl.Runtime, site string) {
	t.Helper()
	shot, err := rt.Page.Screenshot(t.Context(), bctrl.ScreenshotArgs{FullPage: true})
	require.NoError(t, err)
	require.NotEmpty(t, shot.SHA256)
	got, err := rt.Page.Goto(t.Context(), site+"/agent")
	require.NoError(t, err)
	require.True(t, strings.HasSuffix(got.URL, "/agent"), got.URL)
}

// downloads waits until n files came to rest in the runtime's storage.
func downloads(t *testing.T, rt *bctrl.Runtime, n int) {
	t.Helper()
	require.Eventually(t, func() bool {
		found := 0
		for o, err := range rt.Storage.Objects(t.Context(), bctrl.ObjectFilter{Source: bctrl.SourceDownload}) {
			require.NoError(t, err)
			content, err := rt.Storage.Get(t.Context(), o.LogicalPath)
			require.NoError(t, err)
			require.Equal(t, "a,b\n1,2\n", string(content))
			found++
		}
		return found == n
	}, 20*time.Second, 50*time.Millisecond)
}

// connectRod connects Rod to the runtime. It is the connection's end, not
// Rod's Close, which would end the browser, that ends it.
func connectRod(t *testing.T, rt *bctrl.Runtime) (browser *rod.Browser, leave func()) {
	t.Helper()
	address, err := rt.ConnectURL(t.Context())
	require.NoError(t, err)
	ws := &cdp.WebSocket{}
	require.NoError(t, ws.Connect(t.Context(), address, nil))
	browser = rod.New().Context(t.Context()).Client(cdp.New().Start(ws))
	require.NoError(t, browser.Connect())
	left := false
	leave = func() {
		if !left {
			left = true
			_ = ws.Close() // the server may have been first
		}
	}
	t.Cleanup(leave)
	return browser.Timeout(time.Minute), leave
}

// interceptWithRod answers a request in the site's place, and a site that asks for a login.
func interceptWithRod(t *testing.T, browser *rod.Browser, page *rod.Page, site string) {
	t.Helper()
	router := page.HijackRequests()
	router.MustAdd("*/routed", func(h *rod.Hijack) { h.Response.SetBody("mine") })
	go router.Run()
	require.Equal(t, "mine", page.MustEval(`() => fetch("/routed").then(r => r.text())`).Str())
	require.NoError(t, router.Stop())
	authenticated := browser.HandleAuth("ada", "lovelace")
	answered := make(chan error, 1)
	go func() { answered <- authenticated() }()
	require.NoError(t, page.Navigate(site+"/basic"))
	require.NoError(t, <-answered)
	require.Equal(t, "office", page.MustElement("title").MustText())
	require.NoError(t, page.Navigate(site))
	require.NoError(t, page.WaitLoad())
}

func TestRodDrivesARuntimeBesideTheAgent(t *testing.T) {
	site := office(t)
	rt := usedRuntime(t, site)
	browser, leave := connectRod(t, rt)

	page, err := browser.Page(proto.TargetCreateTarget{URL: site})
	require.NoError(t, err)
	require.NoError(t, page.WaitLoad())
	require.NoError(t, page.MustElement("#name").Input("Ada"))
	page.MustElement("#greet").MustClick()
	require.Equal(t, "hello Ada", page.MustElement("#out").MustText())
	require.Equal(t, "\x89PNG", string(page.MustScreenshot()[:4]))
	pdf, err := page.PDF(&proto.PagePrintToPDF{})
	require.NoError(t, err)
	text, err := io.ReadAll(pdf)
	require.NoError(t, err)
	require.Equal(t, "%PDF", string(text[:4]))
	atWork(t, rt, site)

	// The client answers a dialog of the page that it drives.
	for _, yes := range []bool{false, true} {
		wait, handle := page.HandleDialog()
		go page.MustElement("#ask").MustClick()
		require.Equal(t, "sure?", wait().Message)
		require.NoError(t, handle(&proto.PageHandleJavaScriptDialog{Accept: yes}))
		require.NoError(t, page.Wait(rod.Eval(`yes => document.querySelector("#out").textContent === yes`,
			map[bool]string{true: "true", false: "false"}[yes])))
	}

	interceptWithRod(t, browser, page, site)

	// The client sees a new tab and drives it.
	opened := page.WaitOpen()
	page.MustElement("#open").MustClick()
	other, err := opened()
	require.NoError(t, err)
	require.NoError(t, other.WaitLoad())
	require.True(t, strings.HasSuffix(other.MustInfo().URL, "/other"))
	atWork(t, rt, site)

	// The emulation that a client sets stays.
	require.NoError(t, other.Emulate(devices.IPhoneX))
	require.NoError(t, other.Navigate(site+"/phone"))
	atWork(t, rt, site)
	require.Contains(t, other.MustEval(`() => navigator.userAgent`).Str(), "iPhone")
	require.Equal(t, 3, other.MustEval(`() => devicePixelRatio`).Int())

	// The client gives a page files of the runtime's storage, and none of its own machine.
	require.NoError(t, page.MustElement("#file").SetFiles([]string{bctrl.ClientPath("reports/q1.txt")}))
	require.NoError(t, page.Wait(rod.Eval(`() => took.textContent === "q1.txt: first"`)))
	require.ErrorContains(t, page.MustElement("#file").SetFiles([]string{"rod_test.go"}), "runtimes.machine_path")

	// The client hears of downloads, and the server keeps them, also those of a browser
	// context that the client made.
	own, err := browser.Incognito()
	require.NoError(t, err)
	for i, in := range []*rod.Browser{browser, own} {
		from, err := in.Page(proto.TargetCreateTarget{URL: site})
		require.NoError(t, err)
		require.NoError(t, from.WaitLoad())
		wait := in.WaitDownload(t.TempDir())
		from.MustElement("#report").MustClick()
		require.Equal(t, "report.csv", wait().SuggestedFilename)
		downloads(t, rt, i+1)
	}
	require.NoError(t, own.Close())

	// A client comes back to what it left, by the same address.
	leave()
	again, _ := connectRod(t, rt)
	third, _ := connectRod(t, rt)
	pages, err := third.Pages()
	require.NoError(t, err)
	found, err := pages.FindByURL("/phone")
	require.NoError(t, err)
	require.Equal(t, "office", found.MustInfo().Title)
	require.NoError(t, again.Close(), "it ends the connection alone")
	atWork(t, rt, site)

	// The end of the runtime is one that Rod knows, not the end of the program.
	require.NoError(t, rt.Stop(t.Context()))
	_, err = found.Eval(`() => 1`)
	require.Error(t, err)
}

// TestRodIsRefusedWhereTooManyAreConnected holds what it is told to what Rod can
// read.
func TestRodIsRefusedWhereTooManyAreConnected(t *testing.T) {
	site := office(t)
	rt := usedRuntime(t, site)
	refused := false
	for range 20 {
		address, err := rt.ConnectURL(t.Context())
		require.NoError(t, err)
		ws := &cdp.WebSocket{}
		require.NoError(t, ws.Connect(t.Context(), address, nil))
		t.Cleanup(func() { _ = ws.Close() }) // the server may have been first
		if err = rod.New().Context(t.Context()).Client(cdp.New().Start(ws)).Connect(); err != nil {
			refused = true
		}
	}
	require.True(t, refused)
}
