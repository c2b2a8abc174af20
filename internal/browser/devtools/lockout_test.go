package devtools_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
)

// TestATabThatShowsAnotherHostIsLeftAndNotRead has a page of a host outside a client's rights
// come back in a tab that the client has attached, from the history of a wider one, and then
// lowers the client while it is connected.
func TestATabThatShowsAnotherHostIsLeftAndNotRead(t *testing.T) {
	const outside = "value-of-outside"
	s := browsertest.NewSite(t, nil)
	s.Handlers["/"] = func(w http.ResponseWriter, r *http.Request) {
		name := "inside"
		if strings.HasPrefix(r.Host, "127.") {
			name = outside
		}
		w.Header().Set("Cache-Control", "max-age=3600")
		_, _ = fmt.Fprintf(w, "<title>%s</title><body>%[1]s<script>console.log(%[1]q); tell(%[1]q)</script>", name)
	}
	here := s.LocalhostURL() + "/"
	b := launch(t, browser.Spec{ID: "history", Egress: browsertest.Loopback()})
	ctx, wide := t.Context(), browsertest.Join(t, b)
	tab := wide.OpenTab(s.URL+"/", "")
	shows := func(in *browsertest.Tab, title string) {
		t.Helper()
		require.Eventually(t, func() bool {
			var got runtime.EvaluateResult
			err := in.Call(ctx, runtime.CommandEvaluate, runtime.EvaluateParams{Expression: "document.title"}, &got)
			return err == nil && string(got.Result.Value) == strconv.Quote(title)
		}, 20*time.Second, 5*time.Millisecond, title)
	}
	shows(tab, outside)
	require.NoError(t, tab.Call(ctx, page.CommandNavigate, jsonv2.Value(`{"url":"`+here+`"}`), nil))
	shows(tab, "inside")

	// The narrower client attaches all that it may see.
	rights := &browsertest.Rights{Hosts: []string{"localhost"}}
	o := browsertest.JoinWithRights(t, b, rights)
	other := wide.OpenTab(s.URL+"/", "")
	shows(other, outside) // one that shows nothing yet is of no host
	require.NoError(t, o.Root.Call(ctx, "Target.setAutoAttach",
		jsonv2.Value(`{"autoAttach":true,"waitForDebuggerOnStart":false,"flatten":true}`), nil))
	ours := o.AttachTab(tab.TargetID)
	for _, method := range []string{"Runtime.enable", "Page.enable", "Network.enable", "DOM.enable", "Log.enable"} {
		require.NoError(t, ours.Call(ctx, method, jsonv2.Value(`{}`), nil), method)
	}
	require.NoError(t, ours.Call(ctx, "Runtime.addBinding", jsonv2.Value(`{"name":"tell"}`), nil))
	shows(ours, "inside")

	var history page.GetNavigationHistoryResult
	require.NoError(t, ours.Call(ctx, page.CommandGetNavigationHistory, jsonv2.Value(`{}`), &history))
	last := len(history.Entries) - 1
	require.Equal(t, here, history.Entries[last].URL)
	require.Empty(t, history.Entries[last-1].URL+history.Entries[last-1].Title, "where a wider client was")
	require.NoError(t, ours.Call(ctx, page.CommandNavigateToHistoryEntry,
		page.NavigateToHistoryEntryParams{EntryID: history.Entries[last-1].ID}, nil))
	shows(tab, outside)
	read := map[string]string{
		"Runtime.evaluate": `{"expression":"document.title"}`, "DOM.getDocument": `{}`, "Page.getFrameTree": `{}`,
		"Page.captureScreenshot": `{}`, "Page.captureSnapshot": `{}`, "Accessibility.getFullAXTree": `{}`,
		"Input.insertText": `{"text":"x"}`, "Page.printToPDF": `{}`, "DOMSnapshot.captureSnapshot": `{"computedStyles":[]}`,
		"Network.getResponseBody": `{"requestId":"1"}`, "Page.createIsolatedWorld": `{"frameId":"1"}`,
	}
	for method, params := range read {
		require.ErrorContains(t, ours.Call(ctx, method, jsonv2.Value(params), nil), "devtools.host_outside", method)
	}
	var info json.RawMessage
	named := jsonv2.Value(`{"targetId":"` + string(tab.TargetID) + `"}`)
	require.NoError(t, o.Root.Call(ctx, "Target.getTargetInfo", named, &info))
	browsertest.RequireUnseen(t, outside, string(info))

	require.NoError(t, ours.Call(ctx, page.CommandNavigate, jsonv2.Value(`{"url":"`+here+`"}`), nil), "it leaves")
	shows(ours, "inside")

	rights.Lower("elsewhere.example")
	for method, params := range read {
		require.ErrorContains(t, ours.Call(ctx, method, jsonv2.Value(params), nil), "devtools.host_outside", method)
	}
	rights.Lower("localhost")
	shows(ours, "inside")
	for _, told := range o.Seen() {
		browsertest.RequireUnseen(t, outside, told)
		browsertest.RequireUnseen(t, string(other.TargetID), told)
	}
}
