package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/bctrl-go/bctrl/internal/tuple"
)

// ErrForeignSchema is returned for a database whose tables, indexes, triggers or
// views are not those that the migrations make: a trigger that somebody else added
// would run inside the server's own writes.
var ErrForeignSchema = errors.New("the schema of the database is not the one that this server made")

// schemaObject is a table, an index, a trigger or a view.
type schemaObject struct{ kind, name, text string }

// schemaObjects leaves out the tables that SQLite and goose keep for themselves and
// the indexes that SQLite makes, by kind and name: a trigger of such a table is not
// left out.
const schemaObjects = `SELECT type, name, COALESCE(sql, '') FROM sqlite_master
	WHERE NOT (type = 'table' AND name IN ('sqlite_sequence', 'goose_db_version'))
		AND NOT (type = 'index' AND name LIKE 'sqlite\_autoindex\_%' ESCAPE '\')
	ORDER BY type, name`

// The digests of what all migrations make, and of the index of the log. To make a schema in order to compare
// with it takes longer than the rest of a start: it is made where a digest differs, to tell what does.
const (
	newestDigest = "56bd1756f7a5ae1ae48acc3ee9f48e9b54c609030c705f64cd94f628fffc128b"
	indexDigest  = "8e83c2b8b3507d5c0014a65dbe84c16c43ce814397636f20b56ec91758b85445"
)

// schemaDigest is the SHA-256 of a schema.
func schemaDigest(schema []schemaObject) string {
	var all tuple.Encoding
	for _, o := range schema {
		all = all.Text(o.kind, o.name, o.text)
	}
	sum := sha256.Sum256(all)
	return hex.EncodeToString(sum[:])
}

// newestSchema is what all migrations make, which takes some milliseconds to know.
var newestSchema = sync.OnceValues(func() ([]schemaObject, error) {
	steps, err := migrationTexts()
	if err != nil {
		return nil, err
	}
	return schemaOf(context.Background(), steps)
})

// migratedSchema is what the migrations up to a version make.
func migratedSchema(ctx context.Context, version int64) ([]schemaObject, error) {
	steps, err := migrationTexts()
	if err != nil {
		return nil, err
	}
	if version == steps[len(steps)-1].version {
		return newestSchema()
	}
	return schemaOf(ctx, slices.DeleteFunc(steps, func(m migrationText) bool { return m.version > version }))
}

func schemaOf(ctx context.Context, steps []migrationText) ([]schemaObject, error) {
	up := "BEGIN;"
	for _, step := range steps {
		up += step.sqlite
	}
	return schemaMadeBy(ctx, up+"COMMIT")
}

// schemaMadeBy is what statements make on SQLite.
func schemaMadeBy(ctx context.Context, statements string) (objects []schemaObject, err error) {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1) // each connection has a memory of its own
	if _, err := db.ExecContext(ctx, statements); err != nil {
		return nil, fmt.Errorf("making the schema to compare with: %w", err)
	}
	return many(ctx, Queries{prepare: newStatements(db).get}, scanSchemaObject, schemaObjects)
}

func scanSchemaObject(row scanner) (o schemaObject, err error) {
	return o, row(&o.kind, &o.name, &o.text)
}

// foreign names what of a schema differs from what the migrations make.
func foreign(is, want []schemaObject) (names []string) {
	for _, o := range slices.Concat(missing(is, want), missing(want, is)) {
		names = append(names, o.kind+" "+o.name)
	}
	return slices.Compact(slices.Sorted(slices.Values(names)))
}

// checkSchema refuses a database that holds more, less or other than the
// migrations up to its version made.
func checkSchema(ctx context.Context, db *sql.DB, of Schema) error {
	is, err := many(ctx, Queries{prepare: newStatements(db).get}, scanSchemaObject, schemaObjects)
	if err != nil {
		return fmt.Errorf("reading the schema: %w", err)
	}
	if schemaDigest(is) == newestDigest && of.Version == of.Needed {
		return nil
	}
	want, err := migratedSchema(ctx, of.Version)
	if err != nil {
		return err
	}
	if names := foreign(is, want); len(names) > 0 {
		return fmt.Errorf("%w: look at %s", ErrForeignSchema, strings.Join(names, ", "))
	}
	return nil
}

// schema finds what the schema has too much, what it lacks, and what differs.
func (q Queries) schema(ctx context.Context, fn func(Finding)) error {
	is, want, err := q.schemas(ctx)
	if err != nil {
		return err
	}
	for _, name := range foreign(is, want) {
		fn(Foreign.of(kindSchema, name, ""))
	}
	return nil
}

// schemas are the schema as it is, and as the migrations make it.
func (q Queries) schemas(ctx context.Context) (is, want []schemaObject, err error) {
	if q.on.remote() {
		if is, err = many(ctx, q, scanSchemaObject, postgresObjects); err == nil {
			want = q.on.schema
		}
		return is, want, err
	}
	if is, err = many(ctx, q, scanSchemaObject, schemaObjects); err == nil {
		want, err = newestSchema()
	}
	return is, want, err
}

const kindSchema = "schema"
