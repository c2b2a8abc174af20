package devtools_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
)

// telling is a page that repeats what is typed in every way that the protocol has an event
// or a tree for.
const telling = `<title>quiet</title><input type=password aria-label=Password><input aria-label=Copy id=copy>
	<p id=said></p><script>
	document.querySelector("input").addEventListener("input", async e => {
		const v = e.target.value;
		copy.value = v; copy.setAttribute("data-said", v);
		said.textContent = v; document.title = v;
		console.log("typed", v, {in: v});
		localStorage.setItem("said", v); sessionStorage.setItem("said", v);
		document.cookie = "said=" + v;
		document.head.append(Object.assign(document.createElement("style"), {textContent: "p::after{content:'" + v + "'}"}));
		history.replaceState(null, "", "#" + v);
		await fetch("/echo", {method: "POST", body: new URLSearchParams({p: v})});
		new EventSource("/events").onmessage = () => { document.body.dataset.done = 1 };
		throw new Error(v);
	})</script>`

// TestNoMessageOfABrowserTellsAClientWhatWasTypedDirectly fills a page with the value itself,
// which repeats it. What the client's own script returns is its own: the page has the value.
func TestNoMessageOfABrowserTellsAClientWhatWasTypedDirectly(t *testing.T) {
	const secret = "correct-Horse_7.battery"
	s := browsertest.NewSite(t, map[string]string{"/": telling})
	s.Handlers["/echo"] = func(w http.ResponseWriter, r *http.Request) {
		said := r.FormValue("p")
		w.Header().Set("X-Said", said)
		http.SetCookie(w, &http.Cookie{Name: "hidden", Value: said, HttpOnly: true, Path: "/"})
		_, _ = fmt.Fprint(w, said)
	}
	s.Handlers["/events"] = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = fmt.Fprintf(w, "data: %s\n\n", secret)
	}
	ctx, p, b := openPage(t)
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	o := browsertest.Join(t, b)
	tab := o.AttachTab(o.Tabs()[0].TargetID)
	call := func(method, params string) (answer jsonv2.Value, err error) {
		err = tab.Call(ctx, method, jsonv2.Value(params), &answer)
		return answer, err
	}
	for _, domain := range []string{
		"Accessibility", "Animation", "Audits", "DOM", "CSS", "Console", "DOMStorage", "Debugger", "DOMSnapshot",
		"IndexedDB", "Log", "Network", "Overlay", "Page", "Performance", "Runtime", "Security",
	} {
		_, err := call(domain+".enable", `{}`)
		require.NoError(t, err, domain)
	}
	document, err := call("DOM.getDocument", `{"depth":-1,"pierce":true}`)
	require.NoError(t, err)
	_, err = call("Accessibility.getFullAXTree", `{}`)
	require.NoError(t, err)
	require.NoError(t, o.Root.Call(ctx, "Target.setDiscoverTargets", jsonv2.Value(`{"discover":true}`), nil))

	login := browsertest.Login("password", secret, s.URL)
	login.Direct = true
	require.NoError(t, p.Fill(ctx, browsertest.Find(t, obs, "textbox", "Password").Ref, login))
	require.Eventually(t, func() bool { return o.Evaluate(tab, "document.body.dataset.done || ''") == `"1"` },
		20*time.Second, 10*time.Millisecond)
	require.Contains(t, o.Evaluate(tab, "copy.value"), secret, "its own script")

	var root struct{ Root struct{ NodeID int } }
	require.NoError(t, json.Unmarshal(document, &root))
	for method, params := range map[string]string{
		"Accessibility.getFullAXTree":    `{}`,
		"DOM.getDocument":                `{"depth":-1,"pierce":true}`,
		"DOM.getFlattenedDocument":       `{"depth":-1,"pierce":true}`,
		"DOM.performSearch":              `{"query":"correct-Horse"}`,
		"DOMSnapshot.captureSnapshot":    `{"computedStyles":[]}`,
		"Page.captureSnapshot":           `{}`,
		"Page.getFrameTree":              `{}`,
		"Page.getNavigationHistory":      `{}`,
		"Page.getResourceTree":           `{}`,
		"Network.getCookies":             `{}`,
		"Storage.getCookies":             `{}`,
		"DOMStorage.getDOMStorageItems":  `{"storageId":{"securityOrigin":"` + s.URL + `","isLocalStorage":true}}`,
		"Target.getTargets":              `{}`,
		"Performance.getMetrics":         `{}`,
		"Page.printToPDF":                `{}`,
		"HeapProfiler.takeHeapSnapshot":  `{}`,
		"Network.streamResourceContent":  `{"requestId":"1"}`,
		"DOM.getOuterHTML":               fmt.Sprintf(`{"nodeId":%d}`, root.Root.NodeID),
		"Accessibility.getPartialAXTree": fmt.Sprintf(`{"nodeId":%d}`, root.Root.NodeID),
	} {
		answer, err := call(method, params)
		if err != nil {
			require.Regexp(t, `devtools\.holds_fill|page\.pdf_refused|nodeId|node with given id`, err.Error(), method)
			browsertest.RequireUnseen(t, secret, err.Error())
		}
		browsertest.RequireUnseen(t, secret, string(answer))
	}
	seen := o.Seen()
	browsertest.RequireUnseen(t, secret, seen...)
	all := strings.Join(seen, "\n")
	for _, method := range []string{
		"Runtime.consoleAPICalled", "Runtime.exceptionThrown", "DOM.attributeModified", "DOM.childNodeInserted",
		"DOMStorage.domStorageItemAdded", "CSS.styleSheetAdded", "Network.requestWillBeSent",
		"Network.requestWillBeSentExtraInfo", "Network.responseReceivedExtraInfo", "Network.eventSourceMessageReceived",
		"Target.targetInfoChanged", "Page.navigatedWithinDocument",
	} {
		require.True(t, strings.Contains(all, method+" "), "the test has not seen %s", method)
	}
	require.Contains(t, all, "[secret]")
}
