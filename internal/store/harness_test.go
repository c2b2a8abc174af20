package store

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/store/pgtest"
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

// engine is what keeps a store: the promises of this package hold on each.
type engine struct {
	name string
	// create makes an empty place for a store, which goes with the test.
	create func(testing.TB) (at string)
	open   func(ctx context.Context, at string, prover Prover) (*DB, error)
	// driver opens the database behind the store's back.
	driver string
}

func engines() []engine {
	return []engine{onSQLite(), onPostgres()}
}

func onSQLite() engine {
	return engine{
		name:   "sqlite",
		create: func(tb testing.TB) string { return filepath.Join(tb.TempDir(), "bctrl.db") },
		open:   Open,
		driver: "sqlite",
	}
}

func onPostgres() engine {
	return engine{
		name:   "postgres",
		create: func(tb testing.TB) string { return pgtest.Database(tb, migrated(tb)) },
		open: func(ctx context.Context, at string, prover Prover) (*DB, error) {
			return OpenPostgres(ctx, Postgres{URL: at}, prover)
		},
		driver: "pgx",
	}
}

// migrated is the name of a database with the newest schema, to copy.
func migrated(tb testing.TB) string {
	tb.Helper()
	const name = "migrated"
	require.NoError(tb, makeMigrated(name))
	return name
}

var makeMigratedOnce sync.Once

func makeMigrated(name string) (err error) {
	makeMigratedOnce.Do(func() {
		var at string
		if at, err = pgtest.Make(name); err != nil {
			return
		}
		var db *DB
		if db, err = OpenPostgres(context.Background(), Postgres{URL: at}, testProver{}); err == nil {
			err = db.Close()
		}
	})
	return err
}

// eachEngine runs a test on each.
func eachEngine(t *testing.T, fn func(t *testing.T, e engine)) {
	t.Helper()
	for _, e := range engines() {
		t.Run(e.name, func(t *testing.T) { fn(t, e) })
	}
}

// raw opens a store's database behind its back.
func (e engine) raw(tb testing.TB, at string) *sql.DB {
	tb.Helper()
	db, err := sql.Open(e.driver, at)
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, db.Close()) })
	return db
}

// reopen opens a store that was opened before.
func (e engine) reopen(tb testing.TB, at string) *DB {
	tb.Helper()
	db, err := e.open(tb.Context(), at, testProver{})
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, db.Close()) })
	return db
}

// openEmpty opens a store of its own, without a row.
func (e engine) openEmpty(tb testing.TB) (db *DB, at string) {
	tb.Helper()
	at = e.create(tb)
	return e.reopen(tb, at), at
}

// openTest opens a store of its own that holds the organization "org".
func (e engine) openTest(tb testing.TB) (db *DB, at string) {
	tb.Helper()
	db, at = e.openEmpty(tb)
	require.NoError(tb, db.Write(tb.Context(), func(tx *Tx) error {
		return insertOrganization(tb.Context(), tx, "org")
	}))
	return db, at
}

// openTest is that of a test which is about SQLite alone.
func openTest(tb testing.TB) (db *DB, path string) {
	tb.Helper()
	return onSQLite().openTest(tb)
}

func openEmpty(tb testing.TB) (db *DB, path string) {
	tb.Helper()
	return onSQLite().openEmpty(tb)
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

// openClosed makes a store of its own that holds the organization "org", and closes
// it.
func (e engine) openClosed(tb testing.TB) (name, at string) {
	tb.Helper()
	db, at := e.openTest(tb)
	require.NoError(tb, db.Close())
	return e.name, at
}
