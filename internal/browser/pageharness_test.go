package browser

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// openPage starts a browser that may reach this machine, and takes its page over.
func openPage(t *testing.T) (context.Context, *Set, Browser) {
	t.Helper()
	return openPageOf(t, Spec{ID: "page"})
}

// openPageOf does it for a browser of a spec.
func openPageOf(t *testing.T, spec Spec) (context.Context, *Set, Browser) {
	t.Helper()
	driver, err := NewChromium(Options{})
	require.NoError(t, err)
	ctx, p, b := OpenPage(t, driver, spec)
	return ctx, p.(*Set), b
}
