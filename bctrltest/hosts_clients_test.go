package bctrltest_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest"
)

// forbidden is a host outside the mounts: http, https and UDP. What counts is who came,
// whatever was said.
type forbidden struct {
	port, securePort, udpPort string
	visitors                  atomic.Int64
}

func newForbidden(t *testing.T) *forbidden {
	t.Helper()
	f := new(forbidden)
	handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	plain, secure := httptest.NewUnstartedServer(handler), httptest.NewUnstartedServer(handler)
	for _, srv := range []*httptest.Server{plain, secure} {
		srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				f.visitors.Add(1)
			}
		}
		t.Cleanup(srv.Close)
	}
	plain.Start()
	secure.StartTLS()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for b := make([]byte, 1500); ; {
			if _, _, err := udp.ReadFrom(b); err != nil {
				return
			}
			f.visitors.Add(1)
		}
	}()
	t.Cleanup(func() { _ = udp.Close(); <-done })
	for at, addr := range map[*string]net.Addr{&f.port: plain.Listener.Addr(), &f.securePort: secure.Listener.Addr(),
		&f.udpPort: udp.LocalAddr()} {
		_, *at, err = net.SplitHostPort(addr.String())
		require.NoError(t, err)
	}
	return f
}

// ways are what a client may try, with HOST, SECURE and UDP for the forbidden host.
var ways = []struct {
	why string
	// method and params are a command to the tab, or with root to the browser; script is one
	// that the page runs.
	method, params, script string
	root                   bool
	// asked says that the gate was asked, and has recorded that it refused.
	asked bool
	// code is that of the filter's refusal.
	code string
}{
	{why: "a request", script: `fetch("http://HOST/", {mode: "no-cors"})`, asked: true},
	{why: "one over TLS", script: `fetch("https://SECURE/", {mode: "no-cors"})`, asked: true},
	{why: "one with a preflight", script: `fetch("http://HOST/", {method: "PUT", headers: {a: "b"}})`, asked: true},
	{why: "one that outlives its page", script: `fetch("http://HOST/", {mode: "no-cors", keepalive: true})`, asked: true},
	{why: "a beacon", script: `navigator.sendBeacon("http://HOST/", "x")`, asked: true},
	{why: "an image", script: `(new Image).src = "http://HOST/"`, asked: true},
	{why: "a frame", asked: true,
		script: `document.body.append(Object.assign(document.createElement("iframe"), {src: "http://HOST/"}))`},
	{why: "a script", asked: true,
		script: `document.head.append(Object.assign(document.createElement("script"), {src: "http://HOST/"}))`},
	{why: "a websocket", script: `new WebSocket("ws://HOST/")`, asked: true},
	{why: "a websocket over TLS", script: `new WebSocket("wss://SECURE/")`, asked: true},
	{why: "events", script: `new EventSource("http://HOST/")`, asked: true},
	{why: "a worker", script: `new Worker(URL.createObjectURL(new Blob(['fetch("http://HOST/", {mode: "no-cors"})'])))`,
		asked: true},
	{why: "a service worker", script: `navigator.serviceWorker.register("/worker.js?HOST")`, asked: true},
	{why: "a document of data", asked: true,
		script: `document.body.append(Object.assign(document.createElement("iframe"),
			{src: "data:text/html,<img src=http://HOST/>"}))`},
	{why: "a document of a blob", asked: true,
		script: `document.body.append(Object.assign(document.createElement("iframe"),
			{src: URL.createObjectURL(new Blob(["<img src=http://HOST/>"], {type: "text/html"}))}))`},
	{why: "a download", asked: true,
		script: `Object.assign(document.createElement("a"), {href: "http://HOST/", download: "x"}).click()`},
	{why: "a form", asked: true, script: `(() => { const f = Object.assign(document.createElement("form"),
		{action: "http://HOST/", method: "post", target: "_blank"}); document.body.append(f); f.submit() })()`},
	{why: "a window", script: `open("http://HOST/")`, asked: true},
	{why: "a redirect", script: `fetch("/away?HOST", {mode: "no-cors"})`, asked: true},
	{why: "a report", script: `fetch("/reports?HOST").then(() => 1)`},
	{why: "a connection in advance", script: `document.head.append(Object.assign(document.createElement("link"),
		{rel: "preconnect", href: "http://HOST/"}))`},
	{why: "a name in advance", script: `document.head.append(Object.assign(document.createElement("link"),
		{rel: "dns-prefetch", href: "http://HOST/"}))`},
	{why: "a document in advance", asked: true, script: `document.head.append(Object.assign(document.createElement("link"),
		{rel: "prefetch", href: "http://HOST/"}))`},
	{why: "a page in advance", script: `document.head.append(Object.assign(document.createElement("script"), {type:
		"speculationrules", textContent: '{"prerender": [{"urls": ["http://HOST/"], "eagerness": "immediate"}]}'}))`},
	{why: "STUN", script: `(async () => { const c = new RTCPeerConnection({iceServers: [{urls: "stun:UDP"}]});
		c.createDataChannel("x"); await c.setLocalDescription(await c.createOffer());
		await new Promise(r => { c.onicegatheringstatechange = () => c.iceGatheringState == "complete" && r() }) })()`},
	{why: "TURN", asked: true, script: `(async () => { const c = new RTCPeerConnection({iceServers: [{urls:
		["turn:UDP", "turn:HOST?transport=tcp", "turns:SECURE?transport=tcp"], username: "a", credential: "b"}]});
		c.createDataChannel("x"); await c.setLocalDescription(await c.createOffer());
		await new Promise(r => { c.onicegatheringstatechange = () => c.iceGatheringState == "complete" && r() }) })()`},
	{why: "QUIC", script: `new WebTransport("https://UDP/").ready.catch(() => {})`},
	{why: "a candidate of a peer over UDP", script: `return peer("candidate:1 1 udp 2130706431 UDPADDRESS typ host")`},
	{why: "a candidate of a peer over TCP",
		script: `return peer("candidate:1 1 tcp 1518280447 ADDRESS typ host tcptype passive")`},
	{why: "a script of a service worker", script: `return worked("/imports.js?HOST")`, asked: true},
	{why: "a service worker that answers with it", asked: true, script: `return worked("/answers.js?HOST").then(() =>
		document.body.append(Object.assign(document.createElement("iframe"), {src: "/answered"})))`},
	{why: "a service worker elsewhere", script: `return navigator.serviceWorker.register("http://HOST/worker.js")`},
	{why: "a worker's script", asked: true,
		script: `new Worker(URL.createObjectURL(new Blob(['importScripts("http://HOST/")'])))`},
	{why: "a module of a worker",
		script: `new Worker(URL.createObjectURL(new Blob(['import("http://HOST/")'])), {type: "module"})`},
	{why: "a worker of data", asked: true,
		script: `new Worker('data:text/javascript,fetch("http://HOST/", {mode: "no-cors"})')`},
	{why: "a shared worker", asked: true,
		script: `new SharedWorker(URL.createObjectURL(new Blob(['fetch("http://HOST/", {mode: "no-cors"})'])))`},
	{why: "a worker's websocket", asked: true,
		script: `new Worker(URL.createObjectURL(new Blob(['new WebSocket("ws://HOST/")'])))`},
	{why: "a worker's events", asked: true,
		script: `new Worker(URL.createObjectURL(new Blob(['new EventSource("http://HOST/")'])))`},
	{why: "a websocket of streams", script: `return new WebSocketStream("ws://HOST/").opened`, asked: true},
	{why: "a module in advance", asked: true, script: `return link({rel: "modulepreload", href: "http://HOST/"})`},
	{why: "a font in advance", asked: true,
		script: `return link({rel: "preload", as: "font", crossOrigin: "", href: "http://HOST/"})`},
	{why: "a style", asked: true, script: `return link({rel: "stylesheet", href: "http://HOST/"})`},
	{why: "a style that a style imports", asked: true, script: `return style("@import url(http://HOST/)")`},
	{why: "a picture of a style", asked: true, script: `return style("body { background: url(http://HOST/) }")`},
	{why: "a font of a style", asked: true, script: `document.body.append("x");
		return style("@font-face { font-family: f; src: url(http://HOST/) } body { font-family: f }")`},
	{why: "a font of a script", asked: true, script: `return new FontFace("g", "url(http://HOST/)").load()`},
	{why: "a film", asked: true, script: `new Audio("http://HOST/").load()`},
	{why: "an object", asked: true,
		script: `document.body.append(Object.assign(document.createElement("object"), {data: "http://HOST/"}))`},
	{why: "a document that refreshes to it", asked: true,
		script: `document.body.append(Object.assign(document.createElement("iframe"),
			{srcdoc: "<meta http-equiv=refresh content='0;url=http://HOST/'>"}))`},
	{why: "an answer that refreshes to it", asked: true,
		script: `document.body.append(Object.assign(document.createElement("iframe"), {src: "/refreshes?HOST"}))`},
	{why: "a script of an address", asked: true, script: `document.body.append(Object.assign(
		document.createElement("iframe"), {src: "javascript:location.replace('http://HOST/')"}))`},
	{why: "what answers say comes next", script: `return fetch("/hints?HOST")`},
	{why: "a link that is told of", script: `document.body.append(Object.assign(document.createElement("a"),
		{href: "#here", ping: "http://HOST/"})); document.querySelector("a").click()`},
	{why: "a page in advance, not shown", script: `document.head.append(Object.assign(document.createElement("script"),
		{type: "speculationrules", textContent:
			'{"prefetch": [{"urls": ["http://HOST/"], "eagerness": "immediate"}]}'}))`},
	{why: "a redirect of a form", asked: true, script: `const f = Object.assign(document.createElement("form"),
		{action: "/away?HOST", method: "post", target: "_blank"}); document.body.append(f); f.submit()`},
	{why: "a redirect of a worker", script: `new Worker("/away?HOST")`},
	{why: "a redirect of events", script: `new EventSource("/away?HOST")`, asked: true},
	{why: "a redirect of a download", asked: true,
		script: `Object.assign(document.createElement("a"), {href: "/away?HOST", download: "x"}).click()`},
	{why: "a sign-in by the browser", asked: true, script: `navigator.credentials.get({identity: {providers: [
		{configURL: "https://SECURE/", clientId: "1"}]}}).catch(() => {})`},

	{why: "navigating", method: "Page.navigate", params: `{"url": "http://HOST/"}`, asked: true},
	{why: "navigating to a document of data", method: "Page.navigate", asked: true,
		params: `{"url": "data:text/html,<img src=http://HOST/>"}`},
	{why: "navigating to a redirect", method: "Page.navigate", params: `{"url": "HEREaway?HOST"}`, asked: true},
	{why: "a script of every document", method: "Page.addScriptToEvaluateOnLoad",
		params: `{"scriptSource": "fetch('http://HOST/', {mode: 'no-cors'})"}`},
	{why: "another tab", method: "Target.createTarget", params: `{"url": "http://HOST/"}`, root: true, asked: true},
	{why: "the browser's own loading", method: "Network.loadNetworkResource", asked: true,
		params: `{"frameId": "FRAME", "url": "http://HOST/", "options": {"disableCache": true, "includeCredentials": true}}`},
	{why: "and without a frame", method: "Network.loadNetworkResource",
		params: `{"url": "http://HOST/", "options": {"disableCache": true, "includeCredentials": true}}`},
	{why: "a page that it writes", method: "Page.setDocumentContent", asked: true,
		params: `{"frameId": "FRAME", "html": "<link rel=manifest href=http://HOST/m><img src=http://HOST/>"}`},
	{why: "the manifest of a page", method: "Page.getAppManifest", params: `{}`},
	{why: "another proxy", method: "Target.createBrowserContext", root: true, code: "devtools.passes_proxy",
		params: `{"proxyServer": "direct://"}`},
	{why: "no proxy", method: "Target.createBrowserContext", root: true, code: "devtools.passes_proxy",
		params: `{"proxyBypassList": "*"}`},
	{why: "a place of its own", method: "Target.setRemoteLocations", root: true,
		params: `{"locations": [{"host": "127.0.0.1", "port": 1}]}`},
	{why: "an extension", method: "Extensions.loadUnpacked", root: true, code: "devtools.machine_files",
		params: `{"path": "/"}`},
	{why: "the protocol in a page", method: "Target.exposeDevToolsProtocol", root: true, code: "devtools.unfiltered",
		params: `{"targetId": "x"}`},
	{why: "a command inside another", method: "Target.sendMessageToTarget", root: true, code: "devtools.unfiltered",
		params: `{"message": "{}"}`},
	{why: "a port of the machine", method: "Tethering.bind", root: true, code: "devtools.passes_proxy",
		params: `{"port": 4000}`},
	{why: "a window of the browser's", method: "Browser.executeBrowserCommand", root: true, code: "devtools.machine",
		params: `{"commandId": "openTabSearch"}`},
}

