package bctrltest_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/remote"
	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest"
)

// greeter is a page with something to type, to press, to read and to download.
func greeter(t *testing.T) string {
	t.Helper()
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		if r.URL.Path == "/file" {
			w.Header().Set("Content-Disposition", `attachment; filename="report.txt"`)
		}
		_, _ = w.Write([]byte(`<title>greeter</title><input id=name><button onclick="out.textContent = 'hello ' + ` +
			`document.querySelector('#name').value">go</button><p id=out></p>`))
	}))
	t.Cleanup(site.Close)
	return site.URL
}

// connected launches a runtime with a real browser.
func connected(t *testing.T) *bctrl.Runtime {
	t.Helper()
	client := bctrltest.New(t, bctrltest.WithBrowser()).Client()
	ws, err := client.Workspaces.Create(t.Context(), bctrl.WorkspaceCreate{Name: "w"})
	require.NoError(t, err)
	rt, err := ws.Runtimes.Browser("b").Playwright(t.Context(), bctrl.Launch{})
	require.NoError(t, err)
	return rt
}

func connectURL(t *testing.T, rt *bctrl.Runtime) string {
	t.Helper()
	url, err := rt.ConnectURL(t.Context())
	require.NoError(t, err)
	require.Contains(t, url, "/devtools/browser/")
	return url
}

func TestChromedpDrivesARuntime(t *testing.T) {
	rt, site := connected(t), greeter(t)
	allocator, end := remote.NewAllocator(context.Background(), connectURL(t, rt))
	defer end()
	ctx, cancel := chromedp.NewContext(allocator)
	defer func() {
		cancel()
		chromedp.FromContext(ctx).Allocator.Wait()
	}()
	require.NoError(t, chromedp.Do(ctx,
		chromedp.Navigate(site), chromedp.SendKeys(chromedp.CSS("#name"), "Ada"), chromedp.Click(chromedp.CSS("button")),
	))
	text, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS("#out")))
	require.NoError(t, err)
	require.Equal(t, "hello Ada", text)
	shot, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	require.NoError(t, err)
	require.Equal(t, "\x89PNG", string(shot[:4]))
}

// firstMessages are what a client of testdata/clients sends as it connects.
func firstMessages(t *testing.T, client string) (browser, page []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "clients", client+".txt"))
	require.NoError(t, err)
	into := map[string]*[]string{"browser": &browser, "page": &page}
	to := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\n")
		if message, ok := strings.CutPrefix(line, "\t"); ok {
			*into[to] = append(*into[to], message)
		} else if into[line] != nil {
			to = line
		}
	}
	require.NotEmpty(t, browser)
	require.NotEmpty(t, page)
	return browser, page
}

// TestPlaywrightAndPuppeteerCanConnect sends what these clients send as they
// connect and open a page. A refusal of any of it is the end of the connection to
// them.
func TestPlaywrightAndPuppeteerCanConnect(t *testing.T) {
	rt, site := connected(t), greeter(t)
	for _, client := range []string{"playwright", "puppeteer"} {
		t.Run(client, func(t *testing.T) {
			browser, page := firstMessages(t, client)
			d := dialDevTools(t, connectURL(t, rt))
			send := func(session, line, frame string) json.RawMessage {
				t.Helper()
				method, params, _ := strings.Cut(line, " ")
				params = strings.NewReplacer("FRAME", frame, "SITE", site).Replace(params)
				result, err := d.call(t.Context(), session, method, json.RawMessage(params))
				require.NoError(t, err)
				return result
			}
			for _, line := range browser {
				send("", line, "")
			}
			session, err := d.page(t.Context())
			require.NoError(t, err)
			frame := ""
			for _, line := range page {
				result := send(session, line, frame)
				if strings.Contains(line, "Page.getFrameTree") {
					var tree struct {
						FrameTree struct{ Frame struct{ ID string } }
					}
					require.NoError(t, json.Unmarshal(result, &tree))
					frame = tree.FrameTree.Frame.ID
				}
			}
			var title string
			require.Eventually(t, func() bool {
				return d.eval(t.Context(), session, "document.title", &title) == nil && title == "greeter"
			}, 10*time.Second, 10*time.Millisecond)

			// Downloads stay the server's, whatever the client was told.
			require.NoError(t, d.eval(t.Context(), session, `void (location.href = "/file"), 1`, new(int)))
			require.Eventually(t, func() bool {
				n := 0
				for o, err := range rt.Storage.Objects(t.Context(), bctrl.ObjectFilter{Source: bctrl.SourceDownload}) {
					require.NoError(t, err)
					require.Contains(t, o.LogicalPath, "report")
					n++
				}
				return n > 0
			}, 10*time.Second, 20*time.Millisecond)
			for o, err := range rt.Storage.Objects(t.Context(), bctrl.ObjectFilter{}) {
				require.NoError(t, err)
				require.NoError(t, rt.Storage.Delete(t.Context(), o.LogicalPath))
			}
		})
	}
}

