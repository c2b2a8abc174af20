package store

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bctrl-go/bctrl/internal/sample"
)

// cachedKeys are the entries that the histories below are about.
const cachedKeys = 3

// compareEntries fails where an entry that the writer knows is not the one that is stored.
func compareEntries(tx *Tx) error {
	uncached := tx.Queries
	uncached.entryCache = nil
	for i := range cachedKeys {
		key := fmt.Sprint("k", i)
		for range 2 { // the second time it is known, if at all
			got, err := tx.VaultEntry(context.Background(), "org", key)
			want, wantErr := uncached.VaultEntry(context.Background(), "org", key)
			if !errors.Is(err, wantErr) || fmt.Sprint(got) != fmt.Sprint(want) {
				return fmt.Errorf("%w: %s is %v (%w), stored is %v (%w)", errStale, key, got, err, want, wantErr)
			}
		}
	}
	return nil
}

// changeEntry stores an entry, replaces it in either way, or deletes it.
func changeEntry(tx *Tx, key string, sealed []byte, remove, believed bool) error {
	ctx := context.Background()
	e, err := tx.VaultEntry(ctx, "org", key)
	switch {
	case errors.Is(err, ErrNotFound):
		e = entry(key)
		e.Sealed = sealed
		err = tx.InsertVaultEntry(ctx, "org", key, e)
	case err != nil:
	case remove:
		err = tx.DeleteVaultEntry(ctx, "org", e.UID)
	default:
		e.Version++
		e.Sealed = sealed
		if believed {
			_, err = tx.ReplaceVaultEntry(ctx, "org", e)
		} else {
			err = tx.UpdateVaultEntry(ctx, "org", e)
		}
	}
	return errors.Join(err, logged(tx))
}

// TestAnEntryThatTheWriterKnowsIsWhatIsStored plays random histories of changes that last, that
// fail alone, that fail with all that share their transaction, and that somebody makes behind the
// server's back.
func TestAnEntryThatTheWriterKnowsIsWhatIsStored(t *testing.T) {
	sample.Checks(t, 25)
	db, at := openTest(t)
	raw := onSQLite().raw(t, at)
	ctx := context.Background()
	rapid.Check(t, func(t *rapid.T) {
		for step := range rapid.IntRange(1, 20).Draw(t, "steps") {
			draw := func() func(tx *Tx) error {
				key := fmt.Sprint("k", rapid.IntRange(0, cachedKeys-1).Draw(t, "key"))
				sealed := fmt.Appendf(nil, "%d-%d", step, rapid.IntRange(0, 9).Draw(t, "sealed"))
				remove, believed := rapid.Bool().Draw(t, "remove"), rapid.Bool().Draw(t, "believed")
				return func(tx *Tx) error {
					return errors.Join(compareEntries(tx), changeEntry(tx, key, sealed, remove, believed),
						compareEntries(tx))
				}
			}
			change := draw()
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0:
				require.NoError(t, db.Write(ctx, change))
			case 1:
				err := db.Write(ctx, func(tx *Tx) error { return errors.Join(change(tx), errOfJob) })
				require.NotErrorIs(t, err, errStale)
			case 2:
				fails := rapid.SliceOfN(rapid.Bool(), 2, 5).Draw(t, "fails")
				changes := make([]func(*Tx) error, len(fails))
				for i := range changes {
					changes[i] = draw()
				}
				shareTransaction(t, db, len(fails), func(i int, tx *Tx) error {
					if err := changes[i](tx); err != nil || !fails[i] {
						return err
					}
					return errOfJob
				})
			case 3:
				err := db.Write(ctx, func(tx *Tx) error { return errors.Join(change(tx), ErrUnavailable) })
				require.NotErrorIs(t, err, errStale)
			case 4:
				_, err := raw.ExecContext(ctx, "UPDATE vault_entries SET sealed = $1", fmt.Append(nil, "others ", step))
				require.NoError(t, err)
			case 5: // of the generation, which says that nothing is known
				require.NoError(t, db.Write(ctx, func(tx *Tx) error {
					return errors.Join(compareEntries(tx), putPolicy(ctx, tx, "{}"), logged(tx), change(tx))
				}))
			}
			require.NoError(t, db.Write(ctx, compareEntries))
		}
	})
}

// TestTheWriterKnowsAnEntryOnceItWasRead: what is read again is what it knows, here another than is stored.
func TestTheWriterKnowsAnEntryOnceItWasRead(t *testing.T) {
	db, _ := openTest(t)
	ctx := t.Context()
	require.NoError(t, db.Write(ctx, func(tx *Tx) error { return insert(ctx, tx, "k0", entry("k0")) }))
	require.NoError(t, db.Write(ctx, compareEntries))
	require.ErrorIs(t, db.Write(ctx, func(tx *Tx) error {
		name := entryName{"org", "k0"}
		known := tx.entryCache.entries[name]
		known.Version++
		tx.entryCache.entries[name] = known
		return compareEntries(tx)
	}), errStale)
}

// TestWhatTheWriterKnowsIsBounded: neither many entries nor large ones make the cache grow.
func TestWhatTheWriterKnowsIsBounded(t *testing.T) {
	for name, sealed := range map[string]int{"many": 1, "large": 64 << 10} {
		t.Run(name, func(t *testing.T) {
			c := newEntryCache(&generation{})
			for i := range maxCachedEntries + 10 {
				e := entry(fmt.Sprint("k", i))
				e.Sealed = make([]byte, sealed)
				c.put("org", e)
				require.LessOrEqual(t, len(c.entries), maxCachedEntries)
				require.Len(t, c.keys, len(c.entries))
				require.LessOrEqual(t, c.bytes, maxCachedBytes+sealed+len(e.Meta))
			}
			for key, e := range c.entries {
				c.wrote("org", e.UID)
				require.NotContains(t, c.entries, key)
			}
			require.Zero(t, c.bytes)
			require.Empty(t, c.keys)
		})
	}
}
