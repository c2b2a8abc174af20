package blob

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"time"
)

// Sweep implements [Store]. It reads the directories as they are: a blob that
// comes or goes meanwhile may be missed until the next sweep. Files that are not
// blobs are left alone.
func (d *Disk) Sweep(
	ctx context.Context, before time.Time, orphans func(ctx context.Context, ids []string) ([]string, error),
) (int, error) {
	removed, err := d.sweepTemp(before)
	if err != nil {
		return removed, err
	}
	asked := inquiry{orphans: orphans, remove: func(ctx context.Context, id string) (bool, error) {
		return true, d.Delete(ctx, id)
	}}
	for _, dir := range fanOut() {
		names, err := d.olderThan(dir, before)
		if err != nil {
			return removed + asked.removed, err
		}
		for _, id := range names {
			if name, ok := location(id); !ok || path.Dir(name) != dir {
				continue
			}
			if err := asked.about(ctx, id); err != nil {
				return removed + asked.removed, err
			}
		}
		if err := ctx.Err(); err != nil {
			return removed + asked.removed, context.Cause(ctx)
		}
	}
	err = asked.rest(ctx)
	return removed + asked.removed, err
}

// inquiry asks which blobs are orphans, a batch at a time, and removes those.
type inquiry struct {
	orphans func(ctx context.Context, ids []string) ([]string, error)
	// remove reports whether it has removed an orphan.
	remove  func(ctx context.Context, id string) (bool, error)
	batch   []string
	removed int
}

func (q *inquiry) about(ctx context.Context, id string) error {
	if q.batch = append(q.batch, id); len(q.batch) < SweepBatch {
		return nil
	}
	return q.rest(ctx)
}

// rest asks about the ids that no batch was filled with.
func (q *inquiry) rest(ctx context.Context) error {
	if len(q.batch) == 0 {
		return nil
	}
	ids, err := q.orphans(ctx, q.batch)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if !slices.Contains(q.batch, id) {
			continue // not asked about: not known to be old
		}
		removed, err := q.remove(ctx, id)
		if err != nil {
			return err
		}
		if removed {
			q.removed++
		}
	}
	q.batch = q.batch[:0]
	return nil
}

// sweepTemp removes what writes left that are no longer under way, for instance
// those of a process that was killed.
func (d *Disk) sweepTemp(before time.Time) (int, error) {
	names, err := d.olderThan(tempDir, before)
	if err != nil {
		return 0, err
	}
	removed := 0
	for _, name := range names {
		if _, busy := d.writing.Load(name); busy {
			continue
		}
		if err := d.root.Remove(path.Join(tempDir, name)); err == nil {
			removed++
		} else if !errors.Is(err, fs.ErrNotExist) {
			return removed, err
		}
	}
	return removed, nil
}

// olderThan lists the plain files of a directory last written before a time; none where
// there is no such directory yet.
func (d *Disk) olderThan(dir string, before time.Time) ([]string, error) {
	f, err := d.root.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	names, err := f.Readdirnames(-1)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	old := names[:0]
	for _, name := range names {
		info, err := d.root.Lstat(path.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if info.Mode().IsRegular() && info.ModTime().Before(before) {
			old = append(old, name)
		}
	}
	return old, nil
}
