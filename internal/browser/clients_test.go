package browser

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// outsider is a client from outside that sees every event it is told.
type outsider struct {
	*testing.T
	conn   *pageConn
	root   link
	events chan clientEvent
	leave  func()
}

type clientEvent struct {
	session target.SessionID
	method  string
	params  jsonv2.Value
}

// joins connects a client to b as the server does, through the filter.
func joins(t *testing.T, b *chromium) *outsider {
	t.Helper()
	here, there := pipeConn()
	life, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- b.ServeCDP(life, there) }()
	o := &outsider{T: t, events: make(chan clientEvent, 1<<12)}
	o.conn = newPageConn(life, here, func(session target.SessionID, method string, params jsonv2.Value) {
		o.events <- clientEvent{session, method, params}
	})
	o.root = o.conn.root()
	left := false
	o.leave = func() {
		if !left {
			left = true
			cancel()
			require.NoError(t, <-served)
			<-o.conn.done
		}
	}
	t.Cleanup(o.leave)
	return o
}

// opens opens a tab and attaches it.
func (o *outsider) opens(url string, in cdp.BrowserContextID) *pageSession {
	o.Helper()
	made, err := callOn(o.Context(), o.root, target.CreateTarget, target.CreateTargetParams{URL: url, BrowserContextID: in})
	require.NoError(o, err)
	return o.takes(made.TargetID)
}

// takes attaches a tab.
func (o *outsider) takes(id target.ID) *pageSession {
	o.Helper()
	flat := true
	got, err := callOn(o.Context(), o.root, target.AttachToTarget, target.AttachToTargetParams{TargetID: id, Flatten: &flat})
	require.NoError(o, err)
	return &pageSession{link: link{o.conn, got.SessionID}, targetID: id}
}

// next waits for an event.
func (o *outsider) next(method string) clientEvent {
	o.Helper()
	for {
		select {
		case ev := <-o.events:
			if ev.method == method {
				return ev
			}
		case <-time.After(20 * time.Second):
			require.FailNow(o, "no "+method)
		}
	}
}

// forget drops what it was told so far.
func (o *outsider) forget() {
	for len(o.events) > 0 {
		<-o.events
	}
}

// evaluates runs a script in a tab, as a person who clicks may.
func (o *outsider) evaluates(s *pageSession, script string) string {
	o.Helper()
	value, by := true, true
	got, err := callOn(o.Context(), s, runtime.Evaluate, runtime.EvaluateParams{Expression: script, ReturnByValue: &value, UserGesture: &by, AwaitPromise: &by})
	require.NoError(o, err)
	require.Nil(o, got.ExceptionDetails)
	return string(got.Result.Value)
}

// pages are the tabs that a client sees.
func (o *outsider) pages() (list []*target.Info) {
	o.Helper()
	got, err := callOn(o.Context(), o.root, target.GetTargets, target.GetTargetsParams{})
	require.NoError(o, err)
	return slices.DeleteFunc(got.TargetInfos, func(i *target.Info) bool { return i.Type != "page" })
}

// asks has a page ask, and returns what becomes of its question: as soon as it
// is known.
func (o *outsider) asks(s *pageSession, question string) {
	o.Helper()
	o.evaluates(s, `window.became = "nothing"; setTimeout(() => window.became = String(`+question+`)); 1`)
}

func (o *outsider) became(s *pageSession, want, why string) {
	o.Helper()
	require.Eventually(o, func() bool { return o.evaluates(s, "became") == strconv.Quote(want) }, 10*time.Second, 10*time.Millisecond, why)
}

