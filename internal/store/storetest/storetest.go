// Package storetest gives tests empty stores cheaply. Making the tables takes
// most of the time of a test that needs a store of its own, above all under the
// race detector; here they are made once in a process, and copied.
package storetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/store/pgtest"
)

// empty is the file of a store without a row, its schema up to date.
var empty = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "bctrl-storetest-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "bctrl.db")
	db, err := store.Open(context.Background(), path, &seal.Rows{})
	if err != nil {
		return nil, err
	}
	if err := db.Close(); err != nil { // all of it is in the one file from here on
		return nil, err
	}
	return os.ReadFile(path)
})

// Variable names the environment variable that puts the stores of all tests which
// use [Create] and [Open] into PostgreSQL, when it is "postgres".
const Variable = "BCTRL_TEST_DATABASE"

// OnSQLite has a test keep to SQLite, whatever the others use: one about its files, its
// plans or its own SQL.
func OnSQLite(t *testing.T) {
	t.Helper()
	t.Setenv(Variable, "")
}

// Create puts an empty store at path, for [Open] to open. There must be none yet.
// On PostgreSQL the file at path holds the URL of its database.
func Create(tb testing.TB, path string) {
	tb.Helper()
	var content []byte
	var err error
	if os.Getenv(Variable) == "postgres" {
		content = []byte(Database(tb))
	} else {
		content, err = empty()
	}
	if err == nil {
		err = create(path, content)
	}
	if err != nil {
		tb.Fatalf("making an empty store: %v", err)
	}
}

// Open opens the store at path, of which [Create] has made the place.
func Open(ctx context.Context, path string, prover store.Prover) (*store.DB, error) {
	if url, ok := urlIn(path); ok {
		return store.OpenPostgres(ctx, store.Postgres{URL: url}, prover)
	}
	return store.Open(ctx, path, prover)
}

// Raw opens the database of the store at path behind the store's back, and closes it
// with the test.
func Raw(tb testing.TB, path string) *sql.DB {
	tb.Helper()
	driver, at := "sqlite", "file:"+path+"?_pragma=busy_timeout(10000)"
	if url, ok := urlIn(path); ok {
		driver, at = "pgx", url+"&session_replication_role=replica" // no foreign keys, as by SQLite's default
	}
	db, err := sql.Open(driver, at)
	if err != nil {
		tb.Fatalf("opening a database: %v", err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Errorf("closing a database: %v", err)
		}
	})
	return db
}

// Statement writes a statement in SQLite's words, of which tests use a few, in those of
// the store at path.
func Statement(path, statement string) string {
	if _, ok := urlIn(path); !ok {
		return statement
	}
	statement = regexp.MustCompile(`\bx'([0-9a-fA-F]*)'`).ReplaceAllString(statement, `'\x$1'::bytea`)
	refusing := regexp.MustCompile(
		`^CREATE TRIGGER (\w+) (BEFORE \w+ ON \w+)( WHEN (.+))? BEGIN SELECT RAISE\(ABORT, '(\w+)'\); END$`)
	if m := refusing.FindStringSubmatch(statement); m != nil {
		when := ""
		if m[4] != "" {
			when = " WHEN (" + m[4] + ")"
		}
		name := `"` + m[1] + `"`
		return "CREATE FUNCTION " + name + "() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '" + m[5] +
			"'; END $$; CREATE TRIGGER " + name + " " + m[2] + " FOR EACH ROW" + when + " EXECUTE FUNCTION " + name + "()"
	}
	statement = regexp.MustCompile(`^DROP TRIGGER (\w+)$`).ReplaceAllString(statement, `DROP FUNCTION "$1" CASCADE`)
	statement = regexp.MustCompile(`\bzeroblob\((\d+)\)`).ReplaceAllString(statement, `decode(repeat('00', $1), 'hex')`)
	return strings.NewReplacer("main.", "public.", "hex(proof)", "encode(proof, 'hex')", " AS BLOB", " AS BYTEA").
		Replace(statement)
}

func urlIn(path string) (url string, ok bool) {
	text, err := os.ReadFile(path)
	return string(text), err == nil && strings.HasPrefix(string(text), "postgres://")
}

// Database returns the URL of an empty store in a PostgreSQL database of the test's own.
func Database(tb testing.TB) (url string) {
	tb.Helper()
	return pgtest.Database(tb, migrated(tb))
}

// migrated is the database with the newest schema that those of the tests are copies
// of.
func migrated(tb testing.TB) (name string) {
	tb.Helper()
	name, err := migratedDatabase()
	if err != nil {
		tb.Fatalf("making an empty store: %v", err)
	}
	return name
}

var migratedDatabase = sync.OnceValues(func() (string, error) {
	const name = "migrated"
	at, err := pgtest.Make(name)
	if err != nil {
		return "", err
	}
	db, err := store.OpenPostgres(context.Background(), store.Postgres{URL: at}, &seal.Rows{})
	if err != nil {
		return "", err
	}
	return name, db.Close()
})

func create(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("making the file: %w", err)
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Close())
}
