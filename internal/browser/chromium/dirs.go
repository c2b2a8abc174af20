//go:build unix

package chromium

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/lockbox"
)

const (
	dirPrefix = "bctrl-"
	// halfPrefix begins the name of one that is half made, or half removed.
	halfPrefix = ".bctrl-browser-"
	// halfAge is after how long one is neither made nor removed any more, which takes milliseconds.
	halfAge = 10 * time.Second
	// dirLock, in a browser's folder, is locked while its server lives.
	dirLock = "lock"
	// dirProfile, in a browser's folder, says which profile its data belongs to: see
	// [profileNote].
	dirProfile = "profile"
	// maxProfileNote bounds what is read of it, in bytes.
	maxProfileNote = 8192
	// The folders in it.
	dirData      = "data"
	dirHome      = "home"
	dirTemp      = "tmp"
	dirDownloads = "downloads"
	dirUploads   = "uploads"
)

// dirs are the temporary folders of one browser, all below root, which goes
// when the browser stops. They belong to the browsers' user; root itself
// belongs to the server, which lets that user pass.
type dirs struct {
	root, data, home, temp, downloads string
	// uploads is the server's too: the browsers' user reads what is in it.
	uploads string

	lock *os.File
}

// layout names the folders below root.
func layout(root string) dirs {
	return dirs{
		root:      root,
		data:      filepath.Join(root, dirData),
		home:      filepath.Join(root, dirHome),
		temp:      filepath.Join(root, dirTemp),
		downloads: filepath.Join(root, dirDownloads),
		uploads:   filepath.Join(root, dirUploads),
	}
}

// makeDirs makes the folders of the runtime id below base, owned by user.
func makeDirs(base, id string, user account) (d dirs, err error) {
	root, lock, err := makeRoot(base, id)
	if err != nil {
		return dirs{}, fmt.Errorf("make the browser's folder: %w", err)
	}
	d = layout(root)
	d.lock = lock
	defer func() {
		if err != nil {
			err = errors.Join(err, d.remove())
			d = dirs{}
		}
	}()
	for _, path := range []string{d.data, d.home, d.temp, d.downloads} {
		if err := os.Mkdir(path, 0o700); err != nil {
			return d, fmt.Errorf("make the browser's folder: %w", err)
		}
		if err := user.give(path); err != nil {
			return d, err
		}
	}
	if err := os.Mkdir(d.uploads, 0o700); err != nil {
		return d, fmt.Errorf("make the browser's folder: %w", err)
	}
	if !user.isSelf() {
		for _, passed := range []string{root, d.uploads} {
			if err := os.Chmod(passed, 0o711); err != nil {
				return d, fmt.Errorf("open the browser's folder: %w", err)
			}
		}
	}
	return d, nil
}

// makeRoot makes the folder of the runtime id. It has its lock before it has its name, so that no sweep
// takes it for that of a dead server. Until then its name tells a sweep what it is, should this server die.
func makeRoot(base, id string) (root string, lock *os.File, err error) {
	making, err := os.MkdirTemp(base, halfPrefix)
	if err != nil {
		return "", nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(making))
		}
	}()
	folder, err := os.OpenRoot(making)
	if err != nil {
		return "", nil, err
	}
	defer folder.Close()
	if lock, err = lockFile(folder, dirLock); err != nil {
		return "", nil, err
	}
	root = filepath.Join(base, dirPrefix+plainName(id)+"-"+strings.TrimPrefix(filepath.Base(making), halfPrefix))
	if err := os.Rename(making, root); err != nil {
		return "", nil, errors.Join(err, lock.Close())
	}
	return root, lock, nil
}

// profileNote is what the next server needs to save a browser's data, which it does
// before it has any key.
type profileNote struct {
	// Dir is the folder of the profile.
	Dir string `json:"dir"`
	// Lock closes what is put there.
	Lock lockbox.Lock `json:"lock"`
	// Newest is as in [profile].
	Newest int `json:"newest"`
}

// noteProfile notes that the data belongs to a profile, which nobody saves meanwhile.
func (d dirs) noteProfile(p *profile) error {
	abs, err := filepath.Abs(p.folder.Name())
	var text []byte
	if err == nil {
		text, err = json.Marshal(profileNote{abs, p.lock, p.newest})
	}
	path := filepath.Join(d.root, dirProfile)
	if err == nil {
		err = os.WriteFile(path+".new", text, 0o600)
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return fmt.Errorf("note the browser's profile: %w", err)
	}
	return nil
}

