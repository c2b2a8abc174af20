package chromium

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/debugger"
	"github.com/chromedp/cdproto/target"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// TestNoBreakpointStopsAScriptOfTheServer has a client name each of the server's scripts by its
// hash, which anybody can compute who has the source, and by the address that none of them has.
func TestNoBreakpointStopsAScriptOfTheServer(t *testing.T) {
	driver, err := New(Options{})
	require.NoError(t, err)
	ctx, p, made := browsertest.OpenPage(t, driver, browser.Spec{ID: "hashes"})
	b := made.(*instance)
	s := browsertest.NewSite(t, map[string]string{"/": `<title>x</title><input aria-label=Name><p>text`})
	browsertest.Open(ctx, t, p, s.URL+"/")

	// The server's own driver sees its scripts as they are.
	var mu sync.Mutex
	hashes := map[string]struct{}{}
	server, err := b.mux.AttachServer(ctx)
	require.NoError(t, err)
	life, leave := context.WithCancel(ctx)
	conn := protocol.NewConn(life, server, func(_ target.SessionID, method string, params jsonv2.Value) {
		var script struct {
			Hash string `json:"hash"`
			Aux  struct {
				Type string `json:"type"`
			} `json:"executionContextAuxData"`
		}
		mu.Lock()
		defer mu.Unlock()
		if method == debugger.ScriptParsed.Method && jsonv2.Unmarshal(params, &script) == nil &&
			script.Aux.Type == "isolated" {
			hashes[script.Hash] = struct{}{}
		}
	})
	flat := true
	tab, err := protocol.Call(ctx, conn.Root(), target.AttachToTarget,
		target.AttachToTargetParams{TargetID: b.firstTabs[0], Flatten: &flat})
	require.NoError(t, err)
	require.NoError(t, conn.Session(tab.SessionID).Call(ctx, debugger.CommandEnable, cdp.Empty{}, nil))
	act := func() {
		t.Helper()
		soon, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		obs := browsertest.Observe(soon, t, p)
		require.Contains(t, obs.Outline, "text")
		require.NoError(t, p.Type(soon, browsertest.Find(t, obs, "textbox", "Name").Ref, "a"))
	}
	act()
	server.Close(ctx)
	leave()
	<-conn.Done()
	require.Greater(t, len(hashes), 3)

	o := browsertest.Join(t, b)
	own := o.AttachTab(b.firstTabs[0])
	require.NoError(t, own.Call(ctx, debugger.CommandEnable, cdp.Empty{}, nil))
	refused := func(named string) {
		t.Helper()
		for _, more := range []string{"", `,"condition":"1"`} {
			require.ErrorContains(t, own.Call(ctx, debugger.CommandSetBreakpointByURL,
				jsonv2.Value(`{"lineNumber":0,`+named+more+`}`), nil), "devtools.agents_world")
		}
	}
	for hash := range hashes {
		refused(fmt.Sprintf(`"scriptHash":%q`, hash))
	}
	refused(`"url":""`)
	for _, named := range []string{`"urlRegex":"^$"`, `"urlRegex":".*"`, `"urlRegex":""`} {
		for line := range 3 {
			for _, more := range []string{"", `,"condition":"(document.title = 'met', false)"`} {
				// Refused or not: what counts is that nothing stops there.
				_ = own.Call(ctx, debugger.CommandSetBreakpointByURL,
					jsonv2.Value(fmt.Sprintf(`{"lineNumber":%d,%s%s}`, line, named, more)), nil)
			}
		}
	}
	for _, instrumentation := range []string{"beforeScriptExecution", "beforeScriptWithSourceMapExecution"} {
		require.NoError(t, own.Call(ctx, "Debugger.setInstrumentationBreakpoint",
			jsonv2.Value(fmt.Sprintf(`{"instrumentation":%q}`, instrumentation)), nil))
	}
	act()
	for _, told := range o.Seen() {
		require.False(t, strings.HasPrefix(told, debugger.Paused.Method), told)
	}
	require.NoError(t, own.Call(ctx, debugger.CommandDisable, cdp.Empty{}, nil))
	require.Equal(t, `"x"`, o.Evaluate(own, "document.title"), "nor does a condition run there")
}
