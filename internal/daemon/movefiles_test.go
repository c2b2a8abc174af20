package daemon

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/blob"
	"github.com/bctrl-go/bctrl/internal/store/storetest"
)

// TestAFileThatNoBucketTakesIsFoundBeforeAnyIsMoved with one whose bytes the disk has as a hole.
func TestAFileThatNoBucketTakesIsFoundBeforeAnyIsMoved(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	disk, err := blob.OpenDisk(blobsIn(dir))
	require.NoError(t, err)
	defer func() { require.NoError(t, disk.Close()) }()
	long, err := disk.Put(ctx, bytes.NewReader([]byte("x")), 1)
	require.NoError(t, err)
	at, err := filepath.Glob(filepath.Join(blobsIn(dir), "*", long.ID))
	require.NoError(t, err)
	require.Len(t, at, 1)
	long.Size = blob.MaxObject + 1
	require.NoError(t, os.Truncate(at[0], long.Size))
	source, err := storetest.Open(ctx, filepath.Join(dir, "bctrl.db"), nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, source.Close()) }()
	m := &Mover{cfg: Config{DataDir: dir}, source: source, disk: disk, files: []blob.Blob{long, {ID: "lost", Size: 1}}}
	err = m.findFiles(ctx)
	require.ErrorContains(t, err, "1 of 2 files are longer than the 78 GiB that a bucket takes: delete these files first")
	require.ErrorContains(t, err, "the bytes of 1 of 2 files are not in", "both are said at once")
	require.ErrorIs(t, (&blob.S3{}).PutAs(ctx, long, bytes.NewReader(nil)), blob.ErrTooLarge)
}
