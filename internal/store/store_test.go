package store

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAClosedStoreHoldsNoFile: an open one keeps locks that hinder whoever
// comes next.
func TestAClosedStoreHoldsNoFile(t *testing.T) {
	db, path := openTest(t)
	require.NoError(t, db.Snapshot(t.Context(), func(q Queries) error {
		_, err := q.Organizations(t.Context())
		return err
	}))
	require.NoError(t, db.Close())
	for _, file := range []string{path + "-wal", path + "-shm"} {
		_, err := os.Stat(file)
		require.ErrorIs(t, err, os.ErrNotExist, "the last connection removes it")
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 1)
}
