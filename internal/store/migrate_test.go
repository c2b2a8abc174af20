package store

import (
	"path/filepath"
	"runtime/metrics"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestOpeningTakesLittleMemory: what the start allocates, the process holds on to
// long after, whatever it serves.
func TestOpeningTakesLittleMemory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bctrl.db")
	for _, why := range []string{"a new database, with every migration to run", "one that is up to date"} {
		before := allocated()
		db, err := Open(t.Context(), path, testProver{})
		require.NoError(t, err)
		took := allocated() - before
		require.NoError(t, db.Close())
		require.Less(t, took, uint64(2<<20), why)
	}
}

// allocated is how many bytes the heap was ever asked for.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
