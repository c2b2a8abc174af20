package store

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

// TestNothingSealedThatWasReplacedOrDeletedIsLeftOnDisk looks in the database and its write-ahead
// log. A reader in the way, as the one that indexes the log may be, delays it; nothing has to be
// written for it.
func TestNothingSealedThatWasReplacedOrDeletedIsLeftOnDisk(t *testing.T) {
	ctx := t.Context()
	for _, tc := range []struct {
		what string
		// put writes it for the nth time, from 1.
		put func(tx *Tx, version int64, sealed []byte) error
		// times is how often.
		times  int64
		remove func(tx *Tx) error
	}{
		{
			what: "a login", times: 1,
			put: func(tx *Tx, version int64, sealed []byte) error {
				return tx.InsertVaultEntry(ctx, "org", "k", VaultEntry{UID: "u", Key: "k", Version: version, Sealed: sealed})
			},
			remove: func(tx *Tx) error { return tx.DeleteVaultEntry(ctx, "org", "u") },
		},
		{
			what: "a key to a provider of models", times: 2,
			put: func(tx *Tx, version int64, sealed []byte) error {
				c := AICredential{UID: "u", ID: "k", Version: version, Sealed: sealed}
				if version > 1 {
					return tx.UpdateAICredential(ctx, "org", c)
				}
				return tx.InsertAICredential(ctx, "org", c)
			},
			remove: func(tx *Tx) error { return tx.DeleteAICredential(ctx, "org", "u") },
		},
		{
			what: "a scoped secret", times: 2,
			put: func(tx *Tx, version int64, sealed []byte) error {
				s := Secret{ID: "s", Version: version, Scope: bctrl.Global(), Name: "K", Sealed: sealed}
				if version > 1 {
					return tx.UpdateSecret(ctx, "org", s, SecretIndex{Names: []string{"K"}})
				}
				return tx.InsertSecret(ctx, "org", s, SecretIndex{Names: []string{"K"}})
			},
			remove: func(tx *Tx) error { return tx.DeleteSecret(ctx, "org", "s") },
		},
		{
			what: "what a webhook signs with", times: 2,
			put: func(tx *Tx, version int64, sealed []byte) error {
				w := Webhook{UID: "w", Version: version, Sealed: sealed}
				if version > 1 {
					return tx.UpdateWebhook(ctx, "org", w)
				}
				return tx.InsertWebhook(ctx, "org", w)
			},
			remove: func(tx *Tx) error { return tx.DeleteWebhook(ctx, "org", "w") },
		},
		{
			what: "a data key", times: 2,
			put: func(tx *Tx, version int64, sealed []byte) error {
				d := DEK{Scope: "other", ID: "d", KEKID: "k", Wrapped: sealed, Version: version - 1}
				if version > 1 {
					return tx.RewrapDEK(ctx, d)
				}
				return tx.InsertDEK(ctx, d)
			},
			remove: func(tx *Tx) error { return tx.DeleteDEK(ctx, "other") },
		},
		{
			what: "a login that is replaced", times: 2,
			put: func(tx *Tx, version int64, sealed []byte) error {
				e := VaultEntry{UID: "u", Key: "k", Version: version, Sealed: sealed}
				if version == 1 {
					return tx.InsertVaultEntry(ctx, "org", "k", e)
				}
				_, err := tx.ReplaceVaultEntry(ctx, "org", e)
				return err
			},
			remove: func(tx *Tx) error {
				return tx.UpdateVaultEntry(ctx, "org", VaultEntry{UID: "u", Key: "k", Version: 3, Sealed: []byte("sealed")})
			},
		},
	} {
		t.Run(tc.what, func(t *testing.T) {
			db, path := openBounded(t, logBounds{checkpointEvery, endLogPages, maxLogPages, time.Millisecond})
			change := func(fn func(tx *Tx) error) {
				require.NoError(t, db.Write(ctx, func(tx *Tx) error {
					if err := fn(tx); err != nil {
						return err
					}
					return logged(tx)
				}))
			}
			endReading := beginReading(t, db)
			var was [][]byte
			for version := range tc.times {
				sealed := make([]byte, 10_000) // the middle lies on pages of its own, both ends with the row
				_, _ = rand.Read(sealed)       // it does not fail
				was = append(was, sealed)
				change(func(tx *Tx) error { return tc.put(tx, version+1, sealed) })
				requireOnDisk(t, path, sealed)
			}
			change(tc.remove)
			require.True(t, isOnDisk(t, path, was), "a reader is in the way")
			endReading()
			requireNotOnDisk(t, path, was)
		})
	}
}

// TestWhatAKilledServerHadToScrubGoesSoonAfterTheNextStart: nothing has to be written for it.
func TestWhatAKilledServerHadToScrubGoesSoonAfterTheNextStart(t *testing.T) {
	ctx := t.Context()
	db, path := openBounded(t, unscrubbed(checkpointEvery, endLogPages, maxLogPages))
	was := make([]byte, 32)
	_, _ = rand.Read(was)
	e := VaultEntry{UID: "u", Key: "k", Version: 1, Sealed: was}
	require.NoError(t, db.Write(ctx, func(tx *Tx) error {
		return errors.Join(tx.InsertVaultEntry(ctx, "org", "k", e), logged(tx))
	}))
	e.Version, e.Sealed = 2, []byte("sealed")
	require.NoError(t, db.Write(ctx, func(tx *Tx) error {
		_, err := tx.ReplaceVaultEntry(ctx, "org", e)
		return errors.Join(err, logged(tx))
	}))
	left := filepath.Join(t.TempDir(), "bctrl.db") // as a kill leaves it
	for _, end := range []string{"", "-wal"} {
		data, err := os.ReadFile(path + end)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(left+end, data, 0o600))
	}
	requireOnDisk(t, left, was)
	next, err := Open(ctx, left, testProver{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, next.Close()) })
	requireNotOnDisk(t, left, [][]byte{was})
}

// beginReading has a reader in the way until the function is called.
func beginReading(t *testing.T, db *DB) (end func()) {
	t.Helper()
	conn, err := db.reader.Conn(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	_, err = conn.ExecContext(t.Context(), "BEGIN DEFERRED; SELECT COUNT(*) FROM organizations")
	require.NoError(t, err)
	return func() {
		_, err := conn.ExecContext(t.Context(), "ROLLBACK")
		require.NoError(t, err)
		require.NoError(t, conn.Close())
	}
}

// onDisk is all that a store in a file has written.
func onDisk(t *testing.T, path string) string {
	t.Helper()
	data, dataErr := os.ReadFile(path)
	log, logErr := os.ReadFile(path + "-wal")
	if err := errors.Join(dataErr, logErr); err != nil {
		t.Error(err)
	}
	return string(data) + string(log)
}

// requireOnDisk shows that [requireNotOnDisk] looks where it is.
func requireOnDisk(t *testing.T, path string, sealed []byte) {
	t.Helper()
	require.True(t, isOnDisk(t, path, [][]byte{sealed}))
}

func requireNotOnDisk(t *testing.T, path string, gone [][]byte) {
	t.Helper()
	require.Eventually(t, func() bool { return !isOnDisk(t, path, gone) }, 30*time.Second, 5*time.Millisecond)
}

func isOnDisk(t *testing.T, path string, gone [][]byte) bool {
	t.Helper()
	is := onDisk(t, path)
	for _, sealed := range gone {
		for at := 0; at+24 <= len(sealed); at += 512 {
			if strings.Contains(is, string(sealed[at:at+24])) {
				return true
			}
		}
	}
	return false
}
