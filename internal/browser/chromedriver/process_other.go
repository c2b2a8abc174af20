//go:build !linux

package chromedriver

import (
	"context"

	"github.com/bctrl-go/bctrl/internal/browser"
)

// Start fails: only Linux has networks of one's own.
func Start(
	context.Context, Options, func(context.Context, Conn) error,
) (browser.WebDriver, error) {
	return nil, browser.ErrNoNetwork
}
