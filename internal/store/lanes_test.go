package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bctrl-go/bctrl/internal/store/pgtest"
)

// TestNumbersOfLanesAreGreaterAndNoOthers: each is the least of its lane after what is known.
func TestNumbersOfLanesAreGreaterAndNoOthers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		newest := rapid.Int64Range(0, 1<<52).Draw(t, "newest")
		lane := rapid.Int64Range(0, Lanes-1).Draw(t, "lane")
		number := place{newest: newest}.nextNumber(lane)
		require.Greater(t, number, newest)
		if lane == 0 {
			require.Equal(t, newest+1, number)
			return
		}
		require.Equal(t, lane, number%Lanes)
		require.LessOrEqual(t, number-newest, int64(Lanes))
	})
}

// modeOf is the lock that the transaction of a decision has.
func modeOf(t *testing.T, db *DB, at, name string) (mode string) {
	raw := onPostgres().raw(t, at)
	var err error
	require.NoError(t, decide(t.Context(), db, name, func(*Tx) {
		err = raw.QueryRowContext(t.Context(), "SELECT mode FROM pg_locks WHERE relation = '"+versionTable+
			"'::regclass").Scan(&mode)
	}))
	require.NoError(t, err)
	return mode
}

// appendAsBefore appends as a node of the version before lanes decides: to the end of the one chain, in its turn.
func appendAsBefore(ctx context.Context, t *testing.T, conn *pgx.Conn, body string) {
	require.NoError(t, pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		for _, lock := range []string{
			toDecide, "SELECT pg_advisory_xact_lock(hashtext('bctrl chain'), hashtext(current_schema()))",
		} {
			if _, err := tx.Exec(ctx, lock); err != nil {
				return err
			}
		}
		e, head := Entry{Org: "org", Body: []byte(body), At: Now()}, ZeroHash()
		newest := tx.QueryRow(ctx, "SELECT seq, hash FROM audit_events ORDER BY seq DESC LIMIT 1")
		if err := newest.Scan(&e.Seq, &head); err != nil {
			return err
		}
		e.Seq++
		_, err := tx.Exec(ctx, "INSERT INTO audit_events (seq, at, org_id, body, hash) VALUES ($1, $2, $3, $4, $5)",
			e.Seq, millis(e.At), e.Org, e.Body, NextHash(head, e))
		return err
	}))
}

// TestNodesBesideOneOfTheVersionBefore goes through an upgrade of one node after the other: while one lives that knows
// no lanes, the others append to its chain, and alone; then each has its lane.
func TestNodesBesideOneOfTheVersionBefore(t *testing.T) {
	_, at := onPostgres().openClosed(t)
	ctx := t.Context()
	dbs := []*DB{openShared(t, at), openShared(t, at)}
	before, err := pgx.Connect(ctx, at)
	require.NoError(t, err)
	defer before.Close(ctx)
	register(t, dbs[0], "before", testLease)
	_, err = before.Exec(ctx, "UPDATE nodes SET lane = NULL") // as it is of one that was there when the column was added
	require.NoError(t, err)
	events := 0
	for round := range 2 {
		for i, db := range dbs {
			if round == 0 {
				joinAs(t, db, fmt.Sprint("new ", i))
			}
			require.Equal(t, "ShareRowExclusiveLock", modeOf(t, db, at, fmt.Sprint("beside ", round, i)))
			appendAsBefore(ctx, t, before, fmt.Sprint("before ", round, i))
			events += 2
			requireWholeChain(t, db, events)
		}
	}
	require.Equal(t, int64(events), dbs[1].Head().Seq+1, "numbers have no gaps")

	require.NoError(t, dbs[0].ExpireLease(ctx, "before"))
	require.NoError(t, dbs[0].Write(ctx, func(tx *Tx) error { _, err := tx.EndDeadNodes(ctx); return err }))
	_, err = before.Exec(ctx, `INSERT INTO nodes (id, number, name, address, version, state, runtimes, room, heard,
		started_at, lease_until, log_from, settled) VALUES ('come back', 99, '', '', '', 'serving', 0, 0, 0, 0, 1, 0, FALSE)`)
	require.ErrorContains(t, err, "23514", "it does not come back as it was")
	for i, db := range dbs {
		require.Equal(t, "ShareRowExclusiveLock", modeOf(t, db, at, fmt.Sprint("takes ", i)))
		require.Equal(t, "ShareLock", modeOf(t, db, at, fmt.Sprint("has ", i)))
		require.Equal(t, int64(i+1), db.Head().Seq%Lanes)
		events += 2
	}
	requireWholeChain(t, dbs[0], events)

	joinAs(t, dbs[0], "new 0 come back") // whose lane is not free yet
	require.NoError(t, decide(ctx, dbs[0], "come back", func(*Tx) {}))
	require.Equal(t, int64(3), dbs[0].Head().Seq%Lanes)
	require.NoError(t, dbs[0].ExpireLease(ctx, "new 0"))
	require.NoError(t, dbs[0].Write(ctx, func(tx *Tx) error { _, err := tx.EndDeadNodes(ctx); return err }))
	joinAs(t, dbs[1], "new 1 come back")
	require.NoError(t, decide(ctx, dbs[1], "goes on in the lane of another that ended", func(*Tx) {}))
	require.Equal(t, int64(1), dbs[1].Head().Seq%Lanes)
	requireWholeChain(t, dbs[0], events+2)
}

