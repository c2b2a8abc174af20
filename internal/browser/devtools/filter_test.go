package devtools

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/target"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/scrub"
)

// filled is the one request that carries a fill in these tests, and mine the
// one session of the client.
const (
	filled network.RequestID = "filled"
	mine   target.SessionID  = "mine"
)

func testFilter() *filter {
	return newFilter(oneClient{})
}

// oneClient is the client of these tests, of a browser in which a login of HTTP was sent.
type oneClient struct{}

func (oneClient) SentHTTPLogin() bool { return true }

func (oneClient) CarriesFill(id network.RequestID) bool { return id == filled }
func (oneClient) KeepsRequest(id network.RequestID, r *network.Request) bool {
	body := ""
	for _, entry := range r.PostDataEntries {
		body += string(entry.Bytes)
	}
	return id == filled || strings.Contains(r.URL+fmt.Sprint(r.Headers)+body, "stand-in")
}
func (oneClient) HoldsFilled(text []byte) bool {
	return scrub.New(bctrl.NewSecret("canary")).Holds(text)
}
func (oneClient) MaskFilled(text string) string {
	return scrub.New(bctrl.NewSecret("canary")).String(text)
}
func (oneClient) FindFilled(text []byte, end bool) (found bool, open int) {
	find := scrub.New(bctrl.NewSecret("canary")).Finder()
	_, _ = find.Write(text)
	if end {
		return find.End(), 0
	}
	return find.Found(), find.Open()
}
func (oneClient) Fills() (int, bool) { return 1, false }
func (oneClient) HasWindow() bool    { return false }
func (oneClient) pauseOf(in target.SessionID, id fetch.RequestID) *pause {
	if in != mine || id != "told" {
		return nil
	}
	return &pause{request: &network.Request{URL: "https://app.example/a", Headers: network.Headers{"a": "b"}}}
}
func (oneClient) printUnfilled(context.Context, target.SessionID, params) (jsonv2.Value, error) {
	return nil, errors.New("page.pdf_refused: the page shows what was filled")
}
func (oneClient) CheckPrintable(context.Context, target.ID) error { return nil }
func (oneClient) CheckPrinted(context.Context, []byte, func(context.Context, []byte) (string, error)) error {
	return nil
}
func (oneClient) hostRights() browser.ClientRights                            { return nil }
func (oneClient) checkSeen(target.SessionID, string, params) error            { return nil }
func (oneClient) recordRefusal(_ context.Context, refusal *bctrl.Error) error { return refusal }
func (oneClient) ownsSession(id target.SessionID) bool                        { return id == mine }
func (oneClient) sendDownloads(target.SessionID, bool)                        {}
func (oneClient) giveFiles(_ context.Context, names []string) ([]string, error) {
	paths := []string{}
	for _, name := range names {
		if name == "/etc/passwd" {
			return nil, errors.New("no file of the client's")
		}
		paths = append(paths, "/copies/"+name)
	}
	return paths, nil
}
func (oneClient) KeepDownloadsOf(cdp.BrowserContextID) {}
func (oneClient) CopyFile(context.Context, browser.File) (string, error) {
	return "", errors.New("no files")
}

