//go:build unix

package chromium

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestASweepLeavesNoFolderThatADeadServerWasMaking, and takes none that a living one makes or has made.
func TestASweepLeavesNoFolderThatADeadServerWasMaking(t *testing.T) {
	base := t.TempDir()
	self, err := lookupAccount("")
	require.NoError(t, err)
	made, err := makeDirs(base, "01a22bb1-8abd-720a", self)
	require.NoError(t, err)
	require.Contains(t, filepath.Base(made.root), "bctrl-01a22bb18abd720a-")
	other := filepath.Join(base, "bctrl-other")
	require.NoError(t, os.Mkdir(other, 0o700))
	for _, within := range []string{"", dirLock} { // where it died
		making, err := os.MkdirTemp(base, halfPrefix)
		require.NoError(t, err)
		if within != "" {
			require.NoError(t, os.WriteFile(filepath.Join(making, within), nil, 0o600))
		}
		release, held := lockBase(base, syscall.LOCK_SH)
		require.True(t, held)
		sweep(base, self)
		require.DirExists(t, making, "it may be about to have its name")
		release()
		sweep(base, self)
		require.NoDirExists(t, making)
	}
	require.DirExists(t, made.root)
	require.DirExists(t, other)
	require.NoError(t, made.leave())
	sweep(base, self)
	require.NoDirExists(t, made.root, "its server is gone")
}
