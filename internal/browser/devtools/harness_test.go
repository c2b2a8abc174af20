package devtools_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
	"github.com/bctrl-go/bctrl/internal/browser/chromium"
)

// launch starts a real browser that is stopped when the test ends.
func launch(t *testing.T, spec browser.Spec) browser.Browser {
	t.Helper()
	driver, err := chromium.New(chromium.Options{})
	require.NoError(t, err)
	return browsertest.Launch(t, driver, spec)
}

// openPage starts a browser that may reach this machine, and takes its page over.
func openPage(t *testing.T) (context.Context, browser.Page, browser.Browser) {
	t.Helper()
	driver, err := chromium.New(chromium.Options{})
	require.NoError(t, err)
	return browsertest.OpenPage(t, driver, browser.Spec{ID: "clients"})
}
