package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
)

// FileSchema says which version of the schema the store in a file has. It changes nothing, and
// a server may have the file.
func FileSchema(ctx context.Context, path string) (s Schema, err error) {
	if s.Needed, err = neededVersion(); err != nil {
		return s, err
	}
	db, err := openUntouched(path)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	s.Version, err = fileVersion(ctx, db)
	return s, err
}

// fileVersion is goose's, and 0 where it has never been at the file.
func fileVersion(ctx context.Context, db *sql.DB) (version int64, err error) {
	var known bool
	err = db.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = '"+
		versionTable+"')").Scan(&known)
	if err == nil && known {
		err = db.QueryRowContext(ctx,
			"SELECT COALESCE(MAX(version_id), 0) FROM "+versionTable+" WHERE is_applied").Scan(&version)
	}
	if err != nil {
		return 0, fmt.Errorf("reading the schema's version: %w", translate(err))
	}
	return version, nil
}

// openUntouched opens a file for reading alone, so that nothing of it and beside it changes. Where
// a server was killed its write-ahead log is read too, for which SQLite makes an index beside it.
func openUntouched(path string) (*sql.DB, error) {
	q := url.Values{"mode": {"ro"}, "_pragma": {"busy_timeout(" + busyTimeout + ")", "query_only(ON)"}}
	if _, err := os.Stat(path + "-wal"); errors.Is(err, fs.ErrNotExist) {
		q.Set("immutable", "1") // else SQLite makes a log where there is none
	}
	dsn := url.URL{
		Scheme:   "file",
		OmitHost: true,
		Path:     path,
		RawQuery: q.Encode(),
	}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, fmt.Errorf("opening the store: %w", err)
	}
	return db, nil
}

// OpenUntouched opens the store in a file for [DB.Read] and [DB.Snapshot] alone. Nothing of the file
// changes, and its schema has to be up to date: the error is [ErrOutdated] or [ErrNewerSchema]. It is
// closed by [DB.CloseReaders].
func OpenUntouched(ctx context.Context, path string, prover Prover) (_ *DB, err error) {
	s, err := FileSchema(ctx, path)
	switch {
	case err != nil:
		return nil, err
	case s.Version > s.Needed:
		return nil, fmt.Errorf("%w: start one that knows version %d", ErrNewerSchema, s.Version)
	case s.Version < s.Needed:
		return nil, fmt.Errorf("%v: %w", s, ErrOutdated)
	}
	db, err := openUntouched(path)
	if err != nil {
		return nil, err
	}
	if err := checkSchema(ctx, db, s); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return newDB(db, db, sqliteDialect(), prover), nil
}

// CloseReaders closes a store that [OpenUntouched] has opened.
func (db *DB) CloseReaders() error { return db.reader.Close() }

// MigrateFile brings the schema of the store in a file up to date, and says which version it
// had. The file is there already, and nobody else has it.
func MigrateFile(ctx context.Context, path string) (before Schema, err error) {
	if before, err = FileSchema(ctx, path); err != nil {
		return before, err
	}
	db, err := open(path, 1, storePragmas())
	if err != nil {
		return before, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return before, migrate(ctx, db)
}

// PostgresSchema says which version of the schema a PostgreSQL database has. It changes nothing,
// and servers may run.
func PostgresSchema(ctx context.Context, at string) (s Schema, err error) {
	return withSchema(ctx, at, func(context.Context, *sql.DB, Schema) error { return nil })
}

// MigratePostgres brings the schema of a PostgreSQL database up to date, and says which
// version it had. An empty database gets all of it. Where something is to be done it is
// [ErrInUse] while a server has the database. Of several at once, one does it.
func MigratePostgres(ctx context.Context, at string) (before Schema, err error) {
	return withSchema(ctx, at, func(ctx context.Context, pool *sql.DB, before Schema) error {
		steps, err := readMigrations(onNodes)
		if err != nil {
			return err
		}
		if before.Version != before.Needed {
			if err := migrateLocked(ctx, pool, steps, migration{alone: true}); err != nil {
				return err
			}
		}
		want, err := postgresSchema.of(ctx, pool)
		if err != nil {
			return err
		}
		return checkPostgresSchema(ctx, pool, want)
	})
}

// withSchema calls fn with a database and the version of its schema.
func withSchema(
	ctx context.Context, at string, fn func(context.Context, *sql.DB, Schema) error,
) (s Schema, err error) {
	config, err := Postgres{URL: at}.parse()
	if err != nil {
		return s, err
	}
	if s.Needed, err = neededVersion(); err != nil {
		return s, err
	}
	err = withPatientPool(ctx, *config, func(pool *sql.DB) error {
		if s.Version, err = postgresVersion(ctx, pool); err != nil {
			return err
		}
		return fn(ctx, pool, s)
	})
	if err != nil {
		err = fmt.Errorf("the database %s: %w", nameOf(config), err)
	}
	return s, err
}

func neededVersion() (int64, error) {
	steps, err := migrationTexts()
	if err != nil {
		return 0, fmt.Errorf("reading the migrations: %w", err)
	}
	return steps[len(steps)-1].version, nil
}
