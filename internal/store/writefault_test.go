package store

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAWriteFaultStandsUntilAWriteWorks makes the database read-only under the store, and takes that
// back: what the store knows of it is cleared by a write, and by one that changes nothing.
func TestAWriteFaultStandsUntilAWriteWorks(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		db, _ := e.openTest(t)
		ctx := t.Context()
		readOnly := func(on bool) { // on the writer's connection, while the writer waits
			statement := "SET default_transaction_read_only = " + onOff(on)
			if e.driver == "sqlite" {
				statement = "PRAGMA query_only = " + onOff(on)
			}
			require.NoError(t, db.batch.run(ctx, statement))
		}
		write := func(key string) error {
			return db.Write(ctx, func(tx *Tx) error { return insert(ctx, tx, key, entry(key)) })
		}
		require.Nil(t, db.WriteFault())
		for _, clear := range []func() error{func() error { return write("b") }, func() error { return db.TryWrite(ctx) }} {
			readOnly(true)
			require.ErrorIs(t, write("a"), ErrReadOnly)
			require.ErrorIs(t, db.WriteFault().Err, ErrReadOnly)
			require.ErrorIs(t, db.TryWrite(ctx), ErrReadOnly)
			require.ErrorIs(t, db.WriteFault().Err, ErrReadOnly)
			readOnly(false)
			require.NoError(t, clear())
			require.Nil(t, db.WriteFault())
		}
		require.ErrorIs(t, write("b"), ErrExists)
		require.Nil(t, db.WriteFault(), "it failed alone")
		requireWholeChain(t, db, 1)
	})
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}

// TestAFullDiskIsAFaultUntilAWriteWorks: a transaction that writes nothing works on a full disk, and
// says nothing about it.
func TestAFullDiskIsAFaultUntilAWriteWorks(t *testing.T) {
	db, _ := openTest(t)
	ctx := t.Context()
	write := func() error {
		e := entry("k")
		e.Sealed = make([]byte, 1<<20)
		return db.Write(ctx, func(tx *Tx) error { return insert(ctx, tx, "k", e) })
	}
	require.NoError(t, db.batch.run(ctx, "PRAGMA max_page_count = 1")) // no more than there are
	require.ErrorIs(t, write(), ErrFull)
	require.NoError(t, db.Write(ctx, func(*Tx) error { return nil }))
	require.ErrorIs(t, db.WriteFault().Err, ErrFull)
	require.NoError(t, db.batch.run(ctx, "PRAGMA max_page_count = 1000000"))
	require.NoError(t, write())
	require.Nil(t, db.WriteFault())
}
