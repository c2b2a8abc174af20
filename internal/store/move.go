package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

var (
	// ErrNotEmpty is returned for a database that a store was to be moved to, and that holds
	// something.
	ErrNotEmpty = errors.New("the database to move to is not empty: name one without tables")
	// ErrMoving is returned for a database that a store was not wholly moved to.
	ErrMoving = errors.New("a move into this database is not finished: run the same 'bctrl move' again, " +
		"or begin with an empty database")
	// ErrOutdated is returned for a store that has to be migrated before it is moved.
	ErrOutdated = errors.New("bring the schema of the data up to date first, with 'bctrl migrate'")
	// ErrUnlike is returned where a row that was moved is not what it was.
	ErrUnlike = errors.New("what was moved is not what the data holds: begin again with an empty database")
)

// moveTable is in a database from the beginning of a move into it to its end. No server, of
// whatever version, starts on a schema that has it. It says what is moved, and how far that is.
const moveTable = "bctrl_move"

// Move copies the store in a file into an empty PostgreSQL database, each row as it is: sealed
// values and proofs are those of the key and of the log, and not of the engine. A move that ended
// anywhere goes on where it was, unless the file has changed: then it begins anew.
//
// The file's data directory is locked by the caller all the while. Nothing of the file changes.
type Move struct {
	source *sql.DB
	path   string
	tables []movedTable
	// digest is of all rows of the file.
	digest string
	// resumed is set where an earlier move of the same rows is in the database.
	resumed bool

	pool   *sql.DB
	config *pgx.ConnConfig
	// held has the lock that every server takes.
	held *sql.Conn
	// reached lets a test end a move at a point, as a crash would.
	reached func(point string) error
}

// movedTable is a table, with what the file has in it.
type movedTable struct {
	name    string
	columns []movedColumn
	sum     rowSum
	last    int64 // the highest row id that was copied already
}

type movedColumn struct{ name, kind string }

// MovePlan says what a move has to do.
type MovePlan struct {
	// Rows and Tables are what the file holds.
	Rows, Tables int64
	// Resumed is set where an earlier move of the same data goes on.
	Resumed bool
}

// OpenMove reads what there is to move, and looks at the database that it is moved to. It makes
// nothing. Its error is [ErrOutdated], [ErrNotEmpty], [ErrInUse], or of [OpenPostgres].
func OpenMove(ctx context.Context, path, to string) (_ *Move, err error) {
	m := &Move{path: path, reached: func(string) error { return nil }}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.Close())
		}
	}()
	if err := m.openSource(ctx); err != nil {
		return nil, err
	}
	if m.config, err = (Postgres{URL: to}).parse(); err != nil {
		return nil, err
	}
	if err := m.openTarget(ctx); err != nil {
		return nil, fmt.Errorf("the database %s: %w", nameOf(m.config), err)
	}
	return m, nil
}

func (m *Move) openSource(ctx context.Context) (err error) {
	db, err := OpenUntouched(ctx, m.path, nil)
	if err != nil {
		return err
	}
	m.source = db.reader
	if m.tables, err = sourceTables(ctx, m.source); err != nil {
		return fmt.Errorf("reading the data: %w", err)
	}
	for i := range m.tables {
		if err := m.sumSource(ctx, &m.tables[i]); err != nil {
			return err
		}
	}
	m.digest = digestOf(m.tables)
	return nil
}

// openTarget takes the database from all servers, and looks whether it is one to move to.
func (m *Move) openTarget(ctx context.Context) (err error) {
	m.pool = openPatientPool(*m.config)
	if err := checkPostgres(ctx, m.pool); err != nil {
		return err
	}
	if m.held, err = m.pool.Conn(ctx); err != nil {
		return translate(err)
	}
	// Waited for, since PostgreSQL may not know yet that a move before this one was killed.
	if _, err := m.held.ExecContext(ctx, postgresDialect(false).alone); err != nil {
		return takenBy(err)
	}
	moving, err := isMoving(ctx, m.pool)
	if err != nil {
		return err
	}
	if moving {
		return m.readProgress(ctx)
	}
	return m.requireEmpty(ctx)
}

func (m *Move) requireEmpty(ctx context.Context) error {
	version, err := postgresVersion(ctx, m.pool)
	if err != nil {
		return err
	}
	if version != 0 {
		return fmt.Errorf("%w: it holds the data of a server", ErrNotEmpty)
	}
	if err := checkPostgresSchema(ctx, m.pool, nil); err != nil {
		if errors.Is(err, ErrForeignSchema) {
			return fmt.Errorf("%w: it holds the tables of another program", ErrNotEmpty)
		}
		return err
	}
	return nil
}

// readProgress finds how far an earlier move came, where it was of the same rows.
func (m *Move) readProgress(ctx context.Context) error {
	rows, err := m.pool.QueryContext(ctx, "SELECT name, value FROM "+moveTable)
	if err != nil {
		return translate(err)
	}
	defer rows.Close()
	found := map[string]string{}
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return translate(err)
		}
		found[name] = value
	}
	if err := rows.Err(); err != nil {
		return translate(err)
	}
	if m.resumed = found["source"] == m.digest; !m.resumed {
		return nil
	}
	for i := range m.tables {
		t := &m.tables[i]
		if _, err := fmt.Sscan(found["table "+t.name], &t.last); err != nil {
			t.last = 0
		}
	}
	return nil
}

