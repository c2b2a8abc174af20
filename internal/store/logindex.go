package store

import (
	"bytes"
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

const (
	// indexAfter is with how many events the index is brought on, in one transaction: many make
	// it cheap. Until then they are in memory. A log of fewer has no index.
	indexAfter = 2048
	// indexChunk bounds the events of a log that are read at a time, to index them.
	indexChunk = 4096
	// indexRetry is how long an index that could not be written is left alone.
	indexRetry = time.Second
	// mergeRetry is how long runs are not merged after there was no room for it: a merge that cannot end
	// would write the same megabytes again and again.
	mergeRetry = time.Minute
	// indexRest is how long after a start the index is left as it is, so that the first callers are answered
	// sooner.
	indexRest = 250 * time.Millisecond
)

//go:embed logindex.sql
var indexSchema string

// indexFile is where the index of the log in a file lies.
func indexFile(path string) string { return path + ".index" }

// logIndex keeps the index by which events are found, in a file of its own beside the
// database, and follows the log with it. What it lacks is in memory, or else read in the log
// itself: it may be behind, be deleted, or be on a full disk, and searches find the same, only
// slower. No decision rests on it. PostgreSQL has it among the columns of the log.
type logIndex struct {
	path string
	log  Queries
	head func() Head
	// newest are the entries that it may not have yet.
	newest newestRows
	// opened is what searches read, nil while there is none.
	opened atomic.Pointer[openIndex]
	// damaged is one that a search found so, and look has follow look at once.
	damaged atomic.Pointer[openIndex]
	look    chan struct{}
	// looked is closed once it is known whether there is one.
	looked chan struct{}
	// merging ends with stop: nobody waits for the merge of runs when a server ends.
	merging context.Context
	stop    context.CancelFunc
	done    chan struct{}
	// mergeAgain is until when no runs are merged, because there was no room for it.
	mergeAgain time.Time
	// file is the one that is written, nil before the first and after the last.
	file *openIndex
}

// openIndex is an open index file.
type openIndex struct {
	reader, writer *sql.DB
	conn           *sql.Conn // the writer's only one
	held           *statements
	read           Queries
	made           os.FileInfo
	// at is up to where the log is indexed, and runs are what it is indexed by, as they are stored.
	at   indexPlace
	runs []indexRun
}

type indexPlace struct {
	seq  int64
	hash []byte
}

// indexDamageError says that an index is not one of this log, or cannot be used.
type indexDamageError struct{ err error }

func (e *indexDamageError) Error() string { return "the index of the log: " + e.err.Error() }

var errOtherLog = errors.New("it is of another log")

func newLogIndex(path string, log Queries, head func() Head) *logIndex {
	x := &logIndex{
		newest: newestRows{most: maxNewest},
		path:   path,
		log:    log,
		head:   head,
		looked: make(chan struct{}),
		look:   make(chan struct{}, 1),
		done:   make(chan struct{}),
	}
	x.merging, x.stop = context.WithCancel(context.Background())
	return x
}

// close ends the following, with a merge in the middle, and closes the file. An index that there is
// has then the whole log, unless it could not be written.
func (x *logIndex) close() error {
	if x == nil {
		return nil
	}
	x.stop()
	<-x.done
	if x.file != nil && x.seq() < x.head().Seq {
		_ = x.advance(context.Background()) // else the next server does
	}
	x.opened.Store(nil)
	return x.file.close()
}

// seq is up to where the log is indexed.
func (x *logIndex) seq() int64 {
	if x.file == nil {
		return 0
	}
	return x.file.at.seq
}

// begin looks for an index of before.
func (x *logIndex) begin(ctx context.Context) {
	defer close(x.looked)
	if _, err := os.Stat(x.path); err == nil {
		_ = x.open(ctx) // where it cannot be opened it is made anew, later
	}
}

// readLacking has at hand what the index of before lacks, where that is little.
func (x *logIndex) readLacking(ctx context.Context) {
	from := x.newest.from()
	if lacking := from - x.seq(); lacking <= 0 || lacking > indexAfter {
		return
	}
	entries, err := x.log.entriesAfter(ctx, x.seq(), int(from-x.seq()))
	if err == nil && int64(len(entries)) == from-x.seq() {
		x.newest.prepend(x.seq(), from, termRows(entries))
	}
}

// follow brings the index on whenever enough was appended, or a search could not read it.
func (x *logIndex) follow() {
	defer close(x.done)
	ctx := context.Background()
	x.begin(ctx)
	select {
	case <-time.After(indexRest):
	case <-x.merging.Done():
		return
	}
	x.readLacking(ctx)
	for {
		head := x.head()
		if head.Seq < x.seq()+indexAfter {
			select {
			case <-head.Moved:
				continue
			case <-x.look:
			case <-x.merging.Done():
				return
			}
		}
		if err := x.advance(ctx); err != nil {
			select {
			case <-time.After(indexRetry):
			case <-x.merging.Done():
				return
			}
		}
		select {
		case <-x.merging.Done():
			return
		default:
		}
	}
}

// advance indexes the next events. An index that is damaged, or gone, is let go of, and
// made anew by the next call.
func (x *logIndex) advance(ctx context.Context) error {
	if x.file != nil && (x.opened.Load() != x.file || !x.file.isAt(x.path)) {
		damaged := x.damaged.Load() == x.file
		x.letGo()
		if damaged {
			if err := removeIndex(x.path); err != nil {
				return err
			}
		}
	}
	if x.file == nil {
		if err := x.open(ctx); err != nil {
			return err
		}
	}
	err := x.addNext(ctx)
	if _, damaged := errors.AsType[*indexDamageError](err); damaged {
		x.letGo()
		err = errors.Join(err, removeIndex(x.path))
	}
	return err
}

func (x *logIndex) letGo() {
	x.opened.Store(nil)
	_ = x.file.close() // nobody needs what is in it
	x.file = nil
}

// open opens the index, and makes a new one where there is none, or none of this log.
func (x *logIndex) open(ctx context.Context) error {
	f, err := openIndexFile(ctx, x.path, x.log)
	if _, damaged := errors.AsType[*indexDamageError](err); damaged {
		if err = removeIndex(x.path); err == nil {
			f, err = openIndexFile(ctx, x.path, x.log)
		}
	}
	if err != nil {
		return err
	}
	x.file = f
	x.opened.Store(f)
	return nil
}

// removeIndex deletes the file of an index with those that SQLite keeps beside it.
func removeIndex(path string) error {
	var errs []error
	for _, file := range []string{path, path + "-wal", path + "-shm"} {
		if err := os.Remove(file); !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func openIndexFile(ctx context.Context, path string, log Queries) (_ *openIndex, err error) {
	if s, err := os.Stat(path); err != nil || s.Size() == 0 {
		// What SQLite left beside an index that is gone is not the new one's.
		if err := removeIndex(path); err != nil {
			return nil, err
		}
	}
	if err := makePrivate(path); err != nil {
		return nil, err
	}
	f := &openIndex{}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.close())
		}
	}()
	if f.made, err = os.Stat(path); err != nil {
		return nil, err
	}
	if f.writer, err = open(path, 1, indexPragmas()); err != nil {
		return nil, err
	}
	if f.reader, err = open(path, 4, indexPragmas()); err != nil {
		return nil, err
	}
	if f.conn, err = f.writer.Conn(ctx); err != nil {
		return nil, indexError(err)
	}
	f.held = newStatements(f.conn)
	f.read = Queries{prepare: newStatements(f.reader).get}
	return f, f.begin(ctx, log)
}

