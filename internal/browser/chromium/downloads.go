//go:build unix

package chromium

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode/utf8"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/cdp/jsonv2"
	"golang.org/x/text/unicode/norm"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
	"github.com/bctrl-go/bctrl/internal/names"
)

const (
	// maxDownload bounds one file, in bytes; one that grows past it is
	// cancelled.
	maxDownload = 1 << 30
	// maxDownloads bounds the downloads of one browser at a time.
	maxDownloads = 16
	// maxFilename is what one storage segment holds, in bytes.
	maxFilename = 255
	// deliverTimeout is how long a delivery may outlive its browser.
	deliverTimeout = 10 * time.Second
	// plainFilename names a download whose page suggests nothing usable.
	plainFilename = "download"
)

var errNotADownload = errors.New("the downloaded file is not what the browser wrote")

// downloads receives what pages deliver. The browser writes each file under an
// id of its own into a folder of the runtime; the page's name for it never
// becomes a path.
type downloads struct {
	dir   string
	owner account
	limit int64
	// denied has the browser refuse every file.
	denied bool
	// over is told what became of the file of a download that is complete: where
	// clients find it, "" for nowhere.
	over func(guid, kept string)
	// cancelDownload stops a download that is too large, or of which there are too
	// many.
	cancelDownload func(guid string)

	ctx  context.Context // ends with the last delivery
	end  context.CancelFunc
	work sync.WaitGroup

	mu sync.Mutex
	// deliver is [browser.Spec.OnDownload]; nil drops every file.
	deliver func(context.Context, browser.Download) (kept string, err error)
	closed  bool
	active  map[string]browser.Download // by guid, not yet complete
}

// newDownloads receives into dir what a policy lets through, nil being all of it, and
// what nobody gets until deliverTo.
func newDownloads(ctx context.Context, policy *bctrl.LaunchDownloads, dir string, owner account,
	cancel func(guid string), over func(guid, kept string)) *downloads {
	ctx, end := context.WithCancel(context.WithoutCancel(ctx))
	limit, denied := int64(maxDownload), false
	if policy != nil {
		limit, denied = cmp.Or(policy.MaxBytes, limit), policy.Policy == bctrl.DownloadsDeny
	}
	return &downloads{
		denied:         denied,
		ctx:            ctx,
		end:            end,
		dir:            dir,
		owner:          owner,
		limit:          limit,
		cancelDownload: cancel,
		over:           over,
		active:         map[string]browser.Download{},
	}
}

// deliverTo says who receives the downloads from now on.
func (d *downloads) deliverTo(receive func(context.Context, browser.Download) (kept string, err error)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.deliver = receive
}

// behavior are the parameters that have the browser put the downloads of a browser
// context into the folder, and tell of them. "" is the context that it began with.
func (d *downloads) behavior(of cdp.BrowserContextID) cdpbrowser.SetDownloadBehaviorParams {
	events := true
	if d.denied {
		return cdpbrowser.SetDownloadBehaviorParams{
			Behavior:         cdpbrowser.SetDownloadBehaviorBehaviorDeny,
			BrowserContextID: of,
			EventsEnabled:    &events,
		}
	}
	return cdpbrowser.SetDownloadBehaviorParams{
		Behavior:         cdpbrowser.SetDownloadBehaviorBehaviorAllowAndName,
		BrowserContextID: of,
		DownloadPath:     d.dir,
		EventsEnabled:    &events,
	}
}

// onEvent handles an event of the browser, and returns the frame of a download that has
// begun. It does not block.
func (d *downloads) onEvent(method string, params jsonv2.Value) (frame cdp.FrameID, begun bool) {
	switch method {
	case cdpbrowser.DownloadWillBegin.Method:
		var ev cdpbrowser.EventDownloadWillBegin
		if jsonv2.Unmarshal(params, &ev, protocol.PageText()) == nil {
			d.onBegin(ev)
			return ev.FrameID, true
		}
	case cdpbrowser.DownloadProgress.Method:
		var ev cdpbrowser.EventDownloadProgress
		if jsonv2.Unmarshal(params, &ev, protocol.PageText()) == nil {
			d.onProgress(ev)
		}
	}
	return "", false
}

func (d *downloads) onBegin(ev cdpbrowser.EventDownloadWillBegin) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.active) >= maxDownloads {
		d.spawn(func() { d.cancelDownload(ev.GUID) })
		return
	}
	d.active[ev.GUID] = browser.Download{Filename: safeFilename(ev.SuggestedFilename), URL: plainURL(ev.URL)}
}

