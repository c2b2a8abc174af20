package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bctrl-go/bctrl/internal/store/pgtest"
)

// decide has a store decide, and record the decision under a name.
func decide(ctx context.Context, db *DB, name string, meanwhile func(*Tx)) error {
	return db.Decide(ctx, func(tx *Tx) error {
		tx.Append(&Entry{Org: "org", Body: []byte(`{"decided":"` + name + `"}`)})
		meanwhile(tx)
		return nil
	})
}

// sharedStores opens a database so many times, for a node each.
func sharedStores(tb testing.TB, n int) (dbs []*DB, at string) {
	tb.Helper()
	_, at = onPostgres().openClosed(tb)
	for i := range n {
		dbs = append(dbs, openShared(tb, at))
		joinAs(tb, dbs[i], fmt.Sprint("node ", i))
	}
	return dbs, at
}

// joinAs has a store write as a node with a lane.
func joinAs(tb testing.TB, db *DB, id string) {
	tb.Helper()
	register(tb, db, id, testLease)
	db.Fence(id)
	require.NoError(tb, db.Write(tb.Context(), func(*Tx) error { return nil }))
}

// TestServersDecideAtOnce has each of two decide while the other is in the middle of it.
func TestServersDecideAtOnce(t *testing.T) {
	dbs, _ := sharedStores(t, 2)
	inside := [2]chan struct{}{make(chan struct{}), make(chan struct{})}
	errs := make([]error, 2)
	var group sync.WaitGroup
	for i, db := range dbs {
		var once sync.Once
		group.Go(func() {
			errs[i] = decide(t.Context(), db, fmt.Sprint(i), func(*Tx) {
				once.Do(func() { close(inside[i]) })
				select {
				case <-inside[1-i]:
				case <-time.After(time.Minute): // the other waits for this one
				}
			})
		})
	}
	group.Wait()
	require.NoError(t, errors.Join(errs...))
	requireWholeChain(t, dbs[0], 2)
}

// TestNothingIsChangedWhileAnyServerDecides: a change waits for the decisions that are
// underway, of its own server and of others, and no decision begins before it has ended.
func TestNothingIsChangedWhileAnyServerDecides(t *testing.T) {
	dbs, at := sharedStores(t, 3)
	raw := onPostgres().raw(t, at)
	waiting := func() (n int) {
		_ = raw.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM pg_locks WHERE NOT granted AND relation = '"+
			versionTable+"'::regclass").Scan(&n) // else it is asked again
		return n
	}
	var mu sync.Mutex
	var order []string
	happens := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, what)
	}
	decides, goOn := make(chan struct{}), make(chan struct{})
	var group sync.WaitGroup
	errs := make([]error, 4)
	group.Go(func() {
		errs[0] = decide(t.Context(), dbs[0], "before", func(*Tx) {
			close(decides)
			<-goOn
			happens("before")
		})
	})
	<-decides
	group.Go(func() {
		errs[1] = dbs[1].Write(t.Context(), func(tx *Tx) error {
			happens("change")
			return insert(t.Context(), tx, "k", entry("k"))
		})
	})
	require.Eventually(t, func() bool { return waiting() == 1 }, time.Minute, time.Millisecond)
	group.Go(func() {
		errs[2] = decide(t.Context(), dbs[2], "after", func(tx *Tx) {
			happens("after")
			_, errs[3] = tx.VaultEntry(t.Context(), "org", "k")
		})
	})
	require.Eventually(t, func() bool { return waiting() == 2 }, time.Minute, time.Millisecond)
	close(goOn)
	group.Wait()
	require.NoError(t, errors.Join(errs...))
	require.Equal(t, []string{"before", "change", "after"}, order)
	requireWholeChain(t, dbs[0], 3)
}