// outlets serves what the ways of a page start from, beside what twoNames has.
func outlets(mux *http.ServeMux) {
	to := func(r *http.Request) string { return "http://" + r.URL.RawQuery + "/" }
	script := func(path, text string) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/javascript")
			_, _ = fmt.Fprintf(w, text, to(r))
		})
	}
	script("/imports.js", `try { importScripts(%q) } catch {}`)
	script("/answers.js", `oninstall = () => skipWaiting(); onactivate = e => e.waitUntil(clients.claim());
		onfetch = e => e.request.url.endsWith("/answered") && e.respondWith(fetch(%q, {mode: "no-cors"}))`)
	mux.HandleFunc("GET /refreshes", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Refresh", "0;url="+to(r))
	})
	mux.HandleFunc("GET /hints", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "<"+to(r)+">; rel=preconnect, <"+to(r)+">; rel=preload; as=image")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Set("NEL", `{"report_to": "default", "max_age": 100, "success_fraction": 1}`)
		w.WriteHeader(http.StatusOK)
	})
	mux.HandleFunc("GET /worker.js", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		_, _ = fmt.Fprintf(w, `fetch(%q, {mode: "no-cors"})`, to(r))
	})
	mux.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, to(r), http.StatusFound)
	})
	mux.HandleFunc("GET /reports", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Reporting-Endpoints", fmt.Sprintf("default=%q", to(r)))
		w.Header().Set("Content-Security-Policy", "default-src 'none'; report-to default; report-uri "+to(r))
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprint(w, "<title>here</title><body>")
	})
}

