package server

import (
	"context"
	"errors"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/cluster"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

func (s *Server) nodeRoutes() []web.Route {
	return []web.Route{
		web.Endpoint("GET /v1/nodes", access.NodeList, s.listNodes),
		web.Endpoint("POST /v1/nodes/{id}/drain", access.NodeDrain, s.drainNode),
	}
}

var (
	errNodesNotOperator = web.WithHint(
		web.Forbidden("nodes.not_operator", "the nodes of the cluster are the operator's"),
		"use a key of the organization that the server's first run made, for itself",
	)
	errNoNode = web.WithHint(
		web.NotFound("nodes.not_found", "no node that lives has this id"),
		"bctrl node list prints those that do: a server that starts again has another id, and one that has its database "+
			"to itself is none",
	)
)

func (s *Server) listNodes(ctx context.Context, rq *web.Request, _ web.None) (list wire.List[bctrl.Node], err error) {
	if err := s.requireOperatorFor(ctx, rq, "", errNodesNotOperator); err != nil {
		return list, err
	}
	list.Plural = wire.Nodes
	if s.Cluster.Alone() {
		return list, nil
	}
	nodes, err := s.Cluster.Nodes(ctx)
	leader := s.leaderOf(nodes)
	for _, n := range nodes {
		list.Items = append(list.Items, s.describeNode(n, n.ID == leader))
	}
	return list, err
}

// leaderOf is the id of the node that leads, or is about to: the oldest that is not locked. It is
// empty where all are.
func (s *Server) leaderOf(nodes []cluster.Node) string {
	for _, n := range nodes {
		if n.ID == s.Cluster.Self().ID {
			n.Locked = s.Custody.Locked()
		}
		if !n.Locked {
			return n.ID
		}
	}
	return ""
}

// describeNode is a node as it is told of. What it has told is up to 1.5 seconds old, but of this one.
func (s *Server) describeNode(n cluster.Node, leads bool) bctrl.Node {
	self := n.ID == s.Cluster.Self().ID
	if self {
		n.Locked = s.Custody.Locked()
		n.Runtimes, n.Room = s.room()
	}
	return bctrl.Node{
		ID:        n.ID,
		Number:    n.Number,
		Name:      n.Name,
		Address:   n.Address,
		Version:   n.Version,
		State:     bctrl.NodeState(n.State),
		Locked:    n.Locked,
		Runtimes:  n.Runtimes,
		Room:      n.Room,
		Leads:     leads,
		Self:      self,
		LeaseMs:   max(0, n.LeaseLeft.Milliseconds()),
		StartedAt: n.StartedAt,
	}
}

// drainNode says so in the database, where the node finds it when it renews its lease.
func (s *Server) drainNode(ctx context.Context, rq *web.Request, _ web.None) (out bctrl.Node, err error) {
	id, err := rq.Path("id", web.ValidUUID)
	if err != nil {
		return out, err
	}
	if err := s.requireOperatorFor(ctx, rq, id, errNodesNotOperator); err != nil {
		return out, err
	}
	return web.Change(ctx, rq, func(tx *store.Tx, _ *audit.Event) (out bctrl.Node, err error) {
		n, err := tx.DrainNode(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			return out, errNoNode
		}
		if err != nil {
			return out, err
		}
		nodes, err := tx.Nodes(ctx)
		return s.describeNode(n, s.leaderOf(nodes) == n.ID), err
	})
}
