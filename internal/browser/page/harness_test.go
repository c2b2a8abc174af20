package page_test

import (
	"context"
	"net/http"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
	"github.com/bctrl-go/bctrl/internal/browser/chromium"
	"github.com/bctrl-go/bctrl/internal/browser/page"
	"github.com/bctrl-go/bctrl/internal/egress"
)

// openPage starts a browser that may reach this machine, and takes its page over.
func openPage(t *testing.T) (context.Context, *page.Set, browser.Browser) {
	t.Helper()
	return openPageOf(t, browser.Spec{ID: "page"})
}

// everyName resolves every name to this machine.
type everyName struct{}

func (everyName) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
}

// openPageOfEveryName starts a browser to which every name is this machine's, and that takes
// every certificate.
func openPageOfEveryName(t *testing.T) (context.Context, *page.Set, browser.Browser) {
	t.Helper()
	ctx, p, b := openPageOf(t, browser.Spec{ID: "names", Egress: egress.Policy{Resolver: everyName{}}})
	require.NoError(t, p.TrustEverybody(ctx))
	return ctx, p, b
}

// openPageOf does it for a browser of a spec.
func openPageOf(t *testing.T, spec browser.Spec) (context.Context, *page.Set, browser.Browser) {
	t.Helper()
	driver, err := chromium.New(chromium.Options{})
	require.NoError(t, err)
	ctx, p, b := browsertest.OpenPage(t, driver, spec)
	return ctx, p.(*page.Set), b
}

// redirect answers with a redirect that keeps nothing but what its status keeps.
func redirect(status int, to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, status) }
}
