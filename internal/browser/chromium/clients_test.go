package chromium

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/page"
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
			require.Equal(t, `/storage/`+d.Filename, endOfDownload(o, cdpbrowser.DownloadProgress.Method).Path)
		}
		require.NoError(t, protocol.Tell(t.Context(), o.Root, target.DisposeBrowserContext,
			target.DisposeBrowserContextParams(own)))
	}
	requireEmptyDir(t, b.dirs.downloads)
}

// downloadEnd is how a download has ended, as a client is told.
type downloadEnd struct {
	State string `json:"state"`
	Path  string `json:"filePath"`
}

func endOfDownload(o *browsertest.Outsider, method string) (end downloadEnd) {
	o.Helper()
	for {
		require.NoError(o, json.Unmarshal(o.NextEvent(method).Params, &end))
		if end.State != "inProgress" {
			return end
		}
	}
}

// TestClientsHearOfADownloadOnceItsFileIsKept looks at each way in which clients listen:
// with the connection, with a tab, and with a tab's own older events.
func TestClientsHearOfADownloadOnceItsFileIsKept(t *testing.T) {
	kept := make(chan error)
	b := launch(t, browser.Spec{
		ID:     "kept",
		Egress: browsertest.Loopback(),
		OnDownload: func(context.Context, browser.Download) (string, error) {
			return "/storage/downloads/report.csv", <-kept
		},
	})
	url, _ := browsertest.DownloadSite(t)
	o := browsertest.Join(t, b)
	tab := o.OpenTab(url, "")
	require.Eventually(t, func() bool { return o.Evaluate(tab, "!!document.querySelector('#report')") == "true" },
		10*time.Second, 10*time.Millisecond)
	require.NoError(t, protocol.Tell(t.Context(), tab, page.Enable, page.EnableParams{}))
	listen := func(in protocol.Caller, want bool) {
		require.NoError(t, protocol.Tell(t.Context(), in, cdpbrowser.SetDownloadBehavior,
			cdpbrowser.SetDownloadBehaviorParams{
				Behavior:      cdpbrowser.SetDownloadBehaviorBehaviorAllowAndName,
				DownloadPath:  "/tmp/of-the-client",
				EventsEnabled: &want,
			}))
	}
	const older = "Page.downloadProgress"
	for _, c := range []struct {
		in        protocol.Caller
		method    string
		kept      error
		want, why string
	}{
		{o.Root, cdpbrowser.DownloadProgress.Method, nil, "completed", "puppeteer and Playwright listen with the connection"},
		{tab, cdpbrowser.DownloadProgress.Method, nil, "completed", "chromedp listens with the tab"},
		{nil, older, nil, "completed", "rod listens to the tab's own"},
		{o.Root, cdpbrowser.DownloadProgress.Method, errors.New("full"), "canceled", "a file that was not kept is not there"},
		{nil, older, errors.New("full"), "canceled", "nor for the older event"},
	} {
		o.ForgetEvents()
		if c.in != nil {
			listen(c.in, true)
		}
		o.Evaluate(tab, "document.querySelector('#report').click()")
		require.Eventually(t, func() bool { return len(b.downloadsDone(t)) == 1 }, 10*time.Second, 5*time.Millisecond, c.why)
		for _, seen := range o.Seen() {
			require.NotContains(t, seen, "completed", c.why)
			require.NotContains(t, seen, b.dirs.root, "no path of the machine")
		}
		kept <- c.kept
		end := endOfDownload(o, c.method)
		require.Equal(t, c.want, end.State, c.why)
		if c.method != older && c.kept == nil {
			require.Equal(t, "/storage/downloads/report.csv", end.Path, c.why)
		}
		requireEmptyDir(t, b.dirs.downloads)
		if c.in != nil {
			listen(c.in, false)
		}
	}
	o.Leave()
}

// downloadsDone lists the files that the browser has written whole.
func (b *instance) downloadsDone(t *testing.T) (whole []string) {
	entries, err := os.ReadDir(b.dirs.downloads)
	require.NoError(t, err)
	for _, e := range entries {
		if filepath.Ext(e.Name()) == "" {
			whole = append(whole, e.Name())
		}
	}
	return whole
}

