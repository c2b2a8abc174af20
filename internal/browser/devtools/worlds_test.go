package devtools_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/debugger"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// enter makes a world of a client's own.
func enter(t *testing.T, tab *browsertest.Tab, name string) runtime.ExecutionContextID {
	t.Helper()
	tree, err := protocol.Call(t.Context(), tab, page.GetFrameTree, cdp.Empty{})
	require.NoError(t, err)
	made, err := protocol.Call(t.Context(), tab, page.CreateIsolatedWorld, page.CreateIsolatedWorldParams{
		FrameID: tree.FrameTree.Frame.ID, WorldName: name,
	})
	require.NoError(t, err)
	return made.ExecutionContextID
}

// TestAClientReachesNoWorldOfTheServer names every context by its number, in each command that
// takes one, and gives a world of its own names that the server's could have.
func TestAClientReachesNoWorldOfTheServer(t *testing.T) {
	s := followedSite(t)
	ctx, p, b := openPage(t)
	browsertest.Open(ctx, t, p, s.URL+"/")
	for _, enabled := range []bool{false, true} {
		o := browsertest.Join(t, b)
		tab := o.AttachTab(o.Tabs()[0].TargetID)
		own := map[runtime.ExecutionContextID]bool{}
		if enabled {
			require.NoError(t, tab.Call(ctx, runtime.CommandEnable, cdp.Empty{}, nil))
			for _, told := range o.Seen() { // also those that clients have left
				var ev struct {
					Context struct{ ID runtime.ExecutionContextID }
				}
				_, params, is := strings.Cut(told, runtime.ExecutionContextCreated.Method)
				if is {
					require.NoError(t, json.Unmarshal([]byte(params), &ev))
					own[ev.Context.ID] = true
				}
			}
		}
		for _, name := range []string{"", "bctrl", "mine"} {
			own[enter(t, tab, name)] = true
		}
		var document struct {
			Root struct {
				NodeID int `json:"nodeId"`
			} `json:"root"`
		}
		require.NoError(t, tab.Call(ctx, "DOM.getDocument", cdp.Empty{}, &document))
		reached := 0
		for id := runtime.ExecutionContextID(1); id < 40; id++ {
			for method, params := range map[string]string{
				"Runtime.evaluate":                `{"contextId":%d,"expression":"1"}`,
				"Runtime.callFunctionOn":          `{"executionContextId":%d,"functionDeclaration":"() => 1"}`,
				"Runtime.compileScript":           `{"executionContextId":%d,"expression":"1","sourceURL":"","persistScript":true}`,
				"Runtime.globalLexicalScopeNames": `{"executionContextId":%d}`,
				"Runtime.addBinding":              `{"executionContextId":%d,"name":"own"}`,
				"DOM.resolveNode":                 fmt.Sprintf(`{"nodeId":%d,"executionContextId":%%d}`, document.Root.NodeID),
			} {
				err := tab.Call(ctx, method, jsonv2.Value(fmt.Sprintf(params, id)), nil)
				if own[id] {
					if err != nil { // the domain is off, or a frame has another document
						require.NotContains(t, err.Error(), "Cannot find context", method)
					}
					reached++
					continue
				}
				require.ErrorContains(t, err, "Cannot find context with specified id", "%s %d", method, id)
			}
		}
		require.Equal(t, 6*len(own), reached)
		for _, unreadable := range []string{`{"contextId":2.0,"expression":"1"}`, `{"contextId":"2","expression":"1"}`} {
			require.ErrorContains(t, tab.Call(ctx, runtime.CommandEvaluate, jsonv2.Value(unreadable), nil), "Invalid parameters")
		}
		o.Leave()
	}
	browsertest.Observe(ctx, t, p)
}