// indexPragmas give up what a crash of the machine would cost the newest of an index, which is
// made anew from the log; the file stays whole. What a merge wrote ahead is given back: 4 MiB are what
// is added between two checkpoints.
func indexPragmas() []string { return []string{"synchronous(NORMAL)", "journal_size_limit(4194304)"} }

// begin makes the tables of a new index, and requires of an old one that it is this log's.
func (f *openIndex) begin(ctx context.Context, log Queries) error {
	q := f.written()
	is, err := many(ctx, q, scanSchemaObject, schemaObjects)
	if err != nil {
		return indexError(err)
	}
	if len(is) == 0 {
		_, err := f.conn.ExecContext(ctx, "BEGIN IMMEDIATE;"+indexSchema+
			"INSERT INTO audit_index_place VALUES (1, 0, zeroblob(32)); COMMIT")
		f.at = indexPlace{0, ZeroHash()}
		return indexError(err)
	}
	if schemaDigest(is) != indexDigest {
		return &indexDamageError{ErrForeignSchema}
	}
	if f.runs, f.at, err = readRuns(ctx, q); err != nil {
		return indexError(err)
	}
	hash, err := log.HashAt(ctx, f.at.seq)
	if errors.Is(err, ErrNotFound) || err == nil && !bytes.Equal(hash, f.at.hash) {
		return &indexDamageError{errOtherLog}
	}
	return err
}

