package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bctrl-go/bctrl/internal/sample"
	"github.com/bctrl-go/bctrl/internal/store/pgtest"
)

// TestAMovedStoreIsTheSameRowByRow fills every table with whatever its columns take, moves it, ends
// the move anywhere and often, and compares all tables, and what the store reads of them.
func TestAMovedStoreIsTheSameRowByRow(t *testing.T) {
	at := pgtest.Fresh(t, "")
	sample.Checks(t, 4)
	rapid.Check(t, func(rt *rapid.T) {
		path := filepath.Join(t.TempDir(), "bctrl.db")
		db, err := Open(t.Context(), path, testProver{})
		require.NoError(rt, err)
		require.NoError(rt, db.Close())
		fillAll(rt, path)
		before := filesIn(t, filepath.Dir(path))
		empty(t, at)
		crashes := rapid.SliceOfN(rapid.IntRange(0, 60), 0, 4).Draw(rt, "crashes")
		for _, after := range append(crashes, -1) {
			if crashed := moveUntil(rt, path, at, after); !crashed {
				break
			}
			_, err := OpenPostgres(t.Context(), Postgres{URL: at}, testProver{})
			require.ErrorIs(rt, err, ErrMoving, "no server starts on half of it")
		}
		require.Equal(rt, before, filesIn(t, filepath.Dir(path)), "the file is untouched")
		requireSameReads(t, rt, path, at)
	})
}

var errCrash = errors.New("the process ends here")

// moveUntil moves a store, ends after so many points as a crash would unless that is negative, and
// reports whether it did.
func moveUntil(t require.TestingT, path, at string, after int) (crashed bool) {
	ctx := context.Background()
	m, err := OpenMove(ctx, path, at)
	require.NoError(t, err)
	defer func() { require.NoError(t, m.Close()) }()
	m.reached = func(string) error {
		if after--; after == -1 {
			return errCrash
		}
		return nil
	}
	for _, step := range []func(context.Context) error{m.Copy, m.Compare, m.Finish} {
		if err := step(ctx); err != nil {
			require.ErrorIs(t, err, errCrash)
			return true
		}
	}
	return false
}

// empty makes a database one to move to again.
func empty(t *testing.T, at string) {
	t.Helper()
	_, err := onPostgres().raw(t, at).ExecContext(t.Context(),
		"SET client_min_messages = warning; DROP SCHEMA public CASCADE; CREATE SCHEMA public")
	require.NoError(t, err)
}

// fillAll puts rows of random values into all tables, which refer to each other as the schema has it.
func fillAll(t *rapid.T, path string) {
	db, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	ctx := context.Background()
	tables, err := sourceTables(ctx, db)
	require.NoError(t, err)
	for _, table := range tables {
		keys, err := texts(ctx, db,
			`SELECT "from" || ' ' || "table" || ' ' || "to" FROM pragma_foreign_key_list($1)`, table.name)
		require.NoError(t, err)
		unique, err := texts(ctx, db, "SELECT DISTINCT c.name FROM pragma_index_list($1) l "+
			`JOIN pragma_index_info(l.name) c WHERE l."unique" UNION `+
			"SELECT name FROM pragma_table_info($1) WHERE pk > 0", table.name)
		require.NoError(t, err)
		null, err := texts(ctx, db, `SELECT name FROM pragma_table_info($1) WHERE NOT "notnull" AND pk = 0`, table.name)
		require.NoError(t, err)
		for n := range rapid.IntRange(0, 4).Draw(t, table.name) {
			var values []any
			for _, c := range table.columns {
				v, ok := randomValue(t, c, n, keys, unique, null, db)
				if !ok {
					break
				}
				values = append(values, v)
			}
			if len(values) < len(table.columns) {
				break // it would refer to a row, and there is none
			}
			marks := strings.TrimSuffix(strings.Repeat("?, ", len(values)), ", ")
			insert := fmt.Sprintf(`INSERT OR IGNORE INTO "%s" (%s) VALUES (%s)`, table.name, table.quoted(), marks)
			_, err := db.ExecContext(ctx, insert, values...)
			require.NoError(t, err, table.name)
		}
	}
}

