package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"

	"github.com/gofrs/flock"

	"github.com/bctrl-go/bctrl/internal/custody"
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/server"
	"github.com/bctrl-go/bctrl/internal/store"
)

// ErrNoData is returned when a data directory holds no server's data.
var ErrNoData = errors.New("there is no data of a server")

// ErrNotReadable is returned when this user may not look into a data directory.
var ErrNotReadable = errors.New("this user may not read the data of a server: be the one that it runs as")

// FindData is nil where a server has made data in a directory: where the database is
// elsewhere it has left its lock there. Its error wraps [ErrNoData] where none has, and
// [ErrNotReadable] where this user cannot tell.
func (cfg Config) FindData() error {
	file := databaseIn(cfg.DataDir)
	if !cfg.Database.IsZero() {
		file = lockIn(cfg.DataDir)
	}
	_, err := os.Stat(file)
	if err == nil { // the directory may be open to all: the files are their owner's
		var lock *os.File
		if lock, err = os.Open(lockIn(cfg.DataDir)); err == nil {
			return lock.Close()
		}
		if !errors.Is(err, fs.ErrPermission) {
			return nil
		}
	}
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%s: %w", cfg.DataDir, ErrNotReadable)
	}
	return fmt.Errorf("%s: %w", cfg.DataDir, ErrNoData)
}

// offline is the data directory of a server that does not run, opened for what
// an operator does to it.
type offline struct {
	lock  *flock.Flock
	store *store.DB
	// rows proves and checks the store's rows, once it is unlocked.
	rows *seal.Rows
}

// WithKeys opens the organization keys of a data directory that no server uses
// for fn. It takes the key that seals the data, which authenticates them too.
// Its error wraps [ErrInUse] while a server runs, [ErrNoData] where none ever
// did, and [custody.ErrPassphraseNeeded] where the key is that of a passphrase.
func WithKeys(ctx context.Context, cfg Config, fn func(server.OfflineKeys) error) error {
	return withKey(ctx, cfg, func(o *offline, _ seal.Key) error { return fn(server.OfflineKeys{DB: o.store}) })
}

// withKey opens a data directory and its key for fn, and lets go of both after
// it.
func withKey(ctx context.Context, cfg Config, fn func(*offline, seal.Key) error) (err error) {
	o, err := openOffline(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.close()) }()
	key, err := custody.Key(ctx, cfg.custody(o.store, o.rows, slog.New(slog.DiscardHandler)))
	if err != nil {
		return err
	}
	defer key.Forget()
	if err := custody.UnlockRows(ctx, o.store, key, o.rows); err != nil {
		return err
	}
	return fn(o, key)
}

// openOffline locks and opens a data directory that a server has made. Its
// error wraps [ErrInUse] while a server runs, and [ErrNoData] where none ever
// did; then nothing is made.
func openOffline(ctx context.Context, cfg Config) (*offline, error) {
	if err := cfg.FindData(); err != nil {
		return nil, err
	}
	lock, err := lockData(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	rows := &seal.Rows{}
	db, err := cfg.openStore(ctx, rows, true)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return &offline{lock: lock, store: db, rows: rows}, nil
}

// close lets go of the data directory.
func (o *offline) close() error { return errors.Join(o.store.Close(), o.lock.Close()) }