// cases has a command for each row of clientRules that has a check or refuses,
// and for what no row names.
var cases = []struct {
	method, params string
	// sent are the parameters that reach the browser; "" means refused.
	sent string
	why  string
}{
	{"Browser.close", `{}`, "", "ends the runtime"},
	{"Browser.crash", `{}`, "", "ends the runtime"},
	{"Browser.crashGpuProcess", `{}`, "", "harms the runtime"},
	{"Browser.executeBrowserCommand", `{"commandId":"openTabSearch"}`, "", "steers the browser"},
	{"Browser.getBrowserCommandLine", `{}`, "", "shows paths and the proxy: one without them is answered"},
	{"Browser.setDownloadBehavior", `{"behavior":"allow","downloadPath":"/"}`, "", "writes files anywhere"},
	{"Browser.getHistograms", `{}`, "", "no row names it"},
	{"Browser.getVersion", `{}`, `{}`, "clients ask it first"},

	{"Fetch.continueRequest", `{"requestId":"told"}`, `{"requestId":"told"}`, "as it is"},
	{"Fetch.continueRequest", `{"requestId":"other"}`, "", "it was not told of that one"},
	{"Fetch.continueRequest", `{"requestId":"told","url":"https://other.example/"}`,
		`{"requestId":"told","url":"https://other.example/"}`, "the proxy decides where to"},
	{"Fetch.continueRequest", `{"requestId":"told","url":"file:///etc/shadow"}`, "", "the machine"},
	{"Fetch.continueRequest", `{"requestId":"told","url":"https://app.example/?p=stand-in"}`, "", "in its address"},
	{"Fetch.continueRequest", `{"requestId":"told","headers":[{"name":"a","value":"stand-in"}]}`, "", "in a header"},
	{"Fetch.continueRequest",
		`{"requestId":"told","headers":[{"name":"a","value":"stand-in"},{"name":"a","value":"b"}]}`, "",
		"in a header that is there twice"},
	{"Fetch.continueRequest", `{"requestId":"told","headers":{"a":"b"}}`, "", "no list"},
	{"Fetch.continueRequest", `{"requestId":"told","postData":"cD1zdGFuZC1pbg=="}`, "", "in its body"},
	{"Fetch.continueRequest", `{"requestId":"told","postData":"*"}`, "", "no base64"},
	{"Fetch.continueRequest", `{"requestId":"told","method":"POST","postData":"cD1x"}`,
		`{"method":"POST","postData":"cD1x","requestId":"told"}`, "another body"},
	{"Fetch.continueResponse", `{"requestId":"told"}`, `{"requestId":"told"}`, "told of it"},
	{"Fetch.continueResponse", `{"requestId":"other"}`, "", "not told of it"},
	{"Fetch.continueWithAuth", `{"requestId":"other"}`, "", "not told of it"},
	{"Fetch.failRequest", `{"requestId":"other","errorReason":"Failed"}`, "", "not told of it"},
	{"Fetch.fulfillRequest", `{"requestId":"other","responseCode":200}`, "", "not told of it"},
	{"Fetch.getResponseBody", `{"requestId":"other"}`, "", "not told of it"},
	{"Fetch.takeResponseBodyAsStream", `{"requestId":"other"}`, "", "not told of it"},
	{"Network.getRequestPostData", `{"requestId":"filled"}`, "", "its body holds the secret"},
	{"Network.getRequestPostData", `{"requestId":"other"}`, `{"requestId":"other"}`, "the page's own"},
	{"Network.setRequestInterception", `{"patterns":[]}`, "", "the older Fetch"},
	{"Network.continueInterceptedRequest", `{"interceptionId":"1"}`, "", "the older Fetch"},
	{"Network.getResponseBodyForInterception", `{"interceptionId":"1"}`, "", "the older Fetch"},
	{"Network.takeResponseBodyForInterceptionAsStream", `{"interceptionId":"1"}`, "", "the older Fetch"},
	{"Network.replayXHR", `{"requestId":"filled"}`, "", "sends a fill again"},
	{"Network.loadNetworkResource", `{"url":"file:///etc/passwd"}`, "", "reads files"},
	{"Network.loadNetworkResource", `{"url":"https://app.example/a"}`, `{"url":"https://app.example/a"}`,
		"by the proxy, as all else"},
	{"Network.setCookieControls", `{}`, "", "no row names it"},
	{"Network.enable", `{"maxPostDataSize":65536,"maxTotalBufferSize":1}`, `{"maxTotalBufferSize":1}`,
		"events carry no bodies"},
	{"Network.enable", ``, `{}`, "without parameters"},
	{"Network.getResponseBody", `{"requestId":"filled"}`, "", "an answer may repeat the secret"},
	{"Network.getResponseBody", `{"requestId":"other"}`, `{"requestId":"other"}`, "another's answer is the page's"},
	{"Network.searchInResponseBody", `{"requestId":"filled","query":"a"}`, "", "an oracle of the answer"},
	{"Network.streamResourceContent", `{"requestId":"filled"}`, "", "an answer may repeat the secret"},

	{"DOM.setFileInputFiles", `{"files":["/etc/passwd"],"nodeId":1}`, "", "reads files of the machine"},
	{"DOM.setFileInputFiles", `{"files":["q1.pdf","/etc/passwd"],"nodeId":1}`, "", "all or none"},
	{"DOM.setFileInputFiles", `{"files":"q1.pdf","nodeId":1}`, "", "not a list"},
	{"DOM.setFileInputFiles", `{"nodeId":1}`, "", "no list"},
	{"DOM.setFileInputFiles", `{"files":["q1.pdf"],"files":["/etc/passwd"],"nodeId":1}`, "",
		"which of two is read depends on the reader"},
	{"DOM.setFileInputFiles", `{"files":["q1.pdf"],"nodeId":1}`, `{"files":["/copies/q1.pdf"],"nodeId":1}`,
		"the browser reads a copy of the client's file"},
	{"DOM.setFileInputFiles", `{"files":[],"nodeId":1}`, `{"files":[],"nodeId":1}`, "nothing is read"},
	{"DOM.getFileInfo", `{"objectId":"1"}`, "", "shows paths"},
	{"DOM.getDocument", `{}`, `{}`, "the domain is open"},
	{"Input.dispatchDragEvent", `{"type":"drop","data":{"items":[],"files":["/etc/passwd"],"dragOperationsMask":1}}`, "",
		"drops files of the machine"},
	{"Input.dispatchDragEvent", `{"type":"drop","data":{"items":[],"files":[]}}`, "", "not even an empty list"},
	{"Input.dispatchDragEvent", `{"type":"drop"}`, "", "data is required"},
	{"Input.dispatchDragEvent", `{"type":"drop","data":{"items":[]}}`, `{"data":{"items":[]},"type":"drop"}`,
		"drops text"},
	{"Input.dispatchMouseEvent", `{"type":"mouseMoved","x":1,"y":1}`, `{"type":"mouseMoved","x":1,"y":1}`,
		"the domain is open"},

	{"IO.read", `{"handle":"1"}`, "", "a stream of somebody else"},
	{"IO.read", `{"handle":"blob:1"}`, "", "a blob by its id"},
	{"IO.read", `{"handle":"pdf"}`, `{"handle":"pdf"}`, "its own PDF"},
	{"IO.read", `{"handle":"pdf","offset":3}`, "", "from the midst of a value"},
	{"IO.close", `{"handle":"1"}`, "", "a stream of somebody else"},
	{"IO.resolveBlob", `{"objectId":"1"}`, "", "no row names it"},

	{"Page.navigate", `{"url":"https://app.example/"}`, `{"url":"https://app.example/"}`, "the web"},
	{"Page.navigate", `{"url":"file:///etc/shadow"}`, "", "the machine"},
	{"Page.navigate", `{"url":"chrome://version"}`, "", "the browser"},
	{"Page.navigate", `{"url":"view-source:https://app.example/"}`, "", "a scheme around another"},
	{"Page.navigate", `{"url":"javascript:1"}`, "", "a script"},
	{"Page.navigate", `{"url":1}`, "", "not a string"},
	{"Page.navigate", `{"URL":"https://app.example/","url":"file:///etc/shadow"}`, "", "names are case-sensitive"},
	{"Page.navigate", `{"url":"https://app.example/","url":"file:///etc/shadow"}`, "",
		"which of two is read depends on the reader"},
	{"Page.navigate", `["file:///etc/shadow"]`, "", "not an object"},
	{"Page.navigate", `null`, "", "not an object"},
	{"Page.crash", `{}`, "", "the agent's tab"},
	{"Page.printToPDF", `{}`, "", "a value stands in the page"},
	{"Page.setDownloadBehavior", `{"behavior":"allow","downloadPath":"/"}`, "", "writes files anywhere"},
	{"Page.startScreenRecording", `{}`, "", "no row names it"},

	{"Security.setIgnoreCertificateErrors", `{"ignore":true}`, "", "a forged origin would be filled"},
	{"Security.setIgnoreCertificateErrors", `{"ignore":false}`, "", "it is so, and answered"},
	{"Security.setOverrideCertificateErrors", `{"override":true}`, "", "no row names it"},

	{"Target.createTarget", `{"url":"about:blank"}`, `{"url":"about:blank"}`, "a new tab"},
	{"Target.createTarget", `{"url":"file:///etc/shadow"}`, "", "the machine"},
	{"Target.createTarget", `{"url":""}`, "", "an address is required"},
	{"Target.attachToTarget", `{"targetId":"1","flatten":true}`, `{"flatten":true,"targetId":"1"}`, "a session"},
	{"Target.attachToTarget", `{"targetId":"1"}`, `{"flatten":true,"targetId":"1"}`, "nested sessions pass no filter"},
	{"Target.setAutoAttach", `{"autoAttach":true,"waitForDebuggerOnStart":false,"flatten":false}`,
		`{"autoAttach":true,"flatten":true,"waitForDebuggerOnStart":false}`, "nested sessions pass no filter"},
	{"Target.sendMessageToTarget", `{"message":"{}","sessionId":"mine"}`, "", "nested sessions pass no filter"},
	{"Target.createBrowserContext", `{}`, `{"disposeOnDetach":true}`, "ends with the client"},
	{"Target.createBrowserContext", `{"disposeOnDetach":false}`, `{"disposeOnDetach":true}`, "ends with the client"},
	{"Target.createBrowserContext", `{"proxyServer":"direct://"}`, "", "past the egress policy"},
	{"Target.createBrowserContext", `{"proxyBypassList":"*"}`, "", "past the egress policy"},
	{"Target.createBrowserContext", `{"originsWithUniversalNetworkAccess":["https://a.example"]}`, "",
		"past the same-origin policy"},
	{"Target.disposeBrowserContext", `{"browserContextId":"agent"}`, "", "not its own"},
	{"Target.disposeBrowserContext", `{"browserContextId":"own"}`, `{"browserContextId":"own"}`, "its own"},
	{"Target.detachFromTarget", `{"sessionId":"other"}`, "", "not its own"},
	{"Target.detachFromTarget", `{"targetId":"1"}`, "", "by target it might be another's"},
	{"Target.detachFromTarget", `{"sessionId":"mine"}`, `{"sessionId":"mine"}`, "its own"},
	{"Target.exposeDevToolsProtocol", `{"targetId":"1"}`, "", "hands the protocol to a page"},
	{"Target.getDevToolsTarget", `{"targetId":"1"}`, "", "the browser's own pages"},
	{"Target.openDevTools", `{"targetId":"1"}`, "", "the browser's own pages"},
	{"Target.setRemoteLocations", `{"locations":[{"host":"127.0.0.1","port":22}]}`, "",
		"connects past the proxy: it is answered and forgotten"},

	{"Cast.enable", `{}`, "", "other devices"},
	{"Extensions.loadUnpacked", `{"path":"/"}`, "", "reads files"},
	{"FileSystem.getDirectory", `{}`, "", "reads files"},
	{"HeapProfiler.takeHeapSnapshot", `{}`, "", "may hold what was filled"},
	{"HeapProfiler.stopTrackingHeapObjects", `{}`, "", "may hold what was filled"},
	{"HeapProfiler.getObjectByHeapObjectId", `{"objectId":"1"}`, "", "it may be of the server's world"},
	{"HeapProfiler.addInspectedHeapObject", `{"heapObjectId":"1"}`, "", "$0 is then an object of any world"},
	{"HeapProfiler.getHeapObjectId", `{"objectId":"1"}`, `{"objectId":"1"}`, "a number alone"},
	{"HeapProfiler.collectGarbage", `{}`, `{}`, "shows nothing"},
	{"Memory.getAllTimeSamplingProfile", `{}`, "", "the machine"},
	{"PWA.launch", `{"manifestId":"1"}`, "", "opens files"},
	{"ServiceWorker.enable", `{}`, "", "workers of others"},
	{"SystemInfo.getInfo", `{}`, "", "the machine"},
	{"Tethering.bind", `{"port":22}`, "", "listens on the machine"},
	{"Tracing.start", `{}`, `{}`, "nothing waits to be sent"},
	{"Tracing.start", `{"perfettoConfig":"AA=="}`, "", "the machine's sources"},
	{"Tracing.start", `{"tracingBackend":"system"}`, "", "the machine's tracing"},
	{"Tracing.requestMemoryDump", `{}`, "", "the machine"},

	{"Debugger.setBreakpointByUrl", `{"lineNumber":0,"scriptHash":"a","condition":"1"}`, "", "a script of the server's"},
	{"Debugger.setBreakpointByUrl", `{"lineNumber":0,"scriptHash":"a"}`, "", "nor is one stopped"},
	{"Debugger.setBreakpointByUrl", `{"lineNumber":0,"url":""}`, "", "the server's have no address"},
	{"Debugger.setBreakpointByUrl", `{"lineNumber":0,"url":"a","condition":"1"}`,
		`{"lineNumber":0,"url":"a","condition":"1"}`, "one of the page's"},
	{"Runtime.addBinding", `{"name":"Map"}`, "", "scripts of the server use it"},
	{"Runtime.addBinding", `{"name":"\u004dap"}`, "", "the same name"},
	{"Runtime.addBinding", `{"name":"toString"}`, "", "a global that others are made of"},
	{"Runtime.addBinding", `{"name":"bctrlTexts"}`, "", "the server's own"},
	{"Runtime.addBinding", `{"name":"Map","executionContextId":null,"executionContextName":null}`, "", "in every one"},
	{"Runtime.addBinding", `{"name":"Map","executionContextId":3}`, `{"name":"Map","executionContextId":3}`, "in its own"},
	{"Runtime.addBinding", `{"name":"Map","executionContextName":"mine"}`, `{"name":"Map","executionContextName":"mine"}`,
		"in its own"},
	{"Runtime.addBinding", `{"name":"__playwright__binding__"}`, `{"name":"__playwright__binding__"}`, "its own name"},
	{"Runtime.addBinding", `{"name":"puppeteer_send"}`, `{"name":"puppeteer_send"}`, "a name of its own"},

	{"Autofill.trigger", `{}`, "", "an unknown domain"},
	{"WebAuthn.enable", `{}`, `{}`, "authenticators of its own"},
	{"Nonsense.enable", `{}`, "", "an unknown domain"},
	{"Runtime", `{}`, "", "no command"},
	{"runtime.evaluate", `{}`, "", "names are case-sensitive"},
	{"browser.close", `{}`, "", "names are case-sensitive"},
	{"", `{}`, "", "nothing"},
	{"Runtime.*", `{}`, "", "a pattern is no command"},
	{"*", `{}`, "", "a pattern is no command"},
}

