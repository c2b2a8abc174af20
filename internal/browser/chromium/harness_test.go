package chromium

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
)

// launch starts a real browser that is stopped when the test ends.
func launch(t *testing.T, spec browser.Spec) *instance {
	t.Helper()
	driver, err := New(Options{})
	require.NoError(t, err)
	return launchOn(t, driver, spec)
}

func launchOn(t *testing.T, driver *Driver, spec browser.Spec) *instance {
	t.Helper()
	return browsertest.Launch(t, driver, spec).(*instance)
}

// openTempDir returns an empty directory that the browsers' user can reach:
// one below t.TempDir may be closed to it.
func openTempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "browser-test-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