// TestALaneThatWasNotKeptIsNotTheNodes: the transaction which took it was undone.
func TestALaneThatWasNotKeptIsNotTheNodes(t *testing.T) {
	_, at := onPostgres().openClosed(t)
	undone, other, raw := openShared(t, at), openShared(t, at), onPostgres().raw(t, at)
	lane := func(id string) (lane int64) {
		require.NoError(t, raw.QueryRowContext(t.Context(), "SELECT lane FROM nodes WHERE id = $1", id).Scan(&lane))
		return lane
	}
	register(t, undone, "undone", testLease)
	undone.Fence("undone")
	refused := errors.New("refused")
	require.ErrorIs(t, undone.Decide(t.Context(), func(*Tx) error { return refused }), refused)
	require.Zero(t, lane("undone"))
	joinAs(t, other, "other")
	require.Equal(t, int64(1), lane("other"))
	require.NoError(t, decide(t.Context(), other, "other", func(*Tx) {}))
	require.NoError(t, decide(t.Context(), undone, "undone", func(*Tx) {}))
	require.Equal(t, int64(2), lane("undone"))
	require.Equal(t, int64(2), undone.Head().Seq%Lanes)
	requireWholeChain(t, undone, 2)
}

// TestALaneIsNeverTwoNodes: what takes one was undone by a refusal after the node had written in lane 0, as it does
// beside a node of the version before.
func TestALaneIsNeverTwoNodes(t *testing.T) {
	_, at := onPostgres().openClosed(t)
	ctx := t.Context()
	a, b, raw := openShared(t, at), openShared(t, at), onPostgres().raw(t, at)
	register(t, a, "before", testLease)
	_, err := raw.ExecContext(ctx, "UPDATE nodes SET lane = NULL")
	require.NoError(t, err)
	joinAs(t, a, "a")
	require.NoError(t, decide(ctx, a, "beside", func(*Tx) {}))
	require.NoError(t, a.ExpireLease(ctx, "before"))
	require.NoError(t, a.Write(ctx, func(tx *Tx) error { _, err := tx.EndDeadNodes(ctx); return err }))
	refused := errors.New("refused")
	require.ErrorIs(t, a.Decide(ctx, func(*Tx) error { return refused }), refused)
	require.NoError(t, decide(ctx, a, "a1", func(*Tx) {}))
	joinAs(t, b, "b")
	for i := range 3 {
		require.NoError(t, decide(ctx, b, fmt.Sprint("b", i), func(*Tx) {}))
		require.NoError(t, decide(ctx, a, fmt.Sprint("again ", i), func(*Tx) {}))
	}
	requireWholeChain(t, a, 8)

	_, err = raw.ExecContext(ctx, "UPDATE nodes SET lane = 0 WHERE id = 'a'") // as where a failover lost that
	require.NoError(t, err)
	c := openShared(t, at)
	joinAs(t, c, "c")
	require.NoError(t, decide(ctx, c, "c", func(*Tx) {}))
	require.NoError(t, decide(ctx, a, "in another lane", func(*Tx) {}))
	require.Equal(t, int64(3), a.Head().Seq%Lanes)
	requireWholeChain(t, a, 10)
}

// TestANodeWithoutALaneOfItsOwnWritesAlone: there are as many nodes as lanes before it.
func TestANodeWithoutALaneOfItsOwnWritesAlone(t *testing.T) {
	dbs, at := sharedStores(t, 1)
	raw := onPostgres().raw(t, at)
	for i := range Lanes - 2 {
		register(t, dbs[0], fmt.Sprint("other ", i), testLease)
	}
	_, err := raw.ExecContext(t.Context(), "UPDATE nodes SET lane = number WHERE id LIKE 'other%'")
	require.NoError(t, err)
	last := openShared(t, at)
	joinAs(t, last, "one more")
	require.Equal(t, "ShareRowExclusiveLock", modeOf(t, last, at, "alone"))
	require.Equal(t, "ShareLock", modeOf(t, dbs[0], at, "beside others"))
	require.NoError(t, decide(t.Context(), last, "alone again", func(*Tx) {}))
	requireWholeChain(t, last, 3)
}

