package devtools_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/heapprofiler"
	cdpio "github.com/chromedp/cdproto/io"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/cdproto/tracing"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
	"github.com/bctrl-go/bctrl/internal/browser/chromium"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
	"github.com/bctrl-go/bctrl/internal/doctext"
)

// interceptor is a client from outside that intercepts what it can.
type interceptor struct {
	t     *testing.T
	conn  *protocol.Conn
	root  protocol.Session
	leave func()
	// rights are the client's, which record what it was refused.
	rights *browsertest.Rights

	mu sync.Mutex
	// seen is all that it was told, and paused what was paused for it: "request /path" or
	// "answer /path".
	seen, paused []string
	// answer decides about a paused request; nil lets it go on.
	answer func(tab protocol.Session, ev fetch.EventRequestPaused) error
	logIn  bool // it answers a site that asks for a login
}

// intercept connects a client to b.
func intercept(t *testing.T, b browser.Browser) *interceptor {
	t.Helper()
	here, there := browsertest.PipeConn()
	life, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	documents := doctext.NewReader()
	c := &interceptor{t: t, rights: &browsertest.Rights{ReadPDF: func(ctx context.Context, pdf []byte) (string, error) {
		read, err := documents.Read(ctx, pdf, 1<<20)
		return read.Text, err
	}}}
	go func() { served <- b.ServeCDP(life, browsertest.RightsConn{MemConn: there, Rights: c.rights}) }()
	var answers sync.WaitGroup
	c.conn = protocol.NewConn(life, here, func(session target.SessionID, method string, params jsonv2.Value) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.seen = append(c.seen, method+" "+string(params))
		if method == fetch.AuthRequired.Method {
			protocol.Event(params, func(ev fetch.EventAuthRequired) {
				answers.Go(func() { c.authenticate(life, c.conn.Session(session), ev) })
			})
			return
		}
		if method == target.AttachedToTarget.Method {
			protocol.Event(params, func(ev target.EventAttachedToTarget) {
				answers.Go(func() { c.enter(life, c.conn.Session(ev.SessionID)) })
			})
		}
		protocol.Event(params, func(ev fetch.EventRequestPaused) {
			if method == fetch.RequestPaused.Method {
				c.note(ev)
				answers.Go(func() { c.decide(life, c.conn.Session(session), ev) })
			}
		})
	})
	c.root = c.conn.Root()
	c.leave = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-served)
		<-c.conn.Done()
		answers.Wait()
	})
	t.Cleanup(c.leave)
	return c
}

// note notes a pause. Call it with mu held.
func (c *interceptor) note(ev fetch.EventRequestPaused) {
	stage := "request"
	if ev.ResponseStatusCode != 0 || ev.ResponseErrorReason != "" {
		stage = "answer"
	}
	_, path, _ := strings.Cut(strings.TrimPrefix(ev.Request.URL, "http://"), "/")
	c.paused = append(c.paused, stage+" /"+path)
}

func (c *interceptor) decide(ctx context.Context, tab protocol.Session, ev fetch.EventRequestPaused) {
	c.mu.Lock()
	answer := c.answer
	c.mu.Unlock()
	if answer == nil {
		answer = goOn
	}
	if err := answer(tab, ev); err != nil && ctx.Err() == nil {
		c.mu.Lock()
		c.seen = append(c.seen, "error "+err.Error())
		c.mu.Unlock()
	}
}

func (c *interceptor) authenticate(ctx context.Context, s protocol.Session, ev fetch.EventAuthRequired) {
	answer := &fetch.AuthChallengeResponse{Response: fetch.AuthChallengeResponseResponseDefault}
	c.mu.Lock()
	if c.logIn {
		answer = &fetch.AuthChallengeResponse{
			Response: fetch.AuthChallengeResponseResponseProvideCredentials, Username: "ada", Password: "lovelace",
		}
	}
	c.mu.Unlock()
	_ = protocol.Tell(ctx, s, fetch.ContinueWithAuth, fetch.ContinueWithAuthParams{ // it fails with the connection alone
		RequestID: ev.RequestID, AuthChallengeResponse: answer,
	})
}

