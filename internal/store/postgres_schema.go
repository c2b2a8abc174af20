package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// postgresText writes a migration for PostgreSQL, which has other names for a few
// types. Texts are compared by their bytes, as in SQLite: pages are cut by them.
func postgresText(text string) string {
	return strings.NewReplacer("TEXT", `TEXT COLLATE "C"`, "BLOB", "BYTEA", "x''", `'\x'`,
		"INTEGER PRIMARY KEY", "BIGINT PRIMARY KEY").Replace(text)
}

// migratePostgres brings the schema up to date. Servers that find it older take
// turns, by goose's lock, and look again.
func migratePostgres(ctx context.Context, pool *sql.DB, on *dialect, existing bool) (err error) {
	steps, err := readMigrations(onNodes)
	if err != nil {
		return fmt.Errorf("reading the migrations: %w", err)
	}
	version, err := postgresVersion(ctx, pool)
	if err != nil {
		return err
	}
	if version == 0 && existing {
		return ErrEmpty
	}
	if version != newestVersion(steps) {
		if err := migrateLocked(ctx, pool, steps, migration{}); err != nil {
			return err
		}
	}
	return checkPostgresSchema(ctx, pool, on.schema)
}

// migration says how the schema is brought up to date.
type migration struct {
	// alone refuses it while a server has the database.
	alone bool
	// moving is set where a move has looked at the database, and marked it.
	moving bool
}