func TestClientsMayDoWhatTheTableSaysAndNoMore(t *testing.T) {
	for _, c := range cases {
		t.Run(c.method+" "+c.params, func(t *testing.T) {
			f := testFilter()
			f.clean(message{Result: jsonv2.Value(`{"data":"","stream":"pdf"}`)}, "Page.printToPDF")
			f.clean(message{Result: jsonv2.Value(`{"browserContextId":"own"}`)}, "Target.createBrowserContext")
			clean, err := f.checkCommand(t.Context(), message{
				ID:        7,
				SessionID: mine,
				Method:    c.method,
				Params:    jsonv2.Value(c.params),
			})
			if c.sent == "" {
				require.Error(t, err, c.why)
				require.NotContains(t, err.Error(), "/etc/shadow", "an error quotes nothing")
				requireCode(t, err)
				return
			}
			require.NoError(t, err, c.why)
			require.JSONEq(t, c.sent, string(clean.Params), c.why)
			require.Equal(t, message{
				ID:        7,
				SessionID: mine,
				Method:    c.method,
				Params:    clean.Params,
				noted:     clean.noted,
			}, clean)
		})
	}
}

// requireCode looks that a refusal begins with a code that programs can read, unless the
// client is answered as the browser answers.
func requireCode(t *testing.T, err error) {
	t.Helper()
	asBrowser, answered := new(messageError), answer("")
	if !errors.As(err, &asBrowser) && !errors.As(err, &answered) && err.Error() != "no file of the client's" {
		require.Regexp(t, `^(devtools|page|storage)\.[a-z_]+: \S`, err.Error())
	}
}

