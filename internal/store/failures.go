package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

var (
	// ErrNotFound is returned when a row does not exist in the organization.
	ErrNotFound = errors.New("store: not found")
	// ErrExists is returned when a row with the same name exists already.
	ErrExists = errors.New("store: exists already")
	// ErrFull is returned when the disk does not take a write: it is full, or a
	// quota or limit is reached.
	ErrFull = errors.New("store: the disk is full")
	// ErrClosed is returned by a write after [DB.Close].
	ErrClosed = errors.New("store: closed")
	// ErrUnavailable is returned while the database does not answer, or not in
	// time. A write may have been done all the same: nobody was told.
	ErrUnavailable = errors.New("store: the database does not answer")
	// ErrReadOnly is returned for a write to a database that takes none, such as
	// a standby.
	ErrReadOnly = errors.New("store: the database is read-only")
)

// errConflict is of a transaction that PostgreSQL undid for another's sake: it is
// done again.
var errConflict = fmt.Errorf("%w: it undid a transaction for another's sake", ErrUnavailable)

// translate turns what the drivers say into the errors of this package. What
// PostgreSQL says is never repeated: it quotes rejected values.
func translate(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	for _, lease := range []error{ErrFenced, errLeaseEnds} {
		if errors.Is(err, lease) {
			return lease
		}
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		switch e.Code() {
		case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY:
			return ErrExists
		case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE: // the latter for quotas
			return ErrFull
		}
		if e.Code()&0xff == sqlite3.SQLITE_READONLY {
			return ErrReadOnly
		}
		return err
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return translateState(e.Code)
	}
	if isDisconnected(err) {
		return ErrUnavailable
	}
	return err
}

// translateState turns a SQLSTATE into an error of this package.
// See https://www.postgresql.org/docs/15/errcodes-appendix.html.
func translateState(state string) error {
	switch state {
	case "23505":
		return ErrExists
	case "53100":
		return ErrFull
	case "25006":
		return ErrReadOnly
	case "40001", "40P01":
		return errConflict
	case "55P03", "57014", "25P03": // waited too long for a lock, ran or idled too long
		return fmt.Errorf("%w in time (SQLSTATE %s)", ErrUnavailable, state)
	}
	for _, class := range []string{"08", "53", "57", "58"} { // connection, resources, intervention, system
		if strings.HasPrefix(state, class) {
			return fmt.Errorf("%w (SQLSTATE %s)", ErrUnavailable, state)
		}
	}
	return &refusedError{state}
}

// notPermitted is the SQLSTATE of what a user may not do.
const notPermitted = "42501"

// refusedError is a statement that PostgreSQL did not take, by its SQLSTATE alone.
type refusedError struct{ state string }

func (e *refusedError) Error() string {
	return "store: PostgreSQL refused a statement (SQLSTATE " + e.state + ")"
}

// endsTransaction reports whether the error of one job is of the whole transaction:
// SQLite has rolled it back, PostgreSQL wants it done again, or is gone. See
// https://www.sqlite.org/lang_transaction.html, "Response To Errors Within A Transaction".
func endsTransaction(err error) bool {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		switch e.Code() & 0xff { // without what it is more closely
		case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_INTERRUPT,
			sqlite3.SQLITE_READONLY:
			return true
		}
	}
	return errors.Is(err, ErrFull) || errors.Is(err, ErrUnavailable) || errors.Is(err, ErrReadOnly)
}

// isDisconnected reports whether an error is of a connection that is gone, cannot be
// made, or does not answer.
func isDisconnected(err error) bool {
	_, network := errors.AsType[net.Error](err)
	_, connecting := errors.AsType[*pgconn.ConnectError](err)
	return network || connecting || pgconn.Timeout(err) || pgconn.SafeToRetry(err) ||
		errors.Is(err, pgconn.ErrConnClosed) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, context.DeadlineExceeded)
}

// hasEnded reports whether an error is of a connection that is known to be gone, rather than of one
// on which nothing came in time. PostgreSQL says why it ends one, where it can.
func hasEnded(err error) bool {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.SeverityUnlocalized == "FATAL" || e.SeverityUnlocalized == "PANIC"
	}
	return isDisconnected(err) && !pgconn.Timeout(err) && !errors.Is(err, context.DeadlineExceeded)
}
