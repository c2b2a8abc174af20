package chromium

import (
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
)

// TestABrowserIsAskedForCookiesOnceTheyMayHaveChanged holds that what keeps cookies is seen
// to run when a script sets one, for which nothing travels, and rests where nobody does.
func TestABrowserIsAskedForCookiesOnceTheyMayHaveChanged(t *testing.T) {
	t.Parallel()
	site := browsertest.ServePage(t, "<title>site</title>")
	b := launch(t, browser.Spec{ID: "cookies", Egress: browsertest.Loopback()})
	page := browsertest.Chromedp(t, b)
	require.NoError(t, chromedp.Do(page, chromedp.Navigate(site)))
	var keeper cookieKeeper
	rests := func() bool { return !keeper.hasRun(b.proc.pid()) }
	require.Eventually(t, rests, 30*time.Second, 300*time.Millisecond)
	require.NotZero(t, keeper.pid, "there is such a process")
	require.NoError(t, chromedp.Do(page, chromedp.Evaluate[chromedp.Void](`document.cookie = "a=b"`)))
	runs := func() bool { return keeper.hasRun(b.proc.pid()) }
	require.Eventually(t, runs, 30*time.Second, 10*time.Millisecond)
	require.Eventually(t, rests, 30*time.Second, 300*time.Millisecond)
	require.True(t, new(cookieKeeper).hasRun(-1), "where there is none, nobody can tell")
}
