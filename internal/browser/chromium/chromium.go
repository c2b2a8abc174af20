//go:build unix

// Package chromium starts Chromium processes, one a runtime, and ends them: with
// the profile, the temporary folders, the downloads and the proxy of each. It puts
// the pages that an agent acts on and the clients from outside on the one pipe of
// the process.
//
// It alone knows that there is a process. What is said over the pipe is the
// business of packages page and devtools.
package chromium

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/target"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/devtools"
	"github.com/bctrl-go/bctrl/internal/browser/page"
	"github.com/bctrl-go/bctrl/internal/egress"
	"github.com/bctrl-go/bctrl/internal/wire"
)

const (
	// stopTimeout is how long a browser may take to close by itself: it writes
	// cookies to disk meanwhile.
	stopTimeout = 5 * time.Second
	// exitTimeout is how long a browser that has closed its pipe may take to
	// exit.
	exitTimeout = 2 * time.Second
	// commandTimeout bounds commands to a browser that may be hanging.
	commandTimeout = 5 * time.Second
)

// maxClients bounds the DevTools clients of one browser.
const maxClients = 16

var errTooManyClients = errors.New("the browser has too many DevTools clients")

// Driver is a [browser.Driver] of real browsers: one process group each, as an
// unprivileged user with Chromium's own sandbox on.
type Driver struct {
	path    string
	user    account
	tempDir string
	disk    *diskWatch
	// actionTimeout is [Options.ActionTimeout].
	actionTimeout time.Duration
}

var _ browser.Preparer = (*Driver)(nil)

// New finds the browser and the user to run it as, and removes what
// servers that were killed left in the temporary directory. The error wraps
// [browser.ErrNoChromium] when the machine has no browser.
func New(o Options) (*Driver, error) {
	path, err := browser.Locate(o.Path)
	if err != nil {
		return nil, err
	}
	user, err := lookupAccount(o.User)
	if err != nil {
		return nil, err
	}
	if o.TempDir == "" {
		o.TempDir = os.TempDir()
	}
	if o.TempDir, err = filepath.Abs(o.TempDir); err != nil { // browsers have another working directory
		return nil, fmt.Errorf("find the temporary directory: %w", err)
	}
	if err := user.checkReach(o.TempDir); err != nil {
		return nil, err
	}
	sweep(o.TempDir, user)
	return &Driver{
		path:          path,
		user:          user,
		tempDir:       o.TempDir,
		disk:          &diskWatch{folder: o.TempDir, look: spaceLeft},
		actionTimeout: o.ActionTimeout,
	}, nil
}

// Sweep is once more what [New] does for what servers that were killed have left, and returns how many
// folders cannot be removed yet.
func (d *Driver) Sweep() (left int) { return sweep(d.tempDir, d.user) }

// instance is one running browser.
type instance struct {
	user      account
	profile   *profile   // nil for an ephemeral browser
	jar       *cookieJar // nil where nobody keeps cookies
	dirs      dirs
	leaveDirs bool // they have the only copy of what could not be saved
	proxy     *egress.Proxy
	proc      *process
	display   *display // nil for a browser without a window
	mux       *devtools.Mux
	downloads *downloads
	tabEvents *tabEvents
	copies    clientCopies
	clients   chan struct{} // holds an element for each client of ServeCDP
	firstTabs []target.ID   // the tabs that it began with
	// emulator is nil where the command line says all of how the browser appears.
	emulator    *emulator
	permissions []permission
	overMemory  atomic.Bool // it was killed for the memory that it took
	disk        *diskWatch
	noDisk      atomic.Bool // it was killed since nothing was left of its disk
	isAssigned  atomic.Bool // somebody uses it
	// actionTimeout is [Options.ActionTimeout].
	actionTimeout time.Duration

	pagesMu   sync.Mutex // held while pages is made
	pages     atomic.Pointer[page.Set]
	listening bool // to the dialogs of clients' tabs; guarded by pagesMu

	ready chan struct{} // closed when it has answered first
	guard sync.WaitGroup
	hung  atomic.Bool // it was killed because it did not answer
	// stills counts who has its processes stand still: see [instance.holdStill].
	stills atomic.Int32
	// oomKills is what oomKills was while it lived: about two seconds ago.
	oomKills atomic.Int64

	driversMu sync.Mutex // guards drivers
	drivers   []browser.WebDriver

	life context.Context // ends with the browser
	end  context.CancelFunc

	stopOnce sync.Once
	stopping chan struct{} // closed when Stop was called
	done     chan struct{} // closed when everything is gone
	err      error         // valid after done
}

