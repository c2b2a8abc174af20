// Package storetest gives tests empty stores cheaply. Making the tables takes
// most of the time of a test that needs a store of its own, above all under the
// race detector; here they are made once in a process, and copied.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/store"
)

// empty is the file of a store without a row, its schema up to date.
var empty = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "bctrl-storetest-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "bctrl.db")
	db, err := store.Open(context.Background(), path, &seal.Rows{})
	if err != nil {
		return nil, err
	}
	if err := db.Close(); err != nil { // all of it is in the one file from here on
		return nil, err
	}
	return os.ReadFile(path)
})

// Create puts an empty store at path, for [store.Open] to open. There must be
// none yet.
func Create(tb testing.TB, path string) {
	tb.Helper()
	if err := create(path); err != nil {
		tb.Fatalf("making an empty store: %v", err)
	}
}

func create(path string) error {
	content, err := empty()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("making the file: %w", err)
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Close())
}