// TestADebuggerStopsInNoScriptOfTheServer has a client break at the next statement, at every
// script's first line, and where the page changes, and the agent read and act meanwhile.
func TestADebuggerStopsInNoScriptOfTheServer(t *testing.T) {
	s := followedSite(t)
	s.Pages["/still"] = "<title>still</title><input aria-label=Name><p>text"
	ctx, p, b := openPage(t)
	browsertest.Open(ctx, t, p, s.URL+"/still")
	o := browsertest.Join(t, b)
	tab := o.AttachTab(o.Tabs()[0].TargetID)
	call := func(method, params string) string {
		t.Helper()
		var answer jsonv2.Value
		require.NoError(t, tab.Call(ctx, method, jsonv2.Value(params), &answer), method)
		return string(answer)
	}
	call(runtime.CommandEnable, `{}`)
	call(debugger.CommandEnable, `{}`)
	browsertest.Observe(ctx, t, p) // by scripts that are there when a place in every one is named
	located := call(debugger.CommandSetBreakpointByURL, `{"urlRegex":".*","lineNumber":0}`)
	require.Contains(t, located, `"locations":[]`)
	call("Debugger.setBlackboxExecutionContexts", `{"uniqueIds":[]}`)
	call(debugger.CommandPause, `{}`)

	soon, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	obs, err := p.Observe(soon)
	require.NoError(t, err)
	require.Contains(t, obs.Outline, "text")
	for _, told := range o.Seen() {
		require.False(t, strings.HasPrefix(told, debugger.Paused.Method), told)
	}

	// The page's own next statement is where it stops.
	_, err = tab.Post(ctx, runtime.CommandEvaluate, runtime.EvaluateParams{Expression: "document.title"})
	require.NoError(t, err)
	var paused debugger.EventPaused
	require.NoError(t, jsonv2.Unmarshal(o.NextEvent(debugger.Paused.Method).Params, &paused))
	require.NotEmpty(t, paused.CallFrames)
	call("Debugger.resume", `{}`)
	call("Debugger.disable", `{}`)

	// Nor does one that is turned on while the agent is at work, in documents that come.
	call(debugger.CommandEnable, `{}`)
	require.NoError(t, p.Goto(ctx, s.URL+"/still", ""))
	browsertest.Observe(ctx, t, p)
	call(debugger.CommandPause, `{}`)
	obs, err = p.Observe(soon)
	require.NoError(t, err)
	require.Contains(t, obs.Outline, "text")
	call("Debugger.disable", `{}`)
}

// TestAClientChangesTheScriptsAloneThatItWasToldOf has it name the scripts of the page, and every
// number that one of the server's may have.
func TestAClientChangesTheScriptsAloneThatItWasToldOf(t *testing.T) {
	s := followedSite(t)
	s.Pages["/still"] = "<title>still</title><p>text<script>function go() {\n  return 1\n}</script>"
	ctx, p, b := openPage(t)
	plain := browsertest.Plain(t)
	browsertest.Open(ctx, t, p, s.URL+"/still")
	var unknown []string
	for _, o := range []*browsertest.Outsider{plain, browsertest.Join(t, b)} {
		tab := o.AttachTab(o.Tabs()[0].TargetID)
		require.NoError(t, protocol.Tell(ctx, tab, page.Navigate, page.NavigateParams{URL: s.URL + "/still"}))
		require.Eventually(t, func() bool { return o.Evaluate(tab, "document.readyState") == `"complete"` },
			20*time.Second, 5*time.Millisecond)
		require.NoError(t, tab.Call(ctx, debugger.CommandEnable, cdp.Empty{}, nil))
		var script debugger.EventScriptParsed
		for script.URL != s.URL+"/still" {
			require.NoError(t, jsonv2.Unmarshal(o.NextEvent(debugger.ScriptParsed.Method).Params, &script))
		}
		if o != plain {
			browsertest.Observe(ctx, t, p) // by scripts of the server's
		}
		breakAt := func(id string) error {
			return tab.Call(ctx, debugger.CommandSetBreakpoint, jsonv2.Value(fmt.Sprintf(
				`{"location":{"scriptId":%q,"lineNumber":1},"condition":"(globalThis.met = 1, false)"}`, id)), nil)
		}
		require.NoError(t, breakAt(string(script.ScriptID)))
		require.Equal(t, "1", o.Evaluate(tab, "go()"))
		require.Equal(t, "1", o.Evaluate(tab, "met"))
		unknown = append(unknown, breakAt("1000000").Error())
		if o == plain {
			continue
		}
		told := map[string]bool{string(script.ScriptID): true}
		for _, ev := range o.Seen() {
			var of struct{ ScriptID string }
			if method, params, _ := strings.Cut(ev, " "); method == debugger.ScriptParsed.Method {
				require.NoError(t, json.Unmarshal([]byte(params), &of))
				told[of.ScriptID] = true
			}
		}
		guessed := 0
		for id := range 200 {
			if name := fmt.Sprint(id); !told[name] {
				require.Error(t, breakAt(name), name)
				require.Error(t, tab.Call(ctx, "Debugger.setScriptSource",
					jsonv2.Value(fmt.Sprintf(`{"scriptId":%q,"scriptSource":"1"}`, name)), nil), name)
				guessed++
			}
		}
		require.Greater(t, guessed, 100)
	}
	require.Equal(t, unknown[0], unknown[1], "as a plain browser says it")
	require.Contains(t, browsertest.Observe(ctx, t, p).Outline, "text")
}

