package daemon

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/bctrl-go/bctrl/internal/blob"
	"github.com/bctrl-go/bctrl/internal/store"
)

// movedAtOnce is how many files are on their way at a time, of at most 32 MiB of memory each.
const movedAtOnce = 4

// openFiles opens the bucket, and finds the files that are moved there.
func (m *Mover) openFiles(ctx context.Context) (err error) {
	if !hasBlobs(m.cfg.DataDir) {
		return fmt.Errorf("%s keeps no bytes of files: its server has had them in a bucket, which it goes on with",
			m.cfg.DataDir)
	}
	if m.disk, err = blob.OpenDisk(blobsIn(m.cfg.DataDir)); err != nil {
		return err
	}
	if m.bucket, err = blob.OpenS3(ctx, *m.to.Files); err != nil {
		return err
	}
	if err := m.bucket.CheckMove(ctx, m.owner); err != nil {
		return err
	}
	found, err := m.bucket.Owner(ctx)
	if err != nil {
		return err
	}
	if found == m.owner && !m.plan.Resumed { // a move that ended between the two goes on
		return fmt.Errorf("the files of this server are in %s already, and it may use them there", m.to.Files)
	}
	err = m.source.Read().EachFile(ctx, func(o store.Object) error {
		sum, err := hex.DecodeString(o.SHA256)
		if err != nil || len(sum) != sha256.Size {
			return fmt.Errorf("the file %s has a digest that is none: see 'bctrl audit verify'", o.ID)
		}
		m.files = append(m.files, blob.Blob{ID: o.BlobID, Size: o.SizeBytes, SHA256: [sha256.Size]byte(sum)})
		m.plan.Files++
		m.plan.Bytes += o.SizeBytes
		return nil
	})
	if err != nil {
		return err
	}
	return m.findFiles(ctx)
}

// findFiles finds the files that lack their bytes or have too many, and those that are in the bucket
// already.
func (m *Mover) findFiles(ctx context.Context) error {
	var lost, long []string
	for _, b := range m.files {
		if b.Size > blob.MaxObject {
			long = append(long, b.ID)
		}
		r, size, err := m.disk.Open(ctx, b)
		if errors.Is(err, blob.ErrNotFound) || err == nil && size != b.Size {
			lost = append(lost, b.ID)
		}
		if err == nil {
			err = r.Close()
		}
		if err != nil && !errors.Is(err, blob.ErrNotFound) {
			return err
		}
	}
	var why []error
	if len(lost) > 0 {
		why = append(why, fmt.Errorf(
			"the bytes of %d of %d files are not in %s, or not all of them: delete these files first: %s",
			len(lost), len(m.files), blobsIn(m.cfg.DataDir), m.named(ctx, lost)))
	}
	if len(long) > 0 {
		why = append(why, fmt.Errorf(
			"%d of %d files are longer than the %d GiB that a bucket takes: delete these files first: %s",
			len(long), len(m.files), blob.MaxObject>>30, m.named(ctx, long)))
	}
	if len(why) > 0 {
		return errors.Join(why...)
	}
	present, err := m.eachFile(ctx, func(ctx context.Context, b blob.Blob) (bool, error) { return m.bucket.Has(ctx, b) })
	m.plan.Present = present
	return err
}

// mostNamed bounds the files that a message names.
const mostNamed = 5

// named are the first of some files by their bytes, each by its namespace and path.
func (m *Mover) named(ctx context.Context, ids []string) string {
	var names []string
	first := ids[:min(len(ids), mostNamed)]
	_ = m.source.Read().EachFile(ctx, func(o store.Object) error { // else the message has to do without
		if slices.Contains(first, o.BlobID) {
			names = append(names, fmt.Sprintf("%q in %s", o.Path, o.Namespace))
		}
		return nil
	})
	if more := len(ids) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, ", ")
}

// eachFile calls fn with every file, several at once, and counts those of which it says yes.
func (m *Mover) eachFile(ctx context.Context, fn func(context.Context, blob.Blob) (bool, error)) (int64, error) {
	var count atomic.Int64
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(movedAtOnce)
	for _, b := range m.files {
		if within.Err() != nil {
			break
		}
		group.Go(func() error {
			yes, err := fn(within, b)
			if yes {
				count.Add(1)
			}
			return err
		})
	}
	err := group.Wait()
	if err == nil {
		err = ctx.Err()
	}
	return count.Load(), err
}

// copyFiles copies the files that are not in the bucket, and reads all of them back.
func (m *Mover) copyFiles(ctx context.Context) error {
	if err := m.bucket.BeginMove(ctx, m.owner); err != nil {
		return err
	}
	m.tell("Copying %d files, %d of which are there already", m.plan.Files, m.plan.Present)
	if _, err := m.eachFile(ctx, func(ctx context.Context, b blob.Blob) (bool, error) {
		there, err := m.bucket.Has(ctx, b)
		if err != nil || there {
			return false, err
		}
		return true, m.copyFile(ctx, b)
	}); err != nil {
		return fmt.Errorf("copying the files: %w", err)
	}
	m.tell("Comparing the files with their digests")
	if _, err := m.eachFile(ctx, func(ctx context.Context, b blob.Blob) (bool, error) {
		return true, m.compareFile(ctx, b)
	}); err != nil {
		return fmt.Errorf("comparing the files: %w", err)
	}
	return nil
}

func (m *Mover) copyFile(ctx context.Context, b blob.Blob) (err error) {
	r, _, err := m.disk.Open(ctx, b)
	if err != nil {
		return fmt.Errorf("the bytes %s: %w", b.ID, err)
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if err := m.bucket.PutAs(ctx, b, r); err != nil {
		return fmt.Errorf("the bytes %s: %w", b.ID, err)
	}
	return nil
}

// compareFile reads a file back from the bucket. What has other bytes than its row says is removed,
// so that the next move copies it again.
func (m *Mover) compareFile(ctx context.Context, b blob.Blob) (err error) {
	r, _, err := m.bucket.Open(ctx, b)
	if err == nil {
		_, err = io.Copy(io.Discard, r)
		err = errors.Join(err, r.Close())
	}
	if errors.Is(err, blob.ErrDigest) {
		err = errors.Join(err, m.bucket.Delete(ctx, b.ID))
	}
	if err != nil {
		return fmt.Errorf("the bytes %s: %w", b.ID, err)
	}
	return nil
}
