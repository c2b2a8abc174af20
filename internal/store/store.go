// Package store keeps the server's metadata in SQL: one SQLite file, or a
// PostgreSQL database, read by many connections and written by one.
//
// Reads go through [DB.Read]. Writes go through [DB.Write], which hands a
// function to the single writer; the writer runs all functions that wait
// together in one transaction, so that many callers share one fsync, and
// answers each when that transaction is durable. A function that fails is
// undone alone. One that reads, decides and appends to the audit log goes through
// [DB.Decide]: servers that share a database do that at once.
//
// The SQL is the subset that SQLite and PostgreSQL share; what differs is in a
// dialect. Both keep every promise of this package but one: PostgreSQL overwrites
// nothing that is deleted, see [Tx.scrub].
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	_ "modernc.org/sqlite" // the driver of files
)

// DB is an open store.
type DB struct {
	reader  *sql.DB
	writer  *sql.DB // the same as reader on PostgreSQL
	on      *dialect
	queries Queries
	jobs    chan *job
	done    chan struct{}
	mu      sync.RWMutex // held shared while a job is queued, exclusively by Close
	closed  bool
	batch   *batch
	keys    *keyCache // nil where others write to the database too
	// watchers are told of events, observe of each transaction.
	watchers watchers
	// index finds the log's events; nil on PostgreSQL, whose log is its own index.
	index   *logIndex
	observe atomic.Pointer[func(Commit)]
	fault   atomic.Pointer[WriteFault]
	// node is whose transactions the writer's are: see Fence.
	node atomic.Pointer[string]
	// leaseMargin is how much of a lease, in milliseconds, is too little to write with.
	leaseMargin atomic.Int64
	listener    *listener // nil where nobody else writes
	settled     *settled
	feed        *ruleFeed // nil in a file, where no change is heard of later
	owed        owed      // what is to be given back of [DB.Hold]
	laterMu     sync.Mutex
	later       []*Entry // waits for a transaction to share
	// unwritten counts the entries of AppendLater that are not durable yet, those in
	// a running transaction included. laterMu guards it.
	unwritten int
}

// Open opens the store in the file at path, creating it and bringing its
// schema up to date. Rows on which decisions rest are written with proofs of the
// prover's, and are refused when they are read without.
func Open(ctx context.Context, path string, prover Prover) (*DB, error) {
	return openFile(ctx, path, prover, usualLogBounds())
}

func openFile(ctx context.Context, path string, prover Prover, bounds logBounds) (*DB, error) {
	if err := makePrivate(path); err != nil {
		return nil, err
	}
	writer, err := open(path, 1, storePragmas())
	if err != nil {
		return nil, err
	}
	if err := migrate(ctx, writer); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), writer.Close())
	}
	reader, err := open(path, max(4, runtime.NumCPU()*2), storePragmas())
	if err != nil {
		return nil, errors.Join(err, writer.Close())
	}
	db := newDB(reader, writer, sqliteDialect(), prover)
	db.keys = &keyCache{}
	db.batch = newBatch(db)
	db.index = newLogIndex(indexFile(path), db.queries, db.Head)
	db.batch.index = db.index
	db.batch.q.entryCache = newEntryCache(&db.batch.generation)
	if db.batch.checkpoints, err = newCheckpoints(path, bounds); err != nil {
		return nil, errors.Join(err, reader.Close(), writer.Close())
	}
	db.batch.scrub = true // the log of a process that ended may hold what was to be scrubbed
	if _, err := db.start(ctx); err != nil {
		return nil, errors.Join(err, db.batch.checkpoints.close())
	}
	db.wakeWriter() // which empties that log, before anybody is answered
	db.queries.index = db.index.search
	go db.index.follow()
	return db, nil
}