// texts that PostgreSQL has trouble with, among those of every day.
var oddTexts = []string{
	"", "a", "a\x00b", "\xff", "\x01", "\x01YQ", "ключ", "🔑", "'\"\\\n\t", strings.Repeat("long ", 40),
}

// randomValue is one that a column takes; ok is false where it would have to be that of another
// table, which has none.
func randomValue(
	t *rapid.T, c movedColumn, n int, keys, unique, null []string, db *sql.DB,
) (v any, ok bool) {
	for _, key := range keys {
		from, rest, _ := strings.Cut(key, " ")
		if from != c.name {
			continue
		}
		other, to, _ := strings.Cut(rest, " ")
		found, err := texts(context.Background(), db, fmt.Sprintf(`SELECT "%s" FROM "%s"`, to, other))
		require.NoError(t, err)
		if len(found) == 0 {
			return nil, false
		}
		return rapid.SampledFrom(found).Draw(t, "key"), true
	}
	if slices.Contains(null, c.name) && rapid.Bool().Draw(t, "null") {
		return nil, true
	}
	return randomOf(t, c.kind, n, slices.Contains(unique, c.name)), true
}

func randomOf(t *rapid.T, kind string, n int, isUnique bool) any {
	switch kind {
	case "BIGINT":
		if isUnique {
			return int64(n + 1)
		}
		return rapid.Int64().Draw(t, "number")
	case "BOOLEAN":
		return rapid.Bool().Draw(t, "flag")
	case "BLOB":
		if isUnique {
			return append([]byte{byte(n)}, rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "bytes")...)
		}
		return rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "bytes")
	}
	if isUnique {
		return fmt.Sprint(rapid.SampledFrom(oddTexts[:9]).Draw(t, "text"), n)
	}
	if rapid.IntRange(0, 3).Draw(t, "kind") == 0 {
		return []byte(`{"of":"a struct"}`) // as the store writes what it has as bytes
	}
	return rapid.SampledFrom(oddTexts).Draw(t, "text")
}

// requireSameReads compares what the store's own reads give on both engines.
func requireSameReads(t *testing.T, rt *rapid.T, path, at string) {
	t.Helper()
	file, err := Open(t.Context(), path, testProver{})
	require.NoError(rt, err)
	server, err := OpenPostgres(t.Context(), Postgres{URL: at}, testProver{})
	require.NoError(rt, err)
	defer func() { require.NoError(rt, errors.Join(file.Close(), server.Close())) }()
	require.Equal(rt, file.Head().Seq, server.Head().Seq)
	require.True(rt, bytes.Equal(file.Head().Hash, server.Head().Hash))
	for _, table := range recordTables() {
		require.ElementsMatch(rt, recordsOf(rt, file, table), recordsOf(rt, server, table), table.table)
	}
	for _, table := range provenTables() {
		require.ElementsMatch(rt, proofsOf(rt, file, table), proofsOf(rt, server, table), table.table)
	}
	require.Equal(rt, entriesOf(rt, file), entriesOf(rt, server))
}

func recordsOf(t *rapid.T, db *DB, table recordTable) []Record {
	all, err := many(context.Background(), db.Read(), func(row scanner) (Record, error) {
		r, err := table.scan(row)
		if isUnreadable(err) {
			return Record{Kind: "unreadable"}, nil
		}
		return r, err
	}, "SELECT "+table.columns+" FROM "+table.table)
	require.NoError(t, err)
	return all
}

func proofsOf(t *rapid.T, db *DB, table provenTable) []string {
	all, err := many(context.Background(), db.Read(), func(row scanner) (string, error) {
		_, p, _, err := readProven(table.scan)(row)
		return fmt.Sprintf("%s %s %s %x %x", p.kind, p.uid, p.org, []byte(p.cells), p.proof), err
	}, "SELECT "+table.columns+" FROM "+table.table)
	require.NoError(t, err)
	return all
}

func entriesOf(t *rapid.T, db *DB) (all []StoredEntry) {
	require.NoError(t, db.Snapshot(context.Background(), func(q Queries) error {
		return q.EachEntry(context.Background(), -1<<62, func(e StoredEntry) error {
			e.Body, e.Hash = append([]byte{}, e.Body...), append([]byte{}, e.Hash...) // nil is none, too
			all = append(all, e)
			return nil
		})
	}))
	return all
}

