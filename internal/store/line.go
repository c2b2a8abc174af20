package store

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

// line is the writer's connection. That to a file stands as long as the store is
// open. One to PostgreSQL may go, and is made anew for the next transaction.
type line struct {
	pool *sql.DB
	on   *dialect
	conn *sql.Conn // nil while there is none
	held *statements
}

// connect sees to it that there is a connection, and reports whether it is a new one.
func (l *line) connect(ctx context.Context) (fresh bool, err error) {
	if l.conn != nil {
		return false, nil
	}
	if l.on.remote() {
		var done context.CancelFunc
		ctx, done = context.WithTimeout(ctx, l.on.limit)
		defer done()
	}
	conn, err := l.take(ctx)
	if err != nil {
		return false, err
	}
	l.conn, l.held = conn, newStatements(conn)
	return true, nil
}

// take takes a connection out of the pool, and the database for it. Readers have left theirs there, and
// where PostgreSQL was restarted since, all of those have ended: each is tried, until one has to be made.
func (l *line) take(ctx context.Context) (*sql.Conn, error) {
	for left := l.pool.Stats().MaxOpenConnections; ; left-- {
		conn, err := l.pool.Conn(ctx)
		if err != nil {
			return nil, translate(err)
		}
		if l.on.alone == "" {
			return conn, nil
		}
		if _, err = conn.ExecContext(ctx, l.on.alone); err == nil {
			return conn, nil
		}
		discarded := discard(conn)
		if left <= 0 || !hasEnded(err) {
			return nil, errors.Join(takenBy(err), discarded)
		}
	}
}

// takenBy is the error of the lock that one server has on a database.
func takenBy(err error) error {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == "55P03" {
		return ErrInUse
	}
	return translate(err)
}

// run runs a statement that is not prepared, and gives the driver's own error.
func (l *line) run(ctx context.Context, statement string) error {
	if l.on.remote() {
		var done context.CancelFunc
		ctx, done = context.WithTimeout(ctx, l.on.limit)
		defer done()
	}
	_, err := l.conn.ExecContext(ctx, statement)
	return err
}

// undo ends a transaction that has failed, and lets go of a connection that cannot
// even do that.
func (l *line) undo(ctx context.Context) {
	if l.conn == nil {
		return
	}
	// SQLite ends the transaction itself on some errors, a full disk among them;
	// then there is nothing left to roll back.
	if err := l.run(ctx, "ROLLBACK"); err != nil && l.on.remote() {
		l.drop()
	}
}

// drop lets go of a connection for good.
func (l *line) drop() {
	_ = l.held.close() // it is gone with the connection
	_ = discard(l.conn)
	l.conn, l.held = nil, nil
}

// discard closes a connection rather than giving it back to the pool.
func discard(conn *sql.Conn) error {
	_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // which is how the pool is told
	if err := conn.Close(); !errors.Is(err, sql.ErrConnDone) {
		return err
	}
	return nil
}

// close lets go of the statements first: database/sql leaves those of one
// connection to who made them, and SQLite keeps a file open until they are
// gone.
func (l *line) close() error {
	if l.conn == nil {
		return nil
	}
	err := errors.Join(l.held.close(), l.conn.Close())
	if l.on.remote() {
		return nil // the connection may be gone already
	}
	return err
}

// begin starts a transaction. It is the only one that writes, and sees what all before it
// have written; one that only decides may have others like it beside it. Where the connection
// has ended since the one before, as with PostgreSQL's restart, it begins again on another: what was
// sent by then begins a transaction, takes a lock and reads, all of which ends with the connection.
func (b *batch) begin(ctx context.Context, deciding bool) error {
	ended, err := b.tryBegin(ctx, deciding)
	if ended {
		_, err = b.tryBegin(ctx, deciding)
	}
	if err != nil {
		return fmt.Errorf("beginning a transaction: %w", err)
	}
	return nil
}

// tryBegin reports, with its error, whether that is of a connection from before which has ended.
func (b *batch) tryBegin(ctx context.Context, deciding bool) (ended bool, err error) {
	fresh, err := b.connect(ctx)
	if err != nil {
		return false, err
	}
	if fresh {
		b.q.prepare = b.held.get
		// A transaction of which nobody knew has come to its end by now, and it may
		// have revoked a key.
		b.keys.forget()
		b.unplaced = !b.on.shared
	}
	b.deciding, b.node = deciding, b.fencedNode()
	err = b.start(ctx)
	if err == nil && (b.unplaced || b.doubt != nil) {
		err = b.resume(ctx)
	}
	if err != nil {
		b.undo(ctx)
		return !fresh && hasEnded(err), translate(err)
	}
	return false, nil
}

// ErrOvertaken is the end of a writer whose chain went on without it, or lost what it has written:
// this server writes no more. It is an [ErrUnavailable].
var ErrOvertaken = fmt.Errorf("%w as it did: something else has written to it, and this server has to be started anew",
	ErrUnavailable)

// resume finds where the chain stands now, and finds out about a transaction in
// doubt. What this server knows of the chain must still be its end, which only the
// transaction in doubt may have moved. That one has ended, since this one has the lock of
// changes.
func (b *batch) resume(ctx context.Context) error {
	stands, err := b.q.laneEnd(ctx, b.lane)
	if err != nil {
		return err
	}
	var written bool
	if d := b.doubt; d != nil {
		if written, err = b.q.holds(ctx, d.place); err != nil {
			return err
		}
	}
	if !stands.same(b.place) && (!written || !stands.same(b.doubt.place)) {
		return ErrOvertaken
	}
	if written {
		b.doubt.resolve(b)
	}
	b.doubt, b.unplaced = nil, false
	b.goOnFrom(stands)
	return nil
}

// holds reports whether the chain passes through a place.
func (q Queries) holds(ctx context.Context, p place) (bool, error) {
	hash, err := q.HashAt(ctx, p.seq)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return bytes.Equal(hash, p.head), err
}

// doubt is a transaction whose commit was not answered. Its callers were told that
// the database does not answer; what nobody waits for must not be written twice.
type doubt struct {
	place
	later    []*Entry
	happened []eventScope
	rules    RuleNews
}

func doubtOf(p place, jobs []*job, later []*Entry) *doubt {
	d := &doubt{place: p, later: later}
	for _, j := range jobs {
		if j.err == nil {
			d.happened = append(d.happened, j.tx.happened...)
			d.rules.add(j.tx.rules)
		}
	}
	return d
}

// resolve is for one that turned out to be durable.
func (d *doubt) resolve(b *batch) {
	for _, e := range d.later {
		e.durable = true
	}
	b.watching.tell(d.happened)
	if d.rules.any() && !b.on.shared { // else it comes as a notice
		b.obeyLater(d.rules)
	}
}

// unwritten leaves out the entries that are known to be durable, and those of another node
// than the one that writes.
func unwritten(later []*Entry, node string) []*Entry {
	var rest []*Entry
	for _, e := range later {
		if !e.durable && e.Node == node {
			rest = append(rest, e)
		}
	}
	return rest
}

// isRefusal reports whether PostgreSQL has answered a commit, and undone it. After an
// answer that ends the connection nobody knows.
func isRefusal(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && e.SeverityUnlocalized == "ERROR"
}