// TestADialogOfAClientsTabIsTheClients has the agent at work in the same
// browser.
func TestADialogOfAClientsTabIsTheClients(t *testing.T) {
	ctx, p, b := openPage(t)
	s := newSite(t, map[string]string{"/": `<button onclick="out.textContent = confirm('agent?')">Ask</button><p id=out></p>`, "/client": "<p>client"})
	open(ctx, t, p, s.URL+"/")
	o := joins(t, b)
	answer := func(tab *pageSession, yes bool, text string) error {
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
	mine := second.takes(p.tabs[0].session.targetID)
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
	require.Eventually(t, func() bool {
		p.tabs[0].mu.Lock()
		defer p.tabs[0].mu.Unlock()
		return p.tabs[0].waiting != nil
	}, 10*time.Second, 5*time.Millisecond, "it waits for the client")
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
	const many = maxTabs + 5
	tabs := make([]*pageSession, many)
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
	shared := o.takes(p.tabs[0].session.targetID)
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
	for range maxTabs + 3 {
		require.NoError(t, p.Click(ctx, find(t, obs, "button", "Open").Ref))
		require.Eventually(t, func() bool {
			obs = observe(ctx, t, p)
			return strings.Contains(obs.Outline, "Open")
		}, 10*time.Second, 10*time.Millisecond)
	}
	require.Len(t, other.pages(), 1+maxTabs, "what pages open for the agent is bounded")
}

func TestAClientsTabThatWasThereBeforeTheAgentIsTheClients(t *testing.T) {
	b := launch(t, Spec{ID: "before", Egress: loopback()})
	s := newSite(t, map[string]string{"/client": "<h1>Client</h1>", "/agent": "<h1>Agent</h1>"})
	o := joins(t, b)
	tab := o.opens(s.URL+"/client", "")
	for range maxTabs + 5 {
		o.evaluates(tab, "void open('/client')")
	}
	p, err := b.Page(t.Context())
	require.NoError(t, err)
	require.NoError(t, p.Goto(t.Context(), s.URL+"/agent"))
	require.Contains(t, o.evaluates(tab, "document.body.innerText"), "Client")
	require.Len(t, o.pages(), 1+1+maxTabs+5)
}

// TestTheServersSessionsAreNotSeen looks at tabs in every way that there is.
func TestTheServersSessionsAreNotSeen(t *testing.T) {
	ctx, p, b := openPage(t)
	s := newSite(t, map[string]string{"/": `<a id=open target=_blank href=/popup>open</a>`, "/popup": "<title>popup</title>"})
	open(ctx, t, p, s.URL+"/")
	o := joins(t, b)
	require.NoError(t, tell(ctx, o.root, target.SetDiscoverTargets, target.SetDiscoverTargetsParams{Discover: true}))
	attached := func(params jsonv2.Value) bool {
		var ev struct{ TargetInfo target.Info }
		require.NoError(t, json.Unmarshal(params, &ev))
		return ev.TargetInfo.Attached
	}
	require.False(t, attached(o.next(target.TargetCreated.Method).params), "the agent's tab")
	require.Len(t, o.pages(), 1)
	require.False(t, o.pages()[0].Attached)
	one, err := callOn(ctx, o.root, target.GetTargetInfo, target.GetTargetInfoParams{TargetID: o.pages()[0].TargetID})
	require.NoError(t, err)
	require.False(t, one.TargetInfo.Attached)
	tab := o.takes(o.pages()[0].TargetID)
	require.True(t, o.pages()[0].Attached, "a client's own is")
	another := joins(t, b)
	require.True(t, another.pages()[0].Attached, "and seen by others")
	o.evaluates(tab, "document.querySelector('#open').click()")
	for {
		ev := o.next(target.TargetCreated.Method)
		require.False(t, attached(ev.params))
		break
	}
	require.NoError(t, tell(ctx, o.root, target.DetachFromTarget, target.DetachFromTargetParams{SessionID: tab.id}))
	require.False(t, o.pages()[0].Attached)

	// chromedp passes over a new tab that somebody has attached.
	c := client(t, b)
	require.NoError(t, chromedp.Do(c, chromedp.Navigate(s.URL+"/")))
	opened := chromedp.WaitNewTarget(c, func(i *target.Info) bool { return strings.Contains(i.URL, "/popup") })
	require.NoError(t, chromedp.Do(c, chromedp.Click(chromedp.CSS("#open"))))
	select {
	case id := <-opened:
		require.NotEmpty(t, id)
	case <-c.Done():
		require.Fail(t, "the new tab was not seen")
	}
}

// TestWhatAClientSetsStaysAsItIs has the agent look at, and work in, the tab.
func TestWhatAClientSetsStaysAsItIs(t *testing.T) {
	ctx, p, b := openPage(t)
	s := newSite(t, map[string]string{"/": `<title>t</title><body style="height:3000px"><button>b</button><input>`})
	open(ctx, t, p, s.URL+"/")
	o := joins(t, b)
	tab := o.takes(p.tabs[0].session.targetID)
	require.NoError(t, tell(ctx, tab, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: 375, Height: 667, DeviceScaleFactor: 2, Mobile: true}))
	require.NoError(t, tell(ctx, tab, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: "Mine/1"}))
	require.NoError(t, tell(ctx, tab, emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: "Asia/Tokyo"}))
	require.NoError(t, tell(ctx, tab, network.Enable, network.EnableParams{}))
	require.NoError(t, tell(ctx, tab, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: network.Headers{"Referer": "http://mine.example/"}}))
	require.NoError(t, tell(ctx, tab, page.Enable, page.EnableParams{}))
	require.NoError(t, tell(ctx, tab, cdp.Command[page.AddScriptToEvaluateOnNewDocumentParams, cdp.Empty]{Method: page.CommandAddScriptToEvaluateOnNewDocument},
		page.AddScriptToEvaluateOnNewDocumentParams{Source: "window.mine = 1"}))
	require.NoError(t, tell(ctx, o.root, cdpbrowser.SetPermission, cdpbrowser.SetPermissionParams{
		Permission: &cdpbrowser.PermissionDescriptor{Name: "geolocation"}, Setting: cdpbrowser.PermissionSettingGranted, Origin: s.URL,
	}))
	open(ctx, t, p, s.URL+"/")
	const all = `(async () => [screen.width, devicePixelRatio, navigator.userAgent, Intl.DateTimeFormat().resolvedOptions().timeZone, window.mine,
		(await navigator.permissions.query({name: "geolocation"})).state].join())()`
	const want = `"375,2,Mine/1,Asia/Tokyo,1,granted"`
	require.Equal(t, want, o.evaluates(tab, all))
	require.Equal(t, "http://mine.example/", s.to("/")[len(s.to("/"))-1].referer)
	obs := observe(ctx, t, p)
	require.NoError(t, p.Click(ctx, obs.Elements[0].Ref))
	require.NoError(t, p.Scroll(ctx, 1))
	for _, whole := range []bool{false, true, false} {
		_, err := p.Screenshot(ctx, whole)
		require.NoError(t, err)
		require.Equal(t, want, o.evaluates(tab, all), "after a picture")
	}
	// What is fetched can be read by the client, though the server keeps nothing.
	o.evaluates(tab, "fetch('/').then(r => r.text())")
	for {
		ev := o.next(network.LoadingFinished.Method)
		var finished network.EventLoadingFinished
		require.NoError(t, jsonv2.Unmarshal(ev.params, &finished))
		got, err := callOn(ctx, tab, network.GetResponseBody, network.GetResponseBodyParams{RequestID: finished.RequestID})
		require.NoError(t, err)
		if strings.Contains(string(got.Body), "<title>t</title>") {
			break
		}
	}
	// Its end is the end of what it set.
	o.leave()
	require.Eventually(t, func() bool {
		again := joins(t, b)
		defer again.leave()
		return again.evaluates(again.takes(tab.targetID), "devicePixelRatio") == "1"
	}, 10*time.Second, 20*time.Millisecond)
}

