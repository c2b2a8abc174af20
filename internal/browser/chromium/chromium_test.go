package chromium

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
)

func TestManyBrowsersStartTogether(t *testing.T) {
	driver, err := New(Options{})
	require.NoError(t, err)
	const n = 10
	took := make([]time.Duration, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			began := time.Now()
			b, err := driver.Launch(t.Context(), browser.Spec{ID: "many"})
			if err != nil {
				t.Errorf("launch: %v", err)
				return
			}
			took[i] = time.Since(began)
			if err := b.Stop(context.Background()); err != nil {
				t.Errorf("stop: %v", err)
			}
		})
	}
	all.Wait()
	t.Log(took)
}

// visits is a site that sets a lasting cookie and counts who came with it.
func visits(t *testing.T) (url string, known func() int) {
	t.Helper()
	var mu sync.Mutex
	n := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := r.Cookie("visitor"); err == nil && r.URL.Path == "/" {
			mu.Lock()
			n++
			mu.Unlock()
		}
		http.SetCookie(w, &http.Cookie{Name: "visitor", Value: "1", MaxAge: 3600})
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "1"})
		_, _ = w.Write([]byte("<title>hi</title>"))
	}))
	t.Cleanup(srv.Close)
	return srv.URL, func() int { mu.Lock(); defer mu.Unlock(); return n }
}

func TestAProfileKeepsCookiesOverRestarts(t *testing.T) {
	temp := openTempDir(t)
	driver, err := New(Options{TempDir: temp})
	require.NoError(t, err)
	// The folder above is closed to the browsers' user, as a data directory is.
	closed := filepath.Join(temp, "closed")
	require.NoError(t, os.Mkdir(closed, 0o700))
	spec := browser.Spec{ID: "profile", ProfileDir: filepath.Join(closed, "sf-bot"), Egress: browsertest.Loopback()}
	url, known := visits(t)

	for i := range 3 {
		b := launchOn(t, driver, spec)
		require.NoError(t, chromedp.Do(browsertest.Chromedp(t, b), chromedp.Navigate(url)))
		require.Equal(t, i, known(), "visits with the cookie")
		require.NoError(t, b.Stop(t.Context()))
	}
	left, err := filepath.Glob(filepath.Join(temp, "bctrl-*"))
	require.NoError(t, err)
	require.Empty(t, left, "no copy is left")
	copies, err := filepath.Glob(filepath.Join(spec.ProfileDir, "*"))
	require.NoError(t, err)
	require.ElementsMatch(t, []string{filepath.Join(spec.ProfileDir, "3"), filepath.Join(spec.ProfileDir, "lock")}, copies)

	b := launchOn(t, driver, browser.Spec{ID: "ephemeral", Egress: browsertest.Loopback()})
	require.NoError(t, chromedp.Do(browsertest.Chromedp(t, b), chromedp.Navigate(url)))
	require.Equal(t, 2, known(), "an ephemeral browser knows nothing")
}

func TestAProfileOutlivesACrash(t *testing.T) {
	driver, err := New(Options{})
	require.NoError(t, err)
	spec := browser.Spec{ID: "profile", ProfileDir: filepath.Join(t.TempDir(), "p"), Egress: browsertest.Loopback()}
	url, known := visits(t)
	b := launchOn(t, driver, spec)
	require.NoError(t, chromedp.Do(browsertest.Chromedp(t, b), chromedp.Navigate(url)))
	require.NoError(t, b.Stop(t.Context()))

	crashed, err := driver.Launch(t.Context(), spec)
	require.NoError(t, err)
	require.NoError(t, crashed.(*instance).proc.cmd.Process.Kill())
	<-crashed.Done()
	require.Error(t, crashed.Err())

	b = launchOn(t, driver, spec)
	require.NoError(t, chromedp.Do(browsertest.Chromedp(t, b), chromedp.Navigate(url)))
	require.Equal(t, 1, known(), "the cookie of before the crash")
}

func TestAProfileHasOneBrowserAtATime(t *testing.T) {
	spec := browser.Spec{ID: "profile", ProfileDir: filepath.Join(t.TempDir(), "p")}
	b := launch(t, spec)
	other, err := New(Options{})
	require.NoError(t, err)
	_, err = other.Launch(t.Context(), spec)
	require.ErrorIs(t, err, browser.ErrProfileInUse)
	require.NoError(t, b.Stop(t.Context()))
	again, err := other.Launch(t.Context(), spec)
	require.NoError(t, err)
	require.NoError(t, again.Stop(t.Context()))
}
