package server

import (
	"context"
	"errors"
)

// Sweep removes what serves nobody any more: bytes that a crash left without a
// file, answers that are too old to be repeated, and tokens that have expired.
// It may run beside requests.
func (s *Server) Sweep(ctx context.Context) error {
	return errors.Join(s.files.SweepBlobs(ctx), s.SweepAnswers(ctx), s.runtimes.SweepTokens(ctx))
}
