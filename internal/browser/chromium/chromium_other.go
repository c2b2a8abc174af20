//go:build !unix

package chromium

import (
	"context"
	"errors"

	"github.com/bctrl-go/bctrl/internal/browser"
)

// Driver is a [browser.Driver] of real browsers, which need a Unix system here.
type Driver struct{}

// New fails: browsers are confined by Unix users and process groups.
func New(Options) (*Driver, error) { return nil, errors.ErrUnsupported }

// Launch fails. See [New].
func (*Driver) Launch(context.Context, browser.Spec) (browser.Browser, error) {
	return nil, errors.ErrUnsupported
}

// CheckOwners fails. See [New].
func (*Driver) CheckOwners() error { return errors.ErrUnsupported }

// CheckWebDriver fails. See [New].
func (*Driver) CheckWebDriver() error { return errors.ErrUnsupported }

// Check fails. See [New].
func (*Driver) Check() error { return errors.ErrUnsupported }

// Sweep finds nothing.
func (*Driver) Sweep() (left int) { return 0 }
