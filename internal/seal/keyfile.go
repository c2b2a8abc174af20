package seal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
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
	if err := writePrivate(path, []byte(Generate().Expose()+"\n")); err != nil {
		return Key{}, fmt.Errorf("create key file: %w", err)
	}
	return FromFile(path)
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

// writePrivate creates the file at path whole or not at all. The text is
// written beside it first and then linked, so that neither a crash nor a
// second server that starts at the same moment leaves half a key.
func writePrivate(path string, text []byte) (err error) {
	defer clear(text)
	dir := filepath.Dir(path)
	_, err = os.Stat(dir)
	freshDir := errors.Is(err, fs.ErrNotExist)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, ".bctrl-key-*") // mode 0600
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