// helpers are what scripts of ways are written with.
const helpers = `
	const head = (kind, more) => void document.head.append(Object.assign(document.createElement(kind), more));
	const link = more => head("link", more), style = text => head("style", {textContent: text});
	const worked = async address => {
		const r = await navigator.serviceWorker.register(address, {scope: "/answered"});
		const worker = r.installing || r.waiting || r.active;
		while (worker.state != "activated") await new Promise(r => setTimeout(r, 10));
	};
	const peer = async candidate => {
		const [here, there] = [new RTCPeerConnection(), new RTCPeerConnection()];
		here.createDataChannel("x");
		await here.setLocalDescription(await here.createOffer());
		await there.setRemoteDescription(here.localDescription);
		await there.setLocalDescription(await there.createAnswer());
		await here.setRemoteDescription(there.localDescription);
		await here.addIceCandidate({candidate, sdpMid: "0"});
	};`

// takeEvent returns the oldest event of a name that nobody has taken.
func (d *devtools) takeEvent(method string) (params json.RawMessage, is bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, e := range d.events {
		if e.Method == method {
			d.events = slices.Delete(d.events, i, i+1)
			return e.Params, true
		}
	}
	return nil, false
}

// held is a client of a runtime whose mounts permit localhost alone.
type held struct {
	*devtools
	t         *testing.T
	workspace *bctrl.Workspace
	tab, here string
}