// TestAClientPausesNewTabsBesideTheServer has both wait for what is new: a
// script that the client adds runs before the page's own.
func TestAClientPausesNewTabsBesideTheServer(t *testing.T) {
	ctx, p, b := openPage(t)
	s := newSite(t, map[string]string{"/": "<p>x", "/new": `<script>window.seen = window.mine || "nothing"</script>`})
	open(ctx, t, p, s.URL+"/")
	o := joins(t, b)
	require.NoError(t, tell(ctx, o.root, target.SetAutoAttach, autoAttach()))
	first := o.next(target.AttachedToTarget.Method)
	require.NotNil(t, first.params)
	_, err := o.root.post(ctx, target.CommandCreateTarget, target.CreateTargetParams{URL: s.URL + "/new"})
	require.NoError(t, err)
	id, of := attachmentOf(o.next(target.AttachedToTarget.Method).params)
	tab := &pageSession{link: link{o.conn, id}, targetID: of}
	for _, command := range []struct { // in one go: some are answered once the tab runs
		method string
		params any
	}{
		{page.CommandEnable, page.EnableParams{}},
		{page.CommandAddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: "window.mine = 'first'"}},
		{runtime.CommandRunIfWaitingForDebugger, cdp.Empty{}},
	} {
		_, err := tab.post(ctx, command.method, command.params)
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { return o.evaluates(tab, "window.seen") == `"first"` }, 10*time.Second, 10*time.Millisecond)
}

// TestADownloadInABrowserContextOfAClientArrives downloads in two of them, one
// of which follows the end of the other.
func TestADownloadInABrowserContextOfAClientArrives(t *testing.T) {
	onDownload, got := receiver()
	b := launch(t, Spec{ID: "context", Egress: loopback(), OnDownload: onDownload})
	url, _ := office(t)
	_, err := b.Page(t.Context())
	require.NoError(t, err)
	o := joins(t, b)
	events := true
	require.NoError(t, tell(t.Context(), o.root, cdpbrowser.SetDownloadBehavior, cdpbrowser.SetDownloadBehaviorParams{
		Behavior: cdpbrowser.SetDownloadBehaviorBehaviorAllow, DownloadPath: "/tmp/of-the-client", EventsEnabled: &events,
	}))
	for range 2 {
		own, err := callOn(t.Context(), o.root, target.CreateBrowserContext, target.CreateBrowserContextParams{})
		require.NoError(t, err)
		for _, in := range []cdp.BrowserContextID{own.BrowserContextID, ""} {
			tab := o.opens(url, in)
			require.Eventually(t, func() bool { return o.evaluates(tab, "!!document.querySelector('#report')") == "true" }, 10*time.Second, 10*time.Millisecond)
			o.evaluates(tab, "document.querySelector('#report').click()")
			d := <-got
			require.Equal(t, "a,b\n1,2\n", d.text)
			begun := o.next(cdpbrowser.DownloadWillBegin.Method)
			require.Contains(t, string(begun.params), "Q3 report.csv")
			for !strings.Contains(string(o.next(cdpbrowser.DownloadProgress.Method).params), "completed") {
				continue
			}
		}
		require.NoError(t, tell(t.Context(), o.root, target.DisposeBrowserContext, target.DisposeBrowserContextParams(own)))
	}
	requireEmptyDir(t, b.dirs.downloads)
}
