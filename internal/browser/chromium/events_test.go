package chromium

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// TestWhatHappensInTabsIsToldOnce: of an agent's tabs and a client's alike, and once of
// what both hear of.
func TestWhatHappensInTabsIsToldOnce(t *testing.T) {
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintf(w, "<title>%s</title><p>x", r.URL.Path)
	}))
	defer site.Close()
	told := make(chan browser.Event, 1000)
	next := func(kind browser.EventKind) browser.Event {
		t.Helper()
		select {
		case e := <-told:
			require.Equal(t, kind, e.Kind, "%+v", e)
			return e
		case <-time.After(30 * time.Second):
			require.Fail(t, "nothing was told", kind)
			return browser.Event{}
		}
	}
	b := launch(t, browser.Spec{
		ID:      "events",
		Egress:  browsertest.Loopback(),
		OnEvent: func(e browser.Event) { told <- e },
	})
	agent, err := b.Page(t.Context())
	require.NoError(t, err)
	require.NoError(t, agent.Goto(t.Context(), site.URL+"/agent?token=x", ""))
	first := next(browser.EventNavigated)
	require.Equal(t, site.URL+"/agent?token=x", first.URL)

	out := browsertest.Join(t, b)
	tab := out.OpenTab(site.URL+"/client", "")
	opened := next(browser.EventTabOpened)
	require.NotEqual(t, first.Tab, opened.Tab)
	require.Equal(t, string(tab.TargetID), opened.Target)
	tabs, err := agent.Tabs(t.Context())
	require.NoError(t, err)
	require.Equal(t, tabs[0].ID, first.Tab, "events name tabs as lists do")
	for at := opened.URL; at != site.URL+"/client"; {
		at = next(browser.EventNavigated).URL
	}
	out.Evaluate(tab, "history.pushState(0, '', '/pushed')")
	require.Equal(t, site.URL+"/pushed", next(browser.EventNavigated).URL)

	ctx := browsertest.Chromedp(t, b)
	require.NoError(t, chromedp.Do(ctx, chromedp.Navigate(site.URL+"/agent")))
	require.NoError(t, b.mux.Call(t.Context(), target.CommandCloseTarget,
		target.CloseTargetParams{TargetID: target.ID(opened.Target)}, nil))
	for e := range told {
		if e.Kind == browser.EventTabClosed && e.Tab == opened.Tab {
			break
		}
	}
	asked := out.AttachTab(b.firstTabs[0])
	out.Ask(asked, "confirm('Sure?')")
	var dialogs []browser.Event
	for e := range told {
		if e.Kind == browser.EventDialog {
			dialogs = append(dialogs, e)
			e.URL = plainURL(e.URL)
			require.Equal(t, browser.Event{Kind: browser.EventDialog, Tab: first.Tab, URL: site.URL + "/agent",
				Dialog: "confirm", Message: "Sure?"}, e)
			out.OpenTab("about:blank", "")
		}
		if e.Kind == browser.EventTabOpened && len(dialogs) > 0 {
			break
		}
	}
	require.Len(t, dialogs, 1)
}

// TestADialogIsToldOfItsTab: not of the frame that asked, also of a client's tab, where the
// client listens to no dialogs.
func TestADialogIsToldOfItsTab(t *testing.T) {
	var other string
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		switch r.URL.Path {
		case "/same":
			_, _ = fmt.Fprint(w, `<iframe src="/asks"></iframe>`)
		case "/cross":
			_, _ = fmt.Fprintf(w, `<iframe src="%s/asks"></iframe>`, other)
		case "/asks":
			_, _ = fmt.Fprint(w, `<script>setTimeout(() => confirm("from a frame"))</script>`)
		case "/at-once":
			_, _ = fmt.Fprint(w, `<script>confirm("from a script")</script>`)
		}
	}))
	defer site.Close()
	other = strings.Replace(site.URL, "127.0.0.1", "localhost", 1)
	dialogs := make(chan browser.Event, 100)
	b := launch(t, browser.Spec{ID: "asks", Egress: browsertest.Loopback(), OnEvent: func(e browser.Event) {
		if e.Kind == browser.EventDialog {
			dialogs <- e
		}
	}})
	agents, err := b.Page(t.Context())
	require.NoError(t, err)
	require.NoError(t, agents.Goto(t.Context(), site.URL+"/at-once", ""))
	alone := <-dialogs // before the page went on
	require.Equal(t, b.tabEvents.ids.Of(string(b.firstTabs[0])), alone.Tab, "no client is there")
	require.Equal(t, "from a script", alone.Message)
	out := browsertest.Join(t, b)
	own, err := protocol.Call(t.Context(), out.Root, target.CreateBrowserContext, target.CreateBrowserContextParams{})
	require.NoError(t, err)
	for _, c := range []struct {
		path, message string
		in            cdp.BrowserContextID
	}{
		{"/at-once", "from a script", ""},
		{"/at-once", "from a script", own.BrowserContextID},
		{"/same", "from a frame", ""},
		{"/cross", "from a frame", ""},
	} {
		tab := out.OpenTab(site.URL+c.path, c.in)
		select {
		case e := <-dialogs:
			require.Equal(t, b.tabEvents.ids.Of(string(tab.TargetID)), e.Tab, c.path)
			require.Equal(t, c.message, e.Message, c.path)
		case <-time.After(30 * time.Second):
			require.Fail(t, "nothing was told", c.path)
		}
		require.Equal(t, "2", out.Evaluate(tab, "1 + 1"), "the page goes on: nobody else answers")
	}
	require.Empty(t, dialogs, "each is told once")
}
