package chromium

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
	"github.com/bctrl-go/bctrl/internal/names"
)

func requireEmptyDir(t *testing.T, dir string) {
	t.Helper()
	require.Eventually(t, func() bool {
		entries, err := os.ReadDir(dir)
		return err == nil && len(entries) == 0
	}, 10*time.Second, 10*time.Millisecond, "files are left")
}

func TestADownloadArrivesUnderASafeNameAndIsRemoved(t *testing.T) {
	onDownload, got := browsertest.Deliveries()
	b := launch(t, browser.Spec{ID: "download", Egress: browsertest.Loopback(), OnDownload: onDownload})
	url, _ := browsertest.DownloadSite(t)
	ctx := browsertest.Chromedp(t, b)
	require.NoError(t, chromedp.Do(ctx, chromedp.Navigate(url), chromedp.Click(chromedp.CSS("#report"))))
	d := <-got
	require.Equal(t, "a,b\n1,2\n", d.Text)
	require.EqualValues(t, 8, d.Size)
	require.Equal(t, url+"/report.csv", d.URL, "without its query")
	require.NotContains(t, d.Filename, "/")
	require.True(t, strings.HasSuffix(d.Filename, "Q3 report.csv"), d.Filename)
	requireEmptyDir(t, b.dirs.downloads)
	_, err := d.Open()
	require.Error(t, err, "it is gone")
}

func TestADownloadThatIsTooLargeIsCancelled(t *testing.T) {
	onDownload, got := browsertest.Deliveries()
	b := launch(t, browser.Spec{
		ID:         "large",
		Egress:     browsertest.Loopback(),
		OnDownload: onDownload,
		Config:     bctrl.LaunchConfig{Downloads: &bctrl.LaunchDownloads{MaxBytes: 1 << 20}},
	})
	url, _ := browsertest.DownloadSite(t)
	ctx := browsertest.Chromedp(t, b)
	require.NoError(t, chromedp.Do(ctx, chromedp.Navigate(url), chromedp.Click(chromedp.CSS("#endless"))))
	require.Eventually(t, func() bool {
		entries, err := os.ReadDir(b.dirs.downloads)
		return err == nil && len(entries) > 0
	}, 10*time.Second, 5*time.Millisecond, "it began")
	requireEmptyDir(t, b.dirs.downloads)
	require.Empty(t, got)
}

func TestAStopEndsADownload(t *testing.T) {
	onDownload, got := browsertest.Deliveries()
	b := launch(t, browser.Spec{ID: "partial", Egress: browsertest.Loopback(), OnDownload: onDownload})
	url, _ := browsertest.DownloadSite(t)
	ctx := browsertest.Chromedp(t, b)
	require.NoError(t, chromedp.Do(ctx, chromedp.Navigate(url), chromedp.Click(chromedp.CSS("#endless"))))
	require.Eventually(t, func() bool {
		entries, err := os.ReadDir(b.dirs.downloads)
		return err == nil && len(entries) > 0
	}, 10*time.Second, 5*time.Millisecond, "it began")
	require.NoError(t, b.Stop(t.Context()))
	require.Empty(t, got)
	require.NoDirExists(t, b.dirs.root)
}

func TestTheReceiverOfADownloadEndsWithTheBrowser(t *testing.T) {
	began, ended := make(chan struct{}), make(chan error, 1)
	b := launch(t, browser.Spec{
		ID:     "slow",
		Egress: browsertest.Loopback(),
		OnDownload: func(ctx context.Context, _ browser.Download) (string, error) {
			close(began)
			<-ctx.Done()
			ended <- ctx.Err()
			return "", ctx.Err()
		},
	})
	url, _ := browsertest.DownloadSite(t)
	ctx := browsertest.Chromedp(t, b)
	require.NoError(t, chromedp.Do(ctx, chromedp.Navigate(url), chromedp.Click(chromedp.CSS("#report"))))
	<-began
	require.NoError(t, b.Stop(t.Context()))
	require.ErrorIs(t, <-ended, context.Canceled)
}

