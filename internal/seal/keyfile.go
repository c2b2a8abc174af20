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
	if err := writePrivate(path, Generate(), os.Link); err != nil {
		return Key{}, fmt.Errorf("create key file: %w", err)
	}
	return FromFile(path)
}

// nextSuffix names the file beside a key file that a rotation left, or is in.
const nextSuffix = ".next"

// NextFile reads the key that is to replace the one in the key file at path.
// Where there is none, it is [fs.ErrNotExist].
func NextFile(path string) (Key, error) {
	path, err := resolved(path)
	if err != nil {
		return Key{}, err
	}
	return FromFile(path + nextSuffix)
}

// StageFile makes a new random key and puts it into a file beside the key file
// at path, in place of one that is there already. When it returns, the file is
// on disk. The key file itself, which may be a symbolic link, stays as it is
// until commit, which is [CommitFile] also where another server with the same
// key file has taken the staged one away: by then nobody else may have the key.
func StageFile(path string) (key Key, commit func() error, err error) {
	path, err = resolved(path)
	if err != nil {
		return Key{}, nil, err
	}
	next, text := path+nextSuffix, Generate()
	if err := ignoreMissing(os.Remove(next)); err != nil {
		return Key{}, nil, fmt.Errorf("stage a key file: %w", err)
	}
	if err := writePrivate(next, text, os.Link); err != nil {
		return Key{}, nil, fmt.Errorf("stage a key file: %w", err)
	}
	key, err = FromFile(next)
	return key, func() error { return commitKey(path, key.ID(), text) }, err
}

// commitKey has the key file at path hold a key that was staged beside it.
func commitKey(path, id string, text bctrl.Secret) error {
	if staged, err := FromFile(path + nextSuffix); err == nil && staged.ID() == id {
		if err := CommitFile(path); err != nil {
			return err
		}
	}
	if now, err := FromFile(path); err == nil && now.ID() == id {
		return nil
	}
	if err := writePrivate(path, text, os.Rename); err != nil {
		return fmt.Errorf("replace the key file: %w", err)
	}
	return nil
}

// CommitFile puts the staged key in the place of the one in the key file at
// path, which is then gone. When it returns, that is on disk.
func CommitFile(path string) error {
	path, err := resolved(path)
	if err != nil {
		return err
	}
	if err := os.Rename(path+nextSuffix, path); err != nil {
		return fmt.Errorf("replace the key file: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

// DropNext removes a staged key that seals nothing, if there is one.
func DropNext(path string) error {
	path, err := resolved(path)
	if err != nil {
		return err
	}
	return ignoreMissing(os.Remove(path + nextSuffix))
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
// written beside it first and then put there, by [os.Link] or [os.Rename], so that neither a crash nor a
// second server that starts at the same moment leaves half a key. What a crash leaves beside it, the
// next one removes: it may be the same key.
func writePrivate(path string, key bctrl.Secret, put func(from, to string) error) (err error) {
	text := []byte(key.Expose() + "\n")
	defer clear(text)
	dir := filepath.Dir(path)
	_, err = os.Stat(dir)
	freshDir := errors.Is(err, fs.ErrNotExist)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := removeUnfinished(dir); err != nil {
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
	if err := put(tmp.Name(), path); err != nil {
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

// removeUnfinished removes what a crash has left in a directory.
func removeUnfinished(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), unfinished) || !e.Type().IsRegular() {
			continue
		}
		info, err := e.Info()
		if err == nil && time.Since(info.ModTime()) > unfinishedAge {
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