func TestAConnectURLReachesNothingPastTheRuntimesPages(t *testing.T) {
	rt := connected(t)
	url := connectURL(t, rt)
	d := dialDevTools(t, url)
	session, err := d.page(t.Context())
	require.NoError(t, err)
	for _, tc := range []struct{ session, method, params string }{
		{session, "Page.navigate", `{"url": "file:///etc/passwd"}`},
		{session, "Page.navigate", `{"url": "chrome://version"}`},
		{"", "Target.createTarget", `{"url": "file:///etc/passwd"}`},
		{session, "Browser.crash", `{}`},
		{session, "Page.crash", `{}`},
		{session, "Network.setRequestInterception", `{"patterns": [{}]}`},
		{session, "DOM.setFileInputFiles", `{"files": ["/etc/passwd"]}`},
		{"", "Target.exposeDevToolsProtocol", `{"targetId": "x"}`},
		{"", "Target.createBrowserContext", `{"proxyServer": "127.0.0.1:9"}`},
		{"", "SystemInfo.getInfo", `{}`},
		{"", "Nonsense.enable", `{}`},
	} {
		_, err := d.call(t.Context(), tc.session, tc.method, json.RawMessage(tc.params))
		require.ErrorContains(t, err, "refused", tc.method)
	}
	// A page cannot go there by itself either.
	var href string
	require.NoError(t, d.eval(t.Context(), session, `location.href = "file:///etc/passwd", new Promise(r => `+
		`setTimeout(() => r(location.href), 100))`, &href))
	require.Equal(t, "about:blank", href)

	token := url[strings.LastIndexByte(url, '/')+1:]
	for _, wrong := range []string{strings.ToLower(token), token[:len(token)-1], token + "A", "AAAA"} {
		_, resp, err := websocket.Dial(t.Context(), strings.Replace(url, token, wrong, 1), nil)
		require.Error(t, err)
		require.Equal(t, http.StatusUnauthorized, resp.StatusCode)
	}

	require.NoError(t, rt.Stop(t.Context()))
	select {
	case <-d.done:
	case <-time.After(5 * time.Second):
		require.Fail(t, "the connection outlived its runtime")
	}
	_, resp, err := websocket.Dial(t.Context(), url, nil)
	require.Error(t, err)
	require.Equal(t, http.StatusUnauthorized, resp.StatusCode)
	_, err = rt.ConnectURL(t.Context())
	require.ErrorIs(t, err, bctrl.ErrConflict)
}

// TestBrowserCloseEndsTheClientAndNotTheRuntime: what programs do at their end is theirs,
// with the tabs that they opened.
func TestBrowserCloseEndsTheClientAndNotTheRuntime(t *testing.T) {
	rt, site := connected(t), greeter(t)
	url := connectURL(t, rt)
	d, other := dialDevTools(t, url), dialDevTools(t, url)
	_, err := d.call(t.Context(), "", "Target.createTarget", json.RawMessage(`{"url": "about:blank"}`))
	require.NoError(t, err)
	tabs := func() int {
		var all struct{ TargetInfos []struct{ Type string } }
		result, err := other.call(t.Context(), "", "Target.getTargets", json.RawMessage(`{}`))
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(result, &all))
		return len(all.TargetInfos)
	}
	require.Equal(t, 2, tabs())
	_, err = d.call(t.Context(), "", "Browser.close", json.RawMessage(`{}`))
	require.NoError(t, err)
	<-d.done
	require.Eventually(t, func() bool { return tabs() == 1 }, 10*time.Second, 10*time.Millisecond)
	_, err = rt.Page.Goto(t.Context(), site)
	require.NoError(t, err)
}