var _ browser.Prepared = (*instance)(nil)

// Launch starts a browser. See [browser.Driver]. The error wraps
// [browser.ErrProfileInUse] when another browser has the profile.
func (d *Driver) Launch(ctx context.Context, spec browser.Spec) (browser.Browser, error) {
	b, err := d.launch(ctx, spec)
	if err != nil {
		return nil, err
	}
	b.Assign(spec)
	return b, nil
}

// Prepare starts a browser for whoever comes first. See [browser.Preparer].
func (d *Driver) Prepare(ctx context.Context) (browser.Prepared, error) {
	b, err := d.launch(ctx, browser.Spec{ID: "warm"})
	if err != nil {
		return nil, err // a nil instance would not be a nil browser
	}
	return b, nil
}

// Assign says what the browser may reach and who gets its downloads. See
// [browser.Prepared].
func (b *instance) Assign(spec browser.Spec) {
	b.isAssigned.Store(true)
	b.downloads.deliverTo(spec.OnDownload)
	b.tabEvents.deliverTo(spec.OnEvent)
	b.proxy.Open(spec.Egress, spec.Gate)
}

// launch starts a browser that is nobody's until it is assigned.
func (d *Driver) launch(ctx context.Context, spec browser.Spec) (_ *instance, err error) {
	if d.disk.isBelow(launchNeeds) {
		return nil, browser.ErrDiskFull
	}
	b := &instance{
		user:          d.user,
		disk:          d.disk,
		actionTimeout: d.actionTimeout,
		tabEvents:     newTabEvents(),
		clients:       make(chan struct{}, maxClients),
		stopping:      make(chan struct{}),
		done:          make(chan struct{}),
		emulator:      newEmulator(spec.Config),
		permissions:   permissionsOf(spec.Config),
		ready:         make(chan struct{}),
	}
	b.life, b.end = context.WithCancel(context.WithoutCancel(ctx))
	b.oomKills.Store(oomKills())
	if err := b.prepare(d.tempDir, spec); err != nil {
		b.end()
		return nil, errors.Join(withDiskFull(err), b.cleanUp())
	}
	path, env := d.path, environment(spec, b.dirs)
	if spec.Config.Headful {
		if path, err = b.openDisplay(ctx, spec.Config); err != nil {
			b.end()
			return nil, errors.Join(err, b.cleanUp())
		}
		env = append(env, b.display.environment()...)
	}
	b.proc, err = start(path, arguments(spec, b.dirs, b.proxy), env, b.dirs.root, d.user)
	if err != nil {
		b.end()
		return nil, errors.Join(err, b.cleanUp())
	}
	b.downloads = newDownloads(
		b.life, spec.Config.Downloads, b.dirs.downloads, d.user, b.cancelDownload, b.downloadOver)
	b.copies.uploads = uploads{b.dirs.uploads, b.user}
	b.mux = devtools.New(b.proc.in, b.proc.out, b.onEvent)
	b.guard.Go(func() {
		select {
		case <-b.ready:
			b.guardAgainstHangs()
		case <-b.life.Done():
		}
	})
	if b.jar != nil {
		b.guard.Go(func() {
			select {
			case <-b.ready:
				b.followCookies()
			case <-b.life.Done():
			}
		})
	}
	b.disk.add(b)
	go b.watch()
	if most := spec.Config.MaxMemoryBytes; most > 0 {
		go b.watchMemory(most)
	}

	if err := b.begin(ctx, spec); err != nil {
		if errors.Is(err, devtools.ErrBrowserGone) {
			<-b.done
			return nil, errors.Join(err, b.err) // b.err has its last words
		}
		b.stopOnce.Do(func() {
			close(b.stopping)
			b.proc.sendKill() // it has nothing to save
		})
		<-b.done
		return nil, errors.Join(err, b.err)
	}
	close(b.ready)
	return b, nil
}