// TestADecisionThatChangesARowIsMadeAgainAlone: whether it says so or not.
func TestADecisionThatChangesARowIsMadeAgainAlone(t *testing.T) {
	for why, change := range map[string]func(*testing.T, *Tx) error{
		"it gives the error back": func(t *testing.T, tx *Tx) error { return insert(t.Context(), tx, "k", entry("k")) },
		"it keeps the error to itself": func(t *testing.T, tx *Tx) error {
			_ = insert(t.Context(), tx, "k", entry("k"))
			return nil
		},
		"it changes the rules": func(_ *testing.T, tx *Tx) error {
			tx.ChangedRules(RuleChange{Org: "org"})
			return nil
		},
	} {
		t.Run(why, func(t *testing.T) {
			dbs, at := sharedStores(t, 1)
			var modes []string
			raw := onPostgres().raw(t, at)
			require.NoError(t, dbs[0].Decide(t.Context(), func(tx *Tx) error {
				var mode string
				if err := raw.QueryRowContext(t.Context(), "SELECT mode FROM pg_locks WHERE relation = '"+versionTable+
					"'::regclass").Scan(&mode); err != nil {
					return err
				}
				modes = append(modes, mode)
				tx.Append(&Entry{Org: "org", Body: []byte(`{"decided":true}`)})
				return change(t, tx)
			}))
			require.Equal(t, []string{"ShareLock", "ShareRowExclusiveLock"}, modes)
			events := 2
			if why == "it changes the rules" {
				events = 1
			}
			requireWholeChain(t, dbs[0], events)
		})
	}
	dbs, _ := sharedStores(t, 1)
	refused := errors.New("refused")
	require.ErrorIs(t, dbs[0].Decide(t.Context(), func(tx *Tx) error {
		return errors.Join(insert(t.Context(), tx, "k", entry("k")), refused)
	}), refused)
	_, err := dbs[0].Read().VaultEntry(t.Context(), "org", "k")
	require.ErrorIs(t, err, ErrNotFound)
}

// TestNoServerWaitsForAnotherToAppend has one that has appended and does not commit: others decide
// meanwhile, and what they append is after what they saw.
func TestNoServerWaitsForAnotherToAppend(t *testing.T) {
	dbs, _ := sharedStores(t, 2)
	require.NoError(t, decide(t.Context(), dbs[0], "first", func(*Tx) {}))
	b := dbs[1].batch
	b.base = b.place
	require.NoError(t, b.begin(t.Context(), true))
	rows, err := b.link(t.Context(), []*Entry{{Org: "org", Body: []byte("second")}}, b.now())
	require.NoError(t, err)
	var underway, end pgx.Batch
	rows.insert(&underway)
	require.NoError(t, b.send(t.Context(), &underway))
	for i := range 3 {
		require.NoError(t, decide(t.Context(), dbs[0], fmt.Sprint("meanwhile ", i), func(*Tx) {}))
	}
	short, done := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer done()
	_, err = dbs[0].Settled(short)
	require.Error(t, err, "what is underway comes before the newest event")
	_, _, err = dbs[0].FollowSettled(short)
	require.Error(t, err)
	end.Queue("COMMIT")
	require.NoError(t, b.send(t.Context(), &end))
	seq, err := dbs[0].Settled(t.Context())
	require.NoError(t, err)
	require.Equal(t, dbs[0].Head().Seq, seq)
	requireWholeChain(t, dbs[0], 5)
	last := dbs[0].Head().Seq
	require.NoError(t, decide(t.Context(), dbs[1], "last", func(*Tx) {}))
	require.Greater(t, dbs[1].Head().Seq, last)
	requireWholeChain(t, dbs[0], 6)
}

// TestAServerThatStandsStillHoldsUpNobody freezes the connection of one in the middle of a
// decision, and of a change: the other goes on well before a lease would have run out, and
// of the one that stood still nothing is left.
func TestAServerThatStandsStillHoldsUpNobody(t *testing.T) {
	for why, begin := range map[string]func(*DB, func(*Tx) error) error{
		"it decides": func(db *DB, fn func(*Tx) error) error { return db.Decide(t.Context(), fn) },
		"it changes": func(db *DB, fn func(*Tx) error) error { return db.Write(t.Context(), fn) },
	} {
		t.Run(why, func(t *testing.T) {
			dbs, at := sharedStores(t, 1)
			cable := pgtest.NewCable(t, at)
			slow, other := openShared(t, cable.URL(at)), dbs[0]
			var once sync.Once
			stands, ended := make(chan struct{}), make(chan error, 1)
			go func() {
				ended <- begin(slow, func(tx *Tx) error {
					defer once.Do(func() { cable.Set(pgtest.StandsStill); close(stands) })
					tx.Append(&Entry{Org: "org", Body: []byte(`{"slow":true}`)})
					return nil
				})
			}()
			<-stands
			begun := time.Now()
			require.NoError(t, other.Write(t.Context(), func(tx *Tx) error { return insert(t.Context(), tx, "k", entry("k")) }))
			require.NoError(t, decide(t.Context(), other, "other", func(*Tx) {}))
			require.Less(t, time.Since(begun), writerPause+lockLimit)
			t.Logf("the other went on after %v", time.Since(begun))
			cable.Set(pgtest.Carries)
			require.ErrorIs(t, <-ended, ErrUnavailable)
			requireWholeChain(t, other, 2)
			require.Eventually(t, func() bool { return decide(t.Context(), slow, "slow", func(*Tx) {}) == nil }, time.Minute,
				10*time.Millisecond)
			requireWholeChain(t, other, 3)
		})
	}
}