// fakeDownloads is a receiver without a browser, on a folder of the test.
func fakeDownloads(t *testing.T, deliver func(context.Context, browser.Download) (string, error)) (
	*downloads, chan string) {
	t.Helper()
	cancelled := make(chan string, 2*maxDownloads)
	self := account{uid: uint32(os.Geteuid())}
	cancel := func(guid string) { cancelled <- guid }
	d := newDownloads(t.Context(), nil, t.TempDir(), self, cancel, func(string, string) {})
	d.deliverTo(deliver)
	t.Cleanup(d.close)
	return d, cancelled
}

func TestOnlyWhatTheBrowserWroteIsDelivered(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "shadow")
	require.NoError(t, os.WriteFile(outside, []byte("canary"), 0o600))
	for name, plant := range map[string]func(dir string) error{
		"a link out": func(dir string) error { return os.Symlink(outside, filepath.Join(dir, "g")) },
		"a link up":  func(dir string) error { return os.Symlink("../"+filepath.Base(dir), filepath.Join(dir, "g")) },
		"a pipe":     func(dir string) error { return syscall.Mkfifo(filepath.Join(dir, "g"), 0o600) },
		"a folder":   func(dir string) error { return os.Mkdir(filepath.Join(dir, "g"), 0o700) },
		"nothing":    func(string) error { return nil },
		"another user's": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "g"), []byte("canary"), 0o600)
		},
		"more than is known": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "g"), make([]byte, 2000), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			d, _ := fakeDownloads(t, func(context.Context, browser.Download) (string, error) {
				t.Error("delivered")
				return "", nil
			})
			d.limit = 1000
			if name == "another user's" {
				d.owner.uid++
			}
			require.NoError(t, plant(d.dir))
			d.onEvent("Browser.downloadWillBegin",
				jsonv2.Value(`{"guid":"g","url":"https://a.example/","suggestedFilename":"x"}`))
			d.onEvent("Browser.downloadProgress",
				jsonv2.Value(`{"guid":"g","state":"completed","receivedBytes":1,"totalBytes":1}`))
			d.close()
			require.FileExists(t, outside)
		})
	}
}

func TestADeliveryOutlivesItsBrowserForAWhile(t *testing.T) {
	for why, deliver := range map[string]func(ctx context.Context) error{
		"it is given the time that it takes": func(ctx context.Context) error {
			<-time.After(deliverTimeout / 2)
			return ctx.Err()
		},
		"and no more than that": func(ctx context.Context) error {
			<-ctx.Done()
			return nil
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			life, end := context.WithCancel(t.Context())
			result := make(chan error, 1)
			self := account{uid: uint32(os.Geteuid())}
			d := newDownloads(life, nil, t.TempDir(), self, nil, func(string, string) {})
			d.deliverTo(func(ctx context.Context, _ browser.Download) (string, error) {
				result <- deliver(ctx)
				return "", nil
			})
			require.NoError(t, os.WriteFile(filepath.Join(d.dir, "g"), []byte("x"), 0o600))
			d.onEvent("Browser.downloadWillBegin",
				jsonv2.Value(`{"guid":"g","url":"https://a.example/","suggestedFilename":"x"}`))
			d.onEvent("Browser.downloadProgress",
				jsonv2.Value(`{"guid":"g","state":"completed","receivedBytes":1,"totalBytes":1}`))
			synctest.Wait()
			end()
			d.close()
			require.NoError(t, <-result, why)
			require.Error(t, d.ctx.Err(), why)
		})
	}
}

func TestAGuidIsNoPath(t *testing.T) {
	d, _ := fakeDownloads(t, func(context.Context, browser.Download) (string, error) {
		t.Error("delivered")
		return "", nil
	})
	outside := filepath.Join(filepath.Dir(d.dir), "outside")
	require.NoError(t, os.WriteFile(outside, []byte("canary"), 0o600))
	for _, guid := range []string{"../outside", outside, ".", ".."} {
		d.onEvent("Browser.downloadWillBegin",
			jsonv2.Value(`{"guid":"`+guid+`","url":"https://a.example/","suggestedFilename":"x"}`))
		d.onEvent("Browser.downloadProgress", jsonv2.Value(`{"guid":"`+guid+`","state":"completed"}`))
	}
	d.close()
	require.FileExists(t, outside)
	require.DirExists(t, d.dir)
}

