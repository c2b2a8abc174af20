package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/bctrl-go/bctrl/internal/store"
)

// Config says what a node is and what its lease lies in.
type Config struct {
	Store *store.DB
	// Node has the name, the address and the version.
	Node Node
	// Lease is how long a lease lasts, Renew how often it is renewed, and Watch how often
	// the others are looked at; 0 is 6, 1.5 and 1 seconds.
	Lease, Renew, Watch time.Duration
	// Registered is called with the id of each node that this server becomes, before it
	// counts; nil does nothing.
	Registered func(id string) error
	// Log receives what an operator needs to know; nil discards it.
	Log *slog.Logger
}

// Handlers are what a node does when something happens to its lease or to the others.
// Each may be nil.
type Handlers struct {
	// Load is how many runtimes start or run here, and how many more may; below 0 is no
	// bound.
	Load func() (runtimes, room int)
	// Locked reports whether the server has no master key at the moment.
	Locked func() bool
	// Follows reports whether this node hears of changes of the rules and obeys them in time.
	// One that does not renews no lease: the others would wait for it.
	Follows func() bool
	// Lost ends everything that is underway, and every browser, at once. The node comes
	// back when it has returned.
	Lost func()
	// Watch ends what nodes have left whose lease has run out.
	Watch func(ctx context.Context) error
}

// Membership is the [Member] of a server that shares its database.
type Membership struct {
	cfg    Config
	leases leases
	held   atomic.Pointer[held]
	// registered are the nodes that this server was, or is, whose leases may not have ended.
	// It is used by one at a time: who joins, keeps the lease, and leaves.
	registered []string
	handlers   atomic.Pointer[Handlers]
	handled    chan struct{} // has the lease renewed at once
	stop       context.CancelFunc
	running    sync.WaitGroup
}

var _ Member = (*Membership)(nil)

// leases are kept by the store; tests have their own.
type leases interface {
	RegisterNode(ctx context.Context, n Node, former string, lease time.Duration) (Node, error)
	RenewLease(ctx context.Context, r store.Renewal) (store.Renewed, error)
	ExpireLease(ctx context.Context, id string) error
	Fence(node string)
	Obeys(ctx context.Context, node string) (bool, error)
}

// Join registers a node, and renews its lease until [Membership.Leave]. From then on the
// store writes as this node alone.
func Join(ctx context.Context, cfg Config) (*Membership, error) { return join(ctx, cfg, cfg.Store) }

