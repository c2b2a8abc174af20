package files

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/blob"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// DropUnusedBlob deletes the bytes of an id unless a file has them; an empty id is
// none. What cannot be deleted now is logged and left for [Service.SweepBlobs].
func (s *Service) DropUnusedBlob(ctx context.Context, id string) {
	if id == "" {
		return
	}
	ctx = context.WithoutCancel(ctx) // nobody else would
	unknown, err := s.DB.Read().UnknownBlobs(ctx, []string{id})
	for _, id := range unknown {
		err = s.blobs.Delete(ctx, id)
	}
	if err != nil {
		s.Log.Error("bytes that no file has were not deleted", "error", err)
	}
}

// orphanAge is how old bytes without a file must be to be taken for a crash's:
// an upload has its row within moments of its last byte.
const orphanAge = time.Hour

// SweepBlobs removes the bytes, an hour old and older, that a crash left without a
// file.
func (s *Service) SweepBlobs(ctx context.Context) error {
	removed, err := s.blobs.Sweep(ctx, time.Now().Add(-orphanAge), s.DB.Read().UnknownBlobs)
	if removed > 0 {
		s.Log.Info("removed bytes that no file has", "blobs", removed)
	}
	return err
}

// notStored says why bytes could not be stored.
func (s *Service) notStored(err error) error {
	switch {
	case errors.Is(err, blob.ErrTooLarge):
		return s.tooLarge()
	case errors.Is(err, blob.ErrFull):
		return store.ErrFull
	}
	return err
}

func (s *Service) tooLarge() *bctrl.Error {
	return web.TooLarge("storage.too_large", "the file exceeds "+strconv.FormatInt(s.maxFile, 10)+" bytes")
}
