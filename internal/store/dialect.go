package store

import (
	"database/sql"
	"encoding/base64"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// dialect is what differs between SQLite and PostgreSQL where their SQL is not the
// same. The zero value, and none, is SQLite.
type dialect struct {
	// begin starts the writer's transaction, and lets it alone write. decide starts one
	// that changes no row and has others like it beside it; none where nobody else writes.
	begin, decide []string
	// snapshot starts a transaction in which all reads see one state.
	snapshot string
	// alone takes the database for the writer's connection, so that no server has it
	// that does not share it; empty where nothing has to.
	alone string
	// shared is set where other servers write to the same database.
	shared bool
	// schema is what the migrations make on PostgreSQL.
	schema []schemaObject
	// limit bounds how long a statement is waited for; 0 is no bound. The server
	// ends one before, unless it hangs itself.
	limit time.Duration
	// oneAtATime is set where a connection runs the next statement only when all
	// rows of the one before are read.
	oneAtATime bool
}

// remote reports whether the database is another process, which may go away.
func (d *dialect) remote() bool { return d != nil && d.limit > 0 }

// listedNumbers is the query of the numbers in a list, which the second argument gives as JSON.
func (d *dialect) listedNumbers() string {
	if d.remote() {
		return "SELECT value::bigint FROM json_array_elements_text($2::json)"
	}
	return "SELECT value FROM json_each($2)"
}

// listedTexts is the query of the texts in a list, which the first argument gives as JSON.
func (d *dialect) listedTexts() string {
	if d.remote() {
		return "SELECT json_array_elements_text($1::json)"
	}
	return "SELECT value FROM json_each($1)"
}

// hex is a column of bytes as text.
func (d *dialect) hex(column string) string {
	if d.remote() {
		return "encode(" + column + ", 'hex')"
	}
	return "hex(" + column + ")"
}

// sqliteDialect is that of a file. The driver's own transactions begin with the
// writer's lock, so that both are statements.
func sqliteDialect() *dialect {
	return &dialect{begin: []string{"BEGIN IMMEDIATE"}, snapshot: "BEGIN DEFERRED"}
}

const (
	// statementLimit is how long PostgreSQL may take for a statement, and lockLimit
	// how long it may wait for another transaction within it. answerLimit is how
	// long the answer is waited for from outside, and comes into play when
	// PostgreSQL hangs or the network does.
	statementLimit = 10 * time.Second
	lockLimit      = 5 * time.Second
	answerLimit    = 12 * time.Second
)

// writerPause is how long the transaction of a node may wait for its next statement. It is
// well below what a lease lasts (6 seconds): a node that is paused or dead has lost its
// transaction before its lease, and holds up nobody for longer.
const writerPause = 3 * time.Second

// versionTable is goose's table. The writers of all servers have their order by its lock,
// which nothing else needs but a migration, and that is right: nobody writes while
// the schema changes. A transaction that changes rows has it alone, those that only decide
// and append to the log share it. So what a transaction reads stands still until it ends,
// but for the log, leases and holds, and READ COMMITTED is enough: each statement sees all
// that came before the lock.
const versionTable = "goose_db_version"

const (
	beginShared = "BEGIN ISOLATION LEVEL READ COMMITTED"
	// toChange excludes itself and toDecide; toDecide does not exclude itself.
	toChange = "LOCK TABLE " + versionTable + " IN SHARE ROW EXCLUSIVE MODE"
	toDecide = "LOCK TABLE " + versionTable + " IN SHARE MODE"
)

const (
	// ofSchema is the lock of the servers of a schema, by its name. tryAlone takes it where
	// there is none, and says whether; leaveAlone lets go of it.
	ofSchema   = "(hashtext('bctrl serve'), hashtext(current_schema()))"
	tryAlone   = "SELECT pg_try_advisory_lock" + ofSchema
	leaveAlone = "SELECT pg_advisory_unlock" + ofSchema
)

func postgresDialect(shared bool) *dialect {
	d := &dialect{
		shared: shared,
		alone:  "SELECT pg_advisory_lock" + ofSchema,
		begin:  []string{beginShared, toChange},
		// The snapshots are long: they verify all that there is.
		snapshot: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 0; " +
			"SET LOCAL idle_in_transaction_session_timeout = 0",
		limit:      answerLimit,
		oneAtATime: true,
	}
	if shared {
		d.decide = []string{beginShared, toDecide}
		d.alone = strings.Replace(d.alone, "pg_advisory_lock", "pg_advisory_lock_shared", 1) +
			"; SET idle_in_transaction_session_timeout = " + strconv.FormatInt(writerPause.Milliseconds(), 10)
	}
	return d
}

// escape begins a text that PostgreSQL cannot hold as it is: one with a zero byte, or
// that is not UTF-8. Callers send such in paths, and the log records what they asked
// for. The rest is in base64. A text that begins so itself is written in this way too.
// No name holds a control character, so that what is ordered is never escaped.
const escape = "\x01"

func escaped(s string) string {
	if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 && !strings.HasPrefix(s, escape) {
		return s
	}
	return escape + base64.RawStdEncoding.EncodeToString([]byte(s))
}

// unescape is the inverse of [escaped], in place.
func unescape(s *string) error {
	rest, is := strings.CutPrefix(*s, escape)
	if !is {
		return nil
	}
	text, err := base64.RawStdEncoding.DecodeString(rest)
	*s = string(text)
	return err
}

// fit makes arguments fit for the engine. It changes the list in place.
func (d *dialect) fit(args []any) {
	if !d.remote() {
		return
	}
	for i, arg := range args {
		switch v := arg.(type) {
		case []byte:
			if v == nil {
				args[i] = []byte{} // which is not NULL
			}
		case string:
			args[i] = escaped(v)
		case sql.NullString:
			v.String = escaped(v.String)
			args[i] = v
		}
	}
}
