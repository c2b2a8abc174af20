package server

import (
	"context"
	"errors"
	"time"
)

// orphanAge is how old bytes without a file must be to be taken for a crash's:
// an upload has its row within moments of its last byte.
const orphanAge = time.Hour

// Sweep removes what serves nobody any more: bytes that a crash left without a
// file, answers that are too old to be repeated, and tokens that have expired.
// It may run beside requests.
func (s *Server) Sweep(ctx context.Context) error {
	removed, err := s.blobs.Sweep(ctx, time.Now().Add(-orphanAge), s.db.Read().UnknownBlobs)
	if removed > 0 {
		s.log.Info("removed bytes that no file has", "blobs", removed)
	}
	return errors.Join(err, s.sweepAnswers(ctx), s.sweepTokens(ctx))
}