func scanIndexPlace(row scanner) (p indexPlace, err error) { return p, row(&p.seq, &p.hash) }

// indexError is of an index that cannot be read or written: a full disk, another program
// that has the file, a lack of files or memory, or damage.
func indexError(err error) error {
	err = translate(err)
	lite, is := errors.AsType[*sqlite.Error](err)
	if err == nil || errors.Is(err, ErrFull) || errors.Is(err, context.Canceled) {
		return err
	}
	if is {
		switch lite.Code() & 0xff { // which pass, and say nothing of the file
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_NOMEM,
			sqlite3.SQLITE_INTERRUPT:
			return err
		}
	}
	return &indexDamageError{err}
}

// written are queries on the writer's connection.
func (f *openIndex) written() Queries { return Queries{prepare: f.held.get} }

// isAt reports whether the file still is the one at path.
func (f *openIndex) isAt(path string) bool {
	now, err := os.Stat(path)
	return err == nil && os.SameFile(now, f.made)
}

// addNext indexes the next events: those at hand, or such as are read in the log.
func (x *logIndex) addNext(ctx context.Context) error {
	rows, to, known := x.newest.after(x.seq())
	if !known {
		entries, err := x.log.entriesAfter(ctx, x.seq(), indexChunk)
		if err != nil || len(entries) == 0 {
			return err
		}
		last := entries[len(entries)-1]
		rows, to = termRows(entries), indexPlace{last.Seq, last.Hash}
	}
	if to.seq == x.seq() {
		return nil
	}
	if err := x.file.add(ctx, rows, to); err != nil {
		return err
	}
	x.newest.forget(to.seq)
	return x.merge()
}

// merge makes fewer runs of many, where there was room for it of late.
func (x *logIndex) merge() error {
	if time.Now().Before(x.mergeAgain) {
		return nil
	}
	err := x.file.merge(x.merging)
	if errors.Is(err, ErrFull) {
		x.mergeAgain = time.Now().Add(mergeRetry)
		return nil // what is added has its room, and is found in as many runs
	}
	return err
}

// add adds rows up to a place of the log, in one transaction.
func (f *openIndex) add(ctx context.Context, rows []IndexRow, to indexPlace) error {
	added := indexRun{id: f.nextRun(), after: f.at.seq, last: to.seq}
	err := f.transact(ctx, func(q Queries) error {
		err := addRun(ctx, q, added, func(add func(posting) error) error {
			for _, p := range sortedPostings(rows) {
				if err := add(p); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		n, err := q.exec(ctx, "UPDATE audit_index_place SET seq = $1, hash = $2", to.seq, to.hash)
		if err == nil && n != 1 {
			err = errOtherLog
		}
		return err
	})
	if err == nil {
		f.at, f.runs = to, append(f.runs, added)
	}
	return err
}

// merge makes fewer runs of many, until there are few or the context ends.
func (f *openIndex) merge(ctx context.Context) error {
	for {
		from, to := toMerge(f.runs)
		if to == 0 {
			return nil
		}
		var merged indexRun
		err := f.transact(ctx, func(q Queries) (err error) {
			merged, err = mergeRuns(ctx, q, f.runs[from:to], f.nextRun())
			return err
		})
		if err != nil {
			return err
		}
		f.runs = slices.Replace(f.runs, from, to, merged)
	}
}

func (f *openIndex) nextRun() (id int64) {
	for _, r := range f.runs {
		id = max(id, r.id)
	}
	return id + 1
}

// transact changes the index in one transaction, of which none is begun once the context has ended.
func (f *openIndex) transact(ctx context.Context, fn func(Queries) error) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx) // what is begun is ended, in one way or the other
	if _, err := f.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return indexError(err)
	}
	defer func() {
		if err != nil {
			_, _ = f.conn.ExecContext(ctx, "ROLLBACK") // SQLite may have done so itself
			err = indexError(err)
		}
	}()
	if err := fn(f.written()); err != nil {
		return err
	}
	_, err = f.conn.ExecContext(ctx, "COMMIT")
	return err
}

func (f *openIndex) close() error {
	if f == nil {
		return nil
	}
	var errs []error
	if f.conn != nil {
		errs = append(errs, f.held.close(), f.conn.Close())
	}
	for _, db := range []*sql.DB{f.writer, f.reader} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}