func TestTheNumberOfDownloadsIsBounded(t *testing.T) {
	d, cancelled := fakeDownloads(t, nil)
	for i := range maxDownloads + 1 {
		d.onEvent("Browser.downloadWillBegin",
			jsonv2.Value(`{"guid":"`+strconv.Itoa(i)+`","url":"https://a.example/","suggestedFilename":"x"}`))
	}
	require.Equal(t, strconv.Itoa(maxDownloads), <-cancelled)
	d.onEvent("Browser.downloadProgress", jsonv2.Value(`{"guid":"0","state":"canceled"}`))
	d.onEvent("Browser.downloadWillBegin",
		jsonv2.Value(`{"guid":"again","url":"https://a.example/","suggestedFilename":"x"}`))
	d.onEvent("Browser.downloadProgress",
		jsonv2.Value(`{"guid":"again","state":"inProgress","receivedBytes":1,"totalBytes":9999999999}`))
	require.Equal(t, "again", <-cancelled, "there was room again, until it announced its size")
}

func TestFilenamesAreOneSafeSegment(t *testing.T) {
	for _, c := range []struct{ suggested, want, why string }{
		{"report.csv", "report.csv", "as it is"},
		{"../../etc/passwd", "passwd", "no directories"},
		{`..\..\boot.ini`, "boot.ini", "nor of Windows"},
		{"a/", plainFilename, "nothing after the directory"},
		{"", plainFilename, "nothing"},
		{".", plainFilename, "a dot segment"},
		{"..", plainFilename, "a dot segment"},
		{" . ", plainFilename, "white space around a dot"},
		{"a\x00b\nc.csv", "abc.csv", "control characters"},
		{"gpj\u202e.exe", "gpj.exe", "text direction"},
		{"a\u200bb.csv", "ab.csv", "zero width"},
		{"a\xffb.csv", "ab.csv", "not UTF-8"},
		{"Q1\u2028report.pdf", "Q1report.pdf", "a line separator, as typesetting puts one into a title"},
		{"\u3164a\u034f.pdf", "a.pdf", "invisible letters"},
		{"e\u0301.csv", "\u00e9.csv", "as it is kept"},
		{strings.Repeat("\u0958", 84) + ".csv", strings.Repeat("\u0915\u093c", 41) + "\u0915.csv", "longer in NFC"},
		{". .", plainFilename, "dots and a blank"},
		{"Übersicht 2026.csv", "Übersicht 2026.csv", "other letters stay"},
		{".htaccess", ".htaccess", "a leading dot is a name"},
		{strings.Repeat("é", 200) + ".csv", strings.Repeat("é", 125) + ".csv", "255 bytes, on a rune's border"},
		{"a." + strings.Repeat("x", 400), ("a." + strings.Repeat("x", 400))[:255], "an endless extension"},
	} {
		require.Equal(t, c.want, safeFilename(c.suggested), c.why)
	}
	rapid.Check(t, func(t *rapid.T) {
		name := safeFilename(rapid.OneOf(rapid.String(), rapid.StringOf(rapid.SampledFrom([]rune(". /a\u0301\u0958\u2028"))),
			rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })).Draw(t, "name"))
		if len(name) > maxFilename || strings.Contains(name, "/") || names.StoragePath(norm.NFC.String(name)) != nil {
			t.Fatalf("%q", name)
		}
		if safeFilename(name) != name {
			t.Fatalf("%q is not stable", name)
		}
	})
}

func TestAddressesOfDownloadsHoldNoTokens(t *testing.T) {
	for _, c := range []struct{ raw, want string }{
		{"https://user:pw@a.example:8443/x%2Fy?token=1#frag", "https://a.example:8443/x%2Fy"},
		{"data:text/csv,secret", "data:"},
		{"blob:https://a.example/uuid", "blob:"},
		{"http://[::1", ""},
	} {
		require.Equal(t, c.want, plainURL(c.raw))
	}
}