func join(ctx context.Context, cfg Config, in leases) (*Membership, error) {
	if cfg.Lease == 0 {
		cfg.Lease = leaseTime
	}
	if cfg.Renew == 0 {
		cfg.Renew = renewEvery
	}
	if cfg.Watch == 0 {
		cfg.Watch = watchEvery
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	m := &Membership{cfg: cfg, leases: in, handled: make(chan struct{}, 1)}
	m.handlers.Store(&Handlers{})
	h, err := m.register(ctx, "")
	if err != nil {
		return nil, errors.Join(err, m.expire(ctx))
	}
	m.held.Store(h)
	ctx, m.stop = context.WithCancel(context.WithoutCancel(ctx))
	m.running.Go(func() { m.keepLease(ctx) })
	m.running.Go(func() { m.watch(ctx) })
	return m, nil
}

// register makes this server a new node, which is not known here yet. With an error there
// may be one all the same, which [Membership.expire] ends.
func (m *Membership) register(ctx context.Context, former string) (*held, error) {
	n := m.cfg.Node
	n.ID = uuid.NewString()
	m.registered = append(m.registered, n.ID)
	asked := time.Now()
	n, err := m.leases.RegisterNode(ctx, n, former, m.cfg.Lease)
	if err != nil {
		return nil, fmt.Errorf("joining the cluster: %w", err)
	}
	if m.cfg.Registered != nil {
		if err := m.cfg.Registered(n.ID); err != nil {
			return nil, err
		}
	}
	m.leases.Fence(n.ID)
	m.cfg.Log.Info("joined the cluster", "node", n.ID, "number", n.Number)
	return &held{
		node:     n,
		until:    heldUntil(asked, m.cfg.Lease),
		draining: n.State == store.NodeDraining,
	}, nil
}

// expire ends the leases of all nodes that this server was: nobody shall wait for one that
// does nothing.
func (m *Membership) expire(ctx context.Context) error {
	for len(m.registered) > 0 {
		if err := m.leases.ExpireLease(ctx, m.registered[0]); err != nil {
			return err
		}
		m.registered = m.registered[1:]
	}
	return nil
}

// Handle says what to do from now on. The others learn at once what room there is.
func (m *Membership) Handle(h Handlers) {
	m.handlers.Store(&h)
	select {
	case m.handled <- struct{}{}:
	default: // it is about to be told
	}
}

// Leave ends the lease, once this node has nothing more to write.
func (m *Membership) Leave(ctx context.Context) error {
	m.stop()
	m.running.Wait()
	h := m.held.Load()
	gone := *h
	gone.until = time.Time{}
	m.held.Store(&gone)
	return m.expire(ctx)
}

// Self implements [Member].
func (m *Membership) Self() Node { return m.held.Load().node }

// Alone implements [Member].
func (*Membership) Alone() bool { return false }

// Valid implements [Member].
func (m *Membership) Valid() error {
	if !m.held.Load().holds(time.Now()) {
		return ErrLeaseLost
	}
	return nil
}

// Nodes implements [Member].
func (m *Membership) Nodes(ctx context.Context) ([]Node, error) { return m.cfg.Store.Read().Nodes(ctx) }

// NodeOf implements [Member].
func (m *Membership) NodeOf(ctx context.Context, org, runtimeID string) (Node, error) {
	return m.cfg.Store.Read().NodeOfRuntime(ctx, org, runtimeID)
}

// Leads implements [Member].
func (m *Membership) Leads() bool {
	h, now := m.held.Load(), time.Now()
	return h.leads && !m.locked() && !now.Before(h.leadsFrom) && h.holds(now)
}

func (m *Membership) locked() bool {
	locked := m.handlers.Load().Locked
	return locked != nil && locked()
}

// Draining implements [Member].
func (m *Membership) Draining() bool { return m.held.Load().draining }

// LeaseLeft is how long the node still acts if it does not renew its lease.
func (m *Membership) LeaseLeft() time.Duration { return max(0, time.Until(m.held.Load().until)) }

// keepLease renews the lease. When it is lost, everything here ends, and the server
// registers as another node as soon as the database lets it.
func (m *Membership) keepLease(ctx context.Context) {
	for {
		why := m.renew(ctx)
		if ctx.Err() != nil {
			return
		}
		lost := *m.held.Load()
		lost.until = time.Time{}
		m.held.Store(&lost)
		m.cfg.Log.Error("the node has lost its lease, and ends what it runs", "node", lost.node.ID, "error", why)
		if h := m.handlers.Load(); h.Lost != nil {
			h.Lost()
		}
		if !m.comeBack(ctx, lost.node.ID) {
			return
		}
	}
}

var errNotFollowing = errors.New("changes of the rules are not heard of, or not obeyed in time")

var errNotRenewed = errors.New("the database did not answer in time")

// renew renews the lease until it is lost, and returns why, or until ctx ends.
func (m *Membership) renew(ctx context.Context) error {
	var last error
	answers := make(chan error, 1) // of one at a time, which may come when nobody waits any more
	asking, again := false, false
	next := time.NewTimer(0)
	defer next.Stop()
	over := time.NewTimer(0)
	defer over.Stop()
	for {
		over.Reset(time.Until(m.held.Load().until))
		select {
		case <-ctx.Done():
			return nil
		case <-over.C:
			if m.held.Load().holds(time.Now()) {
				continue
			}
			if last == nil {
				last = errNotRenewed
			}
			return last
		case <-next.C:
			asking = true
			m.running.Go(func() { answers <- m.renewOnce(ctx) })
		case <-m.handled:
			if again = asking; !asking {
				next.Reset(0)
			}
		case last = <-answers:
			if errors.Is(last, store.ErrFenced) {
				return last
			}
			pause := m.cfg.Renew
			if again {
				pause = 0
			}
			asking, again = false, false
			next.Reset(pause)
		}
	}
}

// renewOnce asks the database once.
func (m *Membership) renewOnce(ctx context.Context) error {
	h := m.held.Load()
	if follows := m.handlers.Load().Follows; follows != nil && !follows() {
		return errNotFollowing
	}
	r := store.Renewal{ID: h.node.ID, Lease: m.cfg.Lease, Locked: m.locked()}
	if load := m.handlers.Load().Load; load != nil {
		r.Runtimes, r.Room = load()
	}
	if r.Locked {
		// Before another one is told, and leads.
		locked := *h
		locked.leads, locked.toldLocked = false, true
		if !m.held.CompareAndSwap(h, &locked) {
			return nil // it was given up meanwhile
		}
		h = &locked
	}
	asked := time.Now()
	got, err := m.leases.RenewLease(ctx, r)
	if err != nil {
		return err
	}
	now := time.Now()
	if !h.holds(now) {
		return nil // it was given up meanwhile
	}
	next := *h
	next.until = heldUntil(asked, m.cfg.Lease)
	next.leads, next.draining = got.Leads, got.State == store.NodeDraining
	if h.toldLocked && !r.Locked {
		// By then whoever leads instead has renewed its lease and knows, or has lost it.
		next.toldLocked, next.leadsFrom = false, now.Add(m.cfg.Lease)
	}
	if m.held.CompareAndSwap(h, &next) && next.draining && !h.draining {
		m.cfg.Log.Info("the node is drained: it takes no launches, and stops when its runtimes have ended")
	}
	return nil
}

// comeBack registers the server as another node, and ends the lease of the one that it
// was. It reports false when ctx ends before.
func (m *Membership) comeBack(ctx context.Context, former string) bool {
	again := time.NewTicker(m.cfg.Renew)
	defer again.Stop()
	for {
		h, err := m.comeBackOnce(ctx, former)
		if err == nil {
			m.held.Store(h)
			return true
		}
		m.cfg.Log.Warn("the node is not back yet", "error", err)
		select {
		case <-again.C:
		case <-ctx.Done():
			return false
		}
	}
}

// comeBackOnce tries to. What the server remembers is of the rules as they were when it
// lost its lease, and the others have not waited for it since: the new node counts once it
// obeys what was changed meanwhile. One that does not come so far is ended by the next
// attempt, or when the server leaves.
func (m *Membership) comeBackOnce(ctx context.Context, former string) (*held, error) {
	if err := m.expire(ctx); err != nil {
		return nil, err
	}
	h, err := m.register(ctx, former)
	if err != nil {
		return nil, err
	}
	again := time.NewTicker(obeyPause)
	defer again.Stop()
	for {
		obeys, err := m.leases.Obeys(ctx, h.node.ID)
		switch {
		case err != nil:
			return nil, err
		case obeys:
			return h, nil
		case !h.holds(time.Now()):
			return nil, errNotFollowing
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// obeyPause is how often a node that comes back looks whether it obeys the rules yet.
const obeyPause = 20 * time.Millisecond

// watch has the handler look at the others, while this node has its lease.
func (m *Membership) watch(ctx context.Context) {
	ticker := time.NewTicker(m.cfg.Watch)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		look := m.handlers.Load().Watch
		if look == nil || m.Valid() != nil {
			continue
		}
		if err := look(ctx); err != nil && ctx.Err() == nil {
			m.cfg.Log.Error("what nodes have left whose lease ran out was not ended", "error", err)
		}
	}
}
