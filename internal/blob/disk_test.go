package blob

import (
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestNobodyElseOfTheMachineCanRead(t *testing.T) {
	d := openDisk(t)
	_, err := d.Put(t.Context(), strings.NewReader("x"), 0)
	require.NoError(t, err)
	require.NoError(t, fs.WalkDir(d.root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := e.Info()
		require.NoError(t, err)
		require.Zero(t, info.Mode().Perm()&0o077, name)
		return nil
	}))
}

// TestASweepOfADiskLeavesOthersFiles beside blobs.
func TestASweepOfADiskLeavesOthersFiles(t *testing.T) {
	d := openDisk(t)
	old := time.Now().Add(-2 * time.Hour)
	require.NoError(t, d.makeDir("00"))
	for _, name := range []string{"tmp/left", "00/README"} {
		require.NoError(t, d.root.WriteFile(name, []byte("half"), 0o600))
		require.NoError(t, d.root.Chtimes(name, old, old))
	}
	removed, err := d.Sweep(t.Context(), time.Now().Add(-time.Hour), allOrphans)
	require.NoError(t, err)
	require.Equal(t, 1, removed, "what a killed write has left")
	require.Equal(t, []string{"00/README"}, files(t, d))
}
