package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/store/pgtest"
)

// openShared opens a database that other servers write to.
func openShared(tb testing.TB, at string) *DB {
	tb.Helper()
	db, err := OpenPostgres(tb.Context(), Postgres{URL: at, Shared: true}, testProver{})
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, db.Close()) })
	return db
}

// requireWholeChain requires that the log has no gap, no fork and so many events, each
// of another body.
func requireWholeChain(tb testing.TB, db *DB, events int) {
	tb.Helper()
	bodies, n := map[string]bool{}, 0
	eachWhole(tb.Context(), tb, db, func(e StoredEntry) {
		bodies[string(e.Body)] = true
		n++
	})
	require.Equal(tb, events, n)
	require.Len(tb, bodies, events)
}

// eachWhole reads the log, and requires that each lane has neither gap nor fork, and that the hash
// which stands for all of it is of what was read.
func eachWhole(ctx context.Context, t require.TestingT, db *DB, fn func(StoredEntry)) {
	lanes, newest := map[int64]Lane{}, int64(0)
	var end Head
	require.NoError(t, db.Snapshot(ctx, func(q Queries) (err error) {
		if end, err = q.LogEnd(ctx); err != nil {
			return err
		}
		return q.EachEntry(ctx, 0, func(e StoredEntry) error {
			lane, known := lanes[e.Lane]
			if !known {
				lane.Hash = ZeroHash()
			}
			require.Greater(t, e.Seq, newest)
			require.Equal(t, lane.Seq, e.Previous)
			require.Equal(t, NextHash(lane.Hash, e.Entry), e.Hash)
			lanes[e.Lane], newest = Lane{e.Lane, e.Seq, e.Hash}, e.Seq
			fn(e)
			return nil
		})
	}))
	require.Equal(t, newest, end.Seq)
	var all []Lane
	for _, number := range slices.Sorted(maps.Keys(lanes)) {
		all = append(all, lanes[number])
	}
	require.Equal(t, HeadOf(all), end.Hash)
}

// TestServersThatStartAtOnceMigrateOnce opens an empty database from several servers
// at once.
func TestServersThatStartAtOnceMigrateOnce(t *testing.T) {
	at := pgtest.Fresh(t, "")
	var group sync.WaitGroup
	errs := make([]error, 3)
	for i := range errs {
		group.Go(func() {
			db, err := OpenPostgres(t.Context(), Postgres{URL: at, Shared: true}, testProver{})
			if errs[i] = err; err == nil {
				errs[i] = db.Close()
			}
		})
	}
	group.Wait()
	require.NoError(t, errors.Join(errs...))
	var applied, versions int
	require.NoError(t, onPostgres().raw(t, at).QueryRowContext(t.Context(),
		"SELECT COUNT(*), COUNT(DISTINCT version_id) FROM goose_db_version").Scan(&applied, &versions))
	require.Equal(t, versions, applied)
}

// TestBothEnginesHaveTheSameColumns compares what the same migrations make.
func TestBothEnginesHaveTheSameColumns(t *testing.T) {
	columns := func(e engine, query string) (all []string) {
		_, at := e.openEmpty(t)
		rows, err := e.raw(t, at).QueryContext(t.Context(), query)
		require.NoError(t, err)
		defer rows.Close()
		for rows.Next() {
			var table, column, kind string
			var null bool
			require.NoError(t, rows.Scan(&table, &column, &kind, &null))
			all = append(all, fmt.Sprint(table, ".", column, " ", kind, " ", null))
		}
		require.NoError(t, rows.Err())
		return all
	}
	onFile := columns(onSQLite(), `SELECT m.name, c.name, CASE c.type WHEN 'INTEGER' THEN 'BIGINT' ELSE c.type END,
		c."notnull" = 0 AND c.pk = 0 FROM sqlite_master m JOIN pragma_table_info(m.name) c
		WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%' AND m.name <> 'goose_db_version' ORDER BY m.name, c.cid`)
	onServer := columns(onPostgres(), `SELECT table_name, column_name,
		CASE data_type WHEN 'bytea' THEN 'BLOB' ELSE upper(data_type) END, is_nullable = 'YES'
		FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'goose_db_version'
		ORDER BY table_name COLLATE "C", ordinal_position`)
	require.NotEmpty(t, onFile)
	onServer = slices.DeleteFunc(onServer, isOfServersAlone)
	// A primary key of texts takes NULL in SQLite, and its declaration does not say.
	require.Equal(t, onFile, onServer)
}

