package browser

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"
	"github.com/stretchr/testify/require"
)

// TestADialogOfAClientsTabIsTheClients has the agent at work in the same
// browser.
func TestADialogOfAClientsTabIsTheClients(t *testing.T) {
	ctx, p, b := openPage(t)
	s := newSite(t, map[string]string{"/": `<button onclick="out.textContent = confirm('agent?')">Ask</button><p id=out></p>`, "/client": "<p>client"})
	open(ctx, t, p, s.URL+"/")
	o := joins(t, b)
	answer := func(tab *clientTab, yes bool, text string) error {
		return tell(ctx, tab, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{Accept: yes, PromptText: text})
	}
	tab := o.opens(s.URL+"/client", "")
	require.NoError(t, tell(ctx, tab, page.Enable, page.EnableParams{}))
	for _, c := range []struct {
		question string
		yes      bool
		text     string
		want     string
	}{
		{"confirm('x')", false, "", "false"}, {"confirm('x')", true, "", "true"}, {"prompt('x')", true, "typed", "typed"},
		{"prompt('x')", false, "", "null"}, {"alert('x')", true, "", "undefined"},
	} {
		o.asks(tab, c.question)
		o.next(page.JavascriptDialogOpening.Method)
		obs := observe(ctx, t, p) // the agent works on, in its own tab
		require.NotContains(t, obs.Outline, "note:")
		require.NoError(t, answer(tab, c.yes, c.text), c.question)
		o.became(tab, c.want, c.question)
	}

	// Of two clients each may answer; the first one does.
	second := joins(t, b)
	same := second.takes(tab.targetID)
	require.NoError(t, tell(ctx, same, page.Enable, page.EnableParams{}))
	o.asks(tab, "confirm('x')")
	second.next(page.JavascriptDialogOpening.Method)
	require.NoError(t, answer(same, false, ""))
	o.became(tab, "false", "the second client's answer")
	require.Error(t, answer(tab, true, ""), "it is over")

	// A client that goes leaves no page standing still.
	o.asks(tab, "confirm('x')")
	second.next(page.JavascriptDialogOpening.Method)
	o.leave()
	require.NoError(t, tell(ctx, same, page.Disable, cdp.Empty{}))
	second.became(same, "false", "nobody hears of it any more")
	second.asks(same, "confirm('x')")
	second.became(same, "false", "nobody hears of it")

	// The agent's own dialogs are the agent's, whoever listens.
	mine := second.takes(p.attachedTabs()[0])
	require.NoError(t, tell(ctx, mine, page.Enable, page.EnableParams{}))
	require.NoError(t, p.Click(ctx, find(t, observe(ctx, t, p), "button", "Ask").Ref))
	obs := settle(ctx, t, p)
	require.Contains(t, obs.Outline, "true")
	require.Contains(t, obs.Outline, `note: confirm dialog "agent?": accepted`)

	// In a tab that both drive a client's is the client's, until the agent goes on.
	second.forget()
	second.asks(mine, "confirm('shared')")
	second.next(page.JavascriptDialogOpening.Method)
	require.NoError(t, answer(mine, false, ""))
	second.became(mine, "false", "the client's own")
	second.asks(mine, "confirm('left')")
	require.Eventually(t, p.dialogWaits, 10*time.Second, 5*time.Millisecond, "it waits for the client")
	require.Contains(t, observe(ctx, t, p).Outline, `note: confirm dialog "left": cancelled`)
	second.became(mine, "false", "the agent does not stand still for it")
}

func TestAPageIsLeftAsItsClientWants(t *testing.T) {
	ctx, p, b := openPage(t)
	s := newSite(t, map[string]string{"/": "<p>x", "/stay": `<script>onbeforeunload = e => { e.preventDefault(); return 'no' }</script><input autofocus>`})
	open(ctx, t, p, s.URL+"/")
	o := joins(t, b)
	tab := o.opens(s.URL+"/stay", "")
	require.NoError(t, tell(ctx, tab, page.Enable, page.EnableParams{}))
	o.evaluates(tab, "document.querySelector('input').focus()")
	left := make(chan error, 1)
	go func() {
		_, err := callOn(ctx, tab, page.Navigate, page.NavigateParams{URL: s.URL + "/"})
		left <- err
	}()
	o.next(page.JavascriptDialogOpening.Method)
	require.NoError(t, tell(ctx, tab, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{Accept: false}))
	require.NoError(t, <-left, "it was not left")
	require.Contains(t, o.evaluates(tab, "location.pathname"), "/stay")
}

