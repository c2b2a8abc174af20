package page_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
	ourpage "github.com/bctrl-go/bctrl/internal/browser/page"
)

// activeTab is the name of the tab in front, and how many there are.
func activeTab(ctx context.Context, t *testing.T, p browser.Page) (browser.TabID, int) {
	t.Helper()
	tabs, err := p.Tabs(ctx)
	require.NoError(t, err)
	for _, tab := range tabs {
		if tab.Active {
			return tab.ID, len(tabs)
		}
	}
	return "", len(tabs)
}

// requireShown waits until the page in front shows a text.
func requireShown(ctx context.Context, t *testing.T, p browser.Page, text string) *browser.Observation {
	t.Helper()
	var obs *browser.Observation
	require.Eventually(t, func() bool {
		obs = browsertest.Observe(ctx, t, p)
		return strings.Contains(obs.Outline, text)
	}, 10*time.Second, 20*time.Millisecond, text)
	return obs
}

func TestAPageThatOpensByMistakeLeavesAWayBack(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, map[string]string{
		"/":    `<title>Shop</title><h1>Shop</h1><a target=_blank href=/ad>Offers</a>`,
		"/ad":  `<title>Ad</title><h1>Advertisement</h1>`,
		"/new": `<h1>Another</h1>`,
	})
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	require.Len(t, obs.Tabs, 1)
	first := obs.Tabs[0]
	require.Equal(t, browser.Tab{ID: first.ID, URL: s.URL + "/", Title: "Shop", Active: true}, first)
	require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "link", "Offers").Ref, browser.Click{}))
	obs = requireShown(ctx, t, p, "Advertisement")
	require.Len(t, obs.Tabs, 2)
	require.False(t, obs.Tabs[0].Active)
	require.True(t, obs.Tabs[1].Active)

	require.NoError(t, p.ActivateTab(ctx, first.ID))
	require.Contains(t, browsertest.Observe(ctx, t, p).Outline, "Shop")
	require.NoError(t, p.OpenTab(ctx, s.URL+"/new"))
	require.Contains(t, browsertest.Observe(ctx, t, p).Outline, "Another")
	front, n := activeTab(ctx, t, p)
	require.Equal(t, 3, n)
	require.NoError(t, p.CloseTab(ctx, front))
	require.Contains(t, browsertest.Observe(ctx, t, p).Outline, "Shop", "the one that was in front before is there again")
	require.NoError(t, p.CloseTab(ctx, first.ID))
	require.Contains(t, browsertest.Observe(ctx, t, p).Outline, "Advertisement")
	front, _ = activeTab(ctx, t, p)
	require.NoError(t, p.CloseTab(ctx, front))
	require.Equal(t, "about:blank", browsertest.Observe(ctx, t, p).URL, "the last one leaves a blank page")

	for _, id := range []browser.TabID{first.ID, "t999", "", "\x00"} {
		require.ErrorContains(t, p.ActivateTab(ctx, id), "page.unknown_tab")
		require.ErrorContains(t, p.CloseTab(ctx, id), "page.unknown_tab")
	}
	require.ErrorContains(t, p.OpenTab(ctx, "file:///etc/passwd"), "page.url_refused")
	require.ErrorContains(t, p.OpenTab(ctx, "http://127.0.0.1:1/"), "page.")
	_, n = activeTab(ctx, t, p)
	require.Equal(t, 1, n, "a page that cannot be opened leaves no tab")
	require.NoError(t, p.OpenTab(ctx, ""))
	for {
		if err := p.OpenTab(ctx, ""); err != nil {
			require.ErrorContains(t, err, "page.too_many_tabs")
			break
		}
	}
	_, n = activeTab(ctx, t, p)
	require.Equal(t, 1+ourpage.MaxTabs, n)
}