// TestTheScriptsThatAClientPassesOverStayThose has a client's debugger pass over a library of the
// page's, while the server has it pass over its own scripts.
func TestTheScriptsThatAClientPassesOverStayThose(t *testing.T) {
	s := followedSite(t)
	s.Pages["/still"] = `<title>still</title><p>text<script src=/lib.js></script>
		<script>function go() { throws(); own() }
		function own() { return 1 }</script>`
	s.Handlers["/lib.js"] = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		_, _ = fmt.Fprint(w, "function throws() {\n  try { throw 1 } catch {}\n}")
	}
	ctx, p, b := openPage(t)
	browsertest.Open(ctx, t, p, s.URL+"/still")
	for _, how := range []string{"Debugger.setBlackboxPatterns", "Debugger.setBlackboxedRanges"} {
		var stopped []string
		for _, o := range []*browsertest.Outsider{browsertest.Plain(t), browsertest.Join(t, b)} {
			tab := o.AttachTab(o.Tabs()[0].TargetID)
			require.NoError(t, protocol.Tell(ctx, tab, page.Navigate, page.NavigateParams{URL: s.URL + "/still"}))
			require.Eventually(t, func() bool {
				return o.Evaluate(tab, "document.title + document.readyState") == `"stillcomplete"`
			}, 20*time.Second, 5*time.Millisecond)
			require.NoError(t, tab.Call(ctx, runtime.CommandEnable, cdp.Empty{}, nil))
			require.NoError(t, tab.Call(ctx, debugger.CommandEnable, cdp.Empty{}, nil))
			var script debugger.EventScriptParsed
			for script.URL != s.URL+"/lib.js" {
				require.NoError(t, jsonv2.Unmarshal(o.NextEvent(debugger.ScriptParsed.Method).Params, &script))
			}
			params := `{"patterns":["/lib\\.js$"]}`
			if how == "Debugger.setBlackboxedRanges" {
				params = fmt.Sprintf(`{"scriptId":%q,"positions":[{"lineNumber":0,"columnNumber":0}]}`, script.ScriptID)
			}
			require.NoError(t, tab.Call(ctx, how, jsonv2.Value(params), nil))
			require.NoError(t, tab.Call(ctx, "Debugger.setPauseOnExceptions", jsonv2.Value(`{"state":"all"}`), nil))
			browsertest.Observe(ctx, t, p)  // the server has its own scripts passed over
			o.Evaluate(tab, "go() || null") // nothing stops it
			o.ForgetEvents()
			require.NoError(t, tab.Call(ctx, debugger.CommandPause, jsonv2.Value(`{}`), nil))
			_, err := tab.Post(ctx, runtime.CommandEvaluate, runtime.EvaluateParams{Expression: "throws(); own()"})
			require.NoError(t, err)
			var at []string
			for range 2 {
				var paused debugger.EventPaused
				require.NoError(t, jsonv2.Unmarshal(o.NextEvent(debugger.Paused.Method).Params, &paused))
				at = append(at, paused.CallFrames[0].FunctionName)
				require.NoError(t, tab.Call(ctx, "Debugger.stepInto", jsonv2.Value(`{}`), nil))
			}
			stopped = append(stopped, strings.Join(at, ","))
			require.NoError(t, tab.Call(ctx, debugger.CommandDisable, cdp.Empty{}, nil))
		}
		require.Equal(t, stopped[0], stopped[1], how)
		require.NotContains(t, stopped[0], "throws", how)
	}
}
