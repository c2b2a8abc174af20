//go:build unix

package chromium

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

const (
	askingPage  = `<title>asking</title><button>x</button>`
	leavingPage = `<title>leaving</title><script>onbeforeunload = e => { e.preventDefault(); return "no" }</script>`
)

// askAll has a tab ask in each way, for a client that hears of no dialogs, and returns what
// became of it.
func askAll(t *testing.T, o *browsertest.Outsider, tab *browsertest.Tab, s *browsertest.Site) (became []string) {
	t.Helper()
	show := func(path, title string) {
		require.NoError(t, protocol.Tell(t.Context(), tab, page.Navigate, page.NavigateParams{URL: s.URL + path}))
		require.Eventually(t, func() bool {
			return o.Evaluate(tab, "document.title + document.readyState") == `"`+title+`complete"`
		}, 20*time.Second, 5*time.Millisecond, title)
	}
	show("/", "asking")
	for _, question := range []string{"alert('a')", "confirm('c')", "prompt('p', 'd')"} {
		became = append(became, o.Evaluate(tab, "String("+question+")"))
	}
	require.ErrorContains(t, protocol.Tell(t.Context(), tab, page.HandleJavaScriptDialog,
		page.HandleJavaScriptDialogParams{Accept: true}), "No dialog is showing")
	show("/leaving", "leaving")
	o.Evaluate(tab, "1") // as a person who has used the page
	show("/", "asking")
	return became
}

// TestDialogsOfAClientThatHearsOfNoneAreAnsweredAsByAPlainBrowser never turns the events of Page
// on, in a tab of its own and in the first one, with and without an agent in the same browser.
func TestDialogsOfAClientThatHearsOfNoneAreAnsweredAsByAPlainBrowser(t *testing.T) {
	s := browsertest.NewSite(t, map[string]string{"/": askingPage, "/leaving": leavingPage,
		"/at-once": `<script>confirm("at once")</script>`})
	plain := browsertest.Plain(t)
	want := askAll(t, plain, plain.AttachTab(plain.Tabs()[0].TargetID), s)
	plain.Leave()
	require.Equal(t, []string{`"undefined"`, `"false"`, `"null"`}, want)

	for _, agent := range []bool{false, true} {
		dialogs := make(chan browser.Event, 100)
		b := launch(t, browser.Spec{ID: "raw", Egress: browsertest.Loopback(), OnEvent: func(e browser.Event) {
			if e.Kind == browser.EventDialog {
				dialogs <- e
			}
		}})
		told := func(kinds ...string) {
			t.Helper()
			for _, kind := range kinds {
				select {
				case e := <-dialogs:
					require.Equal(t, kind, e.Dialog)
				case <-time.After(20 * time.Second):
					require.Fail(t, "nothing was told", kind)
				}
			}
			require.Empty(t, dialogs)
		}
		if agent {
			_, err := b.Page(t.Context())
			require.NoError(t, err)
		}
		o, other := browsertest.Join(t, b), browsertest.Join(t, b)
		for _, tab := range []*browsertest.Tab{o.AttachTab(b.firstTabs[0]), o.OpenTab("about:blank", "")} {
			require.Equal(t, want, askAll(t, o, tab, s))
			told("alert", "confirm", "prompt", "beforeunload")
			require.Equal(t, "2", other.Evaluate(other.AttachTab(tab.TargetID), "1 + 1"))
		}
		made, err := protocol.Call(t.Context(), o.Root, target.CreateTarget,
			target.CreateTargetParams{URL: s.URL + "/at-once"})
		require.NoError(t, err, "nor one that nobody has attached")
		told("confirm")

		// One that hears of dialogs answers them, and they wait for it; it leaves none behind.
		heard := other.AttachTab(made.TargetID)
		require.NoError(t, protocol.Tell(t.Context(), heard, page.Enable, page.EnableParams{}))
		tab := o.AttachTab(made.TargetID)
		o.Ask(tab, "confirm('heard')")
		other.NextEvent(page.JavascriptDialogOpening.Method)
		require.NoError(t, protocol.Tell(t.Context(), heard, page.HandleJavaScriptDialog,
			page.HandleJavaScriptDialogParams{Accept: true}))
		o.RequireAnswer(tab, "true", "it is the client's to answer")
		o.Ask(tab, "confirm('left')")
		other.NextEvent(page.JavascriptDialogOpening.Method)
		require.NoError(t, protocol.Tell(t.Context(), heard, page.Disable, cdp.Empty{}))
		o.RequireAnswer(tab, "false", "nobody hears of it any more")
		told("confirm", "confirm")
	}
}

// TestADialogInAWindowWaitsForNobody has one of two outcomes, by what the machine has.
func TestADialogInAWindowWaitsForNobody(t *testing.T) {
	driver, err := New(Options{})
	require.NoError(t, err)
	b, err := driver.Launch(t.Context(), browser.Spec{
		ID:     "asks",
		Egress: browsertest.Loopback(),
		Config: bctrl.LaunchConfig{Headful: true},
	})
	if errors.Is(err, browser.ErrNoDisplay) {
		return // there are no windows
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Stop(context.Background())) })
	s := browsertest.NewSite(t, map[string]string{"/": askingPage, "/leaving": leavingPage})
	o := browsertest.Join(t, b)
	require.Equal(t, []string{`"undefined"`, `"false"`, `"null"`}, askAll(t, o, o.OpenTab("about:blank", ""), s))
	first, second := o.OpenTab(s.URL+"/", ""), browsertest.Join(t, b)
	heard := second.AttachTab(first.TargetID)
	require.NoError(t, protocol.Tell(t.Context(), heard, page.Enable, page.EnableParams{}))
	o.Ask(first, "confirm('left')")
	second.NextEvent(page.JavascriptDialogOpening.Method)
	second.Leave()
	o.RequireAnswer(first, "false", "who heard of it has left")
}
