package files

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
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

// bytesOf describes the bytes of a file as they were stored.
func bytesOf(o store.Object) (blob.Blob, error) {
	sum, err := hex.DecodeString(o.SHA256)
	if err != nil || len(sum) != sha256.Size {
		return blob.Blob{}, fmt.Errorf("the file %s has a digest that is none", o.ID)
	}
	return blob.Blob{ID: o.BlobID, Size: o.SizeBytes, SHA256: [sha256.Size]byte(sum)}, nil
}

// reachable is a store on another machine.
type reachable interface{ Reach(context.Context) error }

// Ready says why the bytes of files cannot be reached, where another machine keeps them.
func (s *Service) Ready(ctx context.Context) error {
	there, ok := s.blobs.(reachable)
	if !ok {
		return nil
	}
	err := there.Reach(ctx)
	if ctx.Err() != nil {
		err = blob.ErrUnavailable
	}
	if e := faultOf(err); e != nil {
		return e
	}
	return err
}

// storeFault is how an error of a store on another machine is answered. The log has the
// store's own words.
func (s *Service) storeFault(err error) error {
	e := faultOf(err)
	if e == nil {
		return err
	}
	s.Log.Error("the store of files failed", "error", err)
	return e
}

// faultOf is the answer to an error of a store on another machine; nil is none of those.
func faultOf(err error) (e *bctrl.Error) {
	switch {
	case errors.Is(err, blob.ErrUnavailable):
		e = web.Unavailable("storage.unavailable", "the store of files does not answer: try again later")
	case errors.Is(err, blob.ErrForbidden):
		e = web.Unavailable("storage.bucket_forbidden", "the store of files refuses the server: its log says why")
	case errors.Is(err, blob.ErrNoBucket):
		e = web.Unavailable("storage.bucket_missing", "the bucket for files is missing")
	case errors.Is(err, blob.ErrDigest):
		e = web.Unavailable("storage.wrong_digest", "the store of files gave other bytes than were stored")
	}
	return e
}

// notStored says why bytes could not be stored.
func (s *Service) notStored(err error) error {
	switch {
	case errors.Is(err, blob.ErrTooLarge):
		return s.tooLarge()
	case errors.Is(err, blob.ErrFull):
		return store.ErrFull
	}
	return s.storeFault(err)
}

func (s *Service) tooLarge() *bctrl.Error {
	return web.TooLarge("storage.too_large", "the file exceeds "+strconv.FormatInt(s.maxFile, 10)+" bytes")
}