// leave gives up the lock of the folders, so that the next sweep saves what is in them.
func (d dirs) leave() error {
	if err := d.lock.Close(); err != nil {
		return fmt.Errorf("leave the browser's folder: %w", err)
	}
	return nil
}

// remove removes the folders and gives up their lock. What it cannot remove the next sweep knows by its name.
func (d dirs) remove() error {
	half := filepath.Join(filepath.Dir(d.root), halfPrefix+strings.TrimPrefix(filepath.Base(d.root), dirPrefix))
	if err := os.Rename(d.root, half); err == nil {
		d.root = half
	}
	err := os.RemoveAll(d.root)
	if d.lock != nil {
		err = errors.Join(err, d.lock.Close())
	}
	if err != nil {
		return fmt.Errorf("remove the browser's folder: %w", err)
	}
	return nil
}

// sweep removes what servers that were killed left below base, and saves their
// profiles first. What cannot be swept now, as where a browser of theirs has not ended yet, is left for
// the next time: it returns how many folders that is.
func sweep(base string, user account) (left int) {
	entries, err := os.ReadDir(base)
	if err != nil {
		return 0
	}
	for _, e := range entries {
		swept := true
		switch {
		case !e.IsDir():
		case strings.HasPrefix(e.Name(), dirPrefix):
			swept = sweepOne(filepath.Join(base, e.Name()), user)
		case strings.HasPrefix(e.Name(), halfPrefix):
			swept = sweepHalf(filepath.Join(base, e.Name()))
		}
		if !swept {
			left++
		}
	}
	return left
}

// sweepHalf removes a folder that nobody makes any more, or that could not be removed as a whole. A server
// that stood still for so long while it made one cannot give it its name any more.
func sweepHalf(half string) (swept bool) {
	info, err := os.Lstat(half)
	if err != nil || !info.IsDir() || !madeBySelf(info) {
		return true
	}
	return time.Since(info.ModTime()) > halfAge && os.RemoveAll(half) == nil
}

// sweepOne sweeps a folder, where it is the browser's of a dead server.
func sweepOne(root string, user account) (swept bool) {
	// Others may write to base: a folder with the prefix is a browser's only
	// when this server's own user made it.
	info, err := os.Lstat(root)
	if err != nil || !info.IsDir() || !madeBySelf(info) {
		return true
	}
	folder, err := os.OpenRoot(root)
	if err != nil {
		return false
	}
	defer folder.Close()
	if _, err := folder.Lstat(dirLock); err != nil {
		return true // no browser's folder
	}
	lock, err := lockFile(folder, dirLock)
	if err != nil {
		return errors.Is(err, syscall.EWOULDBLOCK) // its server lives
	}
	d := layout(root)
	d.lock = lock
	if err := d.rescue(folder, user); err != nil {
		_ = lock.Close() // it is left for the next sweep
		return false
	}
	return d.remove() == nil
}

// rescue saves the data of a dead server's browser to its profile, unless the
// profile was deleted since, has a browser again or has had one: what that saved is newer.
func (d dirs) rescue(folder *os.Root, user account) error {
	f, err := folder.Open(dirProfile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var note profileNote
	err = json.NewDecoder(io.LimitReader(f, maxProfileNote)).Decode(&note)
	if closing := f.Close(); err != nil || closing != nil {
		return closing // a note that is cut is of a browser that never ran
	}
	if _, err := os.Lstat(note.Dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	p, err := openProfile(note.Dir, note.Lock)
	if errors.Is(err, browser.ErrProfileInUse) {
		return nil
	}
	if err != nil {
		return err
	}
	newer, err := p.hasNewer(note.Newest)
	if err == nil && !newer {
		err = p.save(d.data, user, nobodyWrites)
	}
	if errors.Is(err, browser.ErrProfileTooLarge) {
		err = nil // it will never be smaller, and is plain here
	}
	return errors.Join(err, p.close())
}

func madeBySelf(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Geteuid()
}

// plainName keeps what is harmless in a file name: an id is a caller's text.
func plainName(id string) string {
	plain := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, id)
	return plain[:min(len(plain), 16)]
}
