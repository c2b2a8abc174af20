package browser

import (
	"strings"
	"testing"
	"time"

	cdpbrowser "github.com/chromedp/cdproto/browser"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/target"
	"github.com/stretchr/testify/require"
)

// TestADownloadInABrowserContextOfAClientArrives downloads in two of them, one
// of which follows the end of the other.
func TestADownloadInABrowserContextOfAClientArrives(t *testing.T) {
	onDownload, got := receiver()
	b := launch(t, Spec{ID: "context", Egress: loopback(), OnDownload: onDownload})
	url, _ := office(t)
	_, err := b.Page(t.Context())
	require.NoError(t, err)
	o := joins(t, b)
	events := true
	require.NoError(t, tell(t.Context(), o.root, cdpbrowser.SetDownloadBehavior, cdpbrowser.SetDownloadBehaviorParams{
		Behavior: cdpbrowser.SetDownloadBehaviorBehaviorAllow, DownloadPath: "/tmp/of-the-client", EventsEnabled: &events,
	}))
	for range 2 {
		own, err := callOn(t.Context(), o.root, target.CreateBrowserContext, target.CreateBrowserContextParams{})
		require.NoError(t, err)
		for _, in := range []cdp.BrowserContextID{own.BrowserContextID, ""} {
			tab := o.opens(url, in)
			require.Eventually(t, func() bool { return o.evaluates(tab, "!!document.querySelector('#report')") == "true" }, 10*time.Second, 10*time.Millisecond)
			o.evaluates(tab, "document.querySelector('#report').click()")
			d := <-got
			require.Equal(t, "a,b\n1,2\n", d.text)
			begun := o.next(cdpbrowser.DownloadWillBegin.Method)
			require.Contains(t, string(begun.params), "Q3 report.csv")
			for !strings.Contains(string(o.next(cdpbrowser.DownloadProgress.Method).params), "completed") {
				continue
			}
		}
		require.NoError(t, tell(t.Context(), o.root, target.DisposeBrowserContext, target.DisposeBrowserContextParams(own)))
	}
	requireEmptyDir(t, b.dirs.downloads)
}
