package page_test

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
	"github.com/bctrl-go/bctrl/internal/browser/chromium"
	ourpage "github.com/bctrl-go/bctrl/internal/browser/page"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// TestADialogOfAClientsTabIsTheClients has the agent at work in the same
// browser.
func TestADialogOfAClientsTabIsTheClients(t *testing.T) {
	ctx, p, b := openPage(t)
	s := browsertest.NewSite(t, map[string]string{"/": `<button onclick="out.textContent = confirm('agent?')">` +
		`Ask</button><p id=out></p>`, "/client": "<p>client"})
	browsertest.Open(ctx, t, p, s.URL+"/")
	o := browsertest.Join(t, b)
	answer := func(tab *browsertest.Tab, yes bool, text string) error {
		return protocol.Tell(ctx, tab, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{
			Accept:     yes,
			PromptText: text,
		})
	}
	tab := o.OpenTab(s.URL+"/client", "")
	require.NoError(t, protocol.Tell(ctx, tab, page.Enable, page.EnableParams{}))
	for _, c := range []struct {
		question string
		yes      bool
		text     string
		want     string
	}{
		{"confirm('x')", false, "", "false"}, {"confirm('x')", true, "", "true"}, {"prompt('x')", true, "typed", "typed"},
		{"prompt('x')", false, "", "null"}, {"alert('x')", true, "", "undefined"},
	} {
		o.Ask(tab, c.question)
		o.NextEvent(page.JavascriptDialogOpening.Method)
		obs := browsertest.Observe(ctx, t, p) // the agent works on, in its own tab
		require.NotContains(t, obs.Outline, "note:")
		require.NoError(t, answer(tab, c.yes, c.text), c.question)
		o.RequireAnswer(tab, c.want, c.question)
	}

	// Of two clients each may answer; the first one does.
	second := browsertest.Join(t, b)
	same := second.AttachTab(tab.TargetID)
	require.NoError(t, protocol.Tell(ctx, same, page.Enable, page.EnableParams{}))
	o.Ask(tab, "confirm('x')")
	second.NextEvent(page.JavascriptDialogOpening.Method)
	require.NoError(t, answer(same, false, ""))
	o.RequireAnswer(tab, "false", "the second client's answer")
	require.Error(t, answer(tab, true, ""), "it is over")

	// A client that goes leaves no page standing still.
	o.Ask(tab, "confirm('x')")
	second.NextEvent(page.JavascriptDialogOpening.Method)
	o.Leave()
	require.NoError(t, protocol.Tell(ctx, same, page.Disable, cdp.Empty{}))
	second.RequireAnswer(same, "false", "nobody hears of it any more")
	second.Ask(same, "confirm('x')")
	second.RequireAnswer(same, "false", "nobody hears of it")

	// The agent's own dialogs are the agent's, whoever listens. Here nobody answers them, so
	// they are cancelled.
	mine := second.AttachTab(p.AttachedTabs()[0])
	require.NoError(t, protocol.Tell(ctx, mine, page.Enable, page.EnableParams{}))
	ask := browsertest.Find(t, browsertest.Observe(ctx, t, p), "button", "Ask")
	require.NoError(t, p.Click(ctx, ask.Ref, browser.Click{}))
	obs := browsertest.Settle(ctx, t, p)
	require.Contains(t, obs.Outline, "false")
	require.Contains(t, obs.Outline, `note: confirm dialog "agent?": cancelled`)

	// In a tab that both drive a client's is the client's, until the agent goes on.
	second.ForgetEvents()
	second.Ask(mine, "confirm('shared')")
	second.NextEvent(page.JavascriptDialogOpening.Method)
	require.NoError(t, answer(mine, false, ""))
	second.RequireAnswer(mine, "false", "the client's own")
	second.Ask(mine, "confirm('left')")
	require.Eventually(t, p.DialogWaits, 10*time.Second, 5*time.Millisecond, "it waits for the client")
	require.Contains(t, browsertest.Observe(ctx, t, p).Outline, `note: confirm dialog "left": cancelled`)
	second.RequireAnswer(mine, "false", "the agent does not stand still for it")
}

func TestAPageIsLeftAsItsClientWants(t *testing.T) {
	ctx, p, b := openPage(t)
	s := browsertest.NewSite(t, map[string]string{"/": "<p>x",
		"/stay": `<script>onbeforeunload = e => { e.preventDefault(); return 'no' }</script><input autofocus>`})
	browsertest.Open(ctx, t, p, s.URL+"/")
	o := browsertest.Join(t, b)
	tab := o.OpenTab(s.URL+"/stay", "")
	require.NoError(t, protocol.Tell(ctx, tab, page.Enable, page.EnableParams{}))
	require.Eventually(t, func() bool { return o.Evaluate(tab, "!!document.querySelector('input')") == "true" },
		20*time.Second, 5*time.Millisecond, "it has loaded")
	o.Evaluate(tab, "document.querySelector('input').focus()")
	left := make(chan error, 1)
	go func() {
		_, err := protocol.Call(ctx, tab, page.Navigate, page.NavigateParams{URL: s.URL + "/"})
		left <- err
	}()
	o.NextEvent(page.JavascriptDialogOpening.Method)
	require.NoError(t, protocol.Tell(ctx, tab, page.HandleJavaScriptDialog,
		page.HandleJavaScriptDialogParams{Accept: false}))
	require.NoError(t, <-left, "it was not left")
	require.Contains(t, o.Evaluate(tab, "location.pathname"), "/stay")
}