func (d *downloads) onProgress(ev cdpbrowser.EventDownloadProgress) {
	d.mu.Lock()
	defer d.mu.Unlock()
	file, known := d.active[ev.GUID]
	switch ev.State {
	case cdpbrowser.DownloadProgressStateInProgress:
		if known && int64(max(ev.ReceivedBytes, ev.TotalBytes)) > d.limit {
			delete(d.active, ev.GUID)
			d.spawn(func() { d.cancelDownload(ev.GUID) })
		}
	case cdpbrowser.DownloadProgressStateCompleted:
		delete(d.active, ev.GUID)
		d.spawn(func() { d.over(ev.GUID, d.finish(ev.GUID, file, known)) })
	case cdpbrowser.DownloadProgressStateCanceled:
		delete(d.active, ev.GUID)
		d.spawn(func() { d.finish(ev.GUID, file, false) })
	}
}

// spawn runs fn beside the reader of the pipe. Call it with mu held.
func (d *downloads) spawn(fn func()) {
	if !d.closed {
		d.work.Go(fn)
	}
}

// close waits for what is being delivered, for a while: a file that a page has
// delivered whole is not lost because its browser ends.
func (d *downloads) close() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	defer d.end()
	defer time.AfterFunc(deliverTimeout, d.end).Stop()
	d.work.Wait()
}

// finish hands a complete file to the receiver when it is wanted, and removes it in any
// case. It returns where clients find it, "" when it was not kept. The receiver reports its
// errors itself: no page waits for them.
func (d *downloads) finish(guid string, file browser.Download, wanted bool) (kept string) {
	folder, err := os.OpenRoot(d.dir)
	if err != nil {
		return "" // the runtime is gone
	}
	defer folder.Close()
	defer func() { _, _ = folder.Remove(guid), folder.Remove(guid+".crdownload") }() // one of them is there
	d.mu.Lock()
	deliver := d.deliver
	d.mu.Unlock()
	if !wanted || deliver == nil {
		return ""
	}
	opened, err := d.open(folder, guid)
	if err != nil {
		return ""
	}
	info, err := opened.Stat()
	_ = opened.Close()
	if err != nil || info.Size() > d.limit {
		return ""
	}
	file.Size = info.Size()
	file.Open = func() (io.ReadCloser, error) { return d.open(folder, guid) }
	if kept, err = deliver(d.ctx, file); err != nil {
		return ""
	}
	return kept
}

// open opens a downloaded file. The folder is the browser's to write, and the
// server may be root: only a plain file that the browser's user owns will do,
// no link and no pipe.
func (d *downloads) open(folder *os.Root, guid string) (*os.File, error) {
	f, err := folder.OpenFile(guid, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open the download: %w", err)
	}
	info, err := f.Stat()
	if err == nil && (!info.Mode().IsRegular() || !d.owner.owns(info)) {
		err = errNotADownload
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// safeFilename makes of a page's suggestion one segment of a storage key, in the form
// NFC in which it is stored: without directories and the characters that no key has,
// and cut to 255 bytes with its extension kept.
func safeFilename(suggested string) string {
	name := strings.ToValidUTF8(suggested, "")
	name = name[strings.LastIndexAny(name, `/\`)+1:]
	name = norm.NFC.String(strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !names.StorageRune(r) {
			return -1
		}
		return r
	}, name))
	name = strings.TrimSpace(name)
	if strings.Trim(name, ". ") == "" {
		return plainFilename
	}
	ext := path.Ext(name)
	if len(ext) > 32 {
		ext = ""
	}
	stem := strings.TrimSuffix(name, ext)
	for len(stem)+len(ext) > maxFilename {
		_, size := utf8.DecodeLastRuneInString(stem)
		stem = stem[:len(stem)-size]
	}
	return strings.TrimRight(stem, " ") + ext
}

// plainURL drops what may hold a token: user, query, fragment, and all of an
// address that is not of the web.
func plainURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return (&url.URL{Scheme: u.Scheme, Opaque: ""}).String()
	}
	return (&url.URL{
		Scheme:  u.Scheme,
		Host:    u.Host,
		Path:    u.Path,
		RawPath: u.RawPath,
	}).String()
}
