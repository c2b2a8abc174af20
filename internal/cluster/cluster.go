// Package cluster is a server's place among those that share its database: a lease,
// which it renews, and by which all others know that it lives.
//
// Who has no lease does nothing. A node that could not renew its own stops by its own
// clock before the lease runs out by the database's, ends what it runs, and comes back as
// another node. The database refuses every write of a node without a lease, so that one
// that was paused, and wakes up late, changes nothing either. The others find it in the
// database, and end there what it had.
//
// A server that has its database to itself is [Alone], and none of this runs.
package cluster

import (
	"context"
	"net/http"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/store"
)

// Node is one server of a cluster, from its start to its end.
type Node = store.Node

// ErrNotFound is what no node that lives has.
var ErrNotFound = store.ErrNotFound

// ErrLeaseLost is the answer of a server to everything while it has no lease.
var ErrLeaseLost = &bctrl.Error{
	Status:  http.StatusServiceUnavailable,
	Code:    "server.lease_lost",
	Message: "this node of the cluster could not renew its lease, and does nothing without one",
	Hint:    "ask another node, or this one again: it comes back when it reaches the database",
}

// Member is a server's place in a cluster. All methods may be called at the same time.
type Member interface {
	// Self is this node as it was registered: its id changes when it has lost its lease
	// and comes back. Its load and its lease are in [Member.Nodes].
	Self() Node
	// Alone reports whether the server has the database to itself.
	Alone() bool
	// Valid returns nil while the node has its lease, and else [ErrLeaseLost].
	Valid() error
	// Nodes lists the nodes that live, the oldest first. Alone it is this one.
	Nodes(ctx context.Context) ([]Node, error)
	// NodeOf finds the node that has a runtime, or had it when it ended: [ErrNotFound] where
	// that does not live. Alone it is this one.
	NodeOf(ctx context.Context, org, runtimeID string) (Node, error)
	// Leads reports whether this node does what one of all has to do: it has been there the
	// longest of those that live and have their key. While all are locked nobody leads.
	Leads() bool
	// Draining reports whether the node takes no launches any more.
	Draining() bool
}

// Alone is the member of no cluster. It leads, always.
type Alone struct{}

var _ Member = Alone{}

// Self implements [Member]: a node without an id.
func (Alone) Self() Node { return Node{State: store.NodeServing, Room: -1} }

// Alone implements [Member].
func (Alone) Alone() bool { return true }

// Valid implements [Member].
func (Alone) Valid() error { return nil }

// Nodes implements [Member].
func (a Alone) Nodes(context.Context) ([]Node, error) { return []Node{a.Self()}, nil }

// NodeOf implements [Member].
func (a Alone) NodeOf(context.Context, string, string) (Node, error) { return a.Self(), nil }

// Leads implements [Member].
func (Alone) Leads() bool { return true }

// Draining implements [Member].
func (Alone) Draining() bool { return false }