// TestTheAgentAndClientsHaveTabsOfTheirOwn opens more of them than pages may.
func TestTheAgentAndClientsHaveTabsOfTheirOwn(t *testing.T) {
	ctx, p, b := openPage(t)
	s := browsertest.NewSite(t, map[string]string{"/": "<h1>Agent</h1>", "/client": "<h1>Client</h1>",
		"/popup": `<h1>Popup</h1><button onclick="window.open('/popup')">Open</button>`})
	browsertest.Open(ctx, t, p, s.URL+"/")
	o := browsertest.Join(t, b)
	const many = ourpage.MaxTabs + 5
	tabs := make([]*browsertest.Tab, many)
	for i := range tabs {
		tabs[i] = o.OpenTab(s.URL+"/client", "")
	}
	require.Len(t, o.Tabs(), 1+many)
	require.Contains(t, browsertest.Observe(ctx, t, p).Outline, "Agent", "the newest tab of all is not the agent's")
	require.NoError(t, p.Goto(ctx, s.URL+"/", ""))

	// What a client's page opens is the client's.
	require.Eventually(t, func() bool { return o.Evaluate(tabs[0], "location.pathname") == `"/client"` },
		20*time.Second, 5*time.Millisecond, "it has loaded")
	for range many {
		o.Evaluate(tabs[0], "void open('/popup', '_blank', 'noopener')")
	}
	require.Eventually(t, func() bool { return len(o.Tabs()) == 1+2*many }, 20*time.Second, 20*time.Millisecond, "%d",
		len(o.Tabs()))
	require.Contains(t, browsertest.Observe(ctx, t, p).Outline, "Agent")
	for _, tab := range tabs { // also once that is closed
		require.NoError(t, protocol.Tell(ctx, o.Root, target.CloseTarget, target.CloseTargetParams{TargetID: tab.TargetID}))
	}
	require.Eventually(t, func() bool { return len(o.Tabs()) == 1+many }, 20*time.Second, 20*time.Millisecond)
	require.Contains(t, browsertest.Observe(ctx, t, p).Outline, "Agent")

	// So is what a client does in the agent's tab while the agent rests; what the
	// agent's page opens is bounded all the same.
	shared := o.AttachTab(p.AttachedTabs()[0])
	for range many {
		o.Evaluate(shared, "void open('/popup')")
	}
	require.Eventually(t, func() bool { return len(o.Tabs()) == 1+2*many }, 20*time.Second, 20*time.Millisecond)
	require.Contains(t, browsertest.Observe(ctx, t, p).Outline, "Popup", "the agent follows what its own tab opened")
	require.NoError(t, protocol.Tell(ctx, o.Root, target.DetachFromTarget,
		target.DetachFromTargetParams{SessionID: shared.ID}))
	o.Leave()

	// The agent's tab may be closed by a client, which leaves it another one.
	other := browsertest.Join(t, b)
	for _, info := range other.Tabs() {
		require.NoError(t, protocol.Tell(ctx, other.Root, target.CloseTarget,
			target.CloseTargetParams{TargetID: info.TargetID}))
	}
	require.Eventually(t, func() bool { return len(other.Tabs()) == 0 }, 20*time.Second, 20*time.Millisecond)
	browsertest.Open(ctx, t, p, s.URL+"/popup")
	for range ourpage.MaxTabs + 3 {
		require.Eventually(t, func() bool {
			obs := browsertest.Observe(ctx, t, p)
			// The agent may follow to the tab that the click before has opened meanwhile.
			return strings.Contains(obs.Outline, "Open") &&
				p.Click(ctx, browsertest.Find(t, obs, "button", "Open").Ref, browser.Click{}) == nil
		}, 20*time.Second, 10*time.Millisecond)
	}
	require.Eventually(t, func() bool { return len(other.Tabs()) == 1+ourpage.MaxTabs }, 20*time.Second,
		20*time.Millisecond, "what pages open for the agent is bounded: what is over it is closed")
}

func TestAClientsTabThatWasThereBeforeTheAgentIsTheClients(t *testing.T) {
	driver, err := chromium.New(chromium.Options{})
	require.NoError(t, err)
	b := browsertest.Launch(t, driver, browser.Spec{ID: "before", Egress: browsertest.Loopback()})
	s := browsertest.NewSite(t, map[string]string{"/client": "<h1>Client</h1>", "/agent": "<h1>Agent</h1>"})
	o := browsertest.Join(t, b)
	tab := o.OpenTab(s.URL+"/client", "")
	for range ourpage.MaxTabs + 5 {
		o.Evaluate(tab, "void open('/client')")
	}
	p, err := b.Page(t.Context())
	require.NoError(t, err)
	require.NoError(t, p.Goto(t.Context(), s.URL+"/agent", ""))
	require.Contains(t, o.Evaluate(tab, "document.body.innerText"), "Client")
	require.Len(t, o.Tabs(), 1+1+ourpage.MaxTabs+5)
}
