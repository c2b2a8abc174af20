package peer

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/bctrl-go/bctrl/internal/cluster"
)

const (
	// watchEvery is how often it is looked whether the nodes live that work on requests, and
	// whether they can be reached.
	watchEvery = time.Second
	// probeTime is how long a node may take to say that it is there.
	probeTime = 2 * time.Second
	// silence is how long a node may not be reached that works on a request. One that lives
	// may be cut off from this one alone, and nothing says so: a connection stands for many
	// minutes before its machine gives it up.
	silence = 5 * time.Second
)

// pathAlive is what a node is asked to say that it is there.
const pathAlive = "/peer/alive"

// follow returns a context that ends with ctx, or when the node ends that works for it, or
// cannot be reached any more.
func (p *Peers) follow(ctx context.Context, node cluster.Node) (context.Context, func()) {
	ctx, end := context.WithCancelCause(ctx)
	one := &passing{node: node, end: end}
	p.mu.Lock()
	p.open[one] = struct{}{}
	if _, known := p.reached[node.ID]; !known {
		p.reached[node.ID] = time.Now()
	}
	p.mu.Unlock()
	return ctx, func() {
		p.mu.Lock()
		delete(p.open, one)
		p.mu.Unlock()
		end(nil)
	}
}

// EndAll ends all requests that others work on for this node, which may not go on.
func (p *Peers) EndAll(why error) { p.endOf(func(cluster.Node) bool { return true }, why) }

// endOf ends the requests of some nodes.
func (p *Peers) endOf(of func(cluster.Node) bool, why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for one := range p.open {
		if of(one.node) {
			one.end(why)
		}
	}
}

// watch ends the requests of nodes that live no more, or cannot be reached: the connection
// to a machine that is gone can stand for long.
func (p *Peers) watch(ctx context.Context) {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		p.endOfDead(ctx)
		p.endOfSilent(ctx)
	}
}

// working are the nodes that work on something for this one.
func (p *Peers) working() map[string]cluster.Node {
	p.mu.Lock()
	defer p.mu.Unlock()
	nodes := map[string]cluster.Node{}
	for one := range p.open {
		nodes[one.node.ID] = one.node
	}
	for id := range p.reached {
		if _, works := nodes[id]; !works {
			delete(p.reached, id)
		}
	}
	return nodes
}

// endOfDead ends the requests that nodes work on which live no more. While the database
// cannot be asked, all may live.
func (p *Peers) endOfDead(ctx context.Context) {
	if len(p.working()) == 0 {
		return
	}
	nodes, err := p.member.Nodes(ctx)
	if err != nil {
		return
	}
	live := map[string]bool{}
	for _, n := range nodes {
		live[n.ID] = true
	}
	p.endOf(func(n cluster.Node) bool { return !live[n.ID] }, ErrLost)
}

// endOfSilent asks the nodes that work on something whether they are there, and ends the
// requests of those that have not said so for too long.
func (p *Peers) endOfSilent(ctx context.Context) {
	var asked sync.WaitGroup
	for _, n := range p.working() {
		asked.Go(func() {
			if p.isThere(ctx, n) {
				p.mu.Lock()
				defer p.mu.Unlock()
				p.reached[n.ID] = time.Now()
				return
			}
			p.mu.Lock()
			silent := time.Since(p.reached[n.ID])
			p.mu.Unlock()
			if silent < silence || ctx.Err() != nil {
				return
			}
			p.log.Warn("a node that lives cannot be reached from here: what it worked on for callers of this one is given up",
				"node", n.ID, "name", n.Name, "address", n.Address)
			p.endOf(func(of cluster.Node) bool { return of.ID == n.ID }, ErrLost)
			p.transport.CloseIdleConnections() // nobody shall wait for one of them
		})
	}
	asked.Wait()
}

// isThere asks a node to answer. While this one is locked it can ask nobody, and gives nobody
// up; that the other one refuses to speak, as while it is locked, is an answer too.
func (p *Peers) isThere(ctx context.Context, n cluster.Node) bool {
	if _, _, err := p.identity.current(ctx); err != nil {
		return true
	}
	ctx, done := context.WithTimeout(ctx, probeTime)
	defer done()
	ctx = context.WithValue(ctx, nodeKey{}, n)
	rq, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+nameOf(n.ID)+pathAlive, http.NoBody)
	if err != nil {
		return false
	}
	res, err := p.transport.RoundTrip(rq)
	if err != nil {
		op, ok := errors.AsType[*net.OpError](err)
		return ok && op.Op == "remote error" // as crypto/tls calls an alert of the other side
	}
	return res.Body.Close() == nil && res.StatusCode == http.StatusNoContent
}