// enter intercepts in a target that was attached, and lets that run.
func (c *interceptor) enter(ctx context.Context, s protocol.Session) {
	for _, method := range []string{fetch.CommandEnable, runtime.CommandRunIfWaitingForDebugger} {
		var params any
		if method == fetch.CommandEnable {
			params = everything()
		}
		_, _ = s.Post(ctx, method, params) // some kinds have no such domain
	}
}

func goOn(tab protocol.Session, ev fetch.EventRequestPaused) error {
	return protocol.Tell(context.Background(), tab, fetch.ContinueRequest,
		fetch.ContinueRequestParams{RequestID: ev.RequestID})
}

// decideBy has the client decide anew from now on, and forgets what it saw.
func (c *interceptor) decideBy(answer func(tab protocol.Session, ev fetch.EventRequestPaused) error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer, c.paused = answer, nil
}

// pauses are those of a path, and all is everything that the client was told.
func (c *interceptor) pauses(path string) (of []string, all string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, one := range c.paused {
		if strings.HasSuffix(one, path) {
			of = append(of, one)
		}
	}
	return of, strings.Join(c.seen, "\n")
}

// everything has both ends of each request paused.
func everything() fetch.EnableParams {
	logins := true
	return fetch.EnableParams{HandleAuthRequests: &logins, Patterns: []*fetch.RequestPattern{
		{URLPattern: "*", RequestStage: fetch.RequestStageRequest},
		{URLPattern: "*", RequestStage: fetch.RequestStageResponse},
	}}
}

// watch attaches a tab and intercepts everything there.
func (c *interceptor) watch(id target.ID) protocol.Session {
	c.t.Helper()
	flat := true
	got, err := protocol.Call(c.t.Context(), c.root, target.AttachToTarget,
		target.AttachToTargetParams{TargetID: id, Flatten: &flat})
	require.NoError(c.t, err)
	tab := c.conn.Session(got.SessionID)
	require.NoError(c.t, protocol.Tell(c.t.Context(), tab, network.Enable, network.EnableParams{}))
	require.NoError(c.t, protocol.Tell(c.t.Context(), tab, fetch.Enable, everything()))
	return tab
}

// firstTab is the tab that the browser began with.
func (c *interceptor) firstTab() target.ID {
	c.t.Helper()
	got, err := protocol.Call(c.t.Context(), c.root, target.GetTargets, target.GetTargetsParams{})
	require.NoError(c.t, err)
	for _, info := range got.TargetInfos {
		if info.Type == "page" {
			return info.TargetID
		}
	}
	require.FailNow(c.t, "no tab")
	return ""
}

// run runs a script, and returns what it comes to.
func (c *interceptor) run(tab protocol.Session, script string) (string, error) {
	value, wait := true, true
	got, err := protocol.Call(c.t.Context(), tab, runtime.Evaluate, runtime.EvaluateParams{
		Expression: script, ReturnByValue: &value, AwaitPromise: &wait, UserGesture: &wait,
	})
	if err != nil {
		return "", err
	}
	var text string
	_ = json.Unmarshal(got.Result.Value, &text)
	return text, nil
}

const loginForm = `<form method=post action=/login><input type=password name=p aria-label=Password>
	<button>Log in</button></form>`

