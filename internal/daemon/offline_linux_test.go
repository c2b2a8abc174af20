package daemon

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestAnotherUsersDataIsNotTakenForNone: who works on a data directory as somebody else is told so.
func TestAnotherUsersDataIsNotTakenForNone(t *testing.T) {
	cfg := Config{DataDir: t.TempDir()}
	_, err := SealStatus(t.Context(), cfg)
	require.ErrorIs(t, err, ErrNoData)

	runtime.LockOSThread() // whose file system user is nobody for a moment, for root may read all
	defer runtime.UnlockOSThread()
	for _, name := range []string{"bctrl.db", "lock"} {
		require.NoError(t, os.WriteFile(filepath.Join(cfg.DataDir, name), nil, 0o600))
	}
	for _, mode := range []os.FileMode{0o755, 0} { // the server makes a directory only where there is none
		require.NoError(t, os.Chmod(cfg.DataDir, mode))
		self, err := unix.SetfsuidRetUid(65534)
		require.NoError(t, err)
		_, statusErr := SealStatus(t.Context(), cfg)
		_, schemaErr := Schema(t.Context(), cfg)
		require.NoError(t, unix.Setfsuid(self))
		require.ErrorIs(t, statusErr, ErrNotReadable, mode)
		require.ErrorIs(t, schemaErr, ErrNotReadable, mode)
	}
}
