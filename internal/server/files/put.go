package files

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"path"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// defaultMaxFile is the limit of one file, in bytes, when the configuration
// names none.
const defaultMaxFile = 5 << 30

// fileChange is what a transaction does that stores a file.
type fileChange = func(*store.Tx, *audit.Event) (bctrl.StorageObject, error)

// Put stores a file that the server itself has made or fetched, and records it as e
// in the transaction that stores it. The caller has decided that it may. What cannot
// be kept is refused by the codes of an upload, as storage.too_large.
func (s *Service) Put(
	ctx context.Context, org string, f Incoming, r io.Reader, e audit.Event,
) (bctrl.StorageObject, error) {
	var err error
	if f.Path, err = CanonicalPath(f.Path); err != nil {
		return bctrl.StorageObject{}, err
	}
	return s.writeFile(ctx, org, f, r, func(_ []byte, fn fileChange) (out bctrl.StorageObject, err error) {
		err = s.DB.Write(ctx, func(tx *store.Tx) (err error) {
			ev := e // this may be run twice
			if out, err = fn(tx, &ev); err != nil {
				return err
			}
			ev.Outcome = audit.OK
			return audit.Append(tx, ev)
		})
		return out, err
	})
}

// writeFile stores the bytes, then has record, which is told their SHA-256, write
// their row, and last drops what nothing refers to any more: the version that was
// replaced, or the new bytes when there is no row. A crash in between leaves bytes
// without a row, never a row without bytes; [Service.SweepBlobs] removes those.
func (s *Service) writeFile(
	ctx context.Context, org string, f Incoming, r io.Reader,
	record func(sum []byte, fn fileChange) (bctrl.StorageObject, error),
) (out bctrl.StorageObject, err error) {
	if err := f.check(); err != nil {
		return out, err
	}
	conditions := preconditions{f.IfMatch, f.IfNoneMatch}
	if !f.Unique { // refused before a byte is read where that can be told
		now, err := s.DB.Read().Object(ctx, org, f.Namespace, f.Path)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return out, err
		}
		if err := conditions.check(now); err != nil {
			return out, err
		}
	}
	start := &beginning{r: r}
	bytes, err := s.blobs.Put(ctx, start, s.maxFile)
	if err != nil {
		return out, s.notStored(err)
	}
	unused := bytes.ID
	defer func() {
		if !errors.Is(err, store.ErrUnavailable) { // else the row may come yet: a sweep looks once that is known
			s.DropUnusedBlob(ctx, unused)
		}
	}()
	if err := checkDigest(f.SHA256, bytes.SHA256[:]); err != nil {
		return out, err
	}
	made := store.Object{
		ID:          web.NewID(),
		Namespace:   f.Namespace,
		Path:        f.Path,
		BlobID:      bytes.ID,
		SHA256:      hex.EncodeToString(bytes.SHA256[:]),
		SizeBytes:   bytes.Size,
		ContentType: start.suggest(f.ContentType),
		Filename:    f.Filename,
		Source:      f.Source,
		RuntimeID:   f.RuntimeID,
		Driver:      f.Driver,
		Target:      f.Target,
		CreatedAt:   store.Now(),
	}
	var replaced string
	out, err = record(bytes.SHA256[:], func(tx *store.Tx, ev *audit.Event) (bctrl.StorageObject, error) {
		o := made // this may be run twice, and finds a path each time
		now, err := tx.Object(ctx, org, o.Namespace, o.Path)
		switch {
		case err != nil && !errors.Is(err, store.ErrNotFound):
			return bctrl.StorageObject{}, err
		case !f.Unique:
			if err := conditions.check(now); err != nil {
				return bctrl.StorageObject{}, err
			}
		case now.ID != "":
			if o.Path, err = freePath(ctx, tx, org, o.Namespace, o.Path); err != nil {
				return bctrl.StorageObject{}, err
			}
		}
		if o.Filename == "" {
			o.Filename = path.Base(o.Path)
		}
		ev.Object, ev.UID = objectKey(o.Namespace, o.Path), o.ID
		replaced, err = tx.PutObject(ctx, org, o, func(old store.Object) error {
			end := *ev
			end.Action, end.Outcome = objectReplaced, audit.OK
			return audit.Append(tx, end)
		})
		return describeObject(o), err
	})
	if err == nil {
		unused = replaced
	}
	return out, err
}

// objectReplaced is the action of the event that ends a version of a file.
const objectReplaced = "storage.replaced"
