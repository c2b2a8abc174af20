// Package browsertest has what the tests of the browser's rooms share: starting a
// browser that is stopped with its test, sites that it visits, clients that
// connect to it. It is handed the driver, so it knows none.
package browsertest

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/egress"
)

// Loopback lets pages reach the servers of tests.
func Loopback() egress.Policy {
	return egress.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
}

// Launch starts a browser that is stopped when the test ends.
func Launch(t *testing.T, driver browser.Driver, spec browser.Spec) browser.Browser {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	b, err := driver.Launch(ctx, spec)
	require.NoError(t, err)
	t.Cleanup(func() {
		if err := b.Stop(context.Background()); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return b
}

// OpenPage starts a browser that may reach this machine, and takes its page
// over. The context ends after a minute.
func OpenPage(t *testing.T, driver browser.Driver, spec browser.Spec) (context.Context, browser.Page, browser.Browser) {
	t.Helper()
	spec.Egress.Allow = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	b := Launch(t, driver, spec)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	p, err := b.Page(ctx)
	require.NoError(t, err)
	return ctx, p, b
}
