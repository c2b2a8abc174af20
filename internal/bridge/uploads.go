package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/coder/websocket"

	"github.com/bctrl-go/bctrl"
)

const (
	// maxUploads bounds the commands of one client whose files are being sent. The client
	// is not read while there are as many.
	maxUploads = 8
	// maxFiles is how many files the server takes at a time; more are for it to refuse.
	maxFiles = 100
	// maxBytes bounds the files of one command, together, as the server does.
	maxBytes = 1 << 30
)

// uploads are the files of the machine that a client gives to pages.
type uploads struct {
	slots chan struct{} // has an element for each command whose files are being sent

	mu sync.Mutex
	// staged are files in storage, by the command with whose answer they are not needed
	// any more: the browser has copies of its own then.
	staged map[commandKey][]string
}

// commandKey names a command until it is answered.
type commandKey struct {
	session string
	id      int64
}

// waiting reports whether there are files that an answer ends.
func (u *uploads) waiting() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.staged) > 0
}

// isLocal reports whether a path is one of this machine, and not of the storage.
func isLocal(path string) bool {
	return filepath.IsAbs(path) && !strings.HasPrefix(path, bctrl.ClientPath(""))
}

// takesFiles takes over a command that gives files of the machine to a page. The client's
// other commands do not wait for it.
func (l *link) takesFiles(ctx context.Context, m message, msg []byte) bool {
	var p struct{ Files []string }
	if json.Unmarshal(m.Params, &p) != nil || len(p.Files) > maxFiles || !slices.ContainsFunc(p.Files, isLocal) {
		return false
	}
	select {
	case l.uploads.slots <- struct{}{}:
	case <-ctx.Done():
		return true
	}
	l.work.Go(func() {
		defer func() { <-l.uploads.slots }()
		key := commandKey{m.SessionID, m.ID}
		files, err := l.stage(ctx, key, p.Files)
		if err == nil {
			if msg, err = change(msg, map[string]any{"files": files}); err == nil {
				err = l.browser.Write(ctx, websocket.MessageText, msg)
			}
		}
		if err != nil {
			l.removeStagedFor(key)
			l.refuse(ctx, m, err)
		}
	})
	return true
}

// stage puts files of the machine into the storage and returns what the browser is told
// in their place. Those of the storage stay as they are.
func (l *link) stage(ctx context.Context, key commandKey, paths []string) ([]string, error) {
	if err := checkLocal(paths); err != nil {
		return nil, err
	}
	paths = slices.Clone(paths)
	for i, path := range paths {
		if !isLocal(path) {
			continue
		}
		object, err := l.stageOne(ctx, path)
		if err != nil {
			return nil, about(i, err)
		}
		l.uploads.mu.Lock()
		l.uploads.staged[key] = append(l.uploads.staged[key], object.LogicalPath)
		l.uploads.mu.Unlock()
		paths[i] = bctrl.ClientPath(object.LogicalPath)
	}
	return paths, nil
}

// stageOne streams a file into the storage.
func (l *link) stageOne(ctx context.Context, path string) (*bctrl.StorageObject, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, errUnreadable(err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, errUnreadable(err)
	case !info.Mode().IsRegular(): // it has changed since it was looked at
		return nil, errNoFile
	}
	return l.b.Runtime.Files.Stage(ctx, filepath.Base(path), f, bctrl.WithSize(info.Size()))
}

var (
	errNoFile = errors.New("bridge.not_a_file: it is no file but a directory or a device: name files")
	errTooBig = errors.New("bridge.files_too_large: the files that are given to a page at a time are over 1 GiB together")
)

// errUnreadable says why a file cannot be read, without its path.
func errUnreadable(err error) error {
	if e, is := errors.AsType[*fs.PathError](err); is {
		err = e.Err
	}
	return fmt.Errorf("bridge.file_unreadable: it cannot be read on the machine of the client: %w", err)
}

// about says which file of a command an error is about.
func about(i int, err error) error {
	if e, is := errors.AsType[*bctrl.Error](err); is {
		return fmt.Errorf("%s: files[%d]: %s", e.Code, i, e.Message)
	}
	code, text, _ := strings.Cut(err.Error(), ": ")
	return fmt.Errorf("%s: files[%d]: %s", code, i, text)
}

// checkLocal refuses files that cannot be sent before one is.
func checkLocal(paths []string) error {
	var size int64
	for i, path := range paths {
		if !isLocal(path) {
			continue
		}
		info, err := os.Stat(path) // before it is opened: that would wait for the writer of a pipe
		switch {
		case err != nil:
			return about(i, errUnreadable(err))
		case !info.Mode().IsRegular():
			return about(i, errNoFile)
		}
		if size += info.Size(); size > maxBytes {
			return errTooBig
		}
	}
	return nil
}

// removeStagedFor removes the files of a command that is answered, beside the messages.
func (l *link) removeStagedFor(key commandKey) {
	l.uploads.mu.Lock()
	paths := l.uploads.staged[key]
	delete(l.uploads.staged, key)
	l.uploads.mu.Unlock()
	if len(paths) > 0 {
		l.work.Go(func() { l.remove(paths) })
	}
}

// removeStaged removes what is left when the client has gone.
func (l *link) removeStaged() {
	l.uploads.mu.Lock()
	left := slices.Concat(slices.Collect(maps.Values(l.uploads.staged))...)
	clear(l.uploads.staged)
	l.uploads.mu.Unlock()
	l.remove(left)
}

func (l *link) remove(paths []string) {
	ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
	defer cancel()
	for _, path := range paths {
		err := l.b.Runtime.Storage.Delete(ctx, path)
		if err != nil && !errors.Is(err, bctrl.ErrNotFound) {
			l.b.Report("a file that a page was given is left in storage below staged/: " + err.Error())
		}
	}
}
