//go:build unix

package chromium

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/bctrl-go/bctrl/internal/browser"
)

const (
	// diskPause is how often the disk with the browsers' folders is looked at.
	diskPause = time.Second
	// fullBelow is how much may be left of a disk that counts as full, in bytes. A browser
	// goes on without one, but says of nothing that it writes whether that was kept.
	fullBelow = 1 << 20
	// crashBelow is how much may be left, in bytes, where the end of a browser is put down to
	// the disk: what it could not write may have been larger than fullBelow.
	crashBelow = 4 << 20
	// launchNeeds is how much has to be left for another browser, in bytes. It is more than
	// one takes as it starts, so that a start does not end another that runs.
	launchNeeds = 8 << 20
	// blockSize is what files are counted in, in bytes, whatever their disk's own blocks are:
	// inode(7).
	blockSize = 512
	// roomTimeout is how long the end of one browser is waited for before the next is ended.
	roomTimeout = 2 * time.Second
)

// diskSpace is what is left of a disk for a user who is not root.
type diskSpace struct {
	bytes int64
	files uint64 // math.MaxUint64 where the file system does not count them
}

// isBelow reports whether less is left than so many bytes, or no file can be made.
func (s diskSpace) isBelow(bytes int64) bool { return s.bytes < bytes || s.files == 0 }

// spaceLeft asks the file system that holds a folder.
func spaceLeft(folder string) (diskSpace, error) {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(folder, &stat); err != nil {
		return diskSpace{}, fmt.Errorf("look at the browsers' disk: %w", err)
	}
	left := diskSpace{
		bytes: int64(stat.Bavail) * int64(stat.Bsize), //nolint:unconvert // types differ by system
		files: uint64(stat.Ffree),                     //nolint:unconvert // the same
	}
	if stat.Files == 0 {
		left.files = math.MaxUint64
	}
	return left, nil
}

// diskWatch ends browsers while nothing is left of the disk that holds their folders: a
// browser without a disk goes on and loses what it writes, and nobody would be told.
//
// It ends one after the other and looks whether that has made room, those first that nobody
// uses, then the one that takes most. So where one has filled the disk the others stay.
type diskWatch struct {
	folder string // all browsers have theirs below it
	look   func(folder string) (diskSpace, error)

	mu      sync.Mutex
	watched map[diskUser]bool // the value is set once it was ended here
	end     context.CancelFunc
}

// diskUser is a browser with a folder.
type diskUser interface {
	// isNobodys reports whether it waits for somebody to use it.
	isNobodys() bool
	// diskUse is how much of the disk it takes, in bytes.
	diskUse() int64
	// endForDisk ends it, for want of disk.
	endForDisk()
	// Done is closed when it has ended, and what it took is free.
	Done() <-chan struct{}
}

// isBelow reports whether so little is left. A disk that cannot be looked at counts as one
// with enough.
func (w *diskWatch) isBelow(bytes int64) bool {
	left, err := w.look(w.folder)
	return err == nil && left.isBelow(bytes)
}

// add has a browser be watched until it is removed.
func (w *diskWatch) add(b diskUser) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.watched == nil {
		w.watched = map[diskUser]bool{}
	}
	w.watched[b] = false
	if w.end == nil {
		var ctx context.Context
		ctx, w.end = context.WithCancel(context.Background())
		go w.watch(ctx)
	}
}

func (w *diskWatch) remove(b diskUser) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.watched, b)
	if len(w.watched) == 0 && w.end != nil {
		w.end()
		w.end = nil
	}
}

// watch makes room when the disk is full in two looks in a row: what is over by the second
// ends nobody.
func (w *diskWatch) watch(ctx context.Context) {
	tick := time.NewTicker(diskPause)
	defer tick.Stop()
	wasFull := false
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		isFull := w.isBelow(fullBelow)
		if isFull && wasFull {
			w.makeRoom(ctx)
			isFull = false // whatever fills it next has two looks again
		}
		wasFull = isFull
	}
}

// makeRoom ends browsers until something is left of the disk, or no browser.
func (w *diskWatch) makeRoom(ctx context.Context) {
	for ctx.Err() == nil && w.isBelow(fullBelow) {
		next := w.next()
		if next == nil {
			return
		}
		next.endForDisk()
		timeout := time.NewTimer(roomTimeout)
		select {
		case <-next.Done():
		case <-timeout.C: // it may be saving a gigabyte
		case <-ctx.Done():
		}
		timeout.Stop()
	}
}

// next chooses the browser that is to end; nil is none.
func (w *diskWatch) next() (chosen diskUser) {
	w.mu.Lock()
	var living []diskUser
	for b, ended := range w.watched {
		if !ended {
			living = append(living, b)
		}
	}
	w.mu.Unlock()
	most := int64(-1)
	for _, b := range living { // without the lock, for folders may be large
		use := b.diskUse()
		if b.isNobodys() {
			use = math.MaxInt64
		}
		if use > most {
			most, chosen = use, b
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.watched[chosen]; ok {
		w.watched[chosen] = true
	}
	return chosen
}

func (b *instance) isNobodys() bool { return !b.isAssigned.Load() }

// endForDisk kills the browser. One with a profile is not asked to close: what it would
// write has no room.
func (b *instance) endForDisk() {
	select {
	case <-b.proc.exited: // its process id may be another's by now
	default:
		b.noDisk.Store(true)
		b.proc.sendKill()
	}
}

// diskUse is what the browser's folder takes, with the files that have no name any more and
// are open in its processes: Chromium's shared memory, for one.
func (b *instance) diskUse() int64 {
	use := unnamedFiles(b.proc.pid(), b.dirs.root)
	err := fs.WalkDir(os.DirFS(b.dirs.root), ".", func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // it has gone meanwhile
		}
		info, err := e.Info()
		if err != nil {
			return nil //nolint:nilerr // the same
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); ok {
			use += stat.Blocks * blockSize
		}
		return nil
	})
	if err != nil {
		return 0
	}
	return use
}

// removeUnkept removes from the folders of a browser that has ended what its profile does
// not keep. On a full disk that may be the room in which the profile is saved.
func (d dirs) removeUnkept() error {
	root, err := os.OpenRoot(d.root)
	if err != nil {
		return fmt.Errorf("open the browser's folder: %w", err)
	}
	defer root.Close()
	inData := func(name string, e fs.DirEntry, err error) error {
		if err != nil || !slices.Contains(skipped, e.Name()) {
			return err
		}
		if err := root.RemoveAll(name); err != nil || !e.IsDir() {
			return err
		}
		return fs.SkipDir
	}
	var errs []error
	for _, unkept := range []string{dirHome, dirTemp, dirDownloads, dirUploads} {
		errs = append(errs, root.RemoveAll(unkept))
	}
	return errors.Join(append(errs, fs.WalkDir(root.FS(), dirData, inData))...)
}

// withDiskFull adds to what failed at the start of a browser that there is no disk left,
// where that is why.
func withDiskFull(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", browser.ErrDiskFull, err)
	}
	return err
}