// TestTheAgentAndClientsHaveTabsOfTheirOwn opens more of them than pages may.
func TestTheAgentAndClientsHaveTabsOfTheirOwn(t *testing.T) {
	ctx, p, b := openPage(t)
	s := newSite(t, map[string]string{"/": "<h1>Agent</h1>", "/client": "<h1>Client</h1>", "/popup": `<h1>Popup</h1><button onclick="window.open('/popup')">Open</button>`})
	open(ctx, t, p, s.URL+"/")
	o := joins(t, b)
	const many = maxTabsOfPages + 5
	tabs := make([]*clientTab, many)
	for i := range tabs {
		tabs[i] = o.opens(s.URL+"/client", "")
	}
	require.Len(t, o.pages(), 1+many)
	require.Contains(t, observe(ctx, t, p).Outline, "Agent", "the newest tab of all is not the agent's")
	require.NoError(t, p.Goto(ctx, s.URL+"/"))

	// What a client's page opens is the client's.
	for range many {
		o.evaluates(tabs[0], "void open('/popup', '_blank', 'noopener')")
	}
	require.Eventually(t, func() bool { return len(o.pages()) == 1+2*many }, 20*time.Second, 20*time.Millisecond, "%d", len(o.pages()))
	require.Contains(t, observe(ctx, t, p).Outline, "Agent")
	for _, tab := range tabs { // also once that is closed
		require.NoError(t, tell(ctx, o.root, target.CloseTarget, target.CloseTargetParams{TargetID: tab.targetID}))
	}
	require.Eventually(t, func() bool { return len(o.pages()) == 1+many }, 20*time.Second, 20*time.Millisecond)
	require.Contains(t, observe(ctx, t, p).Outline, "Agent")

	// So is what a client does in the agent's tab while the agent rests; what the
	// agent's page opens is bounded all the same.
	shared := o.takes(p.attachedTabs()[0])
	for range many {
		o.evaluates(shared, "void open('/popup')")
	}
	require.Eventually(t, func() bool { return len(o.pages()) == 1+2*many }, 20*time.Second, 20*time.Millisecond)
	require.Contains(t, observe(ctx, t, p).Outline, "Popup", "the agent follows what its own tab opened")
	require.NoError(t, tell(ctx, o.root, target.DetachFromTarget, target.DetachFromTargetParams{SessionID: shared.id}))
	o.leave()

	// The agent's tab may be closed by a client, which leaves it another one.
	other := joins(t, b)
	for _, info := range other.pages() {
		require.NoError(t, tell(ctx, other.root, target.CloseTarget, target.CloseTargetParams{TargetID: info.TargetID}))
	}
	require.Eventually(t, func() bool { return len(other.pages()) == 0 }, 20*time.Second, 20*time.Millisecond)
	obs := open(ctx, t, p, s.URL+"/popup")
	for range maxTabsOfPages + 3 {
		require.NoError(t, p.Click(ctx, find(t, obs, "button", "Open").Ref))
		require.Eventually(t, func() bool {
			obs = observe(ctx, t, p)
			return strings.Contains(obs.Outline, "Open")
		}, 10*time.Second, 10*time.Millisecond)
	}
	require.Len(t, other.pages(), 1+maxTabsOfPages, "what pages open for the agent is bounded")
}

func TestAClientsTabThatWasThereBeforeTheAgentIsTheClients(t *testing.T) {
	driver, err := NewChromium(Options{})
	require.NoError(t, err)
	b := launchFrom(t, driver, Spec{ID: "before", Egress: loopback()})
	s := newSite(t, map[string]string{"/client": "<h1>Client</h1>", "/agent": "<h1>Agent</h1>"})
	o := joins(t, b)
	tab := o.opens(s.URL+"/client", "")
	for range maxTabsOfPages + 5 {
		o.evaluates(tab, "void open('/client')")
	}
	p, err := b.Page(t.Context())
	require.NoError(t, err)
	require.NoError(t, p.Goto(t.Context(), s.URL+"/agent"))
	require.Contains(t, o.evaluates(tab, "document.body.innerText"), "Client")
	require.Len(t, o.pages(), 1+1+maxTabsOfPages+5)
}
