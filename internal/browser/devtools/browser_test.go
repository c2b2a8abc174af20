package devtools_test

import (
	"encoding/json"
	"testing"

	"github.com/chromedp/cdproto"
	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
)

func TestChromedpDrivesABrowserThroughTheFilter(t *testing.T) {
	b := launch(t, browser.Spec{ID: "drive", Egress: browsertest.Loopback()})
	url := browsertest.ServePage(t,
		`<title>one</title><input id=name><button onclick="document.title='hello '+document.querySelector('#name').value">`+
			`go</button>`)
	ctx := browsertest.Chromedp(t, b)

	require.NoError(t, chromedp.Do(ctx,
		chromedp.Navigate(url),
		chromedp.SendKeys(chromedp.CSS("#name"), "Ada"),
		chromedp.Click(chromedp.CSS("button")),
	))
	title, err := chromedp.Run(ctx, chromedp.Title())
	require.NoError(t, err)
	require.Equal(t, "hello Ada", title)
	shot, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	require.NoError(t, err)
	require.Equal(t, "\x89PNG", string(shot[:4]))

	other, cancel := chromedp.NewContext(ctx)
	defer cancel()
	require.NoError(t, chromedp.Do(other, chromedp.Navigate(url+"/other")))
	tabs, err := chromedp.Targets(ctx)
	require.NoError(t, err)
	pages := 0
	for _, tab := range tabs {
		if tab.Type == "page" {
			pages++
		}
	}
	require.GreaterOrEqual(t, pages, 2, "both tabs are seen")

	// The same commands go wrong in the ways that the table says.
	_, err = cdp.Call(ctx, chromedp.FromContext(ctx).Target, page.Navigate, page.NavigateParams{URL: "file:///etc/passwd"})
	require.ErrorContains(t, err, "refused")
	_, err = cdp.Call(ctx, chromedp.FromContext(ctx).Browser, cdpbrowser.Crash, cdp.Empty{})
	require.ErrorContains(t, err, "refused")
}

func TestTwoClientsDoNotSeeEachOthersSessions(t *testing.T) {
	b := launch(t, browser.Spec{ID: "two", Egress: browsertest.Loopback()})
	first, second := browsertest.Chromedp(t, b), browsertest.Chromedp(t, b)
	url := browsertest.ServePage(t, "<title>x</title>")
	require.NoError(t, chromedp.Do(first, chromedp.Navigate(url)))
	session := chromedp.FromContext(first).Target.SessionID

	ws, _, err := websocket.Dial(t.Context(), browsertest.Connect(t, b), nil)
	require.NoError(t, err)
	defer ws.CloseNow()
	ask := func(m cdproto.Message) cdproto.Message {
		t.Helper()
		raw, err := json.Marshal(m)
		require.NoError(t, err)
		require.NoError(t, ws.Write(t.Context(), websocket.MessageText, raw))
		_, raw, err = ws.Read(t.Context())
		require.NoError(t, err)
		var answer cdproto.Message
		require.NoError(t, json.Unmarshal(raw, &answer))
		return answer
	}
	answer := ask(cdproto.Message{
		ID:        1,
		SessionID: session,
		Method:    "Runtime.evaluate",
		Params:    []byte(`{"expression":"1"}`),
	})
	require.NotNil(t, answer.Error, "another client's session")
	require.EqualValues(t, -32001, answer.Error.Code, "as the browser answers an unknown one")
	answer = ask(cdproto.Message{
		ID:     2,
		Method: "Target.detachFromTarget",
		Params: []byte(`{"sessionId":"` + string(session) + `"}`),
	})
	require.NotNil(t, answer.Error, "another client's session")

	title, err := chromedp.Run(first, chromedp.Title())
	require.NoError(t, err, "it is untouched")
	require.Equal(t, "x", title)
	require.NoError(t, chromedp.Do(second, chromedp.Navigate(url)), "and so is the other client")
}