// TestADownloadInATabOfItsOwnLeavesThePageInFront also lets scripts open it.
func TestADownloadInATabOfItsOwnLeavesThePageInFront(t *testing.T) {
	save, saved := browsertest.Deliveries()
	ctx, p, _ := openPageOf(t, browser.Spec{ID: "tabs", OnDownload: save})
	s := browsertest.NewSite(t, map[string]string{"/": `<h1>Reports</h1><a target=_blank href=/file>Blank</a>
		<a target=_blank rel=opener href=/file>Opener</a><button onclick="window.open('/file')">Script</button>
		<button onclick="let w = window.open('about:blank'); w.location = '/file'">Later</button>`})
	s.Handlers["/file"] = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Disposition", "attachment; filename=a.csv")
		_, _ = io.WriteString(w, "a,b")
	}
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	for _, c := range []struct{ role, name string }{
		{"link", "Blank"}, {"link", "Opener"}, {"button", "Script"}, {"button", "Later"},
	} {
		require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, c.role, c.name).Ref, browser.Click{}), c.name)
		select {
		case file := <-saved:
			require.Equal(t, "a,b", file.Text, c.name)
		case <-ctx.Done():
			require.NoError(t, ctx.Err(), c.name)
		}
		require.Eventually(t, func() bool { _, n := activeTab(ctx, t, p); return n == 1 }, 10*time.Second,
			10*time.Millisecond, c.name)
		obs = browsertest.Observe(ctx, t, p)
		require.Contains(t, obs.Outline, "Reports", c.name)
	}
}

func TestBackLeavesAPageThatHoldsItsVisitor(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, map[string]string{
		"/":     `<h1>Home</h1>`,
		"/list": `<h1>List</h1><a href=#part>Part</a>`,
		"/trap": `<h1>Trap</h1><script>for (let i = 0; i < 3; i++) history.pushState(i, '', '/trap?' + i);
			onpopstate = () => { for (let i = 0; i < 3; i++) history.pushState(i, '', '/trap?' + i); }</script>`,
		"/springs": `<h1>Springs</h1><script>setTimeout(() => location.href = '/end', 50)</script>`,
		"/end":     `<h1>End</h1>`,
	})
	require.ErrorContains(t, p.Back(ctx), "page.no_history")
	browsertest.Open(ctx, t, p, s.URL+"/")
	browsertest.Open(ctx, t, p, s.URL+"/list")
	require.NoError(t, p.Back(ctx))
	require.Contains(t, browsertest.Observe(ctx, t, p).Outline, "Home")
	obs := browsertest.Open(ctx, t, p, s.URL+"/list")
	require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "link", "Part").Ref, browser.Click{}))
	require.NoError(t, p.Back(ctx))
	obs = browsertest.Observe(ctx, t, p)
	require.Contains(t, obs.Outline, "List", "what was within the page comes first")
	require.Equal(t, s.URL+"/list", obs.URL)

	browsertest.Open(ctx, t, p, s.URL+"/trap")
	require.NoError(t, p.Back(ctx))
	require.Contains(t, browsertest.Observe(ctx, t, p).Outline, "List", "past what the page has added")

	browsertest.Open(ctx, t, p, s.URL+"/springs")
	requireShown(ctx, t, p, "End")
	err := p.Back(ctx) // to /springs, or past it
	if err != nil {
		require.ErrorContains(t, err, "page.")
	}
	require.NoError(t, p.Goto(ctx, s.URL+"/", ""), "an address always leads away")
	require.Contains(t, browsertest.Observe(ctx, t, p).Outline, "Home")
}

func TestReloadLoadsThePageAnew(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, map[string]string{"/": `<h1>Home</h1>
<script>sessionStorage.n = +(sessionStorage.n || 0) + 1;
		document.write('<p>load ' + sessionStorage.n)</script>`})
	require.Contains(t, browsertest.Open(ctx, t, p, s.URL+"/").Outline, "load 1")
	require.NoError(t, p.Reload(ctx))
	require.Contains(t, browsertest.Observe(ctx, t, p).Outline, "load 2")
}

