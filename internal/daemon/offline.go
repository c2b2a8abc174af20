package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/gofrs/flock"

	"github.com/bctrl-go/bctrl/internal/server"
	"github.com/bctrl-go/bctrl/internal/store"
)

// ErrNoData is returned when a data directory holds no server's data.
var ErrNoData = errors.New("there is no data of a server")

// HasData reports whether a server has made data in a directory.
func HasData(dir string) bool {
	_, err := os.Stat(databaseIn(dir))
	return err == nil
}

// Offline is the data directory of a server that does not run, opened for what
// an operator does to it. It needs no key: nothing sealed is read.
type Offline struct {
	// Keys are the organization keys.
	Keys server.OfflineKeys

	lock  *flock.Flock
	store *store.DB
}

// OpenOffline locks and opens a data directory that a server has made. Its
// error wraps [ErrInUse] while a server runs, and [ErrNoData] where none ever
// did; then nothing is made.
func OpenOffline(ctx context.Context, dir string) (*Offline, error) {
	if !HasData(dir) {
		return nil, fmt.Errorf("%s: %w", dir, ErrNoData)
	}
	lock, err := lockData(dir)
	if err != nil {
		return nil, err
	}
	db, err := store.Open(ctx, databaseIn(dir))
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return &Offline{Keys: server.OfflineKeys{DB: db}, lock: lock, store: db}, nil
}

// Close lets go of the data directory.
func (o *Offline) Close() error { return errors.Join(o.store.Close(), o.lock.Close()) }
