package browser

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp/jsonv2"

	"github.com/bctrl-go/bctrl/internal/egress"
)

const (
	// stopTimeout is how long a browser may take to close by itself: it writes
	// cookies to disk meanwhile.
	stopTimeout = 5 * time.Second
	// detachTimeout bounds saying goodbye to a browser that may be hanging.
	detachTimeout = 5 * time.Second
)

// Options configure [NewChromium]. The zero value is fine.
type Options struct {
	// Path is the browser's program; empty looks for one: see [Locate].
	Path string
	// User runs the browsers when the server is root; empty is "nobody". When
	// the server is not root, browsers run as the server's own user.
	User string
	// TempDir is where browsers keep what ends with them; empty is
	// [os.TempDir]. User must be able to reach it.
	TempDir string
}

// Chromium is a [Driver] of real browsers: one process group each, as an
// unprivileged user with Chromium's own sandbox on.
type Chromium struct {
	path    string
	user    account
	tempDir string

	mu       sync.Mutex
	profiles map[string]struct{} // in use, by directory
}

var _ Driver = (*Chromium)(nil)

// NewChromium finds the browser and the user to run it as. The error wraps
// [ErrNoChromium] when the machine has none.
func NewChromium(o Options) (*Chromium, error) {
	path, err := Locate(o.Path)
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
	return &Chromium{path: path, user: user, tempDir: o.TempDir, profiles: map[string]struct{}{}}, nil
}

// chromium is one running browser.
type chromium struct {
	driver *Chromium
	spec   Spec
	dirs   dirs
	proxy  *egress.Proxy
	proc   *process
	mux    *mux

	life context.Context // ends with the browser
	end  context.CancelFunc

	stopOnce sync.Once
	stopping chan struct{} // closed when Stop was called
	done     chan struct{} // closed when everything is gone
	err      error         // valid after done
}

var _ Browser = (*chromium)(nil)

// Launch starts a browser. See [Driver].
func (d *Chromium) Launch(ctx context.Context, spec Spec) (_ Browser, err error) {
	b := &chromium{driver: d, spec: spec, stopping: make(chan struct{}), done: make(chan struct{})}
	b.life, b.end = context.WithCancel(context.WithoutCancel(ctx))
	if b.dirs, err = makeDirs(d.tempDir, spec.ID, d.user); err != nil {
		return nil, err
	}
	if b.proxy, err = egress.NewProxy(spec.Egress); err != nil {
		return nil, errors.Join(err, b.dirs.remove())
	}
	b.proc, err = start(d.path, arguments(spec, b.dirs, b.proxy.URL()), environment(b.dirs), b.dirs.root, d.user)
	if err != nil {
		return nil, errors.Join(err, b.proxy.Close(), b.dirs.remove())
	}
	b.mux = newMux(b.proc.in, b.proc.out, b.onEvent)
	go b.watch()

	if err := b.ready(ctx); err != nil {
		stopErr := b.Stop(context.WithoutCancel(ctx))
		return nil, errors.Join(err, b.err, stopErr)
	}
	return b, nil
}

// ready waits until the browser answers.
func (b *chromium) ready(ctx context.Context) error {
	if err := b.mux.call(ctx, cdpbrowser.CommandGetVersion, struct{}{}, nil); err != nil {
		return fmt.Errorf("wait for the browser: %w", err)
	}
	return nil
}

// onEvent handles what the browser says to the server itself.
func (b *chromium) onEvent(string, jsonv2.Value) {}

// watch waits for the end of the process, wanted or not, and cleans up.
func (b *chromium) watch() {
	select {
	case <-b.proc.exited:
	case <-b.mux.done:
		// A browser whose pipe has ended is of no use, alive or not.
	}
	select {
	case <-b.stopping:
	default:
		// The exit status comes a moment after the pipe's end.
		select {
		case <-b.proc.exited:
		case <-time.After(time.Second):
		}
	}
	wanted := b.wanted()
	b.end()
	ctx, cancel := context.WithTimeout(context.Background(), 2*reapTimeout)
	defer cancel()
	cleanup := []error{b.proc.kill(ctx)}
	<-b.mux.done
	cleanup = append(cleanup, b.proxy.Close(), b.dirs.remove())
	if !wanted {
		cleanup = append([]error{b.proc.failure()}, cleanup...)
	}
	b.err = errors.Join(cleanup...)
	close(b.done)
}

func (b *chromium) wanted() bool {
	select {
	case <-b.stopping:
		return true
	default:
		return false
	}
}

// Page returns the agent's page. See [Browser].
func (b *chromium) Page(context.Context) (Page, error) {
	return nil, errors.ErrUnsupported
}

// Done is closed when the browser and all it left are gone. See [Browser].
func (b *chromium) Done() <-chan struct{} { return b.done }

// Err says why the browser is gone. See [Browser].
func (b *chromium) Err() error {
	select {
	case <-b.done:
		return b.err
	default:
		return nil
	}
}

// Stop asks the browser to close, which writes its profile to disk, and kills
// what has not ended after [stopTimeout] or when ctx ends. See [Browser].
func (b *chromium) Stop(ctx context.Context) error {
	b.stopOnce.Do(func() {
		close(b.stopping)
		ctx, cancel := context.WithTimeout(ctx, stopTimeout)
		defer cancel()
		_ = b.mux.call(ctx, cdpbrowser.CommandClose, struct{}{}, nil) // the kill below is the answer to an error
		select {
		case <-b.proc.exited:
		case <-ctx.Done():
			b.proc.signal(syscall.SIGKILL)
		}
	})
	select {
	case <-b.done:
		return b.err
	case <-ctx.Done():
		return fmt.Errorf("stop the browser: %w", ctx.Err())
	}
}