// TestEveryRowHasACase keeps the table above complete, and the rules free of
// rows that cannot be reached.
func TestEveryRowHasACase(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range clientRules {
		require.False(t, seen[r.name], "%s has two rows", r.name)
		seen[r.name] = true
		domain, method, ok := strings.Cut(r.name, ".")
		require.True(t, ok && domain != "" && method != "", "%s names no command", r.name)
		answers := 0
		for _, set := range []bool{r.check != nil, r.checkIn != nil, r.refuse != "", r.ignore != ""} {
			if set {
				answers++
			}
		}
		require.LessOrEqual(t, answers, 1, "%s has two answers", r.name)
		if answers == 0 {
			continue
		}
		require.True(t, slices.ContainsFunc(cases, func(c struct{ method, params, sent, why string }) bool {
			return c.method == r.name || method == "*" && strings.HasPrefix(c.method, domain+".")
		}), "%s has no case", r.name)
	}
}

func TestOpenRowsPassAsTheyAre(t *testing.T) {
	f := testFilter()
	for _, r := range clientRules {
		if r.check != nil || r.checkIn != nil || r.refuse != "" || r.ignore != "" {
			continue
		}
		method := strings.Replace(r.name, ".*", ".anything", 1)
		clean, err := f.checkCommand(t.Context(), message{ID: 1, Method: method, Params: jsonv2.Value(`{"a":[1,{"b":2}]}`)})
		require.NoError(t, err, method)
		require.Equal(t, `{"a":[1,{"b":2}]}`, string(clean.Params))
	}
}