// TestClientsNeverMeetAFill has a client that attached before the server and one that
// attached after it: the browser asks the one when the value is in the request, and the
// other when its stand-in is.
func TestClientsNeverMeetAFill(t *testing.T) {
	const secret = "correct-Horse_7.battery"
	s := browsertest.NewSite(t, map[string]string{"/": loginForm, "/plain": "<p>plain"})
	s.Handlers["/login"] = func(w http.ResponseWriter, r *http.Request) {
		if r.URL.RawQuery == "" {
			http.Redirect(w, r, "/login?again", http.StatusTemporaryRedirect) // its body with it
			return
		}
		_, _ = fmt.Fprintf(w, "<p>Wrong: %s", r.FormValue("p"))
	}
	s.Handlers["/framed"] = func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, "<iframe src='%s/echo'></iframe>", s.LocalhostURL())
	}
	s.Handlers["/echo"] = func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "<p>"+secret) }
	s.Handlers["/paper"] = func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, "<style>@media screen { p { display: none } }</style><p>%s", secret)
	}
	s.Handlers["/while"] = func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `<script>onbeforeprint = () => document.body.insertAdjacentHTML("beforeend",
			"<p id=now>" + %q.split("").join("<b></b>")); onafterprint = () => now.remove()</script><body>x`, secret)
	}
	s.Handlers["/hidden"] = func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, "<p hidden>%s</p><p>shown", secret)
	}
	driver, err := chromium.New(chromium.Options{})
	require.NoError(t, err)
	b := browsertest.Launch(t, driver, browser.Spec{ID: "fills", Egress: browsertest.Loopback()})
	before, after, whole := intercept(t, b), intercept(t, b), intercept(t, b)
	tab := before.watch(before.firstTab())
	require.NoError(t, protocol.Tell(t.Context(), whole.root, fetch.Enable, everything()))
	p, err := b.Page(t.Context())
	require.NoError(t, err)
	after.watch(after.firstTab())
	clients := map[string]*interceptor{"before": before, "after": after, "whole": whole}

	for _, hang := range []bool{false, true} {
		for _, c := range clients {
			c.decideBy(nil)
		}
		obs := browsertest.Open(t.Context(), t, p, s.URL+"/")
		for name, c := range clients {
			seen, _ := c.pauses("/")
			require.NotEmpty(t, seen, "%s: a page without a fill is the client's to intercept", name)
			if hang {
				c.decideBy(func(protocol.Session, fetch.EventRequestPaused) error { return nil })
			}
		}
		require.NoError(t, p.Fill(t.Context(), browsertest.Find(t, obs, "textbox", "Password").Ref,
			browsertest.Login("password", secret, s.URL)))
		for _, method := range []string{tracing.CommandStart, heapprofiler.CommandTakeHeapSnapshot} {
			require.ErrorContains(t, tab.Call(t.Context(), method, cdp.Empty{}, nil), "devtools.holds_fill")
		}
		browsertest.ClickUntil(t.Context(), t, p, obs, "Log in", "Wrong")
		for name, c := range clients {
			for _, path := range []string{"/login", "/login?again"} {
				seen, all := c.pauses(path)
				require.Empty(t, seen, name)
				browsertest.RequireUnseen(t, secret, all)
			}
			c.decideBy(nil)
		}
		// The page holds the echo, so what shows it whole is not made.
		before.rights.Refused()
		_, err := protocol.Call(t.Context(), tab, page.PrintToPDF, page.PrintToPDFParams{})
		require.ErrorContains(t, err, browser.CodePDFRefused)
		require.Equal(t, []string{browser.CodePDFRefused}, before.rights.Refused(), "it is recorded")
		_, err = protocol.Call(t.Context(), tab, page.CaptureSnapshot, page.CaptureSnapshotParams{})
		require.ErrorContains(t, err, "devtools.holds_fill")
		browsertest.Open(t.Context(), t, p, s.URL+"/plain")
		_, err = protocol.Call(t.Context(), tab, page.PrintToPDF, page.PrintToPDFParams{})
		require.NoError(t, err, "the next page does not")
		if hang {
			continue
		}
		browsertest.Open(t.Context(), t, p, s.URL+"/hidden")
		printed, err := protocol.Call(t.Context(), tab, page.PrintToPDF, page.PrintToPDFParams{
			TransferMode: page.PrintToPDFTransferModeReturnAsStream,
		})
		require.NoError(t, err, "what is not on paper may be in the page, as for an agent's PDF")
		requirePDF(t, tab, printed.Stream)
		for _, path := range []string{"/framed", "/paper", "/while"} {
			browsertest.Open(t.Context(), t, p, s.URL+path)
			_, err = protocol.Call(t.Context(), tab, page.PrintToPDF, page.PrintToPDFParams{})
			require.ErrorContains(t, err, browser.CodePDFRefused, path)
		}
	}
	require.Len(t, s.RequestsTo("/login"), 4)
	for _, r := range s.RequestsTo("/login") {
		require.True(t, strings.Contains(r.Body, "p=correct-Horse_7.battery"), "the value has arrived")
	}
}

