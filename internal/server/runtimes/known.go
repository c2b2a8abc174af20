package runtimes

import (
	"context"

	"github.com/bctrl-go/bctrl/internal/cluster"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// KnownOfNode is what only the node knows that has a runtime, and has in its memory.
type KnownOfNode struct {
	// QueuePlace is as in [admission.placeOf].
	QueuePlace int
	// BlockedRequests and BlockedHosts are as in [hosts.refusedSoFar].
	BlockedRequests int
	BlockedHosts    []string
}

// KnownQuestion is what other nodes ask with, for [Service.Known].
const KnownQuestion = "runtimes"

// Known is what this node knows of the runtimes with some ids, those that it has.
func (s *Service) Known(_ context.Context, ids []string) (map[string]KnownOfNode, error) {
	known := map[string]KnownOfNode{}
	for _, id := range ids {
		if _, here := s.fleet.find(id); here {
			known[id] = s.knownHere(id)
		}
	}
	return known, nil
}

func (s *Service) knownHere(id string) (known KnownOfNode) {
	known.QueuePlace = s.admission.placeOf(id)
	if lr, ok := s.startedRuntime(id); ok {
		known.BlockedRequests, known.BlockedHosts = lr.hosts.refusedSoFar()
	}
	return known
}

// knownAnywhere is what the nodes know that have some runtimes. Of a node that does not answer
// nothing is known.
func (s *Service) knownAnywhere(
	ctx context.Context, org string, runtimes []store.Runtime,
) (map[string]KnownOfNode, error) {
	known, elsewhere := map[string]KnownOfNode{}, []string{}
	for _, rt := range runtimes {
		if _, here := s.fleet.find(rt.ID); here {
			known[rt.ID] = s.knownHere(rt.ID)
		} else if rt.Live {
			elsewhere = append(elsewhere, rt.ID)
		}
	}
	if s.Peers == nil || len(elsewhere) == 0 {
		return known, nil
	}
	at, err := s.DB.Read().NodesOfRuntimes(ctx, org, elsewhere)
	if err != nil {
		return nil, err
	}
	nodes, err := s.Cluster.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	owners := map[string]cluster.Node{}
	for runtime, id := range at {
		for _, n := range nodes {
			if n.ID == id {
				owners[runtime] = n
			}
		}
	}
	for id, k := range web.AskOwners[KnownOfNode](ctx, s.Kernel, KnownQuestion, owners) {
		known[id] = k
	}
	return known, nil
}