// isOfServersAlone is of the columns that SQLite has not: those by which events are found are in the index of its
// log, and its log has one lane.
func isOfServersAlone(column string) bool {
	name, _, _ := strings.Cut(column, " ")
	return slices.Contains([]string{
		"audit_events.workspace_id", "audit_events.runtime_id", "audit_events.action", "audit_events.object",
		"audit_events.denied", "audit_events.outcome", "audit_events.lane", "audit_events.previous", "nodes.lane",
	}, name)
}

func TestAnOlderServerRefusesANewerSchema(t *testing.T) {
	eachEngine(t, testAnOlderServerRefusesANewerSchema)
}

func testAnOlderServerRefusesANewerSchema(t *testing.T, e engine) {
	if e.driver != "sqlite" {
		e.create = func(tb testing.TB) string { return pgtest.Fresh(tb, migrated(tb)) }
	}
	db, at := e.openEmpty(t)
	require.NoError(t, db.Close())
	_, err := e.raw(t, at).ExecContext(t.Context(),
		"INSERT INTO goose_db_version (version_id, is_applied) VALUES (4711, TRUE)")
	require.NoError(t, err)
	_, err = e.open(t.Context(), at, testProver{})
	require.ErrorIs(t, err, ErrNewerSchema)
	require.ErrorContains(t, err, "start one that knows version 4711")
}

// TestServersThatShareADatabaseNeverForkTheChain has three of them write at once.
func TestServersThatShareADatabaseNeverForkTheChain(t *testing.T) {
	_, at := onPostgres().openClosed(t)
	const servers, callers, writes = 3, 8, 20
	dbs := make([]*DB, servers)
	for i := range dbs {
		dbs[i] = openShared(t, at)
	}
	var group sync.WaitGroup
	for i, db := range dbs {
		for j := range callers {
			group.Go(func() {
				for k := range writes {
					key := fmt.Sprintf("k-%d-%d-%d", i, j, k)
					assert.NoError(t, db.Write(t.Context(), func(tx *Tx) error {
						return insert(t.Context(), tx, key, entry(key))
					}))
				}
			})
		}
	}
	group.Wait()
	requireWholeChain(t, dbs[0], servers*callers*writes)
	for _, db := range dbs {
		require.NoError(t, db.Write(t.Context(), func(tx *Tx) error {
			_, err := tx.VaultEntry(t.Context(), "org", "k-1-1-1")
			return err
		}))
		require.EqualValues(t, servers*callers*writes, db.Head().Seq, "each knows where the chain stands")
	}
}

// TestAKeyThatAnotherServerRevokedIsNotGood: what shares a database remembers no key.
func TestAKeyThatAnotherServerRevokedIsNotGood(t *testing.T) {
	_, at := onPostgres().openClosed(t)
	first, second := openShared(t, at), openShared(t, at)
	ctx, hash := t.Context(), [32]byte{1}
	require.NoError(t, first.Write(ctx, func(tx *Tx) error {
		defer tx.Append(&Entry{Org: "org", Body: []byte("{}")})
		return tx.InsertAPIKey(ctx, APIKey{ID: "k", Org: "org", Hash: hash[:], CreatedAt: time.Now()})
	}))
	for _, db := range []*DB{first, second} {
		k, err := db.APIKeyByHash(ctx, hash)
		require.NoError(t, err)
		require.True(t, k.RevokedAt.IsZero())
	}
	require.NoError(t, second.Write(ctx, func(tx *Tx) error {
		defer tx.Append(&Entry{Org: "org", Body: []byte("{}")})
		return tx.RevokeAPIKey(ctx, "org", "k", time.Now())
	}))
	k, err := first.APIKeyByHash(ctx, hash)
	require.NoError(t, err)
	require.False(t, k.RevokedAt.IsZero())
}

