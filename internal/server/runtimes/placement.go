package runtimes

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/bctrl-go/bctrl/internal/cluster"
	"github.com/bctrl-go/bctrl/internal/store"
)

// placedFor is how long at most a launch that was placed on another node is taken off the
// room which that node has told of: it tells when it renews its lease, every 1.5 seconds.
const placedFor = 3 * time.Second

const (
	// refusedFor is how long a launch that waits is not offered to a node that did not take one: by
	// then the node has told what room it has, or another one gets its turn of those that are asked.
	refusedFor = 1500 * time.Millisecond
	// unreachedTime is the [Capacity.UnreachedTime] where none is given.
	unreachedTime = 15 * time.Second
)

// placements choose where runtimes are launched.
type placements struct {
	mu   sync.Mutex
	sent []placed // not long ago, oldest first
	// refused is until when nothing is offered to nodes that did not take a launch.
	refused map[string]time.Time
}

// placed is a launch that was placed on another node, which had told of so many runtimes.
type placed struct {
	node     string
	runtimes int
	at       time.Time
}

// arriving is choose for a launch that comes in. It joins those that wait here, of which it would
// take the room elsewhere otherwise, unless this node takes no launches.
func (p *placements) arriving(nodes []cluster.Node, here cluster.Node, queued int, now time.Time) (none cluster.Node) {
	serves := slices.ContainsFunc(nodes, func(n cluster.Node) bool {
		return n.ID == here.ID && n.State == store.NodeServing
	})
	if queued > 0 && serves {
		return none
	}
	return p.choose(nodes, here, now)
}

// choose returns the node with the most room for another runtime, itself the first among
// equals: of those without a bound the one with the fewest runtimes, then of the others. Here
// is this node with what it has now, which it may not have told yet. It returns no node where
// that is this one, all are full, or none takes launches: a launch waits where it came in, until
// there is room there or elsewhere.
func (p *placements) choose(nodes []cluster.Node, here cluster.Node, now time.Time) (none cluster.Node) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = slices.DeleteFunc(p.sent, func(one placed) bool {
		hasToldSince := slices.ContainsFunc(nodes, func(n cluster.Node) bool {
			return n.ID == one.node && n.Runtimes != one.runtimes
		})
		return hasToldSince || now.Sub(one.at) > placedFor
	})
	var able []cluster.Node
	for _, n := range nodes {
		if n.ID == here.ID {
			n.Runtimes, n.Room = here.Runtimes, here.Room
		} else {
			for _, one := range p.sent {
				if one.node != n.ID {
					continue
				}
				n.Runtimes++
				if n.Room > 0 {
					n.Room--
				}
			}
		}
		if n.State == store.NodeServing && n.Room != 0 {
			able = append(able, n)
		}
	}
	if len(able) == 0 {
		return none
	}
	best := slices.MinFunc(able, func(a, b cluster.Node) int {
		return cmp.Or(roomier(a, b), cmp.Compare(rank(a, here.ID), rank(b, here.ID)))
	})
	if best.ID == here.ID {
		return none
	}
	at := slices.IndexFunc(nodes, func(n cluster.Node) bool { return n.ID == best.ID })
	p.sent = append(p.sent, placed{best.ID, nodes[at].Runtimes, now})
	return nodes[at]
}

// roomier is below 0 where a has more room than b.
func roomier(a, b cluster.Node) int {
	switch {
	case a.Room < 0 && b.Room < 0:
		return cmp.Compare(a.Runtimes, b.Runtimes)
	case a.Room < 0:
		return -1
	case b.Room < 0:
		return 1
	}
	return cmp.Compare(b.Room, a.Room)
}

func rank(n cluster.Node, self string) int {
	if n.ID == self {
		return 0
	}
	return 1
}

// refuse has nothing be offered to a node for a while, which did not take a launch. It reports
// whether that is new.
func (p *placements) refuse(node string, now time.Time, lasts time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.refused, func(_ string, until time.Time) bool { return now.After(until) })
	if p.refused == nil {
		p.refused = map[string]time.Time{}
	}
	until, known := p.refused[node]
	if end := now.Add(lasts); end.After(until) {
		p.refused[node] = end
	}
	return !known
}

// toOffer are the nodes without those that did not take a launch just now.
func (p *placements) toOffer(nodes []cluster.Node, now time.Time) []cluster.Node {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(nodes), func(n cluster.Node) bool {
		until, refused := p.refused[n.ID]
		return refused && !now.After(until)
	})
}
