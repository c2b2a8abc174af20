//go:build unix

package chromium

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
)

// TestAWindowIsShownWhereItCanBe has one of two outcomes, by what the machine has.
func TestAWindowIsShownWhereItCanBe(t *testing.T) {
	temp := openTempDir(t)
	driver, err := New(Options{TempDir: temp})
	require.NoError(t, err)
	b, err := driver.Launch(t.Context(), browser.Spec{
		ID:     "headful",
		Egress: browsertest.Loopback(),
		Config: bctrl.LaunchConfig{Headful: true, Width: 900, Height: 600},
	})
	if errors.Is(err, browser.ErrNoDisplay) {
		require.ErrorContains(t, err, "apt-get install", "it says what to install")
		requireEmptyDir(t, temp)
		return
	}
	require.NoError(t, err)
	display := b.(*instance).display
	ctx := browsertest.Chromedp(t, b)
	require.NoError(t, chromedp.Do(ctx, chromedp.Navigate(browsertest.ServePage(t, "<title>x</title>"))))
	require.Equal(t, "900x600", evaluate[string](ctx, t, `innerWidth + "x" + innerHeight`))
	require.NotContains(t, evaluate[string](ctx, t, `navigator.userAgent`), "Headless")
	require.NoError(t, b.Stop(context.Background()))
	<-display.proc.exited
	requireEmptyDir(t, temp)
	require.NoFileExists(t, filepath.Join(os.TempDir(), ".X11-unix", "X"+display.name[1:]), "its socket is gone too")
}

func TestABrowserThatTakesTooMuchMemoryIsEnded(t *testing.T) {
	temp := openTempDir(t)
	driver, err := New(Options{TempDir: temp})
	require.NoError(t, err)
	b, err := driver.Launch(t.Context(), browser.Spec{
		ID:     "memory",
		Egress: browsertest.Loopback(),
		Config: bctrl.LaunchConfig{MaxMemoryBytes: 300 << 20},
	})
	require.NoError(t, err)
	ctx := browsertest.Chromedp(t, b)
	go func() { // it ends with the browser
		_, _ = chromedp.Run(ctx, chromedp.Evaluate[string](
			`for (const kept = [];;) { const b = new Uint8Array(16 << 20); b.fill(1); kept.push(b) }`))
	}()
	<-b.Done()
	require.ErrorIs(t, b.Err(), browser.ErrMemory)
	requireEmptyDir(t, temp)
}

func TestADownloadThatIsDeniedLeavesNothing(t *testing.T) {
	onDownload, got := browsertest.Deliveries()
	b := launch(t, browser.Spec{
		ID:         "denied",
		Egress:     browsertest.Loopback(),
		OnDownload: onDownload,
		Config:     bctrl.LaunchConfig{Downloads: &bctrl.LaunchDownloads{Policy: bctrl.DownloadsDeny}},
	})
	url, _ := browsertest.DownloadSite(t)
	ctx := browsertest.Chromedp(t, b)
	require.NoError(t, chromedp.Do(ctx, chromedp.Navigate(url), chromedp.Click(chromedp.CSS("#report"))))
	require.Eventually(t, func() bool { return chromedp.Do(ctx, chromedp.Navigate(url)) == nil },
		10*time.Second, 10*time.Millisecond, "the end of the one that was denied may end this, too")
	require.NoError(t, b.Stop(t.Context()))
	require.Empty(t, got)
}
