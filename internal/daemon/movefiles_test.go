package daemon

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/blob"
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
	m := &Mover{cfg: Config{DataDir: dir}, disk: disk, files: []blob.Blob{long}}
	require.EqualError(t, m.findFiles(ctx),
		"1 of 1 files are longer than the 78 GiB that a bucket takes: delete these files first")
	require.ErrorIs(t, (&blob.S3{}).PutAs(ctx, long, bytes.NewReader(nil)), blob.ErrTooLarge)
}
