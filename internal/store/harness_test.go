package store

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// testProver proves with a key that everybody knows.
type testProver struct{}

func (testProver) Prove(row []byte, ended bool) ([]byte, error) {
	mac := hmac.New(sha256.New, []byte{1})
	if ended {
		mac = hmac.New(sha256.New, []byte{2})
	}
	mac.Write(row)
	return mac.Sum(nil), nil
}

func (p testProver) Check(row, proof []byte, ended bool) (bool, error) {
	want, err := p.Prove(row, ended)
	return hmac.Equal(want, proof), err
}

// openEmpty opens a store of its own, without a row.
func openEmpty(tb testing.TB) (db *DB, path string) {
	tb.Helper()
	path = filepath.Join(tb.TempDir(), "bctrl.db")
	db, err := Open(tb.Context(), path, testProver{})
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, db.Close()) })
	return db, path
}

// openTest opens a store of its own that holds the organization "org".
func openTest(tb testing.TB) (db *DB, path string) {
	tb.Helper()
	db, path = openEmpty(tb)
	require.NoError(tb, db.Write(tb.Context(), func(tx *Tx) error {
		return insertOrganization(tb.Context(), tx, "org")
	}))
	return db, path
}

// insertOrganization adds an organization, of which the log of the tests is to
// say nothing.
func insertOrganization(ctx context.Context, tx *Tx, id string) error {
	defer func() { tx.written = nil }()
	return tx.InsertOrganization(ctx, Organization{ID: id, Name: id, CreatedAt: time.Now()})
}

// insert adds an entry and records it.
func insert(ctx context.Context, tx *Tx, folded string, e VaultEntry) error {
	if err := tx.InsertVaultEntry(ctx, "org", folded, e); err != nil {
		return err
	}
	tx.Append(&Entry{Org: "org", Body: []byte(`{"key":"` + e.Key + `"}`)})
	return nil
}

func entry(key string) VaultEntry {
	now := time.UnixMilli(1_700_000_000_000).UTC()
	return VaultEntry{
		UID:       "uid-" + key,
		Key:       key,
		Version:   1,
		Meta:      []byte("{}"),
		Sealed:    []byte("sealed"),
		CreatedAt: now,
		UpdatedAt: now,
	}
}

// logged appends the event of what tx has written, as the audit log has it.
func logged(tx *Tx) error {
	for _, r := range tx.Written() {
		body, err := json.Marshal(map[string]string{"digest": r.Digest})
		if err != nil {
			return err
		}
		tx.Append(&Entry{Org: r.Org, Body: body, Record: r.Name()})
	}
	return nil
}

// queryPlan is how SQLite would run a query, a step each.
func queryPlan(t *testing.T, db *DB, query string) (steps []string) {
	t.Helper()
	none := make([]any, 16) // more arguments than any query takes
	rows, err := db.reader.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, none...)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var step string
		require.NoError(t, rows.Scan(&id, &parent, &unused, &step))
		steps = append(steps, step)
	}
	require.NoError(t, rows.Err())
	return steps
}