// TestANavigationWaitsForWhatItIsToldTo opens a page with a picture that never comes.
func TestANavigationWaitsForWhatItIsToldTo(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, map[string]string{
		"/":    `<h1>Page</h1><img src=/hangs>`,
		"/all": `<h1>Whole</h1>`,
	})
	ended := make(chan struct{})
	hangs := func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-ended:
		}
	}
	s.Handlers["/hangs"] = hangs
	t.Cleanup(func() { close(ended) })
	for _, until := range []bctrl.WaitUntil{"", bctrl.WaitCommit, bctrl.WaitDOMContentLoaded} {
		require.NoError(t, p.Goto(ctx, s.URL+"/", until), until)
		require.NoError(t, p.Settle(ctx, time.Second))
		require.Contains(t, browsertest.Observe(ctx, t, p).Outline, "Page", until)
	}
	for _, until := range []bctrl.WaitUntil{bctrl.WaitLoad, bctrl.WaitNetworkIdle} {
		require.NoError(t, p.Goto(ctx, s.URL+"/all", until), until)
		short, cancel := context.WithTimeout(ctx, time.Second)
		require.ErrorContains(t, p.Goto(short, s.URL+"/", until), "page.load_timeout", until)
		cancel()
		require.Contains(t, browsertest.Observe(ctx, t, p).Outline, "Page", until)
	}
	require.ErrorContains(t, p.Goto(ctx, s.URL+"/", "soon"), "page.invalid_wait")

	// A site that never answers is left, and the page before is there.
	require.NoError(t, p.Goto(ctx, s.URL+"/all", ""))
	short, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	require.ErrorContains(t, p.Goto(short, s.URL+"/hangs", bctrl.WaitCommit), "page.load_timeout")
	require.Contains(t, browsertest.Observe(ctx, t, p).Outline, "Whole")
	require.NoError(t, p.Reload(ctx))
}

func TestATextIsWaitedForAndNoFilledValueIsFoundWithIt(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, map[string]string{
		"/": `<h1>Sign in</h1><input name=user><p id=out></p><iframe srcdoc="<p>In a frame</p>"></iframe>
			<script>setTimeout(() => out.innerHTML = 'Order <b>1234</b> is   saved', 300);
			document.querySelector('input').oninput = e => out.textContent = 'Hello ' + e.target.value;</script>`})
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	for _, text := range []string{"Order 1234 is saved", "In a frame", " Sign  in "} {
		require.NoError(t, p.WaitText(ctx, text), text)
	}
	wait := func(text string) error {
		short, cancel := context.WithTimeout(ctx, 700*time.Millisecond)
		defer cancel()
		return p.WaitText(short, text)
	}
	require.ErrorContains(t, wait("Order 999"), "page.text_not_shown")
	require.ErrorContains(t, wait(" \t"), "page.no_text")
	const user = "kestrel.operator"
	require.NoError(t, p.Fill(ctx, browsertest.Find(t, obs, "textbox", "").Ref,
		browsertest.Login("username", user, s.URL)))
	require.NoError(t, wait("Hello"))
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	require.ErrorIs(t, p.WaitText(cancelled, "Hello"), context.Canceled)
}

func TestAPageThatClosesItselfOrOpensAThousandTabsIsBounded(t *testing.T) {
	ctx, p, _ := openPage(t)
	s := browsertest.NewSite(t, map[string]string{
		"/": `<h1>Home</h1><button onclick="window.open('/closes')">Closes</button>
			<button onclick="for (let i = 0; i < 1000; i++) window.open('/many')">Thousand</button>`,
		"/few":    `<h1>Few</h1><button onclick="for (let i = 0; i < 30; i++) window.open('/many')">Thirty</button>`,
		"/closes": `<h1>Closing</h1><script>setTimeout(close, 100)</script>`,
		"/many":   `<h1>One of many</h1>`,
	})
	obs := browsertest.Open(ctx, t, p, s.URL+"/")
	require.NoError(t, p.Click(ctx, browsertest.Find(t, obs, "button", "Closes").Ref, browser.Click{}))
	require.Eventually(t, func() bool { _, n := activeTab(ctx, t, p); return n == 1 }, 10*time.Second, 10*time.Millisecond)
	obs = requireShown(ctx, t, p, "Home")

	_ = p.Click(ctx, browsertest.Find(t, obs, "button", "Thousand").Ref, browser.Click{}) // its page ends meanwhile
	requireShown(ctx, t, p, "note: page.tab_flood: ")
	require.NoError(t, p.Goto(ctx, s.URL+"/few", ""))
	few := browsertest.Observe(ctx, t, p)
	require.NoError(t, p.Click(ctx, browsertest.Find(t, few, "button", "Thirty").Ref, browser.Click{}))
	require.Eventually(t, func() bool {
		_, n := activeTab(ctx, t, p)
		return n == 1+ourpage.MaxTabs
	}, time.Minute, 50*time.Millisecond)
	require.NoError(t, p.ActivateTab(ctx, few.Tabs[0].ID))
	requireShown(ctx, t, p, "note: page.too_many_tabs: ")
}
