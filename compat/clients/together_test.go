package clients

import (
	"context"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/remote"
	"github.com/go-rod/rod"
	"github.com/go-rod/rod/lib/proto"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest"
	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
)

// TestAnAgentTwoClientsAndAScriptShareABrowser has each do its work while the others
// are at theirs, and leave one after the other.
func TestAnAgentTwoClientsAndAScriptShareABrowser(t *testing.T) {
	site := counter(t)
	srv := bctrltest.New(t, bctrltest.WithBrowser(), bctrltest.WithModel(func(turn modeltest.Turn) modeltest.Call {
		if len(turn.Calls) == 0 {
			return modeltest.Click(turn.Find("button", "Greet"))
		}
		return modeltest.Done(true, "pressed")
	}))
	client := srv.Client()
	_, err := client.AICredentials.Create(t.Context(), srv.ModelCredential("scripted"))
	require.NoError(t, err)
	ws, err := client.Workspaces.Create(t.Context(), bctrl.WorkspaceCreate{
		Name:   "together",
		Mounts: bctrl.Mounts{AI: &bctrl.AIMount{Allow: []string{"scripted"}}},
	})
	require.NoError(t, err)
	rt, err := ws.Runtimes.Browser("b").Stagehand(t.Context(), bctrl.Launch{})
	require.NoError(t, err)
	address, err := rt.ConnectURL(t.Context())
	require.NoError(t, err)
	_, err = rt.Page.Goto(t.Context(), site+"/agent") // the script
	require.NoError(t, err)

	allocator, end := remote.NewAllocator(context.WithoutCancel(t.Context()), address)
	defer end()
	ctx, cancel := chromedp.NewContext(allocator)
	defer cancel()
	require.NoError(t, chromedp.Do(ctx, chromedp.Navigate(site+"/chromedp")))
	browser := rod.New().Context(t.Context()).ControlURL(address)
	require.NoError(t, browser.Connect())
	own, err := browser.Incognito()
	require.NoError(t, err)
	page, err := own.Page(proto.TargetCreateTarget{URL: site + "/rod"})
	require.NoError(t, err)
	require.NoError(t, page.WaitLoad())

	// What Rod made in a context of its own is not there to chromedp.
	addresses := func() (all []string) {
		tabs, err := chromedp.Targets(ctx)
		require.NoError(t, err)
		for _, tab := range tabs {
			if tab.Type == "page" {
				all = append(all, tab.URL)
			}
		}
		return all
	}
	require.ElementsMatch(t, []string{site + "/agent", site + "/chromedp"}, addresses())
	_, err = cdp.Call(ctx, chromedp.FromContext(ctx).Browser, target.AttachToTarget,
		target.AttachToTargetParams{TargetID: target.ID(page.TargetID)})
	require.ErrorContains(t, err, "No target with given id found")

	// All work at the same time; each hears what it asked for, of its own tab.
	done := make(chan error, 1)
	go func() {
		_, err := rt.Stagehand.Act(t.Context(), "press Greet")
		done <- err
	}()
	require.NoError(t, chromedp.Do(ctx,
		chromedp.SendKeys(chromedp.CSS("#name"), "Bea"), chromedp.Click(chromedp.CSS("button")),
		chromedp.WaitVisible(chromedp.CSS("#out:not(:empty)"))))
	heard := page.EachEvent(func(e *proto.NetworkRequestWillBeSent) bool {
		require.Contains(t, e.Request.URL, "/greeting?name=Ada")
		return true
	})
	require.NoError(t, page.MustElement("#name").Input("Ada"))
	page.MustElement("button").MustClick()
	heard()
	require.NoError(t, page.Wait(rod.Eval(`() => document.querySelector("#out").textContent === "hello Ada"`)))
	text, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS("#out")))
	require.NoError(t, err)
	require.Equal(t, "hello Bea", text)
	require.NoError(t, <-done)

	// One that leaves takes what is its own, and nothing of the others'.
	require.NoError(t, browser.Close())
	require.ElementsMatch(t, []string{site + "/agent", site + "/chromedp"}, addresses())
	require.NoError(t, chromedp.Do(ctx, chromedp.Navigate(site+"/again")))
	_, err = rt.Page.Goto(t.Context(), site+"/agent")
	require.NoError(t, err)
}