// hold launches the runtime, and connects to it.
func hold(t *testing.T, site *httptest.Server) (*held, *bctrl.Client) {
	t.Helper()
	client := bctrltest.New(t, bctrltest.WithBrowser()).Client()
	ws, err := client.Workspaces.Create(t.Context(), bctrl.WorkspaceCreate{Name: "sales", Mounts: bctrl.Mounts{
		Web: &bctrl.WebMount{Allow: []string{"localhost"}},
	}})
	require.NoError(t, err)
	rt, err := ws.Runtimes.Browser("crm").Playwright(t.Context(), bctrl.Launch{})
	require.NoError(t, err)
	d := dialDevTools(t, connectURL(t, rt))
	tab, err := d.page(t.Context())
	require.NoError(t, err)
	here := strings.Replace(site.URL, "127.0.0.1", "localhost", 1) + "/"
	return &held{devtools: d, t: t, workspace: ws, tab: tab, here: here}, client
}

// refusals is how many requests the gate has refused.
func (h *held) refusals() int {
	h.t.Helper()
	info, err := h.workspace.Runtimes.Get(h.t.Context(), "crm")
	require.NoError(h.t, err)
	return info.Info.Summary.BlockedRequests
}

// requireRefusal waits until the gate has refused more than before.
func (h *held) requireRefusal(before int, why string) {
	h.t.Helper()
	require.Eventually(h.t, func() bool { return h.refusals() > before }, 20*time.Second, 5*time.Millisecond, why)
}

