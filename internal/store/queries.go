package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
)

// Queries runs statements, on a pool of readers or inside a [Tx].
type Queries struct {
	// prepare must not be given a caller's context: the statement outlives the call.
	prepare func(ctx context.Context, query string) (*sql.Stmt, error)
	prover  Prover
	on      *dialect
	// cursors runs what reads row by row, where the connection can do nothing else
	// meanwhile; nil elsewhere.
	cursors *cursors
	// index is the index of the log, by which events are found; nil where there is none, and
	// on PostgreSQL, whose log has it.
	index func() *searched
	// unlogged are the digests of what the writer's transaction has written and
	// the log in the database does not have yet, by the names of records: those of
	// the jobs before, and those of this one. Readers have none.
	unlogged [2]map[string]string
	// entryCache has entries of the vault that the writer knows. Readers have none.
	entryCache *entryCache
}

// preparer is what statements are prepared on: a pool or one connection.
type preparer interface {
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
}

// statements remembers prepared statements by their text. The texts are
// constants of this package, so there are few.
type statements struct {
	on    preparer
	known sync.Map // query text to *sql.Stmt
}

func newStatements(on preparer) *statements { return &statements{on: on} }

func (s *statements) get(ctx context.Context, query string) (*sql.Stmt, error) {
	if st, ok := s.known.Load(query); ok {
		return st.(*sql.Stmt), nil
	}
	st, err := s.on.PrepareContext(ctx, withHiddenLimit(query))
	if err != nil {
		return nil, fmt.Errorf("preparing a statement: %w", err)
	}
	if other, loaded := s.known.LoadOrStore(query, st); loaded {
		return other.(*sql.Stmt), st.Close()
	}
	return st, nil
}

// withHiddenLimit makes a limit that is a parameter a sum. SQLite looks at the value of such a
// parameter when it plans, and would plan the statement anew each time that it runs.
func withHiddenLimit(query string) string {
	return strings.ReplaceAll(query, "LIMIT $", "LIMIT CAST(0 AS BIGINT) + $")
}

// close lets go of the statements, for a connection that goes on without them.
func (s *statements) close() (err error) {
	for _, st := range s.known.Range {
		err = errors.Join(err, st.(*sql.Stmt).Close())
	}
	return err
}

// scanner reads the columns of one row. Its error is an [unreadableError] where a
// column holds what does not fit where it is read to.
type scanner func(dest ...any) error

// unreadableError says that a column holds what the server never writes to it,
// such as text where a number belongs.
type unreadableError struct{ err error }

func (e *unreadableError) Error() string { return e.err.Error() }
func (e *unreadableError) Unwrap() error { return e.err }

func isUnreadable(err error) bool {
	_, is := errors.AsType[*unreadableError](err)
	return is
}

// columnsOf reads the row that rows are at. database/sql has no type for a value
// that does not fit: it is what is wrong where Scan fails and the rows do not.
func (d *dialect) columnsOf(rows *sql.Rows) scanner {
	return func(dest ...any) error {
		err := rows.Scan(dest...)
		if err == nil && d.remote() {
			err = unescapeAll(dest)
		}
		if err != nil && rows.Err() == nil {
			return &unreadableError{err}
		}
		return err
	}
}

func unescapeAll(dest []any) error {
	for _, d := range dest {
		if s, ok := d.(*string); ok {
			if err := unescape(s); err != nil {
				return err
			}
		}
	}
	return nil
}

// Statements are short, and none is interrupted when its caller leaves: inside
// the writer that would undo what others wait for, and everywhere watching for
// it costs more than most statements do.

// statement prepares a query, makes its arguments fit, and bounds how long its
// answer is waited for, where that can take forever.
func (q Queries) statement(
	ctx context.Context, query string, args []any,
) (_ *sql.Stmt, bounded context.Context, done context.CancelFunc, err error) {
	q.on.fit(args)
	bounded, done = context.WithoutCancel(ctx), func() {}
	if q.on.remote() {
		bounded, done = context.WithTimeout(bounded, q.on.limit)
	}
	st, err := q.prepare(bounded, query)
	if err != nil {
		done()
		return nil, nil, nil, translate(err)
	}
	return st, bounded, done, nil
}

// one reads a single row, or gives [ErrNotFound].
func one[T any](ctx context.Context, q Queries, scan func(scanner) (T, error), query string, args ...any) (T, error) {
	st, ctx, done, err := q.statement(ctx, query, args)
	if err != nil {
		var zero T
		return zero, err
	}
	defer done()
	rows, err := st.QueryContext(ctx, args...)
	if err != nil {
		var zero T
		return zero, translate(err)
	}
	defer rows.Close()
	if !rows.Next() {
		var zero T
		return zero, translate(cmp.Or(rows.Err(), sql.ErrNoRows))
	}
	v, err := scan(q.on.columnsOf(rows))
	return v, translate(cmp.Or(err, rows.Close()))
}

// exec runs a statement and returns how many rows it changed.
func (q Queries) exec(ctx context.Context, query string, args ...any) (int64, error) {
	st, ctx, done, err := q.statement(ctx, query, args)
	if err != nil {
		return 0, err
	}
	defer done()
	res, err := st.ExecContext(ctx, args...)
	if err != nil {
		return 0, translate(err)
	}
	return res.RowsAffected()
}

// many reads all rows of a query, each with scan.
func many[T any](
	ctx context.Context, q Queries, scan func(scanner) (T, error), query string, args ...any,
) ([]T, error) {
	st, ctx, done, err := q.statement(ctx, query, args)
	if err != nil {
		return nil, err
	}
	defer done()
	rows, err := st.QueryContext(ctx, args...)
	if err != nil {
		return nil, translate(err)
	}
	defer rows.Close()
	list := []T{}
	columns := q.on.columnsOf(rows)
	for rows.Next() {
		v, err := scan(columns)
		if err != nil {
			return nil, translate(err)
		}
		list = append(list, v)
	}
	return list, translate(rows.Err())
}

// each calls fn with every row of a query, one at a time.
func each[T any](
	ctx context.Context, q Queries, scan func(scanner) (T, error), fn func(T) error, query string, args ...any,
) error {
	if q.cursors != nil {
		return eachFetched(ctx, q, scan, fn, query, args...)
	}
	st, _, prepared, err := q.statement(ctx, query, args)
	if err != nil {
		return err
	}
	prepared()
	rows, err := st.QueryContext(ctx, args...)
	if err != nil {
		return translate(err)
	}
	defer rows.Close()
	columns := q.on.columnsOf(rows)
	for rows.Next() {
		v, err := scan(columns)
		if err != nil {
			return translate(err)
		}
		if err := fn(v); err != nil {
			return err
		}
	}
	return translate(rows.Err())
}
