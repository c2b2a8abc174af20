package browser

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// launchAny starts a real browser that is stopped when the test ends.
func launchAny(t *testing.T, spec Spec) Browser {
	t.Helper()
	driver, err := NewChromium(Options{})
	require.NoError(t, err)
	return Launch(t, driver, spec)
}

// openAny starts a browser that may reach this machine, and takes its page over.
func openAny(t *testing.T) (context.Context, Page, Browser) {
	t.Helper()
	driver, err := NewChromium(Options{})
	require.NoError(t, err)
	return OpenPage(t, driver, Spec{ID: "clients"})
}
