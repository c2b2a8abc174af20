package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// HeadFile is the [HeadStore] of a server that has the log to itself: a file.
type HeadFile string

var _ HeadStore = HeadFile("")

// String implements [HeadStore].
func (f HeadFile) String() string { return string(f) }

// ReadHead implements [HeadStore].
func (f HeadFile) ReadHead(context.Context) (text []byte, state string, err error) {
	file, err := os.Open(string(f))
	if err != nil {
		return nil, "", err
	}
	defer file.Close()
	text, err = io.ReadAll(io.LimitReader(file, MaxHead))
	return text, "", err
}

// WriteHead implements [HeadStore]. When it returns, the text is on disk. Nobody else
// writes, so that there is no state to compare.
func (f HeadFile) WriteHead(_ context.Context, text []byte, _ string) (state string, err error) {
	dir := filepath.Dir(string(f))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	// Always the same name: a crash leaves one file at most.
	next := string(f) + ".next"
	file, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return "", err
	}
	_, err = file.Write(text)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return "", err
	}
	if err := os.Rename(next, string(f)); err != nil {
		return "", err
	}
	d, err := os.Open(dir)
	if err != nil {
		return "", err
	}
	return "", errors.Join(d.Sync(), d.Close())
}

// HeadBefore is a [HeadStore] that has none yet, and begins with the head that another has:
// that of a server which was alone, and is now the first of a cluster.
type HeadBefore struct {
	HeadStore
	Before HeadStore
}

// ReadHead implements [HeadStore].
func (h HeadBefore) ReadHead(ctx context.Context) (text []byte, state string, err error) {
	text, state, err = h.HeadStore.ReadHead(ctx)
	if !errors.Is(err, os.ErrNotExist) {
		return text, state, err
	}
	before, _, beforeErr := h.Before.ReadHead(ctx)
	if errors.Is(beforeErr, os.ErrNotExist) {
		return nil, "", err
	}
	if beforeErr != nil {
		return nil, "", fmt.Errorf("%s: %w", h.Before, beforeErr)
	}
	return before, "", nil
}