func newDB(reader, writer *sql.DB, on *dialect, prover Prover) *DB {
	return &DB{
		reader:  reader,
		writer:  writer,
		on:      on,
		queries: Queries{prepare: newStatements(reader).get, prover: prover, on: on},
		jobs:    make(chan *job, 4096),
		done:    make(chan struct{}),
		settled: newSettled(),
	}
}

// start lets the writer run. Where it cannot begin it closes the store.
func (db *DB) start(ctx context.Context) (*DB, error) {
	if err := db.batch.open(ctx); err != nil {
		return nil, errors.Join(err, db.batch.close(), db.reader.Close(), db.writer.Close())
	}
	go db.run()
	return db, nil
}

// makePrivate makes the file for its owner alone; SQLite gives the files it
// makes beside it the same mode.
func makePrivate(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("opening the store: %w", err)
	}
	return f.Close()
}

// busyTimeout is how long a connection waits for another's lock, in milliseconds.
const busyTimeout = "10000"

// storePragmas are those of the store itself: what is acknowledged outlives a crash, and what
// is deleted is overwritten with zeros. Nobody moves the write-ahead log by the way: see
// [checkpoints].
func storePragmas() []string {
	return []string{"synchronous(FULL)", "foreign_keys(ON)", "secure_delete(ON)", "wal_autocheckpoint(0)"}
}

// open returns a pool whose connections all carry the pragmas. cache_size is
// per connection, so it stays small: 2 MiB each is as fast as 64.
func open(path string, conns int, pragmas []string) (*sql.DB, error) {
	q := url.Values{
		"_pragma": append([]string{
			"busy_timeout(" + busyTimeout + ")", "journal_mode(WAL)", "cache_size(-2048)",
		}, pragmas...),
		"_txlock": {"immediate"},
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
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}

// Shared reports whether other servers write to the database too.
func (db *DB) Shared() bool { return db.on.shared }

// Read returns the queries on a snapshot of their own each.
func (db *DB) Read() Queries { return db.queries }

// Snapshot calls fn with queries that all see the same state, whatever is
// written meanwhile. While it runs the write-ahead log grows.
func (db *DB) Snapshot(ctx context.Context, fn func(Queries) error) error {
	// The index first: it follows the log, and must not be ahead of it here.
	return db.index.snapshot(ctx, func(index func() *searched) error { return db.snapshot(ctx, index, fn) })
}

func (db *DB) snapshot(ctx context.Context, index func() *searched, fn func(Queries) error) (err error) {
	conn, err := db.reader.Conn(ctx)
	if err != nil {
		return fmt.Errorf("opening a snapshot: %w", translate(err))
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if _, err := conn.ExecContext(ctx, db.on.snapshot); err != nil {
		return fmt.Errorf("opening a snapshot: %w", translate(err))
	}
	statements := newStatements(conn)
	defer func() {
		_, ended := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		err = errors.Join(err, translate(statements.close()), translate(ended))
	}()
	q := Queries{prepare: statements.get, prover: db.queries.prover, on: db.on, index: index}
	if db.on.oneAtATime {
		q.cursors = &cursors{conn: conn}
	}
	return fn(q)
}

// Close lets queued writes finish and closes the files. Later writes get
// [ErrClosed].
func (db *DB) Close() error {
	db.mu.Lock()
	if db.closed {
		db.mu.Unlock()
		return nil
	}
	db.closed = true
	close(db.jobs)
	db.mu.Unlock()
	<-db.done
	db.owed.giving.Wait()
	db.listener.close()
	db.feed.close()
	return errors.Join(db.index.close(), db.batch.checkpoints.close(), db.batch.close(), db.reader.Close(),
		db.writer.Close())
}

// Now is the present time as it is stored and as a later read returns it: in UTC,
// to the millisecond. A row that is written and then described has one time.
func Now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

// millis is how times are stored.
func millis(t time.Time) int64 { return t.UnixMilli() }

// fromMillis is the inverse of [millis], in UTC as the wire has it.
func fromMillis(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
