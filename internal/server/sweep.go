package server

import (
	"context"
	"errors"
)

// Sweep removes what serves nobody any more: bytes that a crash left without a
// file, answers that are too old to be repeated, runtime tokens that expired a day
// ago, and events that are kept no longer. It may run beside requests. Each of them is
// tried, and the error joins theirs.
func (s *Server) Sweep(ctx context.Context) error {
	return errors.Join(s.files.SweepBlobs(ctx), s.SweepAnswers(ctx), s.runtimes.SweepTokens(ctx), s.events.Sweep(ctx))
}
