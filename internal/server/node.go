package server

import (
	"context"
	"fmt"
	"time"

	"github.com/bctrl-go/bctrl/internal/cluster"
	"github.com/bctrl-go/bctrl/internal/store"
)

// recordStart records that the server starts. One that has the log to itself ends what the
// one before it left there.
func (s *Server) recordStart(ctx context.Context) error {
	if s.Cluster.Alone() {
		return s.Audit.Start(ctx)
	}
	return s.Audit.StartNode(ctx, s.Cluster.Self().ID)
}

// endAbandoned ends what servers have left that are gone: runtimes, operations, intents. A
// server that has the database to itself was told by its lock that all nodes are.
func (s *Server) endAbandoned(ctx context.Context) error {
	if s.Cluster.Alone() {
		if err := s.DB.ExpireLeases(ctx); err != nil {
			return err
		}
	}
	if err := s.runtimes.EndAbandoned(ctx); err != nil {
		return err
	}
	return s.settleNodes(ctx)
}

// settleNodes gives the intents of nodes that have ended their outcome.
func (s *Server) settleNodes(ctx context.Context) error {
	nodes, err := s.DB.Read().UnsettledNodes(ctx)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		if err := s.Audit.EndNode(ctx, n); err != nil {
			return fmt.Errorf("ending what node %s left in the log: %w", n.ID, err)
		}
	}
	return nil
}

// NoteSettled notes how far nodes have settled the log, so that less of it is read when one dies.
func (s *Server) NoteSettled(ctx context.Context) error {
	if s.Cluster.Alone() {
		return nil
	}
	return s.Audit.NoteSettled(ctx)
}

// Node is what a node of a cluster does for its lease: see [cluster.Membership.Handle].
func (s *Server) Node() cluster.Handlers {
	return cluster.Handlers{
		Load:    s.room,
		Locked:  s.Custody.Locked,
		Follows: s.DB.FollowsRules,
		Lost:    s.loseLease,
		Watch:   s.watchNodes,
	}
}

// room is how many runtimes there are, and how many more there may be: none while the server is
// locked, so that no launch is sent here.
func (s *Server) room() (runtimes, room int) {
	runtimes, _ = s.runtimes.Load()
	if s.Custody.Locked() {
		return runtimes, 0
	}
	return runtimes, s.runtimes.Room()
}

// loseLease ends everything here at once: without its lease this server may do nothing.
func (s *Server) loseLease() {
	s.EndAll(cluster.ErrLeaseLost)
	if s.peers != nil {
		s.peers.EndAll(cluster.ErrLeaseLost) // what others work on for callers of this one
	}
	s.runtimes.LoseAll()
}

// forgetNodesAfter is how long it is known which nodes there were.
const forgetNodesAfter = 24 * time.Hour

// forgetNodes removes what is known of nodes that ended a day ago.
func (s *Server) forgetNodes(ctx context.Context) error {
	if s.Cluster.Alone() {
		return nil
	}
	return s.DB.Write(ctx, func(tx *store.Tx) error { return tx.ForgetNodes(ctx, store.Now().Add(-forgetNodesAfter)) })
}

// watchNodes offers the launches that wait here to nodes with room, and ends what nodes have left
// whose lease ran out. A server that is locked leaves that to the others: it can neither check nor
// write a row of theirs.
func (s *Server) watchNodes(ctx context.Context) error {
	if s.Custody.Locked() {
		return nil
	}
	if err := s.runtimes.OfferWaiting(ctx); err != nil {
		return err
	}
	dead, err := s.DB.Read().DeadNodes(ctx)
	if err != nil {
		return err
	}
	if len(dead) > 0 {
		if err := s.runtimes.EndAbandoned(ctx); err != nil {
			return err
		}
		for _, n := range dead {
			s.Log.Info("a node has ended, and what it left with it", "node", n.ID, "name", n.Name, "number", n.Number)
		}
	}
	if s.Cluster.Leads() {
		return s.settleNodes(ctx)
	}
	return nil
}
