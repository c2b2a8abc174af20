package bctrl

import (
	"context"
	"net/http"
	"time"

	"github.com/bctrl-go/bctrl/internal/wire"
)

// NodesService knows the nodes of a cluster: the servers that share one database. It
// belongs to the operator, as [Client.Seal] does. See [Client.Nodes].
type NodesService struct{ via via }

const (
	pathNodes     = "/v1/nodes"
	pathNodeDrain = pathNodes + "/{id}/drain"
)

// NodeState is what a node is at.
type NodeState string

// The states of a node that lives.
const (
	NodeServing NodeState = "serving"
	// NodeDraining takes no launches, and stops when its runtimes have ended.
	NodeDraining NodeState = "draining"
)

// Node is one server of a cluster, from its start to its end. A server that starts again
// is another node.
type Node struct {
	ID string `json:"id"`
	// Number grows from node to node, and is never used again.
	Number int64 `json:"number"`
	// Name is that of its machine, and Address where the other nodes reach it.
	Name    string    `json:"name"`
	Address string    `json:"address"`
	Version string    `json:"version"`
	State   NodeState `json:"state"`
	// Locked is set while it has no master key, which is told with up to 1.5 seconds' delay. Each node
	// is unlocked by itself: [SealService.Unlock] of a client that reaches it.
	Locked bool `json:"locked"`
	// Runtimes start or run there, and Room is how many more may; -1 is no bound.
	Runtimes int `json:"runtimes"`
	Room     int `json:"room"`
	// Leads is set of the one that does what one of all has to do, such as sweeps: the oldest
	// that is not locked.
	Leads bool `json:"leads"`
	// Self is set of the one that answers.
	Self bool `json:"self"`
	// LeaseMs is how long the node is taken to live without saying so again.
	LeaseMs   int64     `json:"leaseMs"`
	StartedAt time.Time `json:"startedAt"`
}

// List returns the nodes that live, the oldest first: none where a server has its database
// to itself. A locked node answers it too.
//
// Access: node.list
func (s *NodesService) List(ctx context.Context, opts ...CallOption) ([]Node, error) {
	out := wire.List[Node]{Plural: wire.Nodes}
	err := s.via().call(ctx, &request{
		method: http.MethodGet,
		path:   pathNodes,
		out:    &out,
		opts:   opts,
	})
	return out.Items, err
}

// Drain has a node take no launches any more. It stops when its runtimes have ended, and
// goes on with all else until then. Draining twice is once.
//
// Access: node.drain
func (s *NodesService) Drain(ctx context.Context, id string, opts ...CallOption) (*Node, error) {
	var out Node
	return ptr(&out, s.via().call(ctx, &request{
		method: http.MethodPost,
		path:   pathNodeDrain,
		params: []string{id},
		out:    &out,
		opts:   opts,
	}))
}