// TestWhatAnotherServerWritesIsTold: who waits for events at one server hears of those
// that another writes, and not of other organizations'.
func TestWhatAnotherServerWritesIsTold(t *testing.T) {
	_, at := onPostgres().openClosed(t)
	here, there := openShared(t, at), openShared(t, at)
	happens := func(runtime string) {
		require.NoError(t, there.Write(t.Context(), func(tx *Tx) error {
			_, err := tx.InsertEvent(t.Context(), "org", bctrl.Event{RuntimeID: runtime, Time: time.Now()})
			return err
		}))
	}
	any, stopAny := here.WatchEvents("org", "")
	defer stopAny()
	require.Eventually(t, func() bool { // until it listens
		happens("r0")
		select {
		case <-any:
			return true
		default:
			return false
		}
	}, time.Minute, time.Millisecond)
	mine, stopMine := here.WatchEvents("org", "r1")
	defer stopMine()
	others, stopOthers := here.WatchEvents("other", "")
	defer stopOthers()
	happens("r2")
	happens("r1")
	<-mine
	<-any
	require.Empty(t, others)
	require.NoError(t, there.Write(t.Context(), func(tx *Tx) error {
		for range 100 { // more than a notice holds
			e := bctrl.Event{RuntimeID: strings.Repeat("r", 100), Time: time.Now()}
			if _, err := tx.InsertEvent(t.Context(), "org", e); err != nil {
				return err
			}
		}
		return nil
	}))
	<-others // of whom nothing was said
}

// TestOneServerHasADatabaseToItself, unless both are told to share it.
func TestOneServerHasADatabaseToItself(t *testing.T) {
	db, at := onPostgres().openEmpty(t)
	shortened := at + "&lock_timeout=100"
	for _, shared := range []bool{false, true} {
		_, err := OpenPostgres(t.Context(), Postgres{URL: shortened, Shared: shared}, testProver{})
		require.ErrorIs(t, err, ErrInUse)
	}
	require.NoError(t, db.Close())
	second, err := OpenPostgres(t.Context(), Postgres{URL: shortened}, testProver{})
	require.NoError(t, err)
	require.NoError(t, second.Close())
}

// TestATransactionThatPostgreSQLUndoesIsDoneAgain raises what it raises for a conflict
// and for a deadlock, in the first tries of one of two writes that share a transaction.
func TestATransactionThatPostgreSQLUndoesIsDoneAgain(t *testing.T) {
	for _, state := range []string{"40001", "40P01"} {
		t.Run(state, func(t *testing.T) {
			db, _ := onPostgres().openTest(t)
			ctx, tries := t.Context(), 0
			results := writeTogether(t, db,
				func(tx *Tx) error { return insert(ctx, tx, "one", entry("one")) },
				func(tx *Tx) error {
					if tries++; tries < 3 {
						return raise(ctx, tx, state)
					}
					return insert(ctx, tx, "two", entry("two"))
				})
			require.NoError(t, errors.Join(results...))
			require.Equal(t, 3, tries)
			requireWholeChain(t, db, 2)
		})
	}
	t.Run("but not for ever", func(t *testing.T) {
		db, _ := onPostgres().openTest(t)
		err := db.Write(t.Context(), func(tx *Tx) error { return raise(t.Context(), tx, "40001") })
		require.ErrorIs(t, err, ErrUnavailable)
	})
}

// TestAReadThatFailsUndoesNothingElse: after an error PostgreSQL takes nothing more in a
// transaction, not what others write in it either.
func TestAReadThatFailsUndoesNothingElse(t *testing.T) {
	db, _ := onPostgres().openTest(t)
	ctx := t.Context()
	results := writeTogether(t, db,
		func(tx *Tx) error { return insert(ctx, tx, "one", entry("one")) },
		func(tx *Tx) error {
			_, err := one(ctx, tx.Queries, func(row scanner) (n int, err error) { return n, row(&n) }, "SELECT 1 / 0")
			return err
		},
		func(tx *Tx) error { return insert(ctx, tx, "two", entry("two")) })
	require.NoError(t, errors.Join(results[0], results[2]))
	require.EqualError(t, results[1], "store: PostgreSQL refused a statement (SQLSTATE 22012)")
	requireWholeChain(t, db, 2)
}

// TestManyWritesThatAreRefusedUndoNothingElse has more of them share a transaction than it is
// tried again.
func TestManyWritesThatAreRefusedUndoNothingElse(t *testing.T) {
	db, _ := onPostgres().openTest(t)
	ctx := t.Context()
	fns := []func(*Tx) error{func(tx *Tx) error { return insert(ctx, tx, "one", entry("one")) }}
	for range maxTries + 2 {
		fns = append(fns, func(tx *Tx) error { return raise(ctx, tx, "23503") })
	}
	results := writeTogether(t, db, fns...)
	require.NoError(t, results[0])
	for _, err := range results[1:] {
		require.EqualError(t, err, "store: PostgreSQL refused a statement (SQLSTATE 23503)")
	}
	requireWholeChain(t, db, 1)
}

