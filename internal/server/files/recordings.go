package files

import (
	"context"
	"errors"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// KeepRecordings says for how long recordings stay in storage, from when they were put there; 0 is for ever.
func (s *Service) KeepRecordings(d time.Duration) { s.keepRecordings = d }

// sweptAtOnce is how many recordings are looked up at a time.
const sweptAtOnce = 100

// SweepRecordings removes the recordings that are kept no longer, each with its event. What somebody copied is a
// file of its own, and stays. A server that is locked removes them when it sweeps again.
func (s *Service) SweepRecordings(ctx context.Context) error {
	if s.keepRecordings <= 0 || s.Custody.Locked() {
		return nil
	}
	before := time.Now().Add(-s.keepRecordings)
	var failed error
	for tried := 0; ; {
		// Those that could not be removed are the oldest still.
		old, err := s.DB.Read().FilesBefore(ctx, bctrl.SourceRecording, before, tried+sweptAtOnce)
		if err != nil || len(old) <= tried {
			return errors.Join(failed, err)
		}
		kept := 0
		for _, f := range old[tried:] {
			if err := s.expire(ctx, f, before); err != nil {
				kept++
				failed = errors.Join(failed, err)
			}
		}
		tried += kept
	}
}

// expire removes a recording that was put there before a time.
func (s *Service) expire(ctx context.Context, f store.OwnFile, before time.Time) error {
	if err := s.Keys.Ensure(ctx, f.Org); err != nil {
		return err
	}
	var gone store.Object
	err := s.DB.Write(ctx, func(tx *store.Tx) error {
		o, err := tx.ObjectByID(ctx, f.Org, f.ID)
		if err != nil {
			return err
		}
		if o.Source != bctrl.SourceRecording || !o.CreatedAt.Before(before) {
			return store.ErrNotFound
		}
		if err := tx.DeleteObject(ctx, f.Org, o); err != nil {
			return err
		}
		gone = o
		ev := web.ServerEvent(string(bctrl.DeleteStorage), objectKey(o.Namespace, o.Path))
		ev.Org, ev.UID, ev.Runtime = f.Org, o.ID, o.RuntimeID
		return audit.Append(tx, ev)
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil // somebody else has removed it, or put another in its place
	}
	if err == nil {
		s.DropUnusedBlob(ctx, gone.BlobID)
	}
	return err
}
