package devtools_test

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/debugger"
	"github.com/chromedp/cdproto/runtime"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

//go:embed plainglobals.txt
var plainGlobals string

// jsGlobals are the names of the globals of a world, but for the numbers of its frames.
const jsGlobals = `(() => {
	const names = new Set();
	for (let at = globalThis; at; at = Object.getPrototypeOf(at))
		for (const name of Object.getOwnPropertyNames(at)) if (!/^[0-9]+$/.test(name)) names.add(name);
	return [...names].sort();
})()`

// TestABindingInEveryContextHasANameThatTheServerDoesNotUse asks for the name of each global of a
// plain world, and for one of a client's own.
func TestABindingInEveryContextHasANameThatTheServerDoesNotUse(t *testing.T) {
	s := followedSite(t)
	ctx, p, b := openPage(t)
	browsertest.Open(ctx, t, p, s.URL+"/")
	o := browsertest.Join(t, b)
	tab := o.AttachTab(o.Tabs()[0].TargetID)
	byValue := true
	got, err := protocol.Call(ctx, tab, runtime.Evaluate, runtime.EvaluateParams{
		Expression: jsGlobals, ContextID: enter(t, tab, "mine"), ReturnByValue: &byValue,
	})
	require.NoError(t, err)
	var names []string
	require.NoError(t, jsonv2.Unmarshal(got.Result.Value, &names))
	known := strings.Fields(plainGlobals)
	newer := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(known, name) })
	t.Log("globals of this Chromium that are not in plainglobals.txt:", newer)
	// The server's scripts use none that a newer Chromium adds; the list is not to grow old all the same.
	require.Less(t, len(newer), len(names)/20, "plainglobals.txt is of a far older Chromium")

	bind := func(name string) error {
		return tab.Call(ctx, runtime.CommandAddBinding, runtime.AddBindingParams{Name: name}, nil)
	}
	for _, name := range []string{"Map", "Event", "getComputedStyle", "innerWidth", "toString", "bctrlTexts"} {
		require.ErrorContains(t, bind(name), "devtools.binding_name", name)
	}
	require.NoError(t, tab.Call(ctx, runtime.CommandEnable, cdp.Empty{}, nil))
	require.NoError(t, bind("ownBinding"))
	require.NoError(t, bind("ownBinding"), "once more, as after a new connection")
	o.Evaluate(tab, `ownBinding("called")`)
	require.Contains(t, string(o.NextEvent(runtime.BindingCalled.Method).Params), "called")
	browsertest.Observe(ctx, t, p)
}

// TestADebuggerNamesNoCallFrameOfTheServer pauses in a listener of the page's that a script of the
// server's calls, and names the frame below it.
func TestADebuggerNamesNoCallFrameOfTheServer(t *testing.T) {
	s := followedSite(t)
	s.Pages["/wheel"] = `<title>wheel</title><p>text<script>
		addEventListener("wheel", function turned(event) { debugger; event.preventDefault(); }, {passive: false});
	</script>`
	ctx, p, b := openPage(t)
	browsertest.Open(ctx, t, p, s.URL+"/wheel")
	for _, domains := range [][]string{{debugger.CommandEnable}, {runtime.CommandEnable, debugger.CommandEnable}} {
		o := browsertest.Join(t, b)
		tab := o.AttachTab(o.Tabs()[0].TargetID)
		for _, enable := range domains {
			require.NoError(t, tab.Call(ctx, enable, cdp.Empty{}, nil))
		}
		scrolled := make(chan error, 1)
		go func() {
			_, err := p.Scroll(ctx, "", 1)
			scrolled <- err
		}()
		var paused debugger.EventPaused
		require.NoError(t, jsonv2.Unmarshal(o.NextEvent(debugger.Paused.Method).Params, &paused))
		own := string(paused.CallFrames[0].CallFrameID)
		at, found := strings.CutSuffix(own, ".0")
		require.True(t, found, own)
		commands := map[string]string{
			"Debugger.evaluateOnCallFrame": `{"callFrameId":%q,"expression":"1"}`,
			"Debugger.setVariableValue": `{"callFrameId":%q,"scopeNumber":0,"variableName":"taken",` +
				`"newValue":{"value":1}}`,
			"Debugger.restartFrame": `{"callFrameId":%q,"mode":"StepInto"}`,
		}
		for method, params := range commands {
			for _, below := range []string{".1", ".01", ".2", "", ".1 "} {
				err := tab.Call(ctx, method, jsonv2.Value(fmt.Sprintf(params, at+below)), nil)
				require.ErrorContains(t, err, "Could not find call frame with given id", "%s %s", method, below)
			}
		}
		evaluate := jsonv2.Value(fmt.Sprintf(commands["Debugger.evaluateOnCallFrame"], own))
		require.NoError(t, tab.Call(ctx, "Debugger.evaluateOnCallFrame", evaluate, nil), "its own")
		require.NoError(t, tab.Call(ctx, "Debugger.resume", cdp.Empty{}, nil))
		require.NoError(t, <-scrolled)
		o.NextEvent(debugger.Resumed.Method)
		err := tab.Call(ctx, "Debugger.evaluateOnCallFrame", evaluate, nil)
		require.ErrorContains(t, err, "Can only perform operation while paused.")
		o.Leave()
	}
}

// TestAClientIsHandedNoObjectByItsPlaceInTheHeap names one of its own, as it could one of the
// server's.
func TestAClientIsHandedNoObjectByItsPlaceInTheHeap(t *testing.T) {
	s := followedSite(t)
	ctx, p, b := openPage(t)
	browsertest.Open(ctx, t, p, s.URL+"/")
	o := browsertest.Join(t, b)
	tab := o.AttachTab(o.Tabs()[0].TargetID)
	made, err := protocol.Call(ctx, tab, runtime.Evaluate, runtime.EvaluateParams{Expression: "({})"})
	require.NoError(t, err)
	var place struct {
		ID string `json:"heapSnapshotObjectId"`
	}
	own := map[string]any{"objectId": made.Result.ObjectID}
	require.NoError(t, tab.Call(ctx, "HeapProfiler.getHeapObjectId", own, &place))
	for method, params := range map[string]string{
		"HeapProfiler.getObjectByHeapObjectId": `{"objectId":%q}`,
		"HeapProfiler.addInspectedHeapObject":  `{"heapObjectId":%q}`,
	} {
		err := tab.Call(ctx, method, jsonv2.Value(fmt.Sprintf(params, place.ID)), nil)
		require.ErrorContains(t, err, "devtools.agents_world", method)
	}
}