// prepare makes what the process needs: profile, folders, proxy.
func (b *instance) prepare(base string, spec browser.Spec) (err error) {
	if p := spec.Profile; p != nil {
		if b.profile, err = openProfile(p.Dir, p.Key.Lock()); err != nil {
			return err
		}
		if p.OnCookies != nil {
			b.jar = &cookieJar{keep: p.OnCookies}
		}
	}
	if b.dirs, err = makeDirs(base, spec.ID, b.user); err != nil {
		return err
	}
	if b.profile != nil {
		if err := b.profile.load(b.dirs.data, spec.Profile.Key, b.user); err != nil {
			return err
		}
		if err := b.dirs.noteProfile(b.profile); err != nil {
			return err
		}
	}
	b.proxy, err = egress.NewProxy(spec.Route)
	return err
}

// openDisplay starts the display of a browser with a window, and returns the path of one
// that has windows.
func (b *instance) openDisplay(ctx context.Context, c bctrl.LaunchConfig) (path string, err error) {
	path, server, err := browser.LocateHeadful()
	if err != nil {
		return "", err
	}
	width, height := viewport(c)
	b.display, err = startDisplay(ctx, server, b.dirs, b.user, width, height)
	return path, err
}

// begin lets the browser's connections to its proxy, and waits until it is ready.
func (b *instance) begin(ctx context.Context, spec browser.Spec) error {
	if err := b.serveProxy(spec.Route); err != nil {
		return err
	}
	var cookies []wire.Cookie
	if spec.Profile != nil {
		cookies = spec.Profile.Cookies
	}
	return b.waitReady(ctx, cookies)
}

// waitReady waits until the browser answers, tells it where downloads go, gives it the cookies
// that it begins with, and notes the tabs that are there before any client can have opened one.
func (b *instance) waitReady(ctx context.Context, cookies []wire.Cookie) error {
	if err := b.mux.Call(ctx, cdpbrowser.CommandSetDownloadBehavior, b.downloads.behavior(""), nil); err != nil {
		return fmt.Errorf("wait for the browser: %w", err)
	}
	if err := b.giveCookies(ctx, cookies); err != nil {
		return err
	}
	discover := target.SetDiscoverTargetsParams{Discover: true}
	if err := b.mux.Call(ctx, target.CommandSetDiscoverTargets, discover, nil); err != nil {
		return fmt.Errorf("watch the browser's tabs: %w", err)
	}
	var got target.GetTargetsResult
	if err := b.mux.Call(ctx, target.CommandGetTargets, struct{}{}, &got); err != nil {
		return fmt.Errorf("list the browser's tabs: %w", err)
	}
	for _, info := range got.TargetInfos {
		b.firstTabs = append(b.firstTabs, info.TargetID)
	}
	if err := b.setPermissions(ctx, ""); err != nil {
		return err
	}
	if b.emulator == nil {
		return nil
	}
	return b.emulator.start(ctx, b.life, b.mux)
}