// open shows the permitted page, and returns its frame.
func (h *held) open() (frame string) {
	h.t.Helper()
	raw, err := h.call(h.t.Context(), h.tab, "Page.navigate", json.RawMessage(`{"url": "`+h.here+`"}`))
	require.NoError(h.t, err)
	var got struct{ FrameID string }
	require.NoError(h.t, json.Unmarshal(raw, &got))
	var title string
	require.Eventually(h.t, func() bool {
		return h.eval(h.t.Context(), h.tab, "document.title", &title) == nil && title == "here"
	}, 20*time.Second, 5*time.Millisecond)
	return got.FrameID
}

// try goes one of the ways.
func (h *held) try(i int, places *strings.Replacer) error {
	h.t.Helper()
	way, session := ways[i], h.tab
	if way.root {
		session = ""
	}
	if way.script != "" {
		params, err := json.Marshal(map[string]any{
			"userGesture": true, "awaitPromise": true, "returnByValue": true,
			"expression": `Promise.race([(async () => { ` + helpers + places.Replace(way.script) + ` })().catch(() => {}),
				new Promise(r => setTimeout(r, 300))]).then(() => 1)`,
		})
		require.NoError(h.t, err)
		way.method, way.params = "Runtime.evaluate", string(params)
	}
	_, err := h.call(h.t.Context(), session, way.method, json.RawMessage(places.Replace(way.params)))
	return err
}

// change has the page begin a request, and decides about it by a command.
func (h *held) change(start, method, with string) error {
	h.t.Helper()
	h.open()
	_, err := h.call(h.t.Context(), h.tab, "Runtime.evaluate",
		json.RawMessage(`{"expression": "void setTimeout(() => { `+start+` })"}`))
	require.NoError(h.t, err)
	var paused struct{ RequestID string }
	require.Eventually(h.t, func() bool {
		event, is := h.takeEvent("Fetch.requestPaused")
		return is && json.Unmarshal(event, &paused) == nil
	}, 20*time.Second, 5*time.Millisecond)
	_, err = h.call(h.t.Context(), h.tab, method,
		json.RawMessage(`{"requestId": "`+paused.RequestID+`", `+with+`}`))
	return err
}