// TestANodeWritesNothingInTheLastMomentOfItsLease: what is left of it when the transaction
// ends decides, and not what was left when it began.
func TestANodeWritesNothingInTheLastMomentOfItsLease(t *testing.T) {
	dbs, at := sharedStores(t, 1)
	db, raw := dbs[0], onPostgres().raw(t, at)
	register(t, db, "node", 6*testLease)
	db.Fence("node")
	require.NoError(t, db.Write(t.Context(), func(*Tx) error { return nil })) // which takes a lane, and has the node's row
	later := &Entry{Org: "org", Body: []byte(`{"later":true}`), Node: "node", Intent: 1}
	for _, tc := range []struct {
		why, left string
		want      error
	}{
		{"less than the margin is left", "30 * 60", ErrUnavailable},
		{"it has run out", "-1", ErrFenced},
	} {
		for _, submit := range []func(context.Context, func(*Tx) error) error{db.Decide, db.Write} {
			leave := func(left string) {
				_, err := raw.ExecContext(t.Context(), "UPDATE nodes SET lease_until = "+db.on.now()+" + 1000 * ("+left+")")
				assert.NoError(t, err) // not required, since it may be the writer's goroutine
			}
			err := submit(t.Context(), func(tx *Tx) error {
				tx.Append(&Entry{Org: "org", Body: []byte(tc.why)})
				leave(tc.left)
				return nil
			})
			require.ErrorIs(t, err, tc.want, tc.why)
			require.Zero(t, db.Head().Seq)
			leave("4 * 3600")
		}
	}
	require.NoError(t, decide(t.Context(), db, "node", func(*Tx) {}))
	require.NoError(t, db.AppendLater(later))
	require.NoError(t, db.CatchUp(t.Context()))
	requireWholeChain(t, db, 2)
}

// TestACommitThatComesAfterTheLeaseChangesNothing: the server may be paused between its last look
// at the lease and the commit.
func TestACommitThatComesAfterTheLeaseChangesNothing(t *testing.T) {
	dbs, at := sharedStores(t, 1)
	db, b, raw := dbs[0], dbs[0].batch, onPostgres().raw(t, at)
	register(t, db, "node", 6*testLease)
	db.Fence("node")
	require.NoError(t, db.Write(t.Context(), func(*Tx) error { return nil })) // after it the writer only waits
	b.base = b.place
	require.NoError(t, b.begin(t.Context(), true))
	rows, err := b.link(t.Context(), []*Entry{{Org: "org", Body: []byte("{}")}}, b.now())
	require.NoError(t, err)
	_, err = raw.ExecContext(t.Context(), "UPDATE nodes SET lease_until = "+db.on.now()+" - 1")
	require.NoError(t, err)
	err = b.end(t.Context(), rows, "")
	require.ErrorIs(t, translate(err), ErrFenced)
	require.True(t, isRefusal(err), "nobody has to find out what became of it")
	b.undo(t.Context())
	b.place = b.base
	requireWholeChain(t, db, 0)
}

