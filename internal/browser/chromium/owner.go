//go:build unix

package chromium

import (
	"errors"
	"fmt"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/egress"
)

// serveProxy has the proxy serve the connections of this browser's processes, and of
// nobody else. Where the machine does not say whose connections are, it serves everybody
// who finds its port; then a route with secrets is refused.
func (b *instance) serveProxy(route egress.Route) error {
	owner, err := newOwner(b.proc.pid(), b.user)
	if err != nil {
		if route.HasSecrets() {
			return fmt.Errorf("%w: %w", browser.ErrNoOwner, err)
		}
		owner = nil
	}
	b.proxy.Serve(owner)
	return nil
}

// CheckOwners returns nil where this machine tells whose a connection is, and else why it
// does not: then the proxy of each browser serves every local program that finds it.
func (*Driver) CheckOwners() error { return checkKernelTells() }

// errNotOwn is of a connection that was made by none of the browser's processes.
var errNotOwn = errors.New("the connection is not the browser's")