// isMoving reports whether a move into a database is not finished.
func isMoving(ctx context.Context, pool *sql.DB) (is bool, err error) {
	err = pool.QueryRowContext(ctx, "SELECT to_regclass('"+moveTable+"') IS NOT NULL").Scan(&is)
	return is, translate(err)
}

// refuseMoving refuses a database that a store was not wholly moved to.
func refuseMoving(ctx context.Context, pool *sql.DB) error {
	moving, err := isMoving(ctx, pool)
	if err == nil && moving {
		err = ErrMoving
	}
	return err
}

// Plan says what the move has to do.
func (m *Move) Plan() MovePlan {
	p := MovePlan{Tables: int64(len(m.tables)), Resumed: m.resumed}
	for _, t := range m.tables {
		p.Rows += t.sum.rows
	}
	return p
}

// Copy copies what is not there yet.
func (m *Move) Copy(ctx context.Context) error {
	if err := m.prepare(ctx); err != nil {
		return fmt.Errorf("preparing the database: %w", err)
	}
	for i := range m.tables {
		if err := m.copyTable(ctx, &m.tables[i]); err != nil {
			return fmt.Errorf("moving the rows of %s: %w", m.tables[i].name, err)
		}
	}
	return nil
}

// prepare makes the schema, with tables that hold nothing but what is copied.
func (m *Move) prepare(ctx context.Context) error {
	if m.resumed {
		return nil
	}
	if _, err := m.pool.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS `+moveTable+
		` (name TEXT PRIMARY KEY, value TEXT NOT NULL)`); err != nil {
		return translate(err)
	}
	if err := m.reached("marked"); err != nil {
		return err
	}
	steps, err := readMigrations(onNodes)
	if err != nil {
		return err
	}
	version, err := postgresVersion(ctx, m.pool)
	if err != nil {
		return err
	}
	if version != newestVersion(steps) {
		if err := migrateLocked(ctx, m.pool, steps, migration{moving: true}); err != nil {
			return err
		}
	}
	if err := m.reached("migrated"); err != nil {
		return err
	}
	var names []string
	for i := range m.tables {
		names = append(names, pgx.Identifier{m.tables[i].name}.Sanitize())
		m.tables[i].last = 0
	}
	// What a migration has put into a table is in the file's too.
	return m.inTransaction(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "TRUNCATE "+strings.Join(names, ", ")+", "+moveTable); err != nil {
			return err
		}
		return setProgress(ctx, tx, "source", m.digest)
	})
}

func setProgress(ctx context.Context, tx *sql.Tx, name, value string) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO "+moveTable+" (name, value) VALUES ($1, $2) "+
		"ON CONFLICT (name) DO UPDATE SET value = $2", name, value)
	return err
}

func (m *Move) inTransaction(ctx context.Context, fn func(*sql.Tx) error) error {
	tx, err := m.pool.BeginTx(ctx, nil)
	if err != nil {
		return translate(err)
	}
	defer func() { _ = tx.Rollback() }()
	if err := fn(tx); err != nil {
		return translate(err)
	}
	return translate(tx.Commit())
}

// Compare requires that the database holds what the file holds, row by row, or gives [ErrUnlike].
func (m *Move) Compare(ctx context.Context) error {
	for _, t := range m.tables {
		is, err := m.sumTarget(ctx, t)
		if err != nil {
			return fmt.Errorf("comparing the rows of %s: %w", t.name, err)
		}
		if is != t.sum {
			return fmt.Errorf("%w: its table %s differs", ErrUnlike, t.name)
		}
	}
	return nil
}

// Target calls fn with the store that it was moved to, for reading alone.
func (m *Move) Target(ctx context.Context, prover Prover, fn func(*DB) error) (err error) {
	on := postgresDialect(false)
	if on.schema, err = postgresSchema.of(ctx, m.pool); err != nil {
		return err
	}
	is, err := many(ctx, Queries{prepare: newStatements(m.pool).get}, scanSchemaObject, postgresObjects)
	if err != nil {
		return fmt.Errorf("reading the schema: %w", err)
	}
	on.schema = slices.Concat(on.schema, slices.DeleteFunc(is, func(o schemaObject) bool {
		return !strings.HasPrefix(o.name, moveTable)
	}))
	return fn(newDB(m.pool, m.pool, on, prover))
}

// Finish makes the database one that a server starts on.
func (m *Move) Finish(ctx context.Context) error {
	// So that the first queries are planned by what the tables hold.
	if _, err := m.pool.ExecContext(ctx, "ANALYZE"); err != nil {
		return translate(err)
	}
	if err := m.reached("analyzed"); err != nil {
		return err
	}
	_, err := m.pool.ExecContext(ctx, "DROP TABLE "+moveTable)
	return translate(err)
}

// Close lets go of the file and the database.
func (m *Move) Close() error {
	var errs []error
	if m.source != nil {
		errs = append(errs, m.source.Close())
	}
	if m.held != nil {
		_ = discard(m.held) // the connection may be gone already
	}
	if m.pool != nil {
		errs = append(errs, m.pool.Close())
	}
	return errors.Join(errs...)
}