// KeepDownloadsOf sends the downloads of a client's own browser context to where all
// downloads go, and permits its pages what those of the others are.
func (b *instance) KeepDownloadsOf(id cdp.BrowserContextID) {
	ctx, cancel := context.WithTimeout(b.life, commandTimeout)
	defer cancel()
	// They fail when the context is gone, which then has no downloads and no pages.
	_ = b.mux.Call(ctx, cdpbrowser.CommandSetDownloadBehavior, b.downloads.behavior(id), nil)
	_ = b.setPermissions(ctx, id)
}

// onEvent handles an event of the browser itself, and one of a dialog of a target. It does
// not block.
func (b *instance) onEvent(of target.ID, method string, params jsonv2.Value) {
	b.tabEvents.onEvent(of, method, params)
	if frame, begun := b.downloads.onEvent(method, params); begun {
		if p := b.pages.Load(); p != nil {
			p.NoteDownload(frame)
		}
	}
}

func (b *instance) cancelDownload(guid string) {
	ctx, cancel := context.WithTimeout(b.life, commandTimeout)
	defer cancel()
	// It fails when the download is over, which then need not be cancelled.
	_ = b.mux.Call(ctx, cdpbrowser.CommandCancelDownload, cdpbrowser.CancelDownloadParams{GUID: guid}, nil)
}

// downloadOver tells clients what became of a download.
func (b *instance) downloadOver(guid, kept string) { b.mux.DownloadOver(guid, kept) }

// Page returns the agent's page. See [browser.Browser].
//
// Tabs are watched from the first call on.
func (b *instance) Page(ctx context.Context) (browser.Page, error) {
	p, err := b.openPages(ctx)
	if err != nil {
		return nil, err
	}
	if err := p.Ready(ctx); err != nil {
		return nil, err
	}
	return p, nil
}

// Screen returns what a person sees. See [browser.Browser].
func (b *instance) Screen(ctx context.Context) (browser.Screen, error) {
	p, err := b.openPages(ctx)
	if err != nil {
		return nil, err
	}
	return p.Screen(), nil
}

func (b *instance) openPages(ctx context.Context) (*page.Set, error) {
	b.pagesMu.Lock()
	defer b.pagesMu.Unlock()
	if p := b.pages.Load(); p != nil {
		return p, nil
	}
	if b.life.Err() != nil {
		return nil, devtools.ErrBrowserGone
	}
	client, err := b.mux.AttachServer(ctx)
	if err != nil {
		return nil, err
	}
	p, err := page.Open(ctx, client, page.Surroundings{
		Proxy:         b.proxy,
		Clients:       b.mux,
		Copies:        uploads{b.dirs.uploads, b.user},
		TabIDs:        &b.tabEvents.ids,
		World:         b.mux.World(),
		ActionTimeout: b.actionTimeout,
	}, b.firstTabs)
	if err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commandTimeout)
		defer cancel()
		client.Close(ctx)
		return nil, err
	}
	b.pages.Store(p)
	return p, nil
}

// closePages ends the watching of tabs once the browser has ended.
func (b *instance) closePages() {
	b.pagesMu.Lock()
	defer b.pagesMu.Unlock()
	if p := b.pages.Load(); p != nil {
		p.Close()
	}
}

// CarriesFill reports whether a request holds what the server filled in.
func (b *instance) CarriesFill(id network.RequestID) bool {
	p := b.pages.Load()
	return p != nil && p.CarriesFill(id)
}

// SentHTTPLogin reports whether any request had a login of HTTP with it.
func (b *instance) SentHTTPLogin() bool {
	p := b.pages.Load()
	return p != nil && p.SentHTTPLogin()
}

// KeepsRequest reports whether a request has to do with what the server filled in.
func (b *instance) KeepsRequest(id network.RequestID, r *network.Request) bool {
	p := b.pages.Load()
	return p != nil && p.KeepsRequest(id, r)
}

// HoldsFilled reports whether a text holds what the server filled in.
func (b *instance) HoldsFilled(text []byte) bool {
	p := b.pages.Load()
	return p != nil && p.HoldsFilled(text)
}

