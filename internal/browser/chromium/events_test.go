package chromium

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
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
	require.NotEqual(t, first.Target, opened.Target)
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
		if e.Kind == browser.EventTabClosed && e.Target == opened.Target {
			break
		}
	}
	asked := out.AttachTab(target.ID(first.Target))
	out.Ask(asked, "confirm('Sure?')")
	var dialogs []browser.Event
	for e := range told {
		if e.Kind == browser.EventDialog {
			dialogs = append(dialogs, e)
			e.URL = plainURL(e.URL)
			require.Equal(t, browser.Event{Kind: browser.EventDialog, Target: first.Target, URL: site.URL + "/agent",
				Dialog: "confirm", Message: "Sure?"}, e)
			out.OpenTab("about:blank", "")
		}
		if e.Kind == browser.EventTabOpened && len(dialogs) > 0 {
			break
		}
	}
	require.Len(t, dialogs, 1)
}