func TestBodiesOfFilledRequestsDoNotReachAClient(t *testing.T) {
	event := func(id network.RequestID) jsonv2.Value {
		raw, err := json.Marshal(map[string]any{
			"requestId": id, "type": "XHR",
			"request": map[string]any{"url": "https://app.example/login", "method": "POST", "hasPostData": true,
				"postData": "canary", "postDataEntries": []map[string]string{{"bytes": "Y2FuYXJ5"}}},
		})
		require.NoError(t, err)
		return raw
	}
	f := testFilter()
	got := f.clean(message{Method: "Network.requestWillBeSent", Params: event(filled)}, "Network.requestWillBeSent")
	require.NotContains(t, string(got.Params), "canary")
	require.NotContains(t, string(got.Params), "Y2FuYXJ5")
	require.Contains(t, string(got.Params), "https://app.example/login", "the request itself is seen")

	other := jsonv2.Value(strings.ReplaceAll(string(event("other")), "canary", "plain"))
	other = jsonv2.Value(strings.ReplaceAll(string(other), "Y2FuYXJ5", "cGxhaW4="))
	got = f.clean(message{Method: "Network.requestWillBeSent", Params: other}, "Network.requestWillBeSent")
	require.Equal(t, string(other), string(got.Params), "another's body is the page's own")

	broken := f.clean(message{
		Method: "Network.requestWillBeSent",
		Params: jsonv2.Value(`{"requestId":"filled","request":"canary"}`),
	}, "Network.requestWillBeSent")
	require.NotContains(t, string(broken.Params), "canary", "what cannot be read is not passed on")
}

