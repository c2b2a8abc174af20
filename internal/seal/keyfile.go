package seal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/bctrl-go/bctrl"
)

// ErrTooOpen: others than the owner could read the key file.
var ErrTooOpen = errors.New("others can read it")

// maxKeyFile bounds what is read of a key file; a real one has about 70 bytes.
const maxKeyFile = 4 << 10

// FromFile reads the key from the file at path, which [CreateFile] made. The
// file must be readable by its owner alone (mode 0600 or less): [ErrTooOpen]
// says what to do about it. A missing file is [fs.ErrNotExist]; wrong content
// is [ErrBadKey].
func FromFile(path string) (Key, error) {
	text, err := readPrivate(path)
	if err != nil {
		return Key{}, fmt.Errorf("key file: %w", err)
	}
	defer clear(text)
	key, err := parseKey(string(text))
	if err != nil {
		return Key{}, fmt.Errorf("key file %s: %w", path, err)
	}
	return key, nil
}

// CreateFile makes a new random key and the file at path for it, with mode
// 0600 and directories of mode 0700 above it where they are missing. When it
// returns, the file is on disk. It never touches an existing file: the error
// is then [fs.ErrExist].
//
// It is kept apart from [FromFile] for the sake of whoever lost a key: create
// one only where nothing has been sealed yet.
func CreateFile(path string) (Key, error) {
	if err := writePrivate(path, Generate()); err != nil {
		return Key{}, fmt.Errorf("create key file: %w", err)
	}
	return FromFile(path)
}

const (
	// stagedSuffix ends, with the key's id behind it, the name of a file beside a key file
	// that a rotation is in, or left. Each has its own, so that servers with one key file
	// never take the key of another's rotation away; versions before had one name for all.
	stagedSuffix = ".next"
	// stagedAge is after how long no rotation is in a staged file any more.
	stagedAge = 24 * time.Hour
)

// StagedFile reads the key of an id that is to replace the one in the key file at
// path. Where there is none, it is [fs.ErrNotExist].
func StagedFile(path, id string) (Key, error) {
	_, key, err := staged(path, id)
	return key, err
}

// staged finds the staged file of a key.
func staged(path, id string) (file string, key Key, err error) {
	path, err = resolved(path)
	if err != nil {
		return "", Key{}, err
	}
	file = path + stagedSuffix + "-" + id
	if key, err = FromFile(file); err == nil && key.ID() == id {
		return file, key, nil
	}
	key.Forget()
	before, beforeErr := FromFile(path + stagedSuffix)
	if beforeErr == nil && before.ID() == id {
		return path + stagedSuffix, before, nil
	}
	before.Forget()
	if err == nil {
		err = fmt.Errorf("key file %s: %w: it holds another one", file, ErrBadKey)
	}
	return "", Key{}, err
}

// StageFile makes a new random key and puts it into a file beside the key file
// at path. When it returns, the file is on disk. The key file itself, which may be a
// symbolic link, stays as it is until [CommitFile].
func StageFile(path string) (Key, error) {
	path, err := resolved(path)
	if err != nil {
		return Key{}, err
	}
	text := Generate()
	key, err := FromText(text)
	if err != nil {
		return Key{}, err
	}
	if err := writePrivate(path+stagedSuffix+"-"+key.ID(), text); err != nil {
		key.Forget()
		return Key{}, fmt.Errorf("stage a key file: %w", err)
	}
	return key, nil
}

// CommitFile puts the staged key of an id in the place of the one in the key file
// at path, which is then gone. When it returns, that is on disk. Nothing is left to
// do where another server with the same key file has done it.
func CommitFile(path, id string) error {
	path, err := resolved(path)
	if err != nil {
		return err
	}
	file, key, err := staged(path, id)
	key.Forget()
	if err == nil {
		err = os.Rename(file, path)
	}
	if err != nil && !holds(path, id) {
		return fmt.Errorf("replace the key file: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

// holds reports whether a file holds the key of an id.
func holds(path, id string) bool {
	key, err := FromFile(path)
	key.Forget()
	return err == nil && key.ID() == id
}

// DropStaged removes staged keys of rotations that did not come to their end, once none
// can be in one of them any more. What else begins like their names, such as a copy of a
// key, stays.
func DropStaged(path string) error {
	path, err := resolved(path)
	if err != nil {
		return err
	}
	before := filepath.Base(path) + stagedSuffix
	return removeOld(filepath.Dir(path), stagedAge, func(name string) bool {
		id, is := strings.CutPrefix(name, before+"-")
		if !is {
			return name == before
		}
		return holds(filepath.Join(filepath.Dir(path), name), id)
	})
}

// resolved follows the symbolic links to where the key file is, or is to be.
func resolved(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return path, nil
	}
	if err != nil {
		return "", fmt.Errorf("key file: %w", err)
	}
	return real, nil
}

// readPrivate reads a small file that only its owner may read. The mode is that
// of the file opened, so that nobody can exchange it in between; a symbolic
// link is followed, since that is how orchestrators mount secrets.
func readPrivate(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read from
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("%s has mode %04o: %w; run: chmod 600 %q", path, mode, ErrTooOpen, path)
	}
	if info.Size() > maxKeyFile {
		return nil, fmt.Errorf("%s: %w: it is larger than %d bytes", path, ErrBadKey, maxKeyFile)
	}
	return io.ReadAll(io.LimitReader(f, maxKeyFile))
}

// writePrivate makes the file at path whole or not at all. The key is
// written beside it first and then linked, so that neither a crash nor a
// second server that starts at the same moment leaves half a key. What a crash leaves beside it, the
// next one removes: it may be the same key.
func writePrivate(path string, key bctrl.Secret) (err error) {
	text := []byte(key.Expose() + "\n")
	defer clear(text)
	dir := filepath.Dir(path)
	_, err = os.Stat(dir)
	freshDir := errors.Is(err, fs.ErrNotExist)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	isOurs := func(name string) bool { return strings.HasPrefix(name, unfinished) }
	if err := removeOld(dir, unfinishedAge, isOurs); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, unfinished+"*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, ignoreMissing(os.Remove(tmp.Name())))
	}()
	_, err = tmp.Write(text)
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), path); err != nil {
		return err
	}
	if err := syncDir(dir); err != nil || !freshDir {
		return err
	}
	return syncDir(filepath.Dir(dir))
}

const (
	// unfinished begins the name of a key file that is being written, and unfinishedAge is after how long
	// nobody writes it any more.
	unfinished    = ".bctrl-key-"
	unfinishedAge = time.Minute
)

// removeOld removes what a crash has left in a directory: files of an age, by their names.
func removeOld(dir string, age time.Duration, isOurs func(name string) bool) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !isOurs(e.Name()) || !e.Type().IsRegular() {
			continue
		}
		info, err := e.Info()
		if err == nil && time.Since(info.ModTime()) > age {
			err = os.Remove(filepath.Join(dir, e.Name()))
		}
		if err := ignoreMissing(err); err != nil {
			return err
		}
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
