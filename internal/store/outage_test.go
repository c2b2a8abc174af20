package store

import (
	"database/sql"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/store/pgtest"
)

// TestADatabaseThatGoesAwayLosesNothing kills a PostgreSQL that syncs, and stops one,
// under writes: each is acknowledged or refused, what was acknowledged is there, nothing
// is there twice, and the same store goes on.
func TestADatabaseThatGoesAwayLosesNothing(t *testing.T) {
	cluster, err := pgtest.New(true)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cluster.Close()) })
	db, err := OpenPostgres(t.Context(), Postgres{URL: cluster.URL("postgres")}, testProver{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	require.NoError(t, db.Write(t.Context(), func(tx *Tx) error { return insertOrganization(t.Context(), tx, "org") }))
	w := &outageWriters{DB: db, refused: make(chan struct{}, 1), acknowledged: map[string]bool{}}
	for range 2 {
		stop := w.start(t, 8)
		w.waitFor(t, 50)
		require.NoError(t, cluster.Kill())
		<-w.refused // somebody was told
		require.NoError(t, cluster.Start())
		w.waitFor(t, 50)
		stop()
	}
	require.NoError(t, db.CatchUp(t.Context()))
	keys, err := db.Read().VaultKeys(t.Context(), "org", VaultRange{Limit: 1_000_000})
	require.NoError(t, err)
	stored := map[string]bool{}
	for _, key := range keys {
		stored[key] = true
	}
	for key := range w.acknowledged {
		require.True(t, stored[key], "acknowledged and lost: %s", key)
	}
	var events int
	require.NoError(t, db.Snapshot(t.Context(), func(q Queries) error {
		return q.EachEntry(t.Context(), 0, func(StoredEntry) error { events++; return nil })
	}))
	require.Equal(t, len(stored)+int(w.later), events, "an event for each write, and each of those left for later once")
	requireWholeChain(t, db, events)
}

// TestAConnectionThatEndedWhileNobodyWroteCostsNoWrite has PostgreSQL end the writer's alone and then all
// of the server's by a command, and all by its restart: the next write is done, and done once.
func TestAConnectionThatEndedWhileNobodyWroteCostsNoWrite(t *testing.T) {
	cluster, err := pgtest.New(false)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cluster.Close()) })
	raw := onPostgres().raw(t, cluster.URL("postgres"))
	raw.SetMaxIdleConns(0) // its own end as well
	for _, tc := range []struct {
		why    string
		shared bool
		write  func(*DB, func(*Tx) error) error
	}{
		{"alone", false, func(db *DB, fn func(*Tx) error) error { return db.Write(t.Context(), fn) }},
		{"a change of one of several", true, func(db *DB, fn func(*Tx) error) error { return db.Write(t.Context(), fn) }},
		{"a decision of one of several", true, func(db *DB, fn func(*Tx) error) error { return db.Decide(t.Context(), fn) }},
	} {
		_, err := raw.ExecContext(t.Context(), "DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public")
		require.NoError(t, err)
		db, err := OpenPostgres(t.Context(), Postgres{URL: cluster.URL("postgres"), Shared: tc.shared}, testProver{})
		require.NoError(t, err)
		ran := 0
		write := func() error {
			return tc.write(db, func(tx *Tx) error {
				ran++
				tx.Append(&Entry{Org: "org", Body: fmt.Appendf(nil, "%d", ran)})
				return nil
			})
		}
		require.NoError(t, write())
		for _, end := range []func(){
			func() { endBackends(t, raw, "pid = $1", db.batch.backend(t)) },
			func() { endBackends(t, raw, "application_name = $1", "bctrl") },
			func() {
				require.NoError(t, cluster.Kill())
				require.NoError(t, cluster.Start())
			},
		} {
			require.NoError(t, db.Write(t.Context(), func(*Tx) error { return nil })) // after it the writer only waits
			leaveIdle(t, db.reader, 6)
			end()
			require.NoError(t, write(), tc.why)
		}
		require.Equal(t, 4, ran)
		requireWholeChain(t, db, 4)
		require.NoError(t, db.Close())
	}
}

// leaveIdle has so many readers at once use the connections of a pool, twice: one that has just been
// used for the second time is not looked at before it is used again.
func leaveIdle(t *testing.T, pool *sql.DB, readers int) {
	t.Helper()
	for range 2 {
		var conns []*sql.Conn
		for range readers {
			conn, err := pool.Conn(t.Context())
			require.NoError(t, err)
			conns = append(conns, conn)
		}
		for _, conn := range conns {
			require.NoError(t, conn.Close())
		}
	}
	require.GreaterOrEqual(t, pool.Stats().Idle, readers)
}

