package devtools_test

import (
	"encoding/json"
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

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// TestTheServersSessionsAreNotSeen looks at tabs in every way that there is.
func TestTheServersSessionsAreNotSeen(t *testing.T) {
	ctx, p, b := openPage(t)
	s := browsertest.NewSite(t, map[string]string{"/": `<a id=open target=_blank href=/popup>open</a>`,
		"/popup": "<title>popup</title>"})
	browsertest.Open(ctx, t, p, s.URL+"/")
	o := browsertest.Join(t, b)
	require.NoError(t, protocol.Tell(ctx, o.Root, target.SetDiscoverTargets,
		target.SetDiscoverTargetsParams{Discover: true}))
	attached := func(params jsonv2.Value) bool {
		var ev struct{ TargetInfo target.Info }
		require.NoError(t, json.Unmarshal(params, &ev))
		return ev.TargetInfo.Attached
	}
	require.False(t, attached(o.NextEvent(target.TargetCreated.Method).Params), "the agent's tab")
	require.Len(t, o.Tabs(), 1)
	require.False(t, o.Tabs()[0].Attached)
	one, err := protocol.Call(ctx, o.Root, target.GetTargetInfo,
		target.GetTargetInfoParams{TargetID: o.Tabs()[0].TargetID})
	require.NoError(t, err)
	require.False(t, one.TargetInfo.Attached)
	tab := o.AttachTab(o.Tabs()[0].TargetID)
	require.True(t, o.Tabs()[0].Attached, "a client's own is")
	another := browsertest.Join(t, b)
	require.True(t, another.Tabs()[0].Attached, "and seen by others")
	o.Evaluate(tab, "document.querySelector('#open').click()")
	for {
		ev := o.NextEvent(target.TargetCreated.Method)
		require.False(t, attached(ev.Params))
		break
	}
	require.NoError(t, protocol.Tell(ctx, o.Root, target.DetachFromTarget,
		target.DetachFromTargetParams{SessionID: tab.ID}))
	require.False(t, o.Tabs()[0].Attached)

	// chromedp passes over a new tab that somebody has attached.
	c := browsertest.Chromedp(t, b)
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
	s := browsertest.NewSite(t, map[string]string{"/": `<title>t</title><body style="height:3000px"><button>b</button>` +
		`<input>`})
	browsertest.Open(ctx, t, p, s.URL+"/")
	o := browsertest.Join(t, b)
	tab := o.AttachTab(o.Tabs()[0].TargetID)
	require.NoError(t, protocol.Tell(ctx, tab, emulation.SetDeviceMetricsOverride,
		emulation.SetDeviceMetricsOverrideParams{
			Width:             375,
			Height:            667,
			DeviceScaleFactor: 2,
			Mobile:            true,
		}))
	require.NoError(t, protocol.Tell(ctx, tab, emulation.SetUserAgentOverride,
		emulation.SetUserAgentOverrideParams{UserAgent: "Mine/1"}))
	require.NoError(t, protocol.Tell(ctx, tab, emulation.SetTimezoneOverride,
		emulation.SetTimezoneOverrideParams{TimezoneID: "Asia/Tokyo"}))
	require.NoError(t, protocol.Tell(ctx, tab, network.Enable, network.EnableParams{}))
	require.NoError(t, protocol.Tell(ctx, tab, network.SetExtraHTTPHeaders,
		network.SetExtraHTTPHeadersParams{Headers: network.Headers{"Referer": "http://mine.example/"}}))
	require.NoError(t, protocol.Tell(ctx, tab, page.Enable, page.EnableParams{}))
	// The generated command has a result that is not looked at here.
	addScript := cdp.Command[page.AddScriptToEvaluateOnNewDocumentParams, cdp.Empty]{
		Method: page.CommandAddScriptToEvaluateOnNewDocument,
	}
	require.NoError(t, protocol.Tell(ctx, tab, addScript,
		page.AddScriptToEvaluateOnNewDocumentParams{Source: "window.mine = 1"}))
	require.NoError(t, protocol.Tell(ctx, o.Root, cdpbrowser.SetPermission, cdpbrowser.SetPermissionParams{
		Permission: &cdpbrowser.PermissionDescriptor{Name: "geolocation"},
		Setting:    cdpbrowser.PermissionSettingGranted,
		Origin:     s.URL,
	}))
	browsertest.Open(ctx, t, p, s.URL+"/")
	const all = `(async () => [screen.width, devicePixelRatio, navigator.userAgent, ` +
		`Intl.DateTimeFormat().resolvedOptions().timeZone, window.mine,
		(await navigator.permissions.query({name: "geolocation"})).state].join())()`
	const want = `"375,2,Mine/1,Asia/Tokyo,1,granted"`
	require.Equal(t, want, o.Evaluate(tab, all))
	require.Equal(t, "http://mine.example/", s.RequestsTo("/")[len(s.RequestsTo("/"))-1].Referer)
	obs := browsertest.Observe(ctx, t, p)
	require.NoError(t, p.Click(ctx, obs.Elements[0].Ref, browser.Click{}))
	browsertest.Scroll(ctx, t, p, 1)
	for _, whole := range []bool{false, true, false} {
		_, err := p.Screenshot(ctx, whole)
		require.NoError(t, err)
		require.Equal(t, want, o.Evaluate(tab, all), "after a picture")
	}
	// What is fetched can be read by the client, though the server keeps nothing.
	o.Evaluate(tab, "fetch('/').then(r => r.text())")
	for {
		ev := o.NextEvent(network.LoadingFinished.Method)
		var finished network.EventLoadingFinished
		require.NoError(t, jsonv2.Unmarshal(ev.Params, &finished))
		got, err := protocol.Call(ctx, tab, network.GetResponseBody,
			network.GetResponseBodyParams{RequestID: finished.RequestID})
		require.NoError(t, err)
		if strings.Contains(string(got.Body), "<title>t</title>") {
			break
		}
	}
	// Its end is the end of what it set.
	o.Leave()
	require.Eventually(t, func() bool {
		again := browsertest.Join(t, b)
		defer again.Leave()
		return again.Evaluate(again.AttachTab(tab.TargetID), "devicePixelRatio") == "1"
	}, 10*time.Second, 20*time.Millisecond)
}

// TestAClientPausesNewTabsBesideTheServer has both wait for what is new: a
// script that the client adds runs before the page's own.
func TestAClientPausesNewTabsBesideTheServer(t *testing.T) {
	ctx, p, b := openPage(t)
	s := browsertest.NewSite(t, map[string]string{"/": "<p>x",
		"/new": `<script>window.seen = window.mine || "nothing"</script>`})
	browsertest.Open(ctx, t, p, s.URL+"/")
	o := browsertest.Join(t, b)
	flat := true
	require.NoError(t, protocol.Tell(ctx, o.Root, target.SetAutoAttach, target.SetAutoAttachParams{
		AutoAttach: true, WaitForDebuggerOnStart: true, Flatten: &flat,
	}))
	first := o.NextEvent(target.AttachedToTarget.Method)
	require.NotNil(t, first.Params)
	_, err := o.Root.Post(ctx, target.CommandCreateTarget, target.CreateTargetParams{URL: s.URL + "/new"})
	require.NoError(t, err)
	var opened target.EventAttachedToTarget
	require.NoError(t, jsonv2.Unmarshal(o.NextEvent(target.AttachedToTarget.Method).Params, &opened))
	tab := &browsertest.Tab{Session: o.Conn.Session(opened.SessionID), TargetID: opened.TargetInfo.TargetID}
	for _, command := range []struct { // in one go: some are answered once the tab runs
		method string
		params any
	}{
		{page.CommandEnable, page.EnableParams{}},
		{page.CommandAddScriptToEvaluateOnNewDocument,
			page.AddScriptToEvaluateOnNewDocumentParams{Source: "window.mine = 'first'"}},
		{runtime.CommandRunIfWaitingForDebugger, cdp.Empty{}},
	} {
		_, err := tab.Post(ctx, command.method, command.params)
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { return o.Evaluate(tab, "window.seen") == `"first"` }, 10*time.Second,
		10*time.Millisecond)
}
