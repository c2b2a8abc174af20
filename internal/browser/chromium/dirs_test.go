//go:build unix

package chromium

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

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
	for _, within := range []string{"", dirLock, dirData} { // where it died
		half, err := os.MkdirTemp(base, halfPrefix)
		require.NoError(t, err)
		if within != "" {
			require.NoError(t, os.Mkdir(filepath.Join(half, within), 0o700))
		}
		require.Equal(t, 1, sweep(base, self), "it is looked at again")
		require.DirExists(t, half, "it may be about to have its name")
		long := time.Now().Add(-halfAge - time.Second)
		require.NoError(t, os.Chtimes(half, long, long))
		require.Zero(t, sweep(base, self))
		require.NoDirExists(t, half)
	}
	require.DirExists(t, made.root)
	require.DirExists(t, other)
	require.NoError(t, made.leave())
	sweep(base, self)
	require.NoDirExists(t, made.root, "its server is gone")
}

// TestAFolderThatIsNotRemovedAsAWholeIsKnownByItsName has a browser that still writes into it, as one
// does whose server was killed.
func TestAFolderThatIsNotRemovedAsAWholeIsKnownByItsName(t *testing.T) {
	base := t.TempDir()
	self, err := lookupAccount("")
	require.NoError(t, err)
	made, err := makeDirs(base, "r", self)
	require.NoError(t, err)
	at, err := os.OpenRoot(made.data)
	require.NoError(t, err)
	writing, stop := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(writing)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if f, err := at.Create(strconv.Itoa(i)); err == nil {
				_ = f.Close()
			}
		}
	}()
	_ = made.remove() // which mostly fails
	close(stop)
	<-writing
	require.NoError(t, at.Close())
	left, err := os.ReadDir(base)
	require.NoError(t, err)
	for _, e := range left {
		require.True(t, strings.HasPrefix(e.Name(), halfPrefix), e.Name())
		long := time.Now().Add(-halfAge - time.Second)
		require.NoError(t, os.Chtimes(filepath.Join(base, e.Name()), long, long))
	}
	require.Zero(t, sweep(base, self))
	left, err = os.ReadDir(base)
	require.NoError(t, err)
	require.Empty(t, left)
}
