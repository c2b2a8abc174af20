//go:build unix

package chromium

import "github.com/bctrl-go/bctrl/internal/browser"

var _ browser.Checker = (*Driver)(nil)

// Check implements [browser.Checker]: the program that was found at the start is still there.
func (d *Driver) Check() error {
	_, err := browser.Locate(d.path)
	return err
}