// migrateLocked runs the migrations while no other server does. The lock is held
// around goose rather than by it, so that nobody looks at half a schema.
func migrateLocked(ctx context.Context, pool *sql.DB, steps []*goose.Migration, how migration) (err error) {
	// A try each second, for as long as a large migration of another may take.
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 600))
	if err != nil {
		return err
	}
	conn, err := pool.Conn(ctx)
	if err != nil {
		return translate(err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if err := locker.SessionLock(ctx, conn); err != nil {
		return fmt.Errorf("waiting for another server to bring the schema up to date: %w", translate(err))
	}
	defer func() { err = errors.Join(err, locker.SessionUnlock(context.WithoutCancel(ctx), conn)) }()
	if how.alone {
		var is bool
		if err := conn.QueryRowContext(ctx, tryAlone).Scan(&is); err != nil {
			return translate(err)
		}
		if !is {
			return ErrInUse
		}
		defer func() { // before the next who migrates has its turn
			_, unlocked := conn.ExecContext(context.WithoutCancel(ctx), leaveAlone)
			err = errors.Join(err, unlocked)
		}()
	}
	version, err := postgresVersion(ctx, pool)
	if err != nil {
		return err
	}
	if err := refuseNewer(version, steps); err != nil {
		return err
	}
	if version == 0 && !how.moving {
		if err := checkPostgresSchema(ctx, pool, nil); err != nil { // of something else
			return err
		}
	}
	p, err := provider(goose.DialectPostgres, pool, steps)
	if err != nil {
		return err
	}
	return bringUp(ctx, p, Schema{Version: version, Needed: newestVersion(steps)})
}

// postgresVersion is that of the schema, and 0 where there is none.
func postgresVersion(ctx context.Context, pool *sql.DB) (version int64, err error) {
	var known bool
	err = pool.QueryRowContext(ctx, "SELECT to_regclass('"+versionTable+"') IS NOT NULL").Scan(&known)
	if err == nil && known {
		err = pool.QueryRowContext(ctx,
			"SELECT COALESCE(MAX(version_id), 0) FROM "+versionTable+" WHERE is_applied").Scan(&version)
	}
	if err != nil {
		return 0, fmt.Errorf("reading the schema's version: %w", translate(err))
	}
	return version, nil
}

// postgresObjects are what a schema holds, but for goose's table and what PostgreSQL
// makes by itself. inSchema takes the place of which one; names of the schema in
// texts go, so that two can be compared.
const postgresObjects = `
	SELECT CASE c.relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' WHEN 'm' THEN 'view' WHEN 'S' THEN 'sequence'
			ELSE 'relation' END AS kind, c.relname::text AS name,
		c.relkind::text || c.relrowsecurity::text || COALESCE(array_to_string(c.reloptions, ','), '') AS text
		FROM pg_class c WHERE c.relnamespace = ` + inSchema + ` AND c.relkind NOT IN ('i', 'I', 'c', 't') AND ` + notGoose + `
	UNION ALL
	SELECT 'table', c.relname::text, a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || ' ' || a.attnotnull::text
			|| ' ' || a.attcollation::text || ' ' || COALESCE(pg_get_expr(d.adbin, d.adrelid), '') || a.attgenerated::text
		FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
		LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
		WHERE c.relnamespace = ` + inSchema + ` AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
			AND ` + notGoose + `
	UNION ALL
	SELECT 'index', i.relname::text, regexp_replace(pg_get_indexdef(i.oid), ' ON (ONLY )?\S+\.', ' ON ')
		FROM pg_class i JOIN pg_index x ON x.indexrelid = i.oid JOIN pg_class c ON c.oid = x.indrelid
		WHERE i.relnamespace = ` + inSchema + ` AND x.indisvalid AND ` + notGoose + `
	UNION ALL
	SELECT 'table', c.relname::text, pg_get_constraintdef(k.oid) FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
		WHERE c.relnamespace = ` + inSchema + ` AND k.contype <> 'n' AND ` + notGoose + `
	UNION ALL
	SELECT 'trigger', t.tgname::text, pg_get_triggerdef(t.oid) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
		WHERE c.relnamespace = ` + inSchema + ` AND NOT t.tgisinternal
	UNION ALL
	SELECT 'rule', r.rulename::text, pg_get_ruledef(r.oid) FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
		WHERE c.relnamespace = ` + inSchema + ` AND c.relkind = 'r'
	UNION ALL
	SELECT 'policy', p.polname::text, c.relname::text FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
		WHERE c.relnamespace = ` + inSchema + `
	UNION ALL
	SELECT 'function', f.proname::text, f.prosrc FROM pg_proc f
		WHERE f.pronamespace = ` + inSchema + ` AND NOT EXISTS (SELECT 1 FROM pg_depend e
			WHERE e.objid = f.oid AND e.deptype = 'e')
	ORDER BY 1, 2, 3`

const (
	inSchema = "current_schema()::regnamespace"
	// What an extension has brought is its own.
	notGoose = `c.relname NOT IN ('goose_db_version', 'goose_db_version_id_seq') AND NOT EXISTS (SELECT 1 FROM pg_depend e
		WHERE e.objid = c.oid AND e.deptype = 'e')`
)

// checkPostgresSchema refuses a database that holds more, less or other than it
// should.
func checkPostgresSchema(ctx context.Context, pool *sql.DB, want []schemaObject) error {
	is, err := many(ctx, Queries{prepare: newStatements(pool).get}, scanSchemaObject, postgresObjects)
	if err != nil {
		return fmt.Errorf("reading the schema: %w", err)
	}
	if names := foreign(is, want); len(names) > 0 {
		return fmt.Errorf("%w: look at %s", ErrForeignSchema, strings.Join(names, ", "))
	}
	return nil
}

// postgresSchema is what all migrations make, which takes PostgreSQL some tens of
// milliseconds to know, once in a process.
var postgresSchema knownSchema

type knownSchema struct {
	mu      sync.Mutex
	objects []schemaObject
}

// of makes the schema out of temporary tables in a transaction that is undone.
func (k *knownSchema) of(ctx context.Context, pool *sql.DB) ([]schemaObject, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.objects != nil {
		return k.objects, nil
	}
	steps, err := migrationTexts()
	if err != nil {
		return nil, err
	}
	tx, err := pool.BeginTx(ctx, nil)
	if err != nil {
		return nil, fmt.Errorf("making the schema to compare with: %w", translate(err))
	}
	defer func() { _ = tx.Rollback() }()
	text := "SET LOCAL search_path = pg_temp;"
	for _, step := range steps {
		text += step.postgres
	}
	if _, err := tx.ExecContext(ctx, text); err != nil {
		return nil, fmt.Errorf("making the schema to compare with: %w", translate(err))
	}
	inTemporary := strings.ReplaceAll(postgresObjects, inSchema, "pg_my_temp_schema()")
	k.objects, err = many(ctx, Queries{prepare: newStatements(tx).get}, scanSchemaObject, inTemporary)
	return k.objects, err
}
