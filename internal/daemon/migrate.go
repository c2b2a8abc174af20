package daemon

import (
	"context"
	"errors"

	"github.com/bctrl-go/bctrl/internal/store"
)

// Schema says which version of the schema the data has, and which one this program works
// with. It changes nothing, and a server may run. Its error wraps [ErrNoData] where a data
// directory holds none.
func Schema(ctx context.Context, cfg Config) (store.Schema, error) {
	if !cfg.Database.IsZero() {
		return store.PostgresSchema(ctx, cfg.Database.Expose())
	}
	if err := cfg.FindData(); err != nil {
		return store.Schema{}, err
	}
	return store.FileSchema(ctx, databaseIn(cfg.DataDir))
}

// Migrate brings the schema of the data up to date while no server runs, and says which version
// it had. A PostgreSQL database may be an empty one, and gets its schema; nothing of a data
// directory is needed for it. Its error wraps [ErrInUse] or [store.ErrInUse] while a server
// runs, and [ErrNoData] where a data directory holds none.
func Migrate(ctx context.Context, cfg Config) (before store.Schema, err error) {
	if !cfg.Database.IsZero() {
		return store.MigratePostgres(ctx, cfg.Database.Expose())
	}
	if err := cfg.FindData(); err != nil {
		return before, err
	}
	lock, err := lockData(cfg.DataDir)
	if err != nil {
		return before, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	return store.MigrateFile(ctx, databaseIn(cfg.DataDir))
}
