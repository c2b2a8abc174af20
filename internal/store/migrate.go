package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the schema up to date.
func migrate(ctx context.Context, db *sql.DB) error {
	steps, err := readMigrations(func(m migrationText) string { return m.sqlite })
	if err != nil {
		return fmt.Errorf("reading the migrations: %w", err)
	}
	p, err := provider(goose.DialectSQLite3, db, steps)
	if err != nil {
		return err
	}
	version, err := p.GetDBVersion(ctx)
	if err != nil {
		return fmt.Errorf("reading the schema's version: %w", err)
	}
	if err := refuseNewer(version, steps); err != nil {
		return err
	}
	schema := Schema{Version: version, Needed: newestVersion(steps)}
	if err := errors.Join(checkSchema(ctx, db, schema), refuseUnproven(ctx, db, version)); err != nil {
		return err
	}
	if err := bringUp(ctx, p, schema); err != nil || schema.Version == schema.Needed {
		return err
	}
	// They may have written much, for which a small disk may have no room in the log and the database both. No
	// caller waits yet.
	if _, err := db.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		return fmt.Errorf("moving what the migrations wrote: %w", translate(err))
	}
	return nil
}

// Schema is the version of a database's schema, 0 where it has none, and the one that this
// program works with.
type Schema struct{ Version, Needed int64 }

// String says both, to who has to bring one to the other.
func (s Schema) String() string {
	return fmt.Sprintf("its schema has version %d and this bctrl needs version %d", s.Version, s.Needed)
}

// adviceFor says what to do about a schema that cannot be changed.
func adviceFor(err error) string {
	refused, is := errors.AsType[*refusedError](err)
	if is && refused.state == notPermitted || errors.Is(err, ErrReadOnly) {
		return " (run 'bctrl migrate' as a user who may change it)"
	}
	return ""
}

// bringUp runs the migrations that are missing.
func bringUp(ctx context.Context, p *goose.Provider, from Schema) error {
	if _, err := p.Up(ctx); err != nil {
		err = translate(err)
		return fmt.Errorf("%v, and could not be brought there: %w%s", from, err, adviceFor(err))
	}
	return nil
}

func newestVersion(steps []*goose.Migration) int64 { return steps[len(steps)-1].Version }

func provider(dialect goose.Dialect, db *sql.DB, steps []*goose.Migration) (*goose.Provider, error) {
	p, err := goose.NewProvider(dialect, db, nil, goose.WithDisableGlobalRegistry(true),
		goose.WithGoMigrations(steps...))
	if err != nil {
		return nil, fmt.Errorf("reading the migrations: %w", err)
	}
	return p, nil
}

// ErrNewerSchema is returned for data that a newer version of the server has been
// at.
var ErrNewerSchema = errors.New("the data was written by a newer bctrl")

// refuseNewer refuses a schema that this server does not know.
func refuseNewer(version int64, steps []*goose.Migration) error {
	if known := newestVersion(steps); version > known {
		return fmt.Errorf("%w: its schema has version %d and this one knows those up to %d: start one that knows version %d",
			ErrNewerSchema, version, known, version)
	}
	return nil
}

// firstProven is the migration from which on rows are proven.
const firstProven = 7

// ErrUnproven is returned for a data directory of a version that did not prove its
// rows. Proofs that were made now would also cover rows that somebody else wrote.
var ErrUnproven = errors.New("the data was made by a version that did not authenticate its rows, and nobody can tell " +
	"whether they are as it wrote them: " +
	"start with a new data directory, and set secrets and workspaces anew")

func refuseUnproven(ctx context.Context, db *sql.DB, version int64) error {
	if version == 0 || version >= firstProven {
		return nil
	}
	var holds bool
	if err := db.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM organizations)").Scan(&holds); err != nil {
		return fmt.Errorf("reading the data of before: %w", err)
	}
	if holds {
		return ErrUnproven
	}
	return nil
}

// migrationText is one migration file.
type migrationText struct {
	version int64
	// sqlite is the SQL for SQLite, postgres that for PostgreSQL: the same in its words, or
	// none where the file is for one of them alone, with which its name then ends.
	sqlite, postgres string
}

// migrationTexts reads the migrations in their order.
func migrationTexts() ([]migrationText, error) {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	texts := make([]migrationText, len(names))
	for i, name := range names {
		version, err := goose.NumericComponent(name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		text, err := migrations.ReadFile(name)
		if err != nil {
			return nil, err
		}
		up, _, _ := strings.Cut(string(text), "-- +goose Down")
		texts[i].version = version
		if !strings.HasSuffix(name, ".postgres.sql") {
			texts[i].sqlite = up
		}
		if !strings.HasSuffix(name, ".sqlite.sql") {
			texts[i].postgres = postgresText(up)
		}
	}
	return texts, nil
}

// onNodes is the SQL of a migration for PostgreSQL, where nodes may work meanwhile. It takes first what each of
// their transactions takes first: none of them has what it wants while it waits for what they have.
func onNodes(m migrationText) string {
	if m.postgres == "" {
		return ""
	}
	return toChange + ";" + m.postgres
}

// readMigrations makes a migration of each file, which the database itself takes
// apart into statements. goose's own reader of SQL takes a buffer of 4 MiB for
// each file and each statement it looks at: tens of MiB at every start, which the
// process kept. of chooses the SQL of the database.
func readMigrations(of func(migrationText) string) ([]*goose.Migration, error) {
	texts, err := migrationTexts()
	if err != nil {
		return nil, err
	}
	return migrationsOf(texts, of), nil
}

func migrationsOf(texts []migrationText, of func(migrationText) string) []*goose.Migration {
	steps := make([]*goose.Migration, len(texts))
	for i, text := range texts {
		steps[i] = goose.NewGoMigration(text.version, &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
			up := of(text)
			if up == "" {
				return nil
			}
			_, err := tx.ExecContext(ctx, up)
			return err
		}}, nil)
	}
	return steps
}