// raise has PostgreSQL fail with a SQLSTATE.
func raise(ctx context.Context, tx *Tx, state string) error {
	_, err := tx.exec(ctx, "DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '"+state+"'; END $$")
	return err
}

// writeTogether has several writes share a transaction, and returns how each ended.
func writeTogether(t *testing.T, db *DB, fns ...func(*Tx) error) []error {
	t.Helper()
	held, ran := make(chan struct{}), make(chan error, 1)
	go func() {
		ran <- db.Write(t.Context(), func(*Tx) error { <-held; return nil }) // all wait for the one after
	}()
	jobs := make([]*job, len(fns))
	for i, fn := range fns {
		jobs[i] = &job{ctx: t.Context(), fn: fn, done: make(chan error, 1)}
		require.NoError(t, db.enqueue(t.Context(), jobs[i]))
	}
	close(held)
	require.NoError(t, <-ran)
	results := make([]error, len(jobs))
	for i, j := range jobs {
		results[i] = <-j.done
	}
	return results
}

// TestWhatPostgreSQLRefusesIsSaidAndHarmsNothing raises each where a write is.
func TestWhatPostgreSQLRefusesIsSaidAndHarmsNothing(t *testing.T) {
	db, _ := onPostgres().openTest(t)
	ctx := t.Context()
	for _, tc := range []struct {
		why, state string
		want       error
	}{
		{"the disk is full", "53100", ErrFull},
		{"it has become a standby", "25006", ErrReadOnly},
		{"there are too many connections", "53300", ErrUnavailable},
		{"a statement took too long", "57014", ErrUnavailable},
		{"a lock was waited for too long", "55P03", ErrUnavailable},
	} {
		require.ErrorIs(t, db.Write(ctx, func(tx *Tx) error { return raise(ctx, tx, tc.state) }), tc.want, tc.why)
		require.NoError(t, db.Write(ctx, func(tx *Tx) error {
			return insert(ctx, tx, tc.state, entry(tc.state))
		}), "and then it goes on")
	}
	err := db.Write(ctx, func(tx *Tx) error { return raise(ctx, tx, "22012") })
	require.EqualError(t, err, "store: PostgreSQL refused a statement (SQLSTATE 22012)", "nothing it says is repeated")
	requireWholeChain(t, db, 5)
}

// TestATextOfAnyBytesIsKept: callers send what is no text in paths, and the log has what
// they asked for. PostgreSQL refuses such a text, and with it what others write in the
// same transaction.
func TestATextOfAnyBytesIsKept(t *testing.T) { eachEngine(t, testATextOfAnyBytesIsKept) }

func testATextOfAnyBytesIsKept(t *testing.T, e engine) {
	db, _ := e.openTest(t)
	ctx := t.Context()
	for i, text := range []string{"a\x00b", "a\xffb", "\x00", "\x01", "\x01YQ", "\x01\x00", "plain"} {
		event := strings.ToValidUTF8(text, "\uFFFD") // as events have it
		results := writeTogether(t, db,
			func(tx *Tx) error { return insert(ctx, tx, fmt.Sprint("good", i), entry(fmt.Sprint("good", i))) },
			func(tx *Tx) error {
				body, err := json.Marshal(map[string]string{"action": event, "object": event})
				if err != nil {
					return err
				}
				tx.Append(&Entry{Org: "org", Body: body, Terms: Terms{Action: event, Object: event}})
				return insert(ctx, tx, text, entry(text))
			})
		require.NoError(t, errors.Join(results...), "%q", text)
		got, err := db.Read().VaultEntry(ctx, "org", text)
		require.NoError(t, err)
		require.Equal(t, entry(text), got)
		found, err := db.Read().Events(ctx, EventRange{
			Org:    "org",
			By:     ByObject,
			Value:  event,
			Before: 1 << 40,
			Limit:  9,
		})
		require.NoError(t, err)
		require.Len(t, found, 1)
	}
}