// TestACommitInDoubtThatTookALane was not answered, and was done: the node has the lane.
func TestACommitInDoubtThatTookALane(t *testing.T) {
	_, at := onPostgres().openClosed(t)
	db, raw := openShared(t, at), onPostgres().raw(t, at)
	b := db.batch
	register(t, db, "node", testLease)
	db.Fence("node") // and the writer only waits
	later := &Entry{Org: "org", Body: []byte(`{"later":true}`), Node: "node"}
	b.base = b.place
	require.NoError(t, b.begin(t.Context(), true))
	rows, err := b.link(t.Context(), []*Entry{later}, b.now())
	require.NoError(t, err)
	unanswered := b.line
	b.doubt = doubtOf(b.place, nil, []*Entry{later})
	b.conn, b.held = nil, nil
	b.undo(t.Context())
	b.place = b.base
	ended := make(chan error, 1)
	go func() { ended <- b.commit(nil, []*Entry{later}, true) }()
	require.Eventually(t, func() (waits bool) {
		return raw.QueryRowContext(t.Context(), "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted AND relation = '"+
			versionTable+"'::regclass)").Scan(&waits) == nil && waits
	}, time.Minute, time.Millisecond)
	var end pgx.Batch
	rows.insert(&end)
	end.Queue("COMMIT")
	require.NoError(t, unanswered.send(t.Context(), &end))
	require.NoError(t, <-ended)
	require.Nil(t, b.doubt)
	unanswered.drop()
	require.NoError(t, decide(t.Context(), db, "node", func(*Tx) {}))
	require.Equal(t, int64(1), db.Head().Seq%Lanes)
	requireWholeChain(t, db, 2)
}

// TestWhatIsLostIsNoticedByEveryServer: the newest event goes, which both of two have seen, as where a standby takes
// over that has not heard of it. Neither goes on, and none does that comes back as another node.
func TestWhatIsLostIsNoticedByEveryServer(t *testing.T) {
	dbs, at := sharedStores(t, 2)
	ctx := t.Context()
	require.NoError(t, decide(ctx, dbs[1], "b", func(*Tx) {}))
	require.NoError(t, decide(ctx, dbs[0], "a", func(*Tx) {}))
	require.NoError(t, dbs[1].Write(ctx, func(*Tx) error { return nil })) // which sees it
	_, err := onPostgres().raw(t, at).ExecContext(ctx,
		"DELETE FROM audit_events WHERE seq = (SELECT MAX(seq) FROM audit_events)")
	require.NoError(t, err)
	for i, db := range dbs {
		require.ErrorIs(t, decide(ctx, db, "on", func(*Tx) {}), ErrOvertaken)
		register(t, db, fmt.Sprint("again ", i), testLease)
		db.Fence(fmt.Sprint("again ", i))
		for range 2 {
			require.ErrorIs(t, decide(ctx, db, "on", func(*Tx) {}), ErrOvertaken)
			require.ErrorIs(t, db.Write(ctx, func(*Tx) error { return nil }), ErrOvertaken)
		}
	}
}

// TestNodesGoOnWhileTheSchemaIsBroughtUpToDate changes the tables of the log and of the nodes in one migration, with
// time between, as an index of a long log takes, while nodes decide.
func TestNodesGoOnWhileTheSchemaIsBroughtUpToDate(t *testing.T) {
	at := pgtest.Fresh(t, migrated(t))
	var dbs []*DB
	for i := range 3 {
		dbs = append(dbs, openShared(t, at))
		joinAs(t, dbs[i], fmt.Sprint("node ", i))
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var group sync.WaitGroup
	var decided atomic.Int64
	errs := make([]error, len(dbs))
	for i, db := range dbs {
		group.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				if errs[i] = decide(t.Context(), db, fmt.Sprint(i, " ", n), func(*Tx) {}); errs[i] != nil {
					return
				}
				decided.Add(1)
			}
		})
	}
	pool := onPostgres().raw(t, at)
	steps, err := migrationTexts()
	require.NoError(t, err)
	steps = append(steps, migrationText{
		version: newestOf(steps) + 1,
		postgres: "ALTER TABLE audit_events ADD COLUMN x BIGINT; SELECT pg_sleep(1.5); " +
			"ALTER TABLE nodes ADD COLUMN y BIGINT;",
	})
	require.NoError(t, migrateLocked(t.Context(), pool, migrationsOf(steps, onNodes), migration{}))
	before := decided.Load()
	require.Eventually(t, func() bool { return decided.Load() > before+10 }, time.Minute, time.Millisecond)
	stop()
	group.Wait()
	require.NoError(t, errors.Join(errs...))
	requireWholeChain(t, dbs[0], int(decided.Load()))
}

func newestOf(steps []migrationText) int64 { return steps[len(steps)-1].version }