// TestNoClientPassesTheHostsOfTheMounts has a client try all that a page and the protocol
// have, against a real browser.
func TestNoClientPassesTheHostsOfTheMounts(t *testing.T) {
	out, ctx := newForbidden(t), t.Context() // first, so that it ends after the browser
	mux, names := http.NewServeMux(), make(chan string, 100)
	outlets(mux)
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/named" {
			names <- r.Host
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(site.Close)
	h, client := hold(t, site)
	for i, way := range ways {
		places := strings.NewReplacer("HOST", "127.0.0.1:"+out.port, "SECURE", "127.0.0.1:"+out.securePort,
			"UDPADDRESS", "127.0.0.1 "+out.udpPort, "UDP", "127.0.0.1:"+out.udpPort, "ADDRESS", "127.0.0.1 "+out.port,
			"HERE", h.here, "FRAME", h.open())
		before := h.refusals()
		err := h.try(i, places)
		if way.code != "" {
			require.ErrorContains(t, err, way.code, way.why)
		} else if err != nil {
			require.NotContains(t, err.Error(), "refused: devtools", way.why)
		}
		if way.asked {
			h.requireRefusal(before, way.why)
		}
		require.Zero(t, out.visitors.Load(), way.why)
	}

	// A request that it changes, one that the page makes and one for the page itself.
	_, err := h.call(ctx, h.tab, "Fetch.enable",
		json.RawMessage(`{"patterns": [{"urlPattern": "*/moved"}, {"urlPattern": "*/named"}]}`))
	require.NoError(t, err)
	for _, start := range []string{"fetch('/moved')", "location.href = '/moved'"} {
		for method, with := range map[string]string{
			"Fetch.continueRequest": `"url": "http://127.0.0.1:` + out.port + `/"`,
			"Fetch.fulfillRequest": `"responseCode": 302, "responseHeaders": [{"name": "Location", "value":
				"http://127.0.0.1:` + out.port + `/"}]`,
		} {
			before := h.refusals()
			require.NoError(t, h.change(start, method, with))
			h.requireRefusal(before, start+" "+method)
		}
	}
	require.ErrorContains(t, h.change("fetch('/moved')", "Fetch.continueRequest", `"url": "file:///etc/passwd"`),
		"devtools.address_refused")
	// And one to a permitted host that is to say another's name there.
	_ = h.change("fetch('/named')", "Fetch.continueRequest",
		`"headers": [{"name": "Host", "value": "127.0.0.1"}]`) // the browser may refuse it
	_, err = h.call(ctx, h.tab, "Fetch.disable", nil)
	require.NoError(t, err)
	_, err = h.call(ctx, h.tab, "Network.enable", nil)
	require.NoError(t, err)
	_, err = h.call(ctx, h.tab, "Network.setExtraHTTPHeaders", json.RawMessage(`{"headers": {"Host": "127.0.0.1"}}`))
	require.NoError(t, err)
	require.NoError(t, h.eval(ctx, h.tab, `fetch("/named").then(() => 1, () => 1)`, new(int)))
	for len(names) > 0 {
		require.Contains(t, <-names, "localhost")
	}

	_, err = h.call(ctx, h.tab, "Network.setExtraHTTPHeaders", json.RawMessage(`{"headers": {}}`))
	require.NoError(t, err)

	// One of a world that may ask everybody.
	before := h.refusals()
	world, err := h.call(ctx, h.tab, "Page.createIsolatedWorld",
		json.RawMessage(`{"frameId": "`+h.open()+`", "grantUniveralAccess": true}`))
	require.NoError(t, err)
	var in struct{ ExecutionContextID int }
	require.NoError(t, json.Unmarshal(world, &in))
	_, err = h.call(ctx, h.tab, "Runtime.evaluate", json.RawMessage(fmt.Sprintf(
		`{"contextId": %d, "expression": "void fetch('http://127.0.0.1:%s/').catch(() => 0)"}`,
		in.ExecutionContextID, out.port)))
	require.NoError(t, err)
	h.requireRefusal(before, "a world that may ask everybody")

	// Lowered while it is connected it reads no more of what its tab still shows, and can leave.
	h.open()
	require.NoError(t, h.workspace.Update(ctx, bctrl.WorkspaceUpdate{Mounts: &bctrl.Mounts{
		Web: &bctrl.WebMount{Allow: []string{"elsewhere.example"}},
	}}))
	require.ErrorContains(t, h.eval(ctx, h.tab, "document.title", new(string)), "devtools.host_outside")
	_, err = h.call(ctx, h.tab, "Page.navigate", json.RawMessage(`{"url": "about:blank"}`))
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		var at string
		return h.eval(ctx, h.tab, "location.href", &at) == nil && at == "about:blank"
	}, 20*time.Second, 5*time.Millisecond)

	require.Zero(t, out.visitors.Load(), "nor later")
	for ev, err := range client.Audit.Events(ctx, bctrl.AuditFilter{Action: string(bctrl.VisitHost)}) {
		require.NoError(t, err)
		require.Contains(t, []string{"127.0.0.1", "localhost"}, ev.Object)
	}
}

// TestNoOtherServiceOfAPermittedHostIsAsked has a site name others that speak for it, by HTTP/3
// and HTTP/2.
func TestNoOtherServiceOfAPermittedHostIsAsked(t *testing.T) {
	out, ctx := newForbidden(t), t.Context()
	var asked atomic.Int64
	site := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Alt-Svc", fmt.Sprintf(`h3="127.0.0.1:%s", h3=":%[1]s", h2="127.0.0.1:%s", h2=":%[2]s"; ma=100`,
			out.udpPort, out.securePort))
		w.Header().Set("Connection", "close") // the next request needs a connection of its own
		_, _ = fmt.Fprint(w, "<title>here</title>")
	}))
	t.Cleanup(site.Close)
	ws, err := bctrltest.New(t, bctrltest.WithBrowser()).Client().Workspaces.Create(ctx, bctrl.WorkspaceCreate{
		Name: "sales", Mounts: bctrl.Mounts{Web: &bctrl.WebMount{Allow: []string{"localhost"}}},
	})
	require.NoError(t, err)
	rt, err := ws.Runtimes.Browser("crm").Playwright(ctx, bctrl.Launch{Config: &bctrl.LaunchConfig{
		IgnoreCertificateErrors: []string{"localhost"},
	}})
	require.NoError(t, err)
	d := dialDevTools(t, connectURL(t, rt))
	tab, err := d.page(ctx)
	require.NoError(t, err)
	h := &held{devtools: d, t: t, workspace: ws, tab: tab,
		here: strings.Replace(site.URL, "127.0.0.1", "localhost", 1) + "/"}
	for range 5 {
		h.open()
	}
	require.GreaterOrEqual(t, asked.Load(), int64(5))
	require.Zero(t, out.visitors.Load())
}