// TestTheHeaderOfALoginReachesNoClient asks with a request that nobody remembers any more.
func TestTheHeaderOfALoginReachesNoClient(t *testing.T) {
	for method, params := range map[string]string{
		"Network.requestWillBeSent": `{"requestId":"forgotten","request":{"headers":` +
			`{"authorization":"Basic canary","a":"b"}}}`,
		"Network.requestWillBeSentExtraInfo": `{"requestId":"forgotten","headers":{"Authorization":"Basic canary","a":"b"}}`,
		"Network.responseReceived": `{"requestId":"forgotten","response":{` +
			`"requestHeadersText":"Authorization: Basic canary","headers":{"a":"b"}}}`,
	} {
		got := testFilter().clean(message{Method: method, Params: jsonv2.Value(params)}, method)
		require.NotContains(t, string(got.Params), "canary", method)
		require.Contains(t, string(got.Params), `"a":"b"`, method)
	}
}

func TestAClientHoldsABoundedNumberOfHandles(t *testing.T) {
	f := testFilter()
	for i := range 3 * maxHandles {
		raw, err := json.Marshal(map[string]string{"stream": strings.Repeat("s", i+1)})
		require.NoError(t, err)
		f.clean(message{Result: raw}, "Page.printToPDF")
	}
	require.Len(t, f.streams.byHandle, maxHandles)
}