// endBackends has PostgreSQL end the processes that serve the connections of which a condition holds.
func endBackends(t *testing.T, by *sql.DB, condition string, arg any) {
	t.Helper()
	var ended bool
	require.NoError(t, by.QueryRowContext(t.Context(),
		"SELECT bool_and(pg_terminate_backend(pid, 60000)) FROM pg_stat_activity WHERE "+condition, arg).Scan(&ended))
	require.True(t, ended)
}

// backend is the process of PostgreSQL that serves the writer, which only waits.
func (b *batch) backend(t *testing.T) (pid uint32) {
	t.Helper()
	require.NoError(t, b.conn.Raw(func(driver any) error {
		pid = driver.(*stdlib.Conn).Conn().PgConn().PID()
		return nil
	}))
	return pid
}

// outageWriters write to a store whose database comes and goes.
type outageWriters struct {
	*DB
	refused chan struct{}

	mu           sync.Mutex
	n, later     int64
	acknowledged map[string]bool
}

func (w *outageWriters) start(t *testing.T, callers int) (stop func()) {
	var group sync.WaitGroup
	done := make(chan struct{})
	for range callers {
		group.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					w.write(t)
				}
			}
		})
	}
	return func() { close(done); group.Wait() }
}

func (w *outageWriters) write(t *testing.T) {
	w.mu.Lock()
	w.n++
	key := fmt.Sprintf("k%09d", w.n)
	w.mu.Unlock()
	err := w.Write(t.Context(), func(tx *Tx) error { return insert(t.Context(), tx, key, entry(key)) })
	if err != nil {
		assert.ErrorIs(t, err, ErrUnavailable)
		select {
		case w.refused <- struct{}{}:
		default:
		}
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.acknowledged[key] = true
	if w.AppendLater(&Entry{Org: "org", Body: []byte(`{"outcome":"` + key + `"}`)}) == nil {
		w.later++
	}
}

// waitFor waits until so many more writes are acknowledged.
func (w *outageWriters) waitFor(t *testing.T, more int) {
	t.Helper()
	count := func() int { w.mu.Lock(); defer w.mu.Unlock(); return len(w.acknowledged) }
	from := count()
	require.Eventually(t, func() bool { return count() >= from+more }, time.Minute, time.Millisecond)
}

// TestACommitThatWasNotAnsweredIsFoundOut: the connection ends with the commit, so that
// nobody knows, and the event that was left for later is in the log once.
func TestACommitThatWasNotAnsweredIsFoundOut(t *testing.T) {
	for _, tc := range []struct {
		why     string
		durable bool
	}{{"it is durable", true}, {"it is not", false}} {
		t.Run(tc.why, func(t *testing.T) {
			db, _ := onPostgres().openTest(t)
			later := &Entry{Org: "org", Body: []byte(`{"later":true}`)}
			b := db.batch
			j := &job{ctx: t.Context(), fn: func(tx *Tx) error { return insert(t.Context(), tx, "k", entry("k")) }}
			require.NoError(t, db.Write(t.Context(), func(*Tx) error { return nil })) // after it the writer only waits
			b.base = b.place
			require.NoError(t, b.begin(t.Context(), false))
			require.NoError(t, b.runJob(t.Context(), j))
			rows, err := b.link(t.Context(), append([]*Entry{later}, j.tx.entries...), b.now())
			require.NoError(t, err)
			if tc.durable {
				require.NoError(t, b.end(t.Context(), rows, ""))
			}
			b.doubt = doubtOf(b.place, []*job{j}, []*Entry{later})
			b.place = b.base
			b.drop()

			require.NoError(t, b.commit(nil, []*Entry{later}, false))
			require.Nil(t, b.doubt)
			events := 1
			if tc.durable {
				events = 2
			}
			requireWholeChain(t, db, events)
		})
	}
}

// TestAServerThatWasOvertakenWritesNoMore loses its connection, and another server
// writes before it has a new one.
func TestAServerThatWasOvertakenWritesNoMore(t *testing.T) {
	db, at := onPostgres().openTest(t)
	require.NoError(t, db.Write(t.Context(), func(*Tx) error { return nil }))
	db.batch.drop()
	other := openShared(t, at)
	require.NoError(t, other.Write(t.Context(), func(tx *Tx) error { return insert(t.Context(), tx, "k", entry("k")) }))
	require.NoError(t, other.Close())
	err := db.Write(t.Context(), func(tx *Tx) error { return insert(t.Context(), tx, "l", entry("l")) })
	require.ErrorIs(t, err, ErrOvertaken)
	require.ErrorIs(t, err, ErrUnavailable)
	require.ErrorIs(t, db.WriteFault().Err, ErrOvertaken)
	require.ErrorIs(t, db.TryWrite(t.Context()), ErrOvertaken, "nor later")
}

// TestAPostgreSQLThatHangsIsNotWaitedForForever stops its process for a while.
func TestAPostgreSQLThatHangsIsNotWaitedForForever(t *testing.T) {
	cluster, err := pgtest.New(false)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cluster.Close()) })
	db, err := OpenPostgres(t.Context(), Postgres{URL: cluster.URL("postgres")}, testProver{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	db.on.limit = 100 * time.Millisecond
	require.NoError(t, cluster.SignalAll(syscall.SIGSTOP))
	require.ErrorIs(t, db.Write(t.Context(), func(tx *Tx) error { return insertOrganization(t.Context(), tx, "org") }),
		ErrUnavailable)
	_, err = db.Read().VaultEntry(t.Context(), "org", "k")
	require.ErrorIs(t, err, ErrUnavailable)
	require.NoError(t, cluster.SignalAll(syscall.SIGCONT))
	db.on.limit = answerLimit
	require.Eventually(t, func() bool {
		return db.Write(t.Context(), func(tx *Tx) error { return insertOrganization(t.Context(), tx, "org2") }) == nil
	}, time.Minute, 10*time.Millisecond)
}

// TestAStatementMayTakeAsLongAsTheURLSays, and ten seconds without that.
func TestAStatementMayTakeAsLongAsTheURLSays(t *testing.T) {
	for _, c := range []struct{ option, limit string }{{"", "10s"}, {"&statement_timeout=150", "150ms"}} {
		db, err := OpenPostgres(t.Context(), Postgres{URL: pgtest.Fresh(t, "") + c.option}, testProver{})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		var limit string
		require.NoError(t, db.Write(t.Context(), func(tx *Tx) (err error) {
			limit, err = one(t.Context(), tx.Queries, func(row scanner) (s string, err error) { return s, row(&s) },
				"SHOW statement_timeout")
			if err != nil {
				return err
			}
			return insertOrganization(t.Context(), tx, "org")
		}))
		require.Equal(t, c.limit, limit)
		if c.option == "" {
			continue
		}
		require.ErrorIs(t, db.Write(t.Context(), func(tx *Tx) error {
			_, err := tx.exec(t.Context(), "UPDATE organizations SET name = pg_sleep(30)::text")
			return err
		}), ErrUnavailable)
		require.NoError(t, db.Write(t.Context(), func(tx *Tx) error {
			return insertOrganization(t.Context(), tx, "org2")
		}), "it is the statement's end alone")
	}
}

// TestAServerWhoseLastEventsAreGoneWritesNoMore has the database lack what a server wrote last, as a
// standby may that takes over: neither one that has it to itself nor one that shares it goes on.
func TestAServerWhoseLastEventsAreGoneWritesNoMore(t *testing.T) {
	for _, shared := range []bool{false, true} {
		db, at := onPostgres().openTest(t)
		if shared {
			require.NoError(t, db.Close())
			db = openShared(t, at)
		}
		write := func(key string) error {
			return db.Write(t.Context(), func(tx *Tx) error { return insert(t.Context(), tx, key, entry(key)) })
		}
		require.NoError(t, write("a"))
		require.NoError(t, write("b"))
		_, err := onPostgres().raw(t, at+"&session_replication_role=replica").ExecContext(t.Context(), // without triggers
			"DELETE FROM audit_events WHERE seq = (SELECT MAX(seq) FROM audit_events)")
		require.NoError(t, err)
		db.batch.drop()
		for range 3 {
			require.ErrorIs(t, write("c"), ErrOvertaken, "shared: %v", shared)
			require.ErrorIs(t, db.WriteFault().Err, ErrOvertaken)
			require.ErrorIs(t, db.TryWrite(t.Context()), ErrOvertaken)
		}
	}
}