// requirePDF reads a client's stream, which is a whole PDF.
func requirePDF(t *testing.T, tab protocol.Session, stream cdpio.StreamHandle) {
	t.Helper()
	var pdf []byte
	for {
		part, err := protocol.Call(t.Context(), tab, cdpio.Read, cdpio.ReadParams{Handle: stream, Size: 5 << 10})
		require.NoError(t, err)
		if pdf = append(pdf, part.Data...); part.EOF {
			break
		}
	}
	require.True(t, bytes.HasPrefix(pdf, []byte("%PDF-")) && bytes.Contains(pdf, []byte("%%EOF")))
}

// TestClientsNeverMeetALoginOfHTTP has the client answer the site's question itself, with
// another login.
func TestClientsNeverMeetALoginOfHTTP(t *testing.T) {
	const secret = "correct-Horse_7.battery"
	s := standInSite(t)
	driver, err := chromium.New(chromium.Options{})
	require.NoError(t, err)
	b := browsertest.Launch(t, driver, browser.Spec{ID: "basic", Egress: browsertest.Loopback()})
	before, after := intercept(t, b), intercept(t, b)
	before.watch(before.firstTab())
	p, err := b.Page(t.Context())
	require.NoError(t, err)
	after.watch(after.firstTab())
	require.NoError(t, p.Goto(t.Context(), s.URL+"/basic", ""))
	for name, c := range map[string]*interceptor{"before": before, "after": after} {
		seen, _ := c.pauses("/basic")
		require.NotEmpty(t, seen, name)
		c.decideBy(func(protocol.Session, fetch.EventRequestPaused) error { return nil }) // it hangs from here on
	}
	require.NoError(t, p.LoginHTTP(t.Context(), browser.HTTPLogin{
		Username: browsertest.Login("username", "ada", s.URL), Password: browsertest.Login("password", secret, s.URL),
	}))
	require.NoError(t, p.Goto(t.Context(), s.URL+"/plain", ""))
	for name, c := range map[string]*interceptor{"before": before, "after": after} {
		for _, path := range []string{"/basic", "/plain"} {
			seen, all := c.pauses(path)
			require.Empty(t, seen, name)
			browsertest.RequireUnseen(t, secret, all)
			browsertest.RequireUnseen(t, base64.StdEncoding.EncodeToString([]byte("ada:"+secret)), all)
		}
	}
}

// TestTheNewestClientIsAskedFirst has two clients change the same request, and one that
// intercepts in the whole browser.
func TestTheNewestClientIsAskedFirst(t *testing.T) {
	b := launch(t, browser.Spec{ID: "order", Egress: browsertest.Loopback()})
	s := browsertest.NewSite(t, map[string]string{"/": "<p>x"})
	var order string
	s.Handlers["/order"] = func(w http.ResponseWriter, r *http.Request) {
		order = r.Header.Get("X-Order")
		_, _ = fmt.Fprint(w, "answer")
	}
	first, second, whole := intercept(t, b), intercept(t, b), intercept(t, b)
	tab := first.watch(first.firstTab())
	second.watch(second.firstTab())
	require.NoError(t, protocol.Tell(t.Context(), whole.root, fetch.Enable, everything()))
	_, err := protocol.Call(t.Context(), tab, page.Navigate, page.NavigateParams{URL: s.URL + "/"})
	require.NoError(t, err)
	for name, c := range map[string]*interceptor{"first": first, "second": second, "whole": whole} {
		c.decideBy(func(tab protocol.Session, ev fetch.EventRequestPaused) error {
			if ev.ResponseStatusCode != 0 {
				body, err := protocol.Call(t.Context(), tab, fetch.GetResponseBody,
					fetch.GetResponseBodyParams{RequestID: ev.RequestID})
				if err != nil {
					return err
				}
				return protocol.Tell(t.Context(), tab, fetch.FulfillRequest, fetch.FulfillRequestParams{
					RequestID: ev.RequestID, ResponseCode: 200, Body: []byte(string(body.Body) + "," + name),
				})
			}
			headers := []*fetch.HeaderEntry{{Name: "X-Order", Value: fmt.Sprint(ev.Request.Headers["X-Order"]) + "," + name}}
			return protocol.Tell(t.Context(), tab, fetch.ContinueRequest, fetch.ContinueRequestParams{
				RequestID: ev.RequestID, Headers: headers,
			})
		})
	}
	got, err := first.run(tab, "fetch('/order').then(r => r.text())")
	require.NoError(t, err)
	require.Equal(t, "<nil>,second,first,whole", order)
	require.Equal(t, "answer,whole,first,second", got, "and an answer the other way round")
}

