//go:build unix

package chromium

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/bctrl-go/bctrl/internal/browser/page"
)

// uploads keeps copies of files that pages are given, each under a name of its own: the
// browser reads them as any other file of the machine. The folder is the server's, so
// that nothing in it can be put in the place of a copy, and goes with the browser.
type uploads struct {
	dir   string
	owner account
}

var _ page.Copies = uploads{}

// Make writes a copy of at most limit bytes, which the browser's user can read, and
// returns its path.
func (u uploads) Make(limit int64, write func(io.Writer) error) (path string, err error) {
	return u.make(rand.Text(), limit, write)
}

// make writes a copy under a name in the folder.
func (u uploads) make(name string, limit int64, write func(io.Writer) error) (path string, err error) {
	folder, err := os.OpenRoot(u.dir)
	if err != nil {
		return "", fmt.Errorf("open the folder of uploads: %w", err)
	}
	defer folder.Close()
	f, err := folder.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o400)
	if err != nil {
		return "", fmt.Errorf("make a copy of a file: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, folder.Remove(name))
		}
	}()
	err = write(&limitedWriter{f, limit})
	if err = errors.Join(err, f.Close()); err != nil {
		return "", err
	}
	path = filepath.Join(u.dir, name)
	return path, u.owner.give(path)
}

// Remove removes a copy.
func (u uploads) Remove(path string) {
	folder, err := os.OpenRoot(u.dir)
	if err != nil {
		return // the browser is gone, and the folder with it
	}
	defer folder.Close()
	_ = folder.Remove(filepath.Base(path))
}

// limitedWriter refuses what is longer than it may be.
type limitedWriter struct {
	w    io.Writer
	left int64
}

func (l *limitedWriter) Write(p []byte) (int, error) {
	if int64(len(p)) > l.left {
		return 0, page.ErrTooLarge
	}
	l.left -= int64(len(p))
	return l.w.Write(p)
}
