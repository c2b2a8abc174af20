package server

import (
	"context"
	"errors"
)

// Sweep removes what serves nobody any more: bytes that a crash left without a
// file, recordings that are kept no longer, answers
// that are too old to be repeated, runtime tokens that expired a day
// ago, events that are kept no longer, what nodes hold that are dead, and who they were. It may run beside
// requests, on one node of a cluster. Each of them is tried, and the error joins theirs.
func (s *Server) Sweep(ctx context.Context) error {
	return errors.Join(
		s.files.SweepRecordings(ctx),
		s.files.SweepBlobs(ctx),
		s.SweepAnswers(ctx),
		s.runtimes.SweepTokens(ctx),
		s.events.Sweep(ctx),
		s.DB.ReleaseDead(ctx),
		s.forgetNodes(ctx),
	)
}

// RemoveUnmade removes the folders of profiles on this node of which the database did not say
// whether they are there, and that are not.
func (s *Server) RemoveUnmade(ctx context.Context) error { return s.profiles.RemoveUnmade(ctx) }

// FinishDeletions removes what subaccounts hold that a node was deleting which is gone.
// It does so on one node of a cluster; a server alone has done so when it started.
func (s *Server) FinishDeletions(ctx context.Context) error {
	if s.Cluster.Alone() || s.Custody.Locked() {
		return nil
	}
	return s.emptyClosedSubaccounts(ctx)
}