// TestAClientThatDiesLetsThePageGoOn pauses a request and leaves.
func TestAClientThatDiesLetsThePageGoOn(t *testing.T) {
	b := launch(t, browser.Spec{ID: "dies", Egress: browsertest.Loopback()})
	s := browsertest.NewSite(t, map[string]string{"/": "<title>here</title>"})
	dying, watching := intercept(t, b), browsertest.Join(t, b)
	tab := dying.watch(dying.firstTab())
	told := make(chan struct{}, 4)
	dying.decideBy(func(protocol.Session, fetch.EventRequestPaused) error { told <- struct{}{}; return nil })
	_, err := tab.Post(t.Context(), page.CommandNavigate, page.NavigateParams{URL: s.URL + "/"})
	require.NoError(t, err)
	<-told
	dying.leave()
	other := watching.AttachTab(watching.Tabs()[0].TargetID)
	require.Eventually(t, func() bool { return watching.Evaluate(other, "document.title") == `"here"` },
		10*time.Second, 10*time.Millisecond)
}

// follow has a client attach what belongs to a tab too, frames and workers, or to the
// browser, popups, and intercept everything there.
func (c *interceptor) follow(tab protocol.Session) {
	c.t.Helper()
	flat := true
	require.NoError(c.t, protocol.Tell(c.t.Context(), tab, target.SetAutoAttach, target.SetAutoAttachParams{
		AutoAttach: true, WaitForDebuggerOnStart: true, Flatten: &flat,
	}))
}

// sends are scripts that send what a page holds, to its own site and elsewhere.
func sends(elsewhere string) map[string]string {
	return map[string]string{
		"fetch":     `fetch("/fetch", {method: "POST", body: "x=" + held})`,
		"keepalive": `fetch("/keepalive", {method: "POST", keepalive: true, body: "x=" + held})`,
		"beacon":    `navigator.sendBeacon("/beacon", "x=" + held)`,
		"preflight": `fetch("` + elsewhere + `/preflight", {method: "PUT", headers: {"X-A": held}, body: "x=" + held})`,
		"elsewhere": `fetch("` + elsewhere + `/elsewhere", {method: "POST", mode: "no-cors", body: "x=" + held})`,
		"address":   `fetch("/address?p=" + held)`,
		"header":    `fetch("/header", {headers: {"X-A": held}})`,
		"worker": `new Promise(r => { const w = new Worker("/worker.js"); w.onmessage = w.onerror = r;
			setTimeout(() => w.postMessage(held), 50) })`,
		"frame": `new Promise(r => { const f = Object.assign(document.createElement("iframe"), {src: "/frame", onload: () =>
			f.contentWindow.fetch("/inframe", {method: "POST", body: "x=" + held}).finally(r)}); document.body.append(f) })`,
		"service worker": `navigator.serviceWorker.register("/worker.js").then(() => navigator.serviceWorker.ready).then(r =>
			(r.active.postMessage(held), fetch("/served", {method: "POST", body: "x=" + held})))`,
		"popup": `(() => { const f = Object.assign(document.createElement("form"), {action: "/popup", method: "post",
			target: "_blank"}); f.innerHTML = "<input name=x>"; f.firstChild.value = held; document.body.append(f);
			f.submit() })()`,
	}
}

