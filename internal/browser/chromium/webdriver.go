//go:build unix

package chromium

import (
	"context"
	"errors"
	"slices"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/chromedriver"
	"github.com/bctrl-go/bctrl/internal/browser/devtools"
)

// CheckWebDriver finds out whether the machine has what OpenWebDriver starts.
func (*Driver) CheckWebDriver() error { return chromedriver.Check() }

// OpenWebDriver starts a chromedriver that drives this browser. See [browser.Browser].
func (b *instance) OpenWebDriver(
	ctx context.Context, rights browser.ClientRights,
) (browser.WebDriver, error) {
	// Held until it is among those that the browser's end closes.
	b.driversMu.Lock()
	defer b.driversMu.Unlock()
	if b.life.Err() != nil {
		return nil, devtools.ErrBrowserGone
	}
	if err := b.mux.EnsureTab(ctx, rights); err != nil {
		return nil, err
	}
	d, err := chromedriver.Start(ctx, chromedriver.Options{
		User: chromedriver.User{UID: b.user.uid, GID: b.user.gid, Switched: b.user.switched},
		Dir:  b.dirs.root,
		Env:  environmentOf(b.dirs),
	}, func(ctx context.Context, conn chromedriver.Conn) error {
		return b.ServeCDP(ctx, drivenConn{conn, rights})
	})
	if err != nil {
		return nil, err
	}
	b.drivers = slices.DeleteFunc(b.drivers, func(d browser.WebDriver) bool {
		select {
		case <-d.Done():
			return true
		default:
			return false
		}
	})
	b.drivers = append(b.drivers, d)
	return d, nil
}

// drivenConn is the connection of a chromedriver, whose client has rights.
type drivenConn struct {
	chromedriver.Conn
	browser.ClientRights
}

// OpenFile implements [browser.ClientFiles]. A path of the machine is recorded.
func (c drivenConn) OpenFile(ctx context.Context, path string) (browser.File, error) {
	file, err := c.Conn.OpenFile(ctx, path)
	if refusal, ok := errors.AsType[*bctrl.Error](err); ok && refusal.Code == browser.CodeMachinePath {
		err = c.RecordRefusal(ctx, refusal)
	}
	return file, err
}

// LeavesOutside says that a tab is left for the client that comes to show a host outside its
// mounts: WebDriver has no command that does not look at the page first.
func (drivenConn) LeavesOutside() {}

// closeWebDrivers ends what drives the browser, which has ended.
func (b *instance) closeWebDrivers() (err error) {
	b.driversMu.Lock()
	defer b.driversMu.Unlock()
	for _, d := range b.drivers {
		err = errors.Join(err, d.Close())
	}
	return err
}
