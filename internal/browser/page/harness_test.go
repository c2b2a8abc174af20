package page_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
	"github.com/bctrl-go/bctrl/internal/browser/chromium"
	"github.com/bctrl-go/bctrl/internal/browser/page"
)

// openPage starts a browser that may reach this machine, and takes its page over.
func openPage(t *testing.T) (context.Context, *page.Set, browser.Browser) {
	t.Helper()
	return openPageOf(t, browser.Spec{ID: "page"})
}

// openPageOf does it for a browser of a spec.
func openPageOf(t *testing.T, spec browser.Spec) (context.Context, *page.Set, browser.Browser) {
	t.Helper()
	driver, err := chromium.New(chromium.Options{})
	require.NoError(t, err)
	ctx, p, b := browsertest.OpenPage(t, driver, spec)
	return ctx, p.(*page.Set), b
}
