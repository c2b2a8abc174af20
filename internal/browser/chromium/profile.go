//go:build unix

package chromium

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/lockbox"
)

// A profile is a folder of the server with the numbered copies of a browser's
// data, each a sealed archive: "7" is newer than "6". A browser works on a plain
// copy of the newest in its own temporary folder, and when it ends, stopped or
// crashed, or is asked to, its data becomes the next number. So the stored
// profile belongs to the server alone, stays out of the browser's reach (folders
// above it are usually closed to the browsers' user), and is whole at any moment:
// a copy is renamed into place once it is on disk.
//
// What a killed server could not save is saved by the next one: see sweep.

const (
	// profileLock is held by the server whose browser uses the profile.
	profileLock = "lock"
	// profileNew is a copy that is not complete.
	profileNew = "new"
)

// profile is a profile in use.
type profile struct {
	folder *os.Root
	inUse  *os.File     // see profileLock
	lock   lockbox.Lock // closes the copies
	saving sync.Mutex   // held while a copy is made, guards newest
	// newest is the copy that the browser's data goes on from: it was loaded, or is the
	// last that was saved of it. 0 is none.
	newest int
}

// openProfile takes the profile in dir, which it makes when there is none.
func openProfile(dir string, lock lockbox.Lock) (*profile, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the profile: %w", err)
	}
	folder, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the profile: %w", err)
	}
	inUse, err := lockFile(folder, profileLock)
	if err != nil {
		_ = folder.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, browser.ErrProfileInUse
		}
		return nil, fmt.Errorf("lock the profile: %w", err)
	}
	return &profile{folder: folder, inUse: inUse, lock: lock}, nil
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

func (p *profile) close() error { return errors.Join(p.inUse.Close(), p.folder.Close()) }

// numbers returns the copies, oldest first.
func (p *profile) numbers() ([]int, error) {
	entries, err := fs.ReadDir(p.folder.FS(), ".")
	if err != nil {
		return nil, err
	}
	var numbers []int
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil && n > 0 {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// hasNewer reports whether a copy was saved that is newer than the one with a number.
func (p *profile) hasNewer(number int) (bool, error) {
	numbers, err := p.numbers()
	return len(numbers) > 0 && numbers[len(numbers)-1] > number, err
}

// load unpacks the newest data into dir, for user.
func (p *profile) load(dir string, key lockbox.Key, user account) error {
	numbers, err := p.numbers()
	if err != nil || len(numbers) == 0 {
		return err
	}
	p.newest = numbers[len(numbers)-1]
	from, err := p.folder.Open(strconv.Itoa(p.newest))
	if err != nil {
		return fmt.Errorf("open the profile's data: %w", err)
	}
	defer from.Close()
	if info, err := from.Stat(); err != nil || info.IsDir() {
		return err // a plain folder, of before copies were sealed: its cookies are not where they are now
	}
	to, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("open the browser's data: %w", err)
	}
	defer to.Close()
	if err := unpack(from, key, to, user); err != nil {
		return fmt.Errorf("load the profile: %w", err)
	}
	return nil
}

// save makes the data in dir, which user wrote, the newest of the profile. Nothing may
// write to it from when hold returns until release is called.
func (p *profile) save(dir string, user account, hold func() (release func(), err error)) error {
	p.saving.Lock()
	defer p.saving.Unlock()
	return p.saveLocked(dir, user, hold)
}

// saveAndNote saves the data of a browser that goes on. It notes that under the same lock:
// the end of the browser saves, too, and then removes its folders.
func (p *profile) saveAndNote(d dirs, user account, hold func() (release func(), err error)) error {
	p.saving.Lock()
	defer p.saving.Unlock()
	if err := p.saveLocked(d.data, user, hold); err != nil {
		return err
	}
	return d.noteProfile(p)
}

func (p *profile) saveLocked(dir string, user account, hold func() (release func(), err error)) error {
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
	if err := p.write(dir, user, hold); err != nil {
		return errors.Join(fmt.Errorf("save the profile: %w", err), p.folder.RemoveAll(profileNew))
	}
	if err := p.folder.Rename(profileNew, strconv.Itoa(next)); err != nil {
		return fmt.Errorf("save the profile: %w", err)
	}
	if err := syncFolder(p.folder, "."); err != nil {
		return fmt.Errorf("save the profile: %w", err)
	}
	p.newest = next
	for _, n := range numbers {
		if err := p.folder.RemoveAll(strconv.Itoa(n)); err != nil {
			return fmt.Errorf("remove the profile's older data: %w", err)
		}
	}
	return nil
}

// write writes the data in dir as [profileNew], durably.
func (p *profile) write(dir string, user account, hold func() (release func(), err error)) (err error) {
	from, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := p.folder.OpenFile(profileNew, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	release, err := hold()
	if err != nil {
		return err
	}
	err = pack(from, user, to, p.lock)
	release()
	if err != nil {
		return err
	}
	return to.Sync()
}

// nobodyWrites is the hold of data whose browser has ended.
func nobodyWrites() (release func(), err error) { return func() {}, nil }

// syncFolder makes the names in a folder durable.
func syncFolder(root *os.Root, name string) error {
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
