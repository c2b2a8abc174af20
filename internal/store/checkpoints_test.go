package store

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// pageBytes is a page of the write-ahead log with the header of its frame.
const pageBytes = 4096 + 24

// openBounded is openTest with bounds of the write-ahead log.
func openBounded(t *testing.T, bounds logBounds) (db *DB, path string) {
	t.Helper()
	path = onSQLite().create(t)
	db, err := openFile(t.Context(), path, testProver{}, bounds)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	require.NoError(t, db.Write(t.Context(), func(tx *Tx) error { return insertOrganization(t.Context(), tx, "org") }))
	return db, path
}

// overwrite makes new versions of an entry, each with an event.
func overwrite(ctx context.Context, db *DB, key string, versions int, sealed func() []byte) error {
	for range versions {
		err := db.Write(ctx, func(tx *Tx) error {
			e, err := tx.VaultEntry(ctx, "org", key)
			if err != nil {
				return err
			}
			e.Version++
			e.Sealed = sealed()
			if err := tx.UpdateVaultEntry(ctx, "org", e); err != nil {
				return err
			}
			return logged(tx)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// overwriteAll has eight callers write to entries of their own without a pause.
func overwriteAll(t *testing.T, db *DB, versions int) {
	t.Helper()
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		key := fmt.Sprintf("k%d", i)
		require.NoError(t, db.Write(t.Context(), func(tx *Tx) error { return insert(t.Context(), tx, key, entry(key)) }))
		wg.Go(func() {
			large := bytes.Repeat([]byte("x"), 3*4096)
			errs[i] = overwrite(t.Context(), db, key, versions, func() []byte { return large })
		})
	}
	wg.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
}

// logBytes is how long the file of the write-ahead log is. It is not cut where the log begins anew.
func logBytes(t *testing.T, path string) int64 {
	t.Helper()
	f, err := os.Stat(path + "-wal")
	require.NoError(t, err)
	return f.Size()
}

// leftInLog is how many pages of the log the database does not have.
func leftInLog(t *testing.T, db *DB) (left int64) {
	t.Helper()
	var busy, in, moved int64
	row := db.reader.QueryRowContext(t.Context(), "PRAGMA wal_checkpoint(NOOP)")
	require.NoError(t, row.Scan(&busy, &in, &moved))
	return in - moved
}

func TestTheWriteAheadLogIsEmptiedBesideTheWriter(t *testing.T) {
	never := int64(1 << 40)
	db, _ := openBounded(t, unscrubbed(50, never, never))
	overwriteAll(t, db, 50)
	require.Eventually(t, func() bool { return leftInLog(t, db) < 50+maxBatch }, 10*time.Second, time.Millisecond)
}

func TestTheWriteAheadLogStaysShort(t *testing.T) {
	never := int64(1 << 40)
	for _, tc := range []struct {
		why    string
		bounds logBounds
	}{
		{"the writer ends a log of which little is left", unscrubbed(20, 40, never)},
		{"the writer moves what nobody else does", unscrubbed(never, never, 200)},
	} {
		t.Run(tc.why, func(t *testing.T) {
			db, path := openBounded(t, tc.bounds)
			overwriteAll(t, db, 150) // 1200 writes of some 5 pages
			require.Less(t, logBytes(t, path), int64(2500*pageBytes))
		})
	}
}

func TestAReaderKeepsWhatItSeesWhileTheLogIsMoved(t *testing.T) {
	db, path := openBounded(t, unscrubbed(1, 1, 1))
	ctx := t.Context()
	require.NoError(t, db.Snapshot(ctx, func(q Queries) error {
		before, err := q.LogEnd(ctx)
		if err != nil {
			return err
		}
		overwriteAll(t, db, 20)
		after, err := q.LogEnd(ctx)
		require.Equal(t, before, after)
		return err
	}))
	held := logBytes(t, path)
	require.NoError(t, overwrite(ctx, db, "k0", 100, func() []byte { return []byte("y") }))
	require.LessOrEqual(t, logBytes(t, path), held+100*pageBytes, "once nobody reads it the log begins anew")
}

// TestWhatWasReplacedIsNotInTheLogOnceItIsAcknowledged has pages moved all the time, beside the
// writer which cuts the log.
func TestWhatWasReplacedIsNotInTheLogOnceItIsAcknowledged(t *testing.T) {
	db, path := openBounded(t, unscrubbed(1, 1, 1<<40))
	ctx := t.Context()
	require.NoError(t, db.Write(ctx, func(tx *Tx) error { return insert(ctx, tx, "k", entry("k")) }))
	require.Eventually(t, func() bool {
		err := db.Write(ctx, func(tx *Tx) error { tx.scrub = true; return nil })
		return err == nil && logBytes(t, path) == 0
	}, 10*time.Second, time.Millisecond)
	for range 40 {
		var was []byte
		require.NoError(t, overwrite(ctx, db, "k", 3, func() []byte {
			was = make([]byte, 32)
			_, _ = rand.Read(was)
			return was
		}))
		require.NoError(t, db.Write(ctx, func(tx *Tx) error {
			tx.scrub = true
			if err := tx.DeleteVaultEntry(ctx, "org", "uid-k"); err != nil {
				return err
			}
			return logged(tx)
		}))
		for _, file := range []string{path, path + "-wal"} {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			require.False(t, bytes.Contains(data, was), "the value is still in %s", file)
		}
		require.NoError(t, db.Write(ctx, func(tx *Tx) error { return insert(ctx, tx, "k", entry("k")) }))
	}
}

// unscrubbed are bounds of a log that nothing but they empties.
func unscrubbed(every, end, most int64) logBounds {
	return logBounds{every, end, most, time.Hour}
}
