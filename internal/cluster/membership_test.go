package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bctrl-go/bctrl/internal/store"
)

// trouble is what happens to a request to the database.
type trouble struct {
	// before it comes there, which a pause of the server is too, and after.
	before, after time.Duration
	// lost is an answer that never comes.
	lost bool
}

// database keeps leases by its own clock, which is a share faster than that of the nodes.
type database struct {
	mu     sync.Mutex
	faster float64
	begun  time.Time
	number int64
	leases map[string]lease
	// drained are the nodes that an operator has drained.
	drained map[string]bool
	// losesRegistrations has nobody hear that it is a node.
	losesRegistrations bool
	// silent has no node obey the rules.
	silent bool
	// troubles happen to one request after the other, from the first on again.
	troubles []trouble
	next     int
}

type lease struct {
	number int64
	until  time.Time
	locked bool
}

func newDatabase(faster float64) *database {
	return &database{faster: faster, begun: time.Now(), leases: map[string]lease{}, drained: map[string]bool{}}
}

func (d *database) now() time.Time {
	passed := time.Since(d.begun)
	return d.begun.Add(passed + time.Duration(float64(passed)*d.faster))
}

var errNoAnswer = errors.New("no answer")

// do has a request meet the next trouble on its way.
func (d *database) do(fn func() error) error {
	d.mu.Lock()
	var t trouble
	if len(d.troubles) > 0 {
		t = d.troubles[d.next%len(d.troubles)]
		d.next++
	}
	d.mu.Unlock()
	<-time.After(t.before)
	d.mu.Lock()
	err := fn()
	d.mu.Unlock()
	<-time.After(t.after)
	if t.lost {
		return errNoAnswer
	}
	return err
}

func (d *database) RegisterNode(_ context.Context, n Node, former string, long time.Duration) (Node, error) {
	err := d.do(func() error {
		d.number++
		n.Number, n.State = d.number, store.NodeServing
		if d.drained[former] {
			n.State = store.NodeDraining
			d.drained[n.ID] = true
		}
		d.leases[n.ID] = lease{number: d.number, until: d.now().Add(long)}
		if d.losesRegistrations {
			return errNoAnswer
		}
		return nil
	})
	return n, err
}

func (d *database) RenewLease(_ context.Context, r store.Renewal) (out store.Renewed, err error) {
	err = d.do(func() error {
		l := d.leases[r.ID]
		if !d.now().Before(l.until) {
			return store.ErrFenced
		}
		l.until, l.locked = d.now().Add(r.Lease), r.Locked
		d.leases[r.ID] = l
		out.State = store.NodeServing
		if d.drained[r.ID] {
			out.State = store.NodeDraining
		}
		out.Leads = !l.locked
		for _, other := range d.leases {
			if other.number < l.number && !other.locked && d.now().Before(other.until) {
				out.Leads = false
			}
		}
		return nil
	})
	return out, err
}

func (d *database) ExpireLease(_ context.Context, id string) error {
	return d.do(func() error {
		l := d.leases[id]
		l.until = time.Time{}
		d.leases[id] = l
		return nil
	})
}

func (*database) Fence(string) {}

func (d *database) Obeys(context.Context, string) (bool, error) {
	obeys := false
	err := d.do(func() error {
		obeys = !d.silent
		return nil
	})
	return err == nil && obeys, err
}

// hasLease reports whether a node has its lease, to the database.
func (d *database) hasLease(id string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.now().Before(d.leases[id].until)
}

// living counts the leases that last.
func (d *database) living() (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range d.leases {
		if d.now().Before(l.until) {
			n++
		}
	}
	return n
}

// meet has troubles happen to the requests from now on.
func (d *database) meet(troubles ...trouble) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.troubles, d.next = troubles, 0
}

func joinIn(t *testing.T, d *database) *Membership {
	t.Helper()
	m, err := join(t.Context(), Config{}, d)
	require.NoError(t, err)
	return m
}

// TestNobodyActsWithoutALeaseAndOneLeadsAtMost has two nodes meet random troubles between
// them and the database, whose clock is up to a tenth off, for two minutes each time.
func TestNobodyActsWithoutALeaseAndOneLeadsAtMost(t *testing.T) {
	upTo := func(most time.Duration) *rapid.Generator[time.Duration] {
		return rapid.Map(rapid.IntRange(0, int(most/time.Millisecond)),
			func(ms int) time.Duration { return time.Duration(ms) * time.Millisecond })
	}
	rapid.Check(t, func(rt *rapid.T) {
		faster := float64(rapid.IntRange(-10, 10).Draw(rt, "percent faster")) / 100
		troubles := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) trouble {
			most := rapid.SampledFrom([]time.Duration{0, 100 * time.Millisecond, 3 * time.Second, 15 * time.Second}).
				Draw(rt, "most")
			return trouble{
				before: upTo(most).Draw(rt, "before"), after: upTo(most).Draw(rt, "after"),
				lost: rapid.IntRange(0, 4).Draw(rt, "lost") == 0,
			}
		}), 1, 40).Draw(rt, "troubles")
		locks := rapid.SliceOfN(rapid.SliceOfN(rapid.Bool(), 2, 2), 1, 40).Draw(rt, "locked, each three seconds")
		wrong := ""
		synctest.Test(t, func(t *testing.T) {
			d := newDatabase(faster)
			nodes := []*Membership{joinIn(t, d), joinIn(t, d)}
			var locked [2]atomic.Bool
			for i, m := range nodes {
				m.Handle(Handlers{Locked: locked[i].Load})
			}
			d.meet(troubles...)
			for tick := range 2400 {
				for i := range locked {
					locked[i].Store(locks[tick/60%len(locks)][i])
				}
				<-time.After(50 * time.Millisecond)
				leads := 0
				for i, m := range nodes {
					if m.Valid() == nil && !d.hasLease(m.Self().ID) {
						wrong = fmt.Sprintf("node %d acts without a lease after %v", i, time.Since(d.begun))
					}
					if m.Leads() {
						leads++
					}
				}
				if leads > 1 {
					wrong = fmt.Sprintf("two lead after %v", time.Since(d.begun))
				}
			}
			for _, m := range nodes {
				_ = m.Leave(t.Context()) // the database may not answer that either
			}
		})
		if wrong != "" {
			rt.Fatal(wrong)
		}
	})
}