// TestAMoveSaysWhatIsInItsWay has one of each kind of database that is none to move to.
func TestAMoveSaysWhatIsInItsWay(t *testing.T) {
	db, path := openTest(t)
	require.NoError(t, db.Write(t.Context(), func(tx *Tx) error { return insert(t.Context(), tx, "k", entry("k")) }))
	require.NoError(t, db.Close())
	at := pgtest.Fresh(t, "")
	raw := onPostgres().raw(t, at)
	run := func(statement string) {
		_, err := raw.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	refused := func(want error, text string) {
		t.Helper()
		_, err := OpenMove(t.Context(), path, at+"&lock_timeout=100")
		require.ErrorIs(t, err, want)
		require.ErrorContains(t, err, text)
	}
	run("CREATE TABLE theirs (a TEXT)")
	refused(ErrNotEmpty, "another program")
	run("DROP TABLE theirs")
	server, err := OpenPostgres(t.Context(), Postgres{URL: at}, testProver{})
	require.NoError(t, err)
	refused(ErrInUse, "another server uses this database")
	require.NoError(t, server.Close())
	refused(ErrNotEmpty, "the data of a server")
	empty(t, at)

	m, err := OpenMove(t.Context(), path, at)
	require.NoError(t, err)
	_, err = OpenPostgres(t.Context(), Postgres{URL: at + "&lock_timeout=100"}, testProver{})
	require.ErrorIs(t, err, ErrInUse, "no server has a database that is being looked at")
	empty(t, at) // which that server has made its tables in all the same
	_, err = OpenMove(t.Context(), path, at+"&lock_timeout=100")
	require.ErrorIs(t, err, ErrInUse, "nor another move")
	m.reached = func(point string) error {
		if point == "migrated" {
			run("CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no' USING " +
				"ERRCODE = '53100'; END $$; CREATE TRIGGER t BEFORE INSERT ON vault_entries EXECUTE FUNCTION full_disk()")
		}
		return nil
	}
	require.ErrorIs(t, m.Copy(t.Context()), ErrFull)
	require.NoError(t, m.Close())
	run("DROP FUNCTION full_disk CASCADE")

	t.Run("what changed since an earlier move is moved anew", func(t *testing.T) {
		db, err := Open(t.Context(), path, testProver{})
		require.NoError(t, err)
		require.NoError(t, db.Write(t.Context(), func(tx *Tx) error {
			if err := tx.DeleteVaultEntry(t.Context(), "org", "uid-k"); err != nil {
				return err
			}
			tx.Append(&Entry{Org: "org", Body: []byte("{}")})
			return insert(t.Context(), tx, "l", entry("l"))
		}))
		require.NoError(t, db.Close())
		require.False(t, moveUntil(t, path, at, -1))
		moved := onPostgres().reopen(t, at)
		keys, err := moved.Read().VaultKeys(t.Context(), "org", VaultRange{Limit: 9})
		require.NoError(t, err)
		require.Equal(t, []string{"l"}, keys)
	})
	t.Run("a store that was not migrated", func(t *testing.T) {
		s, err := FileSchema(t.Context(), path)
		require.NoError(t, err)
		onSQLite().takeBack(t, path, s.Needed)
		refused(ErrOutdated, "'bctrl migrate'")
	})
}

// TestARowThatDiffersAfterAMoveIsFound changes one in the database before the end.
func TestARowThatDiffersAfterAMoveIsFound(t *testing.T) {
	db, path := openTest(t)
	require.NoError(t, db.Close())
	at := pgtest.Fresh(t, "")
	m, err := OpenMove(t.Context(), path, at)
	require.NoError(t, err)
	defer func() { require.NoError(t, m.Close()) }()
	require.NoError(t, m.Copy(t.Context()))
	require.NoError(t, m.Compare(t.Context()))
	for _, change := range []string{
		"UPDATE organizations SET name = 'other'", "UPDATE organizations SET created_at = created_at + 1",
		"DELETE FROM organizations",
	} {
		_, err := onPostgres().raw(t, at).ExecContext(t.Context(), change)
		require.NoError(t, err)
		require.ErrorIs(t, m.Compare(t.Context()), ErrUnlike, change)
	}
}
