//go:build unix

package chromium

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"github.com/bctrl-go/bctrl/internal/browser"
)

// A profile is a folder of the server with the numbered copies of a browser's
// data: "7" is newer than "6". A browser works on a copy of the newest in its
// own temporary folder, and when it ends, stopped or crashed, its data becomes
// the next number. So the stored profile belongs to the server alone, stays
// out of the browser's reach (folders above it are usually closed to the
// browsers' user), and is whole at any moment: a copy is renamed into place
// once it is on disk.
//
// What a killed server could not save is saved by the next one: see sweep.

const (
	// maxProfileBytes and maxProfileFiles bound what is kept of a profile.
	maxProfileBytes = 1 << 30
	maxProfileFiles = 50_000
	// profileLock is held by the server whose browser uses the profile.
	profileLock = "lock"
	// profileNew is a copy that is not complete.
	profileNew = "new"
)

var errProfileSize = fmt.Errorf("the profile is over %d bytes or %d files and was not saved", maxProfileBytes,
	maxProfileFiles)

// skipped are folders that a browser makes anew: caches, mostly.
var skipped = []string{
	"BrowserMetrics", "Cache", "Code Cache", "Crashpad", "DawnCache", "DawnGraphiteCache", "DawnWebGPUCache",
	"GPUCache", "GrShaderCache", "GraphiteDawnCache", "Safe Browsing", "ShaderCache", "component_crx_cache",
	"extensions_crx_cache",
}

// profile is a profile in use.
type profile struct {
	folder *os.Root
	lock   *os.File
}

// openProfile takes the profile in dir, which it makes when there is none.
func openProfile(dir string) (*profile, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the profile: %w", err)
	}
	folder, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the profile: %w", err)
	}
	lock, err := lockFile(folder, profileLock)
	if err != nil {
		_ = folder.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, browser.ErrProfileInUse
		}
		return nil, fmt.Errorf("lock the profile: %w", err)
	}
	return &profile{folder: folder, lock: lock}, nil
}

// lockFile takes the lock called name, which ends with the file or the process
// that holds it.
func lockFile(folder *os.Root, name string) (*os.File, error) {
	f, err := folder.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func (p *profile) close() error { return errors.Join(p.lock.Close(), p.folder.Close()) }

// numbers returns the copies, oldest first.
func (p *profile) numbers() ([]int, error) {
	entries, err := fs.ReadDir(p.folder.FS(), ".")
	if err != nil {
		return nil, err
	}
	var numbers []int
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil && e.IsDir() && n > 0 {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// load copies the newest data to dir, for user.
func (p *profile) load(dir string, user account) error {
	numbers, err := p.numbers()
	if err != nil || len(numbers) == 0 {
		return err
	}
	from, err := p.folder.OpenRoot(strconv.Itoa(numbers[len(numbers)-1]))
	if err != nil {
		return fmt.Errorf("open the profile's data: %w", err)
	}
	defer from.Close()
	to, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("open the browser's data: %w", err)
	}
	defer to.Close()
	c := copier{from: from, to: to, owner: user}
	if err := c.copyTree(); err != nil {
		return fmt.Errorf("load the profile: %w", err)
	}
	return nil
}

// save makes the data in dir, which user wrote, the newest of the profile.
func (p *profile) save(dir string, user account) error {
	numbers, err := p.numbers()
	if err != nil {
		return err
	}
	next := 1
	if len(numbers) > 0 {
		next = numbers[len(numbers)-1] + 1
	}
	if err := p.folder.RemoveAll(profileNew); err != nil {
		return fmt.Errorf("clear the profile: %w", err)
	}
	if err := p.folder.Mkdir(profileNew, 0o700); err != nil {
		return fmt.Errorf("make the profile's data: %w", err)
	}
	if err := p.copyIn(dir, user); err != nil {
		return errors.Join(fmt.Errorf("save the profile: %w", err), p.folder.RemoveAll(profileNew))
	}
	if err := p.folder.Rename(profileNew, strconv.Itoa(next)); err != nil {
		return fmt.Errorf("save the profile: %w", err)
	}
	if err := syncFolder(p.folder, "."); err != nil {
		return fmt.Errorf("save the profile: %w", err)
	}
	for _, n := range numbers {
		if err := p.folder.RemoveAll(strconv.Itoa(n)); err != nil {
			return fmt.Errorf("remove the profile's older data: %w", err)
		}
	}
	return nil
}

func (p *profile) copyIn(dir string, user account) error {
	from, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := p.folder.OpenRoot(profileNew)
	if err != nil {
		return err
	}
	defer to.Close()
	c := copier{
		from:    from,
		to:      to,
		onlyOf:  &user,
		durable: true,
	}
	return c.copyTree()
}

// copier copies plain files and folders from one folder into another. Neither
// side can lead it elsewhere: every step is taken below an [os.Root].
type copier struct {
	from, to *os.Root
	owner    account  // who gets the copies
	onlyOf   *account // files of other accounts are left out; nil copies all
	durable  bool

	bytes int64
	files int
}

func (c *copier) copyTree() error {
	return fs.WalkDir(c.from.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name == ".":
			return nil
		case e.IsDir() && slices.Contains(skipped, filepath.Base(name)):
			return fs.SkipDir
		case e.IsDir():
			if err := c.to.Mkdir(name, 0o700); err != nil {
				return err
			}
			return c.giveToOwner(name)
		case e.Type().IsRegular():
			return c.copyFile(name)
		}
		return nil // links, sockets and pipes belong to a process that is gone
	})
}

func (c *copier) copyFile(name string) (err error) {
	from, err := c.from.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer from.Close()
	info, err := from.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || c.onlyOf != nil && !c.onlyOf.owns(info) {
		return nil
	}
	c.files++
	if c.bytes += info.Size(); c.bytes > maxProfileBytes || c.files > maxProfileFiles {
		return errProfileSize
	}
	to, err := c.to.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	// The original may still grow, so no more is copied than was counted.
	if _, err := io.Copy(to, io.LimitReader(from, info.Size())); err != nil {
		return err
	}
	if c.durable {
		if err := to.Sync(); err != nil {
			return err
		}
	}
	return c.giveToOwner(name)
}

func (c *copier) giveToOwner(name string) error {
	if c.owner.isSelf() {
		return nil
	}
	return c.to.Lchown(name, int(c.owner.uid), int(c.owner.gid))
}

// syncFolder makes the names in a folder durable.
func syncFolder(root *os.Root, name string) error {
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
