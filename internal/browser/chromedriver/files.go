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

// maxFiles bounds the files that a session brings.
const maxFiles = 64

// errTooManyFiles refuses one more.
var errTooManyFiles = browser.Conflict("runtimes.webdriver_too_many_files",
	"the WebDriver session has brought as many files as it may, which is 64", "make a new session")

// files are what a client has brought for pages: nothing else of the machine may be given
// to one. They go with the session.
type files struct {
	dir  string
	user User

	mu      sync.Mutex
	offered map[string]struct{}
}

// add keeps a file in a folder of its own, so that pages see it under its name.
func (f *files) add(name string, content io.Reader) (path string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.offered) == maxFiles {
		return "", errTooManyFiles
	}
	folder := filepath.Join(f.dir, rand.Text())
	if err := os.Mkdir(folder, 0o700); err != nil {
		return "", fmt.Errorf("make a folder for a file: %w", err)
	}
	root, err := os.OpenRoot(folder) // the name is a client's
	if err != nil {
		return "", fmt.Errorf("open the folder of a file: %w", err)
	}
	defer root.Close()
	file, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o400)
	if err != nil {
		return "", fmt.Errorf("keep a file: %w", err)
	}
	_, err = io.Copy(file, content)
	if err = errors.Join(err, file.Close()); err != nil {
		return "", fmt.Errorf("keep a file: %w", err)
	}
	path = filepath.Join(folder, name)
	for _, made := range []string{path, folder} {
		if err := f.user.give(made); err != nil {
			return "", err
		}
	}
	if f.offered == nil {
		f.offered = map[string]struct{}{}
	}
	f.offered[path] = struct{}{}
	return path, nil
}

// open finds a file that was brought.
func (f *files) open(path string) (browser.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, brought := f.offered[path]; !brought {
		return browser.File{}, errNotBrought
	}
	info, err := os.Lstat(path)
	if err != nil {
		return browser.File{}, fmt.Errorf("find a file: %w", err)
	}
	return browser.File{
		Name: filepath.Base(path),
		Size: info.Size(),
		WriteTo: func(_ context.Context, w io.Writer) error {
			file, err := os.Open(path)
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
var errNotBrought = browser.Forbidden("runtimes.machine_path", "a page is given no files of a machine",
	"have the client bring the file: Selenium does so with a file detector")

// sessionPipe is the pipe of a session, with the files that its client has brought.
type sessionPipe struct {
	*pipe
	files *files
}

var _ browser.ClientFiles = sessionPipe{}

// OpenFile finds a file that pages may be given.
func (p sessionPipe) OpenFile(_ context.Context, path string) (browser.File, error) {
	return p.files.open(path)
}
