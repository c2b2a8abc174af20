package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"

	"github.com/bctrl-go/bctrl/internal/names"
)

// Disk is a [Store] in a directory: 256 directories named by the first two
// digits of the ids within, so that a million blobs are some four thousand to a
// directory, and one for what is being written. Each is made when it is needed. The
// directory of all belongs to one process at a time.
type Disk struct {
	root    *os.Root
	create  func(name string) (file, error)
	writing sync.Map // names in the temporary directory that Put is at work on
	buffers sync.Pool
	making  sync.Mutex
	durable sync.Map // names of directories that a crash leaves
}

var _ Store = (*Disk)(nil)

// file is what Put needs of an [os.File]; tests stand in for a failing disk.
type file interface {
	io.WriteCloser
	Sync() error
}

const (
	tempDir  = "tmp"
	fileMode = 0o600
	dirMode  = 0o700
)

// OpenDisk opens the store in dir and creates what is missing of it. Close it
// when done.
func OpenDisk(dir string) (*Disk, error) {
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return nil, fmt.Errorf("create the file store: %w", noRoom(err))
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the file store: %w", err)
	}
	d := &Disk{root: root, buffers: sync.Pool{New: func() any { return new(buffer) }}}
	d.create = func(name string) (file, error) {
		return root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	}
	if err := d.begin(); err != nil {
		return nil, errors.Join(fmt.Errorf("create the file store: %w", noRoom(err)), root.Close())
	}
	return d, nil
}

// begin makes the directory for what is being written, and learns which others are there.
func (d *Disk) begin() error {
	if err := d.root.Mkdir(tempDir, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := d.syncDir("."); err != nil {
		return err
	}
	there, err := fs.ReadDir(d.root.FS(), ".")
	for _, entry := range there {
		d.durable.Store(entry.Name(), nil)
	}
	return err
}

// makeDir makes a directory before the first blob in it, and returns once that is durable.
func (d *Disk) makeDir(name string) error {
	if _, ok := d.durable.Load(name); ok {
		return nil
	}
	d.making.Lock()
	defer d.making.Unlock()
	if _, ok := d.durable.Load(name); ok {
		return nil // somebody else has made it meanwhile
	}
	if err := d.root.Mkdir(name, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := d.syncDir("."); err != nil {
		return err
	}
	d.durable.Store(name, nil)
	return nil
}

func fanOut() []string {
	dirs := make([]string, 256)
	for i := range dirs {
		dirs[i] = fmt.Sprintf("%02x", i)
	}
	return dirs
}

// Close releases the directory. Blobs that are open stay readable.
func (d *Disk) Close() error { return d.root.Close() }

// location is where the blob with this id is kept; ok is false for a text that
// is not the canonical form of a uuid, which no blob has.
func location(id string) (name string, ok bool) {
	if names.CanonicalUUID(id) != nil {
		return "", false
	}
	return path.Join(id[:2], id), true
}

// Put implements [Store].
func (d *Disk) Put(ctx context.Context, r io.Reader, limit int64) (Blob, error) {
	blob, err := d.put(ctx, r, limit)
	if err != nil {
		return Blob{}, noRoom(err)
	}
	return blob, nil
}

func (d *Disk) put(ctx context.Context, r io.Reader, limit int64) (_ Blob, err error) {
	random, err := uuid.NewRandom()
	if err != nil {
		return Blob{}, err
	}
	id := random.String()
	final, _ := location(id)
	temp := path.Join(tempDir, id)
	d.writing.Store(id, nil)
	defer d.writing.Delete(id)

	f, err := d.create(temp)
	if err != nil {
		return Blob{}, err
	}
	committed := false
	defer func() {
		if !committed { // also when r panics
			_ = f.Close()
			_ = d.root.Remove(temp) // what stays here, a sweep removes
		}
	}()
	blob := Blob{ID: id}
	if blob.Size, blob.SHA256, err = d.copy(ctx, f, r, limit); err != nil {
		return Blob{}, err
	}
	// A sweep compares this time: it is that of the end of Put, not of the last byte.
	now := time.Now()
	if err := d.root.Chtimes(temp, now, now); err != nil {
		return Blob{}, err
	}
	if err := f.Sync(); err != nil {
		return Blob{}, err
	}
	if err := f.Close(); err != nil {
		return Blob{}, err
	}
	if err := d.makeDir(path.Dir(final)); err != nil {
		return Blob{}, err
	}
	if err := d.root.Rename(temp, final); err != nil {
		return Blob{}, err
	}
	committed = true
	if err := d.syncDir(path.Dir(final)); err != nil {
		_ = d.root.Remove(final) // it may not be durable, so it is not stored
		return Blob{}, err
	}
	return blob, nil
}

// Open implements [Store]. What it returns is an [os.File], which net/http
// sends without copying it through the process.
func (d *Disk) Open(_ context.Context, b Blob) (io.ReadSeekCloser, int64, error) {
	name, ok := location(b.ID)
	if !ok {
		return nil, 0, ErrNotFound
	}
	f, err := d.root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, ErrNotFound
	}
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, info.Size(), nil
}

// Delete implements [Store].
func (d *Disk) Delete(_ context.Context, id string) error {
	name, ok := location(id)
	if !ok {
		return nil
	}
	if err := d.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (d *Disk) syncDir(name string) error {
	dir, err := d.root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// noRoom makes an [ErrFull] of what a full disk, an exhausted quota or a limit
// on files gives.
func noRoom(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}
