// Package blob keeps bytes under opaque ids. Names, folders, owners and content
// types are kept by its callers: an id says nothing, and no text of a caller becomes
// a path.
//
// A blob is written once, whole or not at all, and never changed. Whoever keeps
// the catalog writes its row after [Store.Put] and removes it before
// [Store.Delete]; what a crash leaves between the two is an orphan, which
// [Store.Sweep] removes.
//
// [Disk] keeps them in a directory of this machine, [S3] in a bucket that many
// machines share.
package blob

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"time"
)

var (
	// ErrNotFound: no blob has this id.
	ErrNotFound = errors.New("no such blob")
	// ErrTooLarge: the stream is longer than the limit given.
	ErrTooLarge = errors.New("larger than allowed")
	// ErrFull: there is no room left; nothing of the stream is kept.
	ErrFull = errors.New("no space left for files")
	// ErrUnavailable: the store did not answer, or not in time, however often it was
	// asked. Later it may.
	ErrUnavailable = errors.New("the store of files does not answer")
	// ErrForbidden: the store refuses this server.
	ErrForbidden = errors.New("the store of files refuses the server")
	// ErrNoBucket: the bucket is not there.
	ErrNoBucket = errors.New("the bucket for files is missing")
	// ErrDigest: what came back is not what was stored.
	ErrDigest = errors.New("the bytes are not those that were stored")
)

// Blob describes what [Store.Put] has stored.
type Blob struct {
	// ID is a random uuid.
	ID string
	// Size in bytes.
	Size int64
	// SHA256 of the bytes.
	SHA256 [sha256.Size]byte
}

// Store keeps blobs. All methods are safe for concurrent use.
type Store interface {
	// Put reads r to its end and stores it under a new id, holding about 1 MiB
	// in memory, and on its way to a bucket at most 32 MiB. When it returns without
	// an error the blob is durable; with one,
	// nothing of it is left. Above limit bytes the error is [ErrTooLarge]; a
	// limit of 0 or less is none. [ErrFull] says that the disk is. An error of r
	// is returned as it is, so a connection that breaks stores nothing. The
	// context is asked between reads: end a blocked r itself.
	Put(ctx context.Context, r io.Reader, limit int64) (Blob, error)
	// Open returns the bytes of a blob that Put has described, and their number, or
	// [ErrNotFound]. The caller closes it. A blob that is deleted meanwhile can
	// still be read on to its end. What comes from another machine is compared with the
	// digest once it was read from its first byte to its last, and the reading fails
	// before the last byte with [ErrDigest] where it differs; it ends with ctx.
	Open(ctx context.Context, b Blob) (io.ReadSeekCloser, int64, error)
	// Delete removes a blob; one that is not there is no error. A machine that
	// loses power may bring it back as an orphan.
	Delete(ctx context.Context, id string) error
	// Sweep removes the orphans among the blobs stored before the given time,
	// and what interrupted writes left before it, and counts both. It calls orphans
	// with ids, at most [SweepBatch] at once, and removes those that are returned. The
	// time must be far enough back that whoever stored a blob has
	// written its catalog row or given up.
	Sweep(ctx context.Context, before time.Time,
		orphans func(ctx context.Context, ids []string) ([]string, error)) (int, error)
}

// Linker is a [Store] whose bytes can be fetched past the server.
type Linker interface {
	// Link returns an address that gives a blob to whoever begins to fetch it in time, described
	// as is said.
	Link(ctx context.Context, id string, as Described, ttl time.Duration) (string, error)
}

// Described is what headers say of a blob.
type Described struct{ ContentType, ContentDisposition, CacheControl string }

// SweepBatch is how many ids [Store.Sweep] asks about at once.
const SweepBatch = 500