// TestAClientGivesAPageItsFilesByTheirNames gives some to an input of a page, of a frame, and
// to one that asks.
func TestAClientGivesAPageItsFilesByTheirNames(t *testing.T) {
	b := launch(t, browser.Spec{ID: "files", Egress: browsertest.Loopback()})
	url := browsertest.ServePage(t, `<input type=file multiple id=in><script>
		const read = async () => JSON.stringify(await Promise.all([...document.querySelector('#in').files]
			.map(async f => [f.name, f.type, await f.text()])))</script>`)
	o := browsertest.JoinWithFiles(t, b, map[string]string{"/storage/reports/q1.pdf": "first", "notes.txt": "second"})
	tab := o.OpenTab(url, "")
	require.Eventually(t, func() bool { return o.Evaluate(tab, "typeof read") == `"function"` },
		10*time.Second, 10*time.Millisecond)
	give := func(names ...string) error {
		document, err := protocol.Call(t.Context(), tab, dom.GetDocument, dom.GetDocumentParams{})
		require.NoError(t, err)
		input, err := protocol.Call(t.Context(), tab, dom.QuerySelector, dom.QuerySelectorParams{
			NodeID: document.Root.NodeID, Selector: "#in",
		})
		require.NoError(t, err)
		return protocol.Tell(t.Context(), tab, dom.SetFileInputFiles,
			dom.SetFileInputFilesParams{Files: names, NodeID: input.NodeID})
	}
	require.NoError(t, give("/storage/reports/q1.pdf", "notes.txt"))
	both := `"[[\"q1.pdf\",\"application/pdf\",\"first\"],[\"notes.txt\",\"text/plain\",\"second\"]]"`
	require.Equal(t, both, o.Evaluate(tab, "read()"))

	secret := filepath.Join(t.TempDir(), "secret.txt")
	require.NoError(t, os.WriteFile(secret, []byte("canary"), 0o644))
	for _, names := range [][]string{{secret}, {"notes.txt", secret}, {"/etc/passwd"}, {b.dirs.root}} {
		require.ErrorContains(t, give(names...), "storage.not_found")
		require.Equal(t, both, o.Evaluate(tab, "read()"), "it holds what it held")
	}
	require.NoError(t, protocol.Tell(t.Context(), tab, page.SetInterceptFileChooserDialog,
		page.SetInterceptFileChooserDialogParams{Enabled: true}))
	require.NoError(t, protocol.Tell(t.Context(), tab, page.Enable, page.EnableParams{}))
	o.Evaluate(tab, "document.querySelector('#in').click()")
	var asked page.EventFileChooserOpened
	require.NoError(t, jsonv2.Unmarshal(o.NextEvent(page.FileChooserOpened.Method).Params, &asked))
	require.NoError(t, protocol.Tell(t.Context(), tab, dom.SetFileInputFiles,
		dom.SetFileInputFilesParams{Files: []string{"notes.txt"}, BackendNodeID: asked.BackendNodeID}))
	require.Equal(t, `"[[\"notes.txt\",\"text/plain\",\"second\"]]"`, o.Evaluate(tab, "read()"))

	other := browsertest.Join(t, b)
	tab = other.AttachTab(tab.TargetID)
	o = other
	require.ErrorContains(t, give("/storage/reports/q1.pdf"), "refused", "who has none is given none")
}

// TestCopiesOfClientsAreBounded fills their room with files of which nothing is written.
func TestCopiesOfClientsAreBounded(t *testing.T) {
	user, err := lookupAccount("")
	require.NoError(t, err)
	d, err := makeDirs(t.TempDir(), "copies", user)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.remove()) })
	c := clientCopies{uploads: uploads{d.uploads, user}}
	file := func(name string, size int64, err error) browser.File {
		return browser.File{Name: name, Size: size, WriteTo: func(context.Context, io.Writer) error { return err }}
	}
	now := time.Now()
	first, err := c.add(t.Context(), file("a", browser.MaxUpload, nil), now)
	require.NoError(t, err)
	_, err = c.add(t.Context(), file("b", 1, nil), now.Add(copyAge-1))
	require.ErrorContains(t, err, "page.uploads_full")
	require.FileExists(t, first, "the page may still read it")
	broken := errors.New("no more")
	_, err = c.add(t.Context(), file("b", 1, broken), now.Add(copyAge))
	require.ErrorIs(t, err, broken)
	require.NoFileExists(t, first, "nobody has wanted it for a while")
	require.Zero(t, c.bytes, "and what failed takes no room")
	for _, name := range []string{"", ".", "..", "a/b", `a\b`, strings.Repeat("n", 256)} {
		_, err = c.add(t.Context(), file(name, 1, nil), now)
		require.ErrorContains(t, err, "page.invalid_files")
	}
	left, err := os.ReadDir(d.uploads)
	require.NoError(t, err)
	require.Empty(t, left)
}