// TestWhatIsInDoubtIsWaitedFor: a decision whose commit was not answered is looked for once
// its transaction has ended, and not before.
func TestWhatIsInDoubtIsWaitedFor(t *testing.T) {
	dbs, at := sharedStores(t, 1)
	db, b, raw := dbs[0], dbs[0].batch, onPostgres().raw(t, at)
	require.NoError(t, db.Write(t.Context(), func(*Tx) error { return nil })) // after it the writer only waits
	later := &Entry{Org: "org", Body: []byte(`{"later":true}`)}
	b.base = b.place
	require.NoError(t, b.begin(t.Context(), true))
	rows, err := b.link(t.Context(), []*Entry{later}, b.now())
	require.NoError(t, err)
	unanswered := b.line
	b.doubt = doubtOf(b.place, nil, []*Entry{later})
	b.place, b.conn, b.held = b.base, nil, nil

	ended := make(chan error, 1)
	go func() { ended <- b.commit(nil, []*Entry{later}, true) }()
	require.Eventually(t, func() bool {
		var n int
		err := raw.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM pg_locks WHERE NOT granted AND relation = '"+
			versionTable+"'::regclass").Scan(&n)
		return err == nil && n == 1
	}, time.Minute, time.Millisecond)
	var end pgx.Batch
	rows.insert(&end)
	end.Queue("COMMIT")
	require.NoError(t, unanswered.send(t.Context(), &end))
	require.NoError(t, <-ended)
	require.Nil(t, b.doubt)
	unanswered.drop()
	requireWholeChain(t, db, 1)
}

// TestTheChainHoldsWhateverServersDo lets three of them decide and change at random, fail
// and lose their connections. What was acknowledged is in the log once, and what was refused
// is not there.
func TestTheChainHoldsWhateverServersDo(t *testing.T) {
	dbs, at := sharedStores(t, 3)
	raw := onPostgres().raw(t, at)
	refused := errors.New("refused")
	made, seen := 0, map[string]bool{}
	what := []string{
		"decide", "change", "decide and change", "refuse", "change and refuse", "panic", "read wrongly", "lose",
	}
	do := func(ctx context.Context, db *DB, what, name string) error {
		record := func(tx *Tx) { tx.Append(&Entry{Org: "org", Body: []byte(name)}) }
		change := func(tx *Tx) error {
			err := tx.InsertVaultEntry(ctx, "org", name, entry(name))
			record(tx)
			return err
		}
		switch what {
		case "change":
			return db.Write(ctx, change)
		case "decide and change":
			return db.Decide(ctx, change)
		case "change and refuse":
			return db.Write(ctx, func(tx *Tx) error { return errors.Join(change(tx), refused) })
		case "lose":
			_, err := raw.ExecContext(ctx, "SELECT pg_terminate_backend(pid) FROM pg_locks "+
				"WHERE locktype = 'advisory' AND mode = 'ShareLock' AND database = (SELECT oid FROM pg_database "+
				"WHERE datname = current_database()) LIMIT 2") // of those that write
			return errors.Join(err, refused)
		}
		return db.Decide(ctx, func(tx *Tx) error {
			record(tx)
			switch what {
			case "refuse":
				return refused
			case "panic":
				panic(what)
			case "read wrongly":
				_, err := one(ctx, tx.Queries, func(row scanner) (n int, err error) { return n, row(&n) }, "SELECT 1 / 0")
				return err
			}
			return nil
		})
	}
	rapid.Check(t, func(rt *rapid.T) {
		var group sync.WaitGroup
		type outcome struct {
			what, name string
			err        error
		}
		plan := rapid.SliceOfN(rapid.SampledFrom(what), 1, 24).Draw(rt, "what")
		outcomes := make([]outcome, len(plan))
		for i, what := range plan {
			made++
			name := fmt.Sprintf("n%06d", made)
			group.Go(func() { outcomes[i] = outcome{what, name, do(t.Context(), dbs[i%len(dbs)], what, name)} })
		}
		group.Wait()
		found := map[string]bool{}
		eachWhole(t.Context(), rt, dbs[0], func(e StoredEntry) {
			require.False(rt, found[string(e.Body)], "it is there twice")
			found[string(e.Body)] = true
		})
		for name := range seen {
			require.True(rt, found[name], "it was there")
		}
		for _, o := range outcomes {
			_, err := dbs[0].Read().VaultEntry(t.Context(), "org", o.name)
			stored := err == nil
			changes := o.what == "change" || o.what == "decide and change"
			switch {
			case o.err == nil:
				require.True(rt, found[o.name], "%s was acknowledged", o.what)
				require.Equal(rt, changes, stored, o.what)
			case errors.Is(o.err, ErrUnavailable):
				require.Equal(rt, changes && found[o.name], stored, "%s: all of it, or none", o.what)
			default:
				require.False(rt, found[o.name], "%s failed: %v", o.what, o.err)
				require.False(rt, stored, o.what)
			}
			if found[o.name] {
				seen[o.name] = true
			}
		}
	})
}
