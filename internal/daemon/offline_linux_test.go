package daemon

import (
	"os"
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

	require.NoError(t, os.Chmod(cfg.DataDir, 0))
	runtime.LockOSThread() // whose file system user is nobody for a moment, for root may read all
	defer runtime.UnlockOSThread()
	self, err := unix.SetfsuidRetUid(65534)
	require.NoError(t, err)
	_, statusErr := SealStatus(t.Context(), cfg)
	_, schemaErr := Schema(t.Context(), cfg)
	require.NoError(t, unix.Setfsuid(self))
	require.ErrorIs(t, statusErr, ErrNotReadable)
	require.ErrorIs(t, schemaErr, ErrNotReadable)
}