// TestWhatAClientMakesOfAStandInIsNotItsToIntercept has a client that knows the stand-in,
// from the page, send it in every way that a page has.
func TestWhatAClientMakesOfAStandInIsNotItsToIntercept(t *testing.T) {
	const secret = "correct-Horse_7.battery"
	s := standInSite(t)
	ctx, p, b := openPage(t)
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	c := intercept(t, b)
	tab := c.watch(c.firstTab())
	c.follow(tab)

	// A request that was paused before the fill, which is to take the stand-in along after it.
	early := make(chan fetch.EventRequestPaused, 1)
	c.decideBy(func(tab protocol.Session, ev fetch.EventRequestPaused) error {
		if strings.HasSuffix(ev.Request.URL, "/early") && ev.ResponseStatusCode == 0 {
			early <- ev
			return nil
		}
		return goOn(tab, ev)
	})
	_, err := c.run(tab, `void fetch("/early", {method: "POST", body: "a=b"})`)
	require.NoError(t, err)
	paused := <-early
	require.NoError(t, p.Fill(ctx, browsertest.Find(t, obs, "textbox", "Password").Ref,
		browsertest.Login("password", secret, s.URL)))
	stand, err := c.run(tab, `document.querySelector("input").value`)
	require.NoError(t, err)
	require.NotEmpty(t, stand)
	for why, params := range map[string]fetch.ContinueRequestParams{
		"its body":    {PostData: []byte("p=" + stand)},
		"its address": {URL: s.URL + "/?p=" + stand},
		"a header":    {Headers: []*fetch.HeaderEntry{{Name: "X-A", Value: stand}}},
		"all of it":   {URL: s.URL + "/login", Method: "POST", PostData: []byte("p=" + stand)},
	} {
		params.RequestID = paused.RequestID
		require.ErrorContains(t, protocol.Tell(ctx, tab, fetch.ContinueRequest, params), "devtools.holds_fill", why)
	}
	require.NoError(t, goOn(tab, paused))
	c.follow(c.root)

	for name, script := range sends(s.LocalhostURL()) {
		_, err := c.run(tab, `(async () => { const held = document.querySelector("input").value;
			await Promise.race([(async () => await (`+script+`))().catch(() => {}), new Promise(r => setTimeout(r, 500))]) })()`)
		require.NoError(t, err, name)
	}
	got, err := c.run(tab, `fetch("/plain").then(r => r.text())`)
	require.NoError(t, err)
	require.Equal(t, "<p>plain", got)
	plain, all := c.pauses("/plain")
	require.Subset(t, plain, []string{"request /plain", "answer /plain"}, "what has no part of it is the client's")
	for _, path := range []string{
		"/fetch", "/keepalive", "/beacon", "/elsewhere", "/header", "/worker", "/inframe", "/served", "/popup",
		"/address?p=" + stand,
	} {
		seen, _ := c.pauses(path)
		require.Empty(t, seen, path)
	}
	browsertest.RequireUnseen(t, secret, all)
	for _, path := range []string{"/elsewhere", "/preflight"} {
		for _, r := range s.RequestsTo(path) {
			browsertest.RequireUnseen(t, secret, r.Body)
		}
	}
	require.Equal(t, "a=b", s.RequestsTo("/early")[0].Body)

	// A login of HTTP that is the client's own, in a tab without a fill.
	c.mu.Lock()
	c.logIn = true
	c.mu.Unlock()
	browsertest.Open(ctx, t, p, s.URL+"/plain")
	got, err = c.run(tab, `fetch("/basic").then(r => r.text())`)
	require.NoError(t, err)
	require.Equal(t, "Basic YWRhOmxvdmVsYWNl", got)
}
