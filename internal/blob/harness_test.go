package blob

import (
	"context"
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func openDisk(t testing.TB) *Disk {
	t.Helper()
	d, err := OpenDisk(filepath.Join(t.TempDir(), "blobs"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	return d
}

// files lists the regular files of the store, by path.
func files(t testing.TB, d *Disk) []string {
	t.Helper()
	var names []string
	require.NoError(t, fs.WalkDir(d.root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			names = append(names, name)
		}
		return err
	}))
	return names
}

func noOrphans(context.Context, []string) ([]string, error) { return nil, nil }

func allOrphans(_ context.Context, ids []string) ([]string, error) { return ids, nil }

// zeros is a long stream that costs nothing.
type zeros struct{}
