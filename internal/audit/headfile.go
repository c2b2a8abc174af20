package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/store"
)

// maxHeadFile bounds what is read of a head file; a real one has about 300
// bytes.
const maxHeadFile = 4 << 10

// headFile is the newest checkpoint as it is kept outside the database.
type headFile struct {
	Key       string    `json:"key"` // the id of the key it is signed with
	Seq       int64     `json:"seq"`
	Previous  int64     `json:"previous"`
	At        time.Time `json:"at"`
	Head      []byte    `json:"head"`
	Signature []byte    `json:"signature"`
}

// readHead reads the head outside. A missing one is [fs.ErrNotExist], one of
// another key [seal.ErrWrongKey], every other that no key signed which may
// [ErrHeadForged].
func readHead(path string, by signers) (c store.Checkpoint, err error) {
	f, err := os.Open(path)
	if err != nil {
		return c, fmt.Errorf("head of the audit log: %w", err)
	}
	defer func() { _ = f.Close() }() // only read from
	text, err := io.ReadAll(io.LimitReader(f, maxHeadFile))
	if err != nil {
		return c, fmt.Errorf("head of the audit log: %w", err)
	}
	var h headFile
	if json.Unmarshal(text, &h) != nil || h.Seq < 0 {
		return c, fmt.Errorf("%s: %w", path, ErrHeadForged)
	}
	if !by.mayHaveSigned(h.Key) {
		return c, fmt.Errorf("head of the audit log: %w (signed with %.40q, given %q)", seal.ErrWrongKey,
			h.Key, by.present.ID())
	}
	c = store.Checkpoint{
		Seq:       h.Seq,
		Previous:  h.Previous,
		At:        h.At,
		Head:      h.Head,
		Signature: h.Signature,
	}
	if !by.haveSigned(c) {
		return c, fmt.Errorf("%s: %w", path, ErrHeadForged)
	}
	return c, nil
}

// writeHead replaces the head outside, whole or not at all. When it returns,
// it is on disk.
func writeHead(path string, key seal.Key, c store.Checkpoint) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("keeping the head of the audit log: %w", err)
		}
	}()
	text, err := json.Marshal(headFile{
		Key:       key.ID(),
		Seq:       c.Seq,
		Previous:  c.Previous,
		At:        c.At,
		Head:      c.Head,
		Signature: c.Signature,
	})
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	// Always the same name: a crash leaves one file at most.
	next := path + ".next"
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(next, path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