// TestADatabaseThatIsNoneForAStoreIsSaid gives one of each kind.
func TestADatabaseThatIsNoneForAStoreIsSaid(t *testing.T) {
	at := pgtest.Fresh(t, "")
	change := func(statements ...string) {
		for _, s := range statements {
			_, err := onPostgres().raw(t, at).ExecContext(t.Context(), s)
			require.NoError(t, err)
		}
	}
	name := strings.TrimPrefix(parsed(t, at).Path, "/")
	change("CREATE TABLE theirs (a TEXT)")
	_, err := onPostgres().open(t.Context(), at, testProver{})
	require.ErrorIs(t, err, ErrForeignSchema, "another program's")
	require.ErrorContains(t, err, "table theirs")
	change("DROP TABLE theirs", "ALTER DATABASE "+name+" SET default_transaction_read_only = on")
	_, err = onPostgres().open(t.Context(), at, testProver{})
	require.ErrorIs(t, err, ErrReadOnly)
	_, err = onPostgres().open(t.Context(), at+"&default_transaction_read_only=off&synchronous_commit=off", testProver{})
	require.ErrorContains(t, err, "synchronous_commit is off")
	_, err = onPostgres().open(t.Context(), strings.Replace(at, name, "nobodys", 1), testProver{})
	require.ErrorContains(t, err, "no database of this name")

	const password = "hunter2-in-a-url"
	for _, tc := range []struct {
		why, url string
		want     error
	}{
		{"nothing", "", ErrURL},
		{"another scheme", "mysql://u:" + password + "@h/d", ErrURL},
		{"words as libpq has them", "host=h password=" + password, ErrURL},
		{"no URL", "postgres://u:" + password + "@h:port/d", ErrURL},
		{"an unknown setting", "postgres://u:" + password + "@h/d?sslmode=what", ErrURL},
		{"nobody listens", "postgres://u:" + password + "@127.0.0.1:1/d", ErrUnavailable},
	} {
		_, err := onPostgres().open(t.Context(), tc.url, testProver{})
		require.ErrorIs(t, err, tc.want, tc.why)
		require.False(t, strings.Contains(err.Error(), password), "the password is never repeated: "+tc.why)
	}
}

// TestWhyADatabaseIsNotReachedIsSaid has addresses at which no PostgreSQL answers.
func TestWhyADatabaseIsNotReachedIsSaid(t *testing.T) {
	says := func(greeting string) string { // what a program of another protocol says at once
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		require.NoError(t, err)
		var talks sync.WaitGroup
		talks.Go(func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = io.WriteString(conn, greeting)
				_ = conn.Close()
			}
		})
		t.Cleanup(func() { require.NoError(t, l.Close()); talks.Wait() })
		return l.Addr().String()
	}
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, silent.Close()) }()
	for _, tc := range []struct{ at, says string }{
		{"127.0.0.1:1/d", "nothing listens there"},
		{"nobodys.invalid/d", "name of its host"},
		{says("HTTP/1.1 400 Bad Request\r\n\r\n") + "/d", "does not speak as PostgreSQL does"},
		{says("J\x00\x00\x00\x0a8.0.33\x00") + "/d?sslmode=disable", "does not speak as PostgreSQL does"},
		{silent.Addr().String() + "/d?connect_timeout=1", "in time"},
	} {
		_, err := onPostgres().open(t.Context(), "postgres://u:hunter2@"+tc.at, testProver{})
		require.ErrorIs(t, err, ErrUnavailable, tc.at)
		require.ErrorContains(t, err, tc.says, tc.at)
		require.False(t, strings.Contains(err.Error(), "hunter2"), tc.at)
	}
}

func TestAServerThatKeepsNoPromisesIsRefused(t *testing.T) {
	good := servedAs{version: 150004, encoding: "UTF8", synchronous: "on"}
	require.NoError(t, good.refuse())
	for says, change := range map[string]func(*servedAs){
		"not PostgreSQL 15 or later: it is version 14": func(s *servedAs) { s.version = 140009 },
		"read-only":                 func(s *servedAs) { s.readOnly = true },
		"its standbys follow":       func(s *servedAs) { s.standby = true },
		"not encoded in UTF8":       func(s *servedAs) { s.encoding = "LATIN1" },
		"synchronous_commit is off": func(s *servedAs) { s.synchronous = "off" },
	} {
		s := good
		change(&s)
		require.ErrorContains(t, s.refuse(), says)
	}
}

func parsed(t *testing.T, at string) *url.URL {
	t.Helper()
	u, err := url.Parse(at)
	require.NoError(t, err)
	return u
}

func TestEachStateOfPostgreSQLIsOneOfOurs(t *testing.T) {
	secret := &pgconn.PgError{Code: "22P02", Message: "invalid input syntax: s3cret", Detail: "s3cret"}
	require.False(t, strings.Contains(translate(secret).Error(), "s3cret"))
	require.ErrorIs(t, translate(&pgconn.PgError{Code: "23505", Detail: "s3cret"}), ErrExists)
}
