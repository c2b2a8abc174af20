package chromium

import (
	"strings"
	"testing"
	"time"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/target"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// TestADownloadInABrowserContextOfAClientArrives downloads in two of them, one
// of which follows the end of the other.
func TestADownloadInABrowserContextOfAClientArrives(t *testing.T) {
	onDownload, got := browsertest.Deliveries()
	b := launch(t, browser.Spec{ID: "context", Egress: browsertest.Loopback(), OnDownload: onDownload})
	url, _ := browsertest.DownloadSite(t)
	_, err := b.Page(t.Context())
	require.NoError(t, err)
	o := browsertest.Join(t, b)
	events := true
	require.NoError(t, protocol.Tell(t.Context(), o.Root, cdpbrowser.SetDownloadBehavior,
		cdpbrowser.SetDownloadBehaviorParams{
			Behavior:      cdpbrowser.SetDownloadBehaviorBehaviorAllow,
			DownloadPath:  "/tmp/of-the-client",
			EventsEnabled: &events,
		}))
	for range 2 {
		own, err := protocol.Call(t.Context(), o.Root, target.CreateBrowserContext, target.CreateBrowserContextParams{})
		require.NoError(t, err)
		for _, in := range []cdp.BrowserContextID{own.BrowserContextID, ""} {
			tab := o.OpenTab(url, in)
			require.Eventually(t, func() bool { return o.Evaluate(tab, "!!document.querySelector('#report')") == "true" },
				10*time.Second, 10*time.Millisecond)
			o.Evaluate(tab, "document.querySelector('#report').click()")
			d := <-got
			require.Equal(t, "a,b\n1,2\n", d.Text)
			begun := o.NextEvent(cdpbrowser.DownloadWillBegin.Method)
			require.Contains(t, string(begun.Params), "Q3 report.csv")
			for !strings.Contains(string(o.NextEvent(cdpbrowser.DownloadProgress.Method).Params), "completed") {
				continue
			}
		}
		require.NoError(t, protocol.Tell(t.Context(), o.Root, target.DisposeBrowserContext,
			target.DisposeBrowserContextParams(own)))
	}
	requireEmptyDir(t, b.dirs.downloads)
}
