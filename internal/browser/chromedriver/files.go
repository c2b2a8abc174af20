package chromedriver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/bctrl-go/bctrl/internal/browser"
)

// maxFiles and maxFileBytes bound the files that a session brings.
const (
	maxFiles     = 64
	maxFileBytes = 256 << 20
)

// filesFolder has them, in the folder of the session.
const filesFolder = "files"

// errTooManyFiles refuses one more.
var errTooManyFiles = browser.Conflict("runtimes.webdriver_too_many_files",
	"the WebDriver session has brought as many files as it may, which is 64", "make a new session")

// errFilesFull refuses bytes that there is no more room for.
var errFilesFull = browser.TooLarge("runtimes.webdriver_files_full",
	"the files that the WebDriver session has brought are larger than they may be together, which is 256 MiB",
	"bring smaller files, or make a new session")

// files are what a client has brought for pages: nothing else of the machine may be given
// to one. They go with the session. Chromedriver only looks whether they are there; the
// server reads them, and nobody but the server can put anything else in their place.
type files struct {
	user User
	// dir is the folder of the session, and root is the same, which stays the same folder
	// whatever its path leads to.
	dir  string
	root *os.Root

	mu      sync.Mutex
	bytes   int64
	offered map[string]broughtFile // by path
}

// broughtFile is a file that was brought.
type broughtFile struct {
	name string // below the folder of the session
	size int64
}

// add keeps a file in a folder of its own, so that pages see it under its name.
func (f *files) add(name string, content io.Reader) (path string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.offered) == maxFiles {
		return "", errTooManyFiles
	}
	folder := filepath.Join(filesFolder, rand.Text())
	if err := makePassed(f.root, folder, f.user); err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.root.RemoveAll(folder))
		}
	}()
	within, err := f.root.OpenRoot(folder) // the name is a client's
	if err != nil {
		return "", fmt.Errorf("open the folder of a file: %w", err)
	}
	defer within.Close()
	file, err := within.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o400)
	if err != nil {
		return "", fmt.Errorf("keep a file: %w", err)
	}
	kept := broughtFile{name: filepath.Join(folder, name)}
	kept.size, err = io.Copy(file, io.LimitReader(content, maxFileBytes-f.bytes+1))
	if err = errors.Join(err, file.Close()); err != nil {
		return "", fmt.Errorf("keep a file: %w", err)
	}
	if f.bytes+kept.size > maxFileBytes {
		return "", errFilesFull
	}
	if f.offered == nil {
		f.offered = map[string]broughtFile{}
	}
	path = filepath.Join(f.dir, kept.name)
	f.bytes += kept.size
	f.offered[path] = kept
	return path, nil
}

// open finds a file that was brought.
func (f *files) open(path string) (browser.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	kept, brought := f.offered[path]
	if !brought {
		return browser.File{}, errNotBrought
	}
	return browser.File{
		Name: filepath.Base(kept.name),
		Size: kept.size,
		WriteTo: func(_ context.Context, w io.Writer) error {
			file, err := f.root.Open(kept.name)
			if err != nil {
				return fmt.Errorf("open a file: %w", err)
			}
			defer file.Close()
			_, err = io.Copy(w, file)
			return err
		},
	}, nil
}

// errNotBrought refuses what else is at a path of the machine.
var errNotBrought = browser.Forbidden(browser.CodeMachinePath, "a page is given no files of a machine",
	"have the client bring the file: Selenium does so with a file detector")

// sessionPipe is the pipe of a session, with the files that its client has brought.
type sessionPipe struct {
	*pipe
	files *files
}

var _ Conn = sessionPipe{}

// OpenFile finds a file that pages may be given.
func (p sessionPipe) OpenFile(_ context.Context, path string) (browser.File, error) {
	return p.files.open(path)
}
