package store

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/store/pgtest"
)

const testLease = time.Hour

func register(tb testing.TB, db *DB, id string, lease time.Duration) Node {
	tb.Helper()
	n, err := db.RegisterNode(tb.Context(), Node{ID: id, Name: "m", Address: "a:1", Version: "v"}, "", lease)
	require.NoError(tb, err)
	return n
}

func TestANodeWithoutItsLeaseWritesNothing(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		for why, end := range map[string]func(db *DB, n Node){
			"it was ended":    func(db *DB, n Node) { require.NoError(t, db.ExpireLease(t.Context(), n.ID)) },
			"it was paused":   func(db *DB, n Node) { register(t, db, "short", 0); db.Fence("short") },
			"it is not there": func(db *DB, _ Node) { db.Fence("nobody") },
		} {
			t.Run(why, func(t *testing.T) {
				db, _ := e.openTest(t)
				ctx := t.Context()
				n := register(t, db, "one", testLease)
				db.Fence(n.ID)
				write := func() error {
					return db.Write(ctx, func(tx *Tx) error {
						tx.Append(&Entry{Org: "org", Body: []byte(tx.Node())})
						return nil
					})
				}
				require.NoError(t, write())
				stands := db.Head().Seq

				end(db, n)
				require.NoError(t, db.AppendLater(&Entry{Org: "org", Body: []byte("outcome"), Intent: stands, Node: n.ID}))
				require.ErrorIs(t, write(), ErrFenced)
				_, err := db.RenewLease(ctx, Renewal{ID: *db.node.Load(), Lease: testLease})
				require.ErrorIs(t, err, ErrFenced)
				require.Equal(t, stands, db.Head().Seq)

				next := register(t, db, "two", testLease)
				require.Greater(t, next.Number, n.Number)
				db.Fence(next.ID)
				require.NoError(t, db.AppendLater(&Entry{Org: "org", Body: []byte("outcome"), Intent: stands, Node: n.ID}))
				require.NoError(t, write())
				require.NoError(t, db.CatchUp(ctx))
				require.Equal(t, stands+1, db.Head().Seq, "no outcome of the node before is written by the next")
			})
		}
	})
}

func TestALeaseIsRenewedAsLongAsItLastsAndTheOldestNodeIsKnown(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		db, _ := e.openTest(t)
		ctx := t.Context()
		register(t, db, "a", testLease)
		register(t, db, "b", testLease)
		locked := map[string]bool{}
		renew := func(id string) Renewed {
			got, err := db.RenewLease(ctx, Renewal{ID: id, Lease: testLease, Runtimes: 2, Room: -1, Locked: locked[id]})
			require.NoError(t, err)
			return got
		}
		require.Equal(t, Renewed{NodeServing, true}, renew("a"))
		require.Equal(t, Renewed{NodeServing, false}, renew("b"))
		for _, lock := range []struct {
			locked []string
			leads  string
		}{{[]string{"a"}, "b"}, {[]string{"a", "b"}, ""}, {[]string{"b"}, "a"}} {
			locked = map[string]bool{}
			for _, id := range lock.locked {
				locked[id] = true
			}
			renew("a")
			require.Equal(t, lock.leads == "b", renew("b").Leads, "of %v", lock.locked)
			require.Equal(t, lock.leads == "a", renew("a").Leads, "of %v", lock.locked)
		}
		locked = map[string]bool{"b": true}
		renew("b")
		require.NoError(t, db.Write(ctx, func(tx *Tx) error {
			_, err := tx.DrainNode(ctx, "b")
			return err
		}))
		nodes, err := db.Read().Nodes(ctx)
		require.NoError(t, err)
		require.Len(t, nodes, 2)
		require.Equal(t, NodeDraining, nodes[1].State)
		require.Equal(t, 2, nodes[1].Runtimes)
		require.Equal(t, -1, nodes[1].Room)
		require.Equal(t, []bool{false, true}, []bool{nodes[0].Locked, nodes[1].Locked})
		require.Greater(t, nodes[1].LeaseLeft, testLease/2)

		require.NoError(t, db.ExpireLease(ctx, "a"))
		locked = nil
		require.Equal(t, Renewed{NodeDraining, true}, renew("b"))
		var ended []Node
		require.NoError(t, db.Write(ctx, func(tx *Tx) (err error) {
			if ended, err = tx.EndDeadNodes(ctx); err != nil {
				return err
			}
			return tx.SettleNode(ctx, "a")
		}))
		require.Len(t, ended, 1)
		require.Equal(t, "a", ended[0].ID)
		for _, forget := range []struct {
			before time.Time
			left   []string
		}{{time.Now().Add(-testLease), []string{"a", "b"}}, {time.Now().Add(testLease), []string{"b"}}} {
			require.NoError(t, db.Write(ctx, func(tx *Tx) error { return tx.ForgetNodes(ctx, forget.before) }))
			left, err := many(ctx, db.Read(), func(row scanner) (id string, err error) { return id, row(&id) },
				"SELECT id FROM nodes ORDER BY number")
			require.NoError(t, err)
			require.Equal(t, forget.left, left, "a clean end is remembered as long as another")
		}
		require.Equal(t, int64(3), register(t, db, "c", testLease).Number, "no number is used again")

		require.NoError(t, db.ExpireLease(ctx, "b"))
		require.NoError(t, db.Write(ctx, func(tx *Tx) error { _, err := tx.EndDeadNodes(ctx); return err }))
		for _, n := range []struct{ id, former string }{{"d", "b"}, {"e", "d"}} {
			again, err := db.RegisterNode(ctx, Node{ID: n.id}, n.former, testLease)
			require.NoError(t, err)
			require.Equal(t, NodeDraining, again.State, "its operator's word stands")
		}
		other, err := db.RegisterNode(ctx, Node{ID: "f"}, "c", testLease)
		require.NoError(t, err)
		require.Equal(t, NodeServing, other.State)
	})
}

func TestNodesThatComeAtOnceHaveNumbersOfTheirOwn(t *testing.T) {
	db := openShared(t, pgtest.Database(t, migrated(t)))
	var mu sync.Mutex
	numbers := map[int64]bool{}
	var all sync.WaitGroup
	for i := range maxTries {
		all.Go(func() {
			n, err := db.RegisterNode(t.Context(), Node{ID: string(rune('a' + i))}, "", testLease)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				numbers[n.Number] = true
			}
		})
	}
	all.Wait()
	require.Len(t, numbers, maxTries)
}

// TestARenewalIsNotWaitedForUntilTheLeaseIsOver: the connection stands still, and the next
// renewal takes another.
func TestARenewalIsNotWaitedForUntilTheLeaseIsOver(t *testing.T) {
	_, at := onPostgres().openClosed(t)
	cable := pgtest.NewCable(t, at)
	db := openShared(t, cable.URL(at))
	const lease = time.Minute
	register(t, db, "node", lease)
	renew := func(lease time.Duration) error {
		_, err := db.RenewLease(t.Context(), Renewal{ID: "node", Lease: lease})
		return err
	}
	require.NoError(t, renew(lease))
	cable.Set(pgtest.StandsStill)
	begun := time.Now()
	require.ErrorIs(t, renew(4*time.Second), ErrUnavailable)
	require.Less(t, time.Since(begun), 4*time.Second)
	cable.Set(pgtest.Carries)
	require.NoError(t, renew(lease))
}