// FuzzWhatTheBrowserReadsWasChecked compares the filter's reading of a
// navigation with that of a reader that takes the last of two names and folds
// nothing, as the browser does.
func FuzzWhatTheBrowserReadsWasChecked(f *testing.F) {
	for _, c := range cases {
		f.Add(c.params)
	}
	f.Add(`{"url":"https://a.example/","\u0075rl":"file:///etc/shadow"}`)
	f.Fuzz(func(t *testing.T, p string) {
		var envelope message
		if jsonv2.Unmarshal([]byte(`{"id":1,"method":"Page.navigate","params":`+p+`}`), &envelope) != nil {
			return
		}
		clean, err := testFilter().checkCommand(t.Context(), envelope)
		if err != nil {
			return
		}
		sent, err := jsonv2.Marshal(clean)
		if err != nil {
			t.Fatal(err)
		}
		var asRead struct{ Params map[string]json.RawMessage }
		if err := json.Unmarshal(sent, &asRead); err != nil {
			t.Fatalf("the browser cannot read %s: %v", sent, err)
		}
		var url string
		if raw, ok := asRead.Params["url"]; ok {
			if err := json.Unmarshal(raw, &url); err != nil || browser.CheckClientURL(url) != nil {
				t.Fatalf("the browser reads %s", sent)
			}
		}
		if strings.ContainsRune(string(sent), 0) {
			t.Fatal("a zero byte ends the message early")
		}
	})
}

// windowed is a client of a browser that has a window.
type windowed struct{ oneClient }

func (windowed) HasWindow() bool { return true }

// Rod looks at the command line for whether the browser has windows, and is shown nothing
// else of it.
func TestTheCommandLineSaysAloneWhetherThereIsAWindow(t *testing.T) {
	for want, client := range map[string]filtered{
		`{"arguments":["--headless"]}`: oneClient{},
		`{"arguments":[]}`:             windowed{},
	} {
		_, err := newFilter(client).checkCommand(t.Context(), message{ID: 1, Method: "Browser.getBrowserCommandLine"})
		var told answer
		require.ErrorAs(t, err, &told)
		require.Equal(t, want, string(told))
	}
}
