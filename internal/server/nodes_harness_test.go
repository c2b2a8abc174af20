package server

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/blob"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/cluster"
	"github.com/bctrl-go/bctrl/internal/custody"
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/store/pgtest"
	"github.com/bctrl-go/bctrl/internal/store/storetest"
)

// nodes are servers that share a database. The first talks to it directly, and its lease
// lasts; each other one does so by a cable that can be cut.
type nodes struct {
	*testing.T
	database string
	dir      string
	all      []*node
	lease    time.Duration // of all but the first
	change   []func(*Config)
}

type node struct {
	*harness
	cable  *pgtest.Cable // nil of the first
	member *cluster.Membership
}

// cutLease is how long a lease lasts of a node that is cut off, so that nobody waits long
// for it. On a machine that stands still it may run out without that.
const cutLease = time.Second

// lasting is a lease that does not run out while a test runs.
const lasting = time.Minute

// newNodes starts so many nodes, all but the first with such a lease.
func newNodes(t *testing.T, n int, lease time.Duration, change ...func(*Config)) *nodes {
	t.Helper()
	all := &nodes{
		T:        t,
		database: storetest.Database(t),
		dir:      t.TempDir(),
		lease:    lease,
		change:   change,
	}
	for range n {
		all.start()
	}
	return all
}

func (all *nodes) start() {
	all.Helper()
	t, n := all.T, &node{}
	at, lease := all.database, lasting
	if len(all.all) > 0 {
		n.cable = pgtest.NewCable(t, all.database)
		at, lease = n.cable.URL(all.database), all.lease
	}
	own := all.dirOf(len(all.all))
	require.NoError(t, os.Mkdir(own, 0o700))
	if len(all.all) > 0 {
		all.giveKey(len(all.all))
	}
	rows := &seal.Rows{}
	db, err := store.OpenPostgres(t.Context(), store.Postgres{URL: at, Shared: true}, rows)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	n.member, err = cluster.Join(t.Context(), cluster.Config{
		Store: db,
		Node:  cluster.Node{Name: "node" + strconv.Itoa(len(all.all)+1), Address: "127.0.0.1:1"},
		Lease: lease,
		Renew: cutLease / 10,
		Watch: cutLease / 10,
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		err := n.member.Leave(context.WithoutCancel(t.Context()))
		if n.cable == nil || !errors.Is(err, store.ErrUnavailable) { // on a connection that was cut
			require.NoError(t, err)
		}
	})
	kept, err := custody.Open(t.Context(), custody.Config{DB: db, Rows: rows, KeyFile: all.keyOf(len(all.all))})
	require.NoError(t, err)
	browsers := &browser.Fake{}
	cfg := Config{
		Store:      db,
		Custody:    kept,
		Cluster:    n.member,
		Browsers:   browsers,
		Blobs:      lazyBlobs{sync.OnceValue(func() blob.Store { return openBlobs(t, own) })},
		ProfileDir: filepath.Join(own, "profiles"),
		Egress:     loopback,
		Strangers:  1_000_000, // the holders of revoked tokens
	}
	for _, fn := range all.change {
		fn(&cfg)
	}
	s, err := New(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close(context.WithoutCancel(t.Context()))) })
	s.Peers = nil // what is tested here is what nodes do that reach only the database
	n.member.Handle(s.Node())
	key, err := s.EnsureOrganization(t.Context())
	require.NoError(t, err)
	n.harness = &harness{
		T:        t,
		server:   s,
		db:       db,
		rows:     rows,
		browsers: browsers,
		key:      key.Expose(),
		dir:      all.dir,
	}
	if len(all.all) > 0 {
		n.key = all.all[0].key
	}
	all.all = append(all.all, n)
}

func (all *nodes) dirOf(i int) string { return filepath.Join(all.dir, strconv.Itoa(i)) }

func (all *nodes) keyOf(i int) string { return filepath.Join(all.dirOf(i), "kek") }

// giveKey gives a node the key file of the first, as an operator does.
func (all *nodes) giveKey(i int) {
	all.Helper()
	key, err := os.ReadFile(all.keyOf(0))
	require.NoError(all, err)
	require.NoError(all, os.WriteFile(all.keyOf(i), key, 0o600))
}