// MaskFilled takes what the server filled in out of a text.
func (b *instance) MaskFilled(text string) string {
	p := b.pages.Load()
	if p == nil {
		return text
	}
	return p.MaskFilled(text)
}

// FindFilled looks for what the server filled in, in a text that may go on.
func (b *instance) FindFilled(text []byte, end bool) (found bool, open int) {
	p := b.pages.Load()
	if p == nil {
		return false, 0
	}
	return p.FindFilled(text, end)
}

// HasWindow reports whether the browser shows its pages in a window.
func (b *instance) HasWindow() bool { return b.display != nil }

// CheckPrintable refuses to have a tab printed for a client that holds what was filled in.
func (b *instance) CheckPrintable(ctx context.Context, tab target.ID) error {
	p := b.pages.Load()
	if p == nil {
		return nil
	}
	return p.CheckPrintable(ctx, tab)
}

// CheckPrinted refuses a PDF that a client has printed and that says what was filled in.
func (b *instance) CheckPrinted(
	ctx context.Context, pdf []byte, read func(context.Context, []byte) (string, error),
) error {
	p := b.pages.Load()
	if p == nil {
		return nil
	}
	return p.CheckPrinted(ctx, pdf, read)
}

// Fills is how many secrets the server has filled in, and whether one may still be sent.
func (b *instance) Fills() (count int, waiting bool) {
	p := b.pages.Load()
	if p == nil {
		return 0, false
	}
	return p.Fills()
}

// ServeCDP serves one DevTools client from outside. See [browser.Browser]; what it may
// do is in package devtools. It returns nil when the client left, the browser
// ended or ctx did, else why the client was dropped.
func (b *instance) ServeCDP(ctx context.Context, conn browser.CDPConn) error {
	select {
	case b.clients <- struct{}{}:
		defer func() { <-b.clients }()
	default:
		return errTooManyClients
	}
	if err := b.listenForDialogs(ctx); err != nil {
		return err
	}
	return b.mux.Serve(ctx, conn, b)
}

// listenForDialogs has somebody hear of dialogs in every tab: who watches pages does.
func (b *instance) listenForDialogs(ctx context.Context) error {
	b.pagesMu.Lock()
	defer b.pagesMu.Unlock()
	if b.listening || b.pages.Load() != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, commandTimeout) // others wait for pagesMu
	defer cancel()
	err := b.mux.ListenForDialogs(ctx)
	b.listening = err == nil
	return err
}

// Done is closed when the browser and all it left are gone. See [browser.Browser].
func (b *instance) Done() <-chan struct{} { return b.done }

// Err says why the browser is gone. See [browser.Browser].
func (b *instance) Err() error {
	select {
	case <-b.done:
		return b.err
	default:
		return nil
	}
}

// Stop ends the browser and waits until all of it is gone. See [browser.Browser].
//
// One with a profile is asked to close, which writes the profile to disk, and is killed
// when it has not ended after [stopTimeout] or when ctx ends. One without has nothing
// that would be kept, and is killed.
func (b *instance) Stop(ctx context.Context) error {
	b.stopOnce.Do(func() {
		close(b.stopping)
		if b.profile == nil {
			b.proc.sendKill()
			return
		}
		ctx, cancel := context.WithTimeout(ctx, stopTimeout)
		defer cancel()
		// A browser that hangs does not read its pipe either.
		calm := context.AfterFunc(ctx, func() { b.proc.sendKill() })
		_ = b.keepCookies(ctx)                                        // where it fails, those of half a second ago are kept
		_ = b.mux.Call(ctx, cdpbrowser.CommandClose, struct{}{}, nil) // if it fails the browser is killed
		select {
		case <-b.proc.exited:
			calm()
		case <-ctx.Done():
		}
	})
	select {
	case <-b.done:
		return b.err
	case <-ctx.Done():
		return fmt.Errorf("stop the browser: %w", ctx.Err())
	}
}
