package server

import (
	"context"
	"errors"
	"net"
	"net/url"
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
	cable  *cable // nil of the first
	member *cluster.Membership
}

// cutLease is how long a lease lasts of a node that is cut off, so that nobody waits long
// for it. On a machine that stands still it may run out without that.
const cutLease = 500 * time.Millisecond

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
		n.cable = newCable(t, all.database)
		at, lease = n.cable.url(t, all.database), all.lease
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

// cable carries what one server says to its database.
type cable struct {
	listener net.Listener
	socket   string
	carrying sync.WaitGroup

	mu    sync.Mutex
	ends  map[net.Conn]struct{}
	state cableState
	// whole is closed when it carries again.
	whole chan struct{}
}

type cableState int

const (
	carries cableState = iota
	// standsStill keeps what is said, for when it carries again.
	standsStill
	// isCut has no connection, and takes none.
	isCut
)

func newCable(t *testing.T, database string) *cable {
	t.Helper()
	u, err := url.Parse(database)
	require.NoError(t, err)
	sockets, err := filepath.Glob(filepath.Join(u.Query().Get("host"), ".s.PGSQL.*"))
	require.NoError(t, err)
	w := &cable{ends: map[net.Conn]struct{}{}}
	for _, name := range sockets {
		if info, err := os.Stat(name); err == nil && info.Mode()&os.ModeSocket != 0 {
			w.socket = name
		}
	}
	require.NotEmpty(t, w.socket)
	w.listener, err = net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	w.carrying.Go(w.serve)
	t.Cleanup(func() {
		require.NoError(t, w.listener.Close())
		w.set(isCut)
		w.carrying.Wait()
	})
	return w
}

// url is that of the database over the cable.
func (w *cable) url(t *testing.T, database string) string {
	t.Helper()
	u, err := url.Parse(database)
	require.NoError(t, err)
	u.Host = w.listener.Addr().String()
	u.RawQuery = url.Values{"sslmode": {"disable"}}.Encode()
	return u.String()
}

// set lets the cable carry, stand still or be cut.
func (w *cable) set(state cableState) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.whole != nil {
		close(w.whole)
		w.whole = nil
	}
	if w.state = state; state == standsStill {
		w.whole = make(chan struct{})
	}
	if state == isCut {
		for c := range w.ends {
			_ = c.Close() // which is what a cut is
		}
	}
}

// await returns once the cable does not stand still, and what it does then.
func (w *cable) await() cableState {
	for {
		w.mu.Lock()
		state, whole := w.state, w.whole
		w.mu.Unlock()
		if whole == nil {
			return state
		}
		<-whole
	}
}

func (w *cable) serve() {
	for {
		client, err := w.listener.Accept()
		if err != nil {
			return
		}
		w.carrying.Go(func() { w.connect(client) })
	}
}

func (w *cable) connect(client net.Conn) {
	defer client.Close()
	if w.await() == isCut {
		return
	}
	server, err := net.Dial("unix", w.socket)
	if err != nil {
		return
	}
	defer server.Close()
	w.mu.Lock()
	w.ends[client], w.ends[server] = struct{}{}, struct{}{}
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.ends, client)
		delete(w.ends, server)
	}()
	var both sync.WaitGroup
	both.Go(func() { w.carry(server, client) })
	both.Go(func() { w.carry(client, server) })
	both.Wait()
}

// carry carries what one end says to the other, until either is closed.
func (w *cable) carry(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if w.await() == isCut {
			return
		}
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