// TestALostLeaseEndsAllBeforeTheNodeComesBack requires the order: nothing is valid, then
// everything has ended, then there is another node.
func TestALostLeaseEndsAllBeforeTheNodeComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDatabase(0)
		m := joinIn(t, d)
		was := m.Self().ID
		ended := make(chan struct{})
		m.Handle(Handlers{Lost: func() {
			assert.Equal(t, ErrLeaseLost, m.Valid())
			assert.False(t, m.Leads())
			<-time.After(10 * time.Second) // browsers that are slow to end
			assert.Equal(t, was, m.Self().ID)
			assert.Equal(t, ErrLeaseLost, m.Valid())
			close(ended)
		}})
		<-time.After(time.Minute)
		require.NoError(t, m.Valid())
		require.True(t, m.Leads())
		require.NoError(t, d.ExpireLease(t.Context(), was))
		<-ended
		synctest.Wait()
		require.NoError(t, m.Valid())
		require.NotEqual(t, was, m.Self().ID)
		require.NoError(t, m.Leave(t.Context()))
		require.Error(t, m.Valid())
		require.False(t, d.hasLease(m.Self().ID))
	})
}

// TestADatabaseThatHangsCostsTheLeaseInTime has the database swallow requests: the node
// gives up by its own clock, before the lease has run out there.
func TestADatabaseThatHangsCostsTheLeaseInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDatabase(0)
		m := joinIn(t, d)
		<-time.After(time.Minute)
		lost := make(chan time.Duration, 1)
		d.meet(trouble{before: time.Minute})
		hangs := time.Now()
		m.Handle(Handlers{Lost: func() {
			assert.True(t, d.hasLease(m.Self().ID), "not before the node has noticed")
			lost <- time.Since(hangs)
		}})
		require.LessOrEqual(t, <-lost, leaseTime)
		d.meet()
		require.NoError(t, m.Leave(t.Context()))
	})
}

// TestADrainedNodeComesBackDrained has it lose its lease, also before it has heard that it
// was drained, and twice.
func TestADrainedNodeComesBackDrained(t *testing.T) {
	for why, hears := range map[string]bool{"it had heard of it": true, "it had not": false} {
		t.Run(why, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDatabase(0)
				m := joinIn(t, d)
				<-time.After(time.Minute)
				require.False(t, m.Draining())
				d.mu.Lock()
				d.drained[m.Self().ID] = true
				d.mu.Unlock()
				if hears {
					<-time.After(2 * renewEvery)
					require.True(t, m.Draining())
				}
				for range 2 {
					was := m.Self().ID
					require.NoError(t, d.ExpireLease(t.Context(), was))
					<-time.After(2 * leaseTime)
					require.NotEqual(t, was, m.Self().ID)
					require.NoError(t, m.Valid())
					require.True(t, m.Draining())
					require.Equal(t, store.NodeDraining, m.Self().State)
				}
				require.NoError(t, m.Leave(t.Context()))
			})
		})
	}
}

// TestAComebackThatFailsHalfWayLeavesNoLease has each step of it fail, and the server leave
// then, or try again.
func TestAComebackThatFailsHalfWayLeavesNoLease(t *testing.T) {
	for why, trouble := range map[string]struct {
		registered error // of the note on this machine
		silent     bool  // it hears of no change of the rules
		lost       bool  // the answer that it is a node
	}{
		"it could not note which node it is": {registered: errNoAnswer},
		"it does not obey":                   {silent: true},
		"the answer was lost":                {lost: true},
	} {
		for _, leaves := range []bool{false, true} {
			t.Run(fmt.Sprint(why, ", leaves ", leaves), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					d := newDatabase(0)
					var fails atomic.Pointer[error]
					m, err := join(t.Context(), Config{Registered: func(string) error {
						if err := fails.Load(); err != nil {
							return *err
						}
						return nil
					}}, d)
					require.NoError(t, err)
					<-time.After(time.Minute)
					was := m.Self().ID
					if trouble.registered != nil {
						fails.Store(&trouble.registered)
					}
					d.mu.Lock()
					d.silent = trouble.silent
					d.losesRegistrations = trouble.lost
					d.mu.Unlock()
					require.NoError(t, d.ExpireLease(t.Context(), was))
					<-time.After(time.Minute + time.Millisecond)
					require.Error(t, m.Valid())
					require.LessOrEqual(t, d.living(), 1, "what failed before has ended")
					if !leaves {
						fails.Store(nil)
						d.mu.Lock()
						d.silent, d.losesRegistrations = false, false
						d.mu.Unlock()
						<-time.After(2 * leaseTime)
						require.NoError(t, m.Valid())
						require.Equal(t, 1, d.living())
					}
					require.NoError(t, m.Leave(t.Context()))
					require.Zero(t, d.living())
				})
			})
		}
	}
}
