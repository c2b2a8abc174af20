package store

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/bctrl-go/bctrl/internal/trace"
)

// maxBatch bounds how many writes share a transaction: enough to make the
// fsync cheap, few enough that the first does not wait long for the last.
const maxBatch = 256

// maxYields is how often the writer lets others run before it commits. Two
// let a caller that was just answered come back with its next request.
const maxYields = 2

const (
	// laterDelay is how long what may be lost in a crash waits for a
	// transaction to share, and maxLater how many such events wait at most.
	laterDelay = 50 * time.Millisecond
	maxLater   = 4096
)

// Tx is a write transaction. It is used by one function on the writer's
// goroutine and not kept.
type Tx struct {
	Queries
	entries []*Entry
	// written are the records that no event names yet.
	written []Record
	// changed is set once it has done what a failure has to undo. Where the transaction is careful
	// that is undone alone, back to where it saved.
	changed, careful, saved bool
	// rates are the counts of calls that earlier transactions wrote, counting those that were
	// written before in this one, and counted those that this function did.
	rates, counting, counted map[rateKey]string
	// happened is whose events this transaction has written.
	happened []eventScope
	// node is whose transaction it is: see [DB.Fence].
	node string
	// rules is what it has changed of the rules.
	rules RuleNews
	// deciding is set where it may change no row, and triedToChange once it would have.
	deciding, triedToChange bool
	// forgetKeys is set when cached keys are no longer what is stored.
	forgetKeys bool
	generation *generation
	// scrub is set when a sealed value was replaced or deleted, and is to be
	// nowhere any more. PostgreSQL offers nothing for that: the value stays in its
	// pages until they are used again, in its log, its archives and its replicas,
	// sealed under a key that is not there. SQLite overwrites it in the database (secure_delete);
	// copies in the write-ahead log go when that is emptied, which happens after
	// the commit, or after a later one where a reader is in the way. What the
	// file system keeps of a file that was cut short is out of reach; it is
	// sealed all the same.
	scrub bool
	// scrubSoon is scrub of a login that was replaced, as often happens: its copies in the
	// write-ahead log go within [scrubSoonDelay].
	scrubSoon bool
}

// exec changes rows. Where the transaction is careful it begins, before the first change,
// what can be undone alone; functions that only read and append events need none.
func (tx *Tx) exec(ctx context.Context, query string, args ...any) (int64, error) {
	if tx.deciding {
		tx.triedToChange = true
		return 0, errChangesRow
	}
	if tx.careful && !tx.saved {
		if _, err := tx.Queries.exec(ctx, "SAVEPOINT job"); err != nil {
			return 0, fmt.Errorf("beginning a write: %w", err)
		}
		tx.saved = true
	}
	tx.generation.change(query)
	n, err := tx.Queries.exec(ctx, query, args...)
	tx.changed = tx.changed || n > 0 || err != nil && tx.on.remote() // SQLite undoes a statement that fails
	return n, err
}

// execChanging is exec for a statement that must change a row: if it changes none,
// the error is [ErrNotFound].
func (tx *Tx) execChanging(ctx context.Context, query string, args ...any) error {
	n, err := tx.exec(ctx, query, args...)
	if err == nil && n == 0 {
		return ErrNotFound
	}
	return err
}

type job struct {
	ctx  context.Context
	fn   func(*Tx) error // nil to write only what waits in DB.later
	done chan error      // nil when nobody waits
	err  error
	tx   Tx
	// aborted is the error of one that is not run again with the others.
	aborted error
	// deciding is set of one that is expected to change no row, and again once it tried to.
	deciding, again bool
}

// Write runs fn in a transaction and returns when it is durable, or with fn's
// error when it is undone. fn runs on the writer's goroutine: it must be short,
// must not block and must not call Write. It may be undone for another's sake, and is then
// run again from its beginning. A write that has begun is not interrupted by ctx; one that
// still waits is dropped.
func (db *DB) Write(ctx context.Context, fn func(*Tx) error) error {
	return db.submit(ctx, &job{ctx: ctx, fn: fn})
}

func (db *DB) submit(ctx context.Context, j *job) (err error) {
	ctx, span := trace.Start(ctx, trace.Write, trace.Internal)
	defer func() { span.End(err) }()
	j.done = make(chan error, 1)
	if err := db.enqueue(ctx, j); err != nil {
		return err
	}
	return <-j.done
}

// AppendLater adds an event to the audit log with the next transaction, and
// does not wait for it. It is for what may be lost in a crash: the outcome of a
// recorded intent. A transaction of its own would cost as much as the intent
// did; so it waits for another's, at most 50 milliseconds. Close waits for it.
func (db *DB) AppendLater(e *Entry) error {
	db.mu.RLock()
	defer db.mu.RUnlock()
	if db.closed {
		return ErrClosed
	}
	db.laterMu.Lock()
	defer db.laterMu.Unlock()
	if len(db.later) >= maxLater {
		return fmt.Errorf("appending to the audit log: %d events wait already", maxLater)
	}
	db.unwritten++
	db.addLater(e)
	return nil
}

// CatchUp returns once every event that [DB.AppendLater] has taken before is
// durable, so that who reads the log next finds it.
func (db *DB) CatchUp(ctx context.Context) error {
	db.laterMu.Lock()
	unwritten := db.unwritten
	db.laterMu.Unlock()
	if unwritten == 0 {
		return nil
	}
	return db.Decide(ctx, func(*Tx) error { return nil }) // its transaction takes what waits
}

// addLater adds entries to those that wait for a transaction to share, and sees to
// it that there will be one.
// laterMu is held.
func (db *DB) addLater(entries ...*Entry) {
	if len(db.later) == 0 {
		time.AfterFunc(laterDelay, db.wakeWriter)
	}
	db.later = append(db.later, entries...)
}

// wakeWriter has the writer do what waits for no job. A store that is closed has done it.
func (db *DB) wakeWriter() {
	_ = db.enqueue(context.Background(), &job{ctx: context.Background()})
}

func (db *DB) takeLater() []*Entry {
	db.laterMu.Lock()
	defer db.laterMu.Unlock()
	entries := db.later
	db.later = nil
	return entries
}

func (db *DB) laterWritten(n int) {
	db.laterMu.Lock()
	defer db.laterMu.Unlock()
	db.unwritten -= n
}

func (db *DB) returnLater(entries []*Entry) {
	db.laterMu.Lock()
	defer db.laterMu.Unlock()
	if len(entries) > 0 {
		db.addLater(entries...)
	}
}

func (db *DB) enqueue(ctx context.Context, j *job) error {
	db.mu.RLock()
	defer db.mu.RUnlock()
	if db.closed {
		return ErrClosed
	}
	select {
	case db.jobs <- j:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run is the writer: it takes what waits, up to maxBatch, and commits it as
// one.
func (db *DB) run() {
	defer close(db.done)
	jobs := make([]*job, 0, maxBatch)
	for first := range db.jobs {
		jobs = db.gather(append(jobs[:0], first))
		db.returnLater(db.writeAll(jobs, db.takeLater()))
		clear(jobs)
	}
	if later := db.takeLater(); len(later) > 0 {
		_ = db.batch.commit(nil, later, db.on.shared) // there is no later: they were what a crash may lose
	}
}

// write runs jobs in one transaction, which takes what waits in DB.later, and answers them.
// It returns what waits still.
func (db *DB) write(jobs []*job, later []*Entry, deciding bool) []*Entry {
	begun := time.Now()
	err := db.batch.commit(jobs, later, deciding)
	if observe := db.observe.Load(); observe != nil {
		(*observe)(committed(jobs, later, time.Since(begun), err)) // who is answered finds it counted
	}
	db.noteFault(jobs, err)
	answer(jobs, err)
	db.batch.emptyLogInTime()
	if c := db.batch.checkpoints; c != nil { // else the connection is looked at for nothing, after the answer
		c.after(db.batch.conn, err)
	}
	if err != nil && !errors.Is(err, ErrFenced) { // else nobody may write them any more
		return later
	}
	db.laterWritten(len(later))
	return nil
}

// gather adds what waits to a group of jobs. Whoever can run gets to run first:
// the callers that are about to write share this transaction, where otherwise
// each small group would pay for one.
func (db *DB) gather(jobs []*job) []*job {
	for yields := 0; len(jobs) < maxBatch; {
		select {
		case j, ok := <-db.jobs:
			if !ok {
				return jobs
			}
			jobs = append(jobs, j)
			continue
		default:
		}
		if yields == maxYields {
			return jobs
		}
		yields++
		runtime.Gosched()
	}
	return jobs
}

// batch writes groups of jobs on one connection and keeps the head of the
// audit chain.
type batch struct {
	line
	q        Queries
	keys     *keyCache
	watching *watchers
	// fence is the node that the transactions are of, and node that of the running one.
	fence *atomic.Pointer[string]
	node  string
	// leaseMargin is how much must be left of the node's lease at a commit.
	leaseMargin *atomic.Int64
	// deciding is set while a transaction runs that has others beside it.
	deciding bool
	// careful is set while one runs in which each job has a savepoint, so that one that fails is
	// undone alone. Hardly any fails once it has changed something: so the first try goes without,
	// and where one does, all are undone and run again.
	careful bool
	// generation is that of what calls are resolved by.
	generation generation
	place
	// obeyLater has this server obey a change that turned out to be durable.
	obeyLater func(RuleNews)
	// base is where the lane stands on disk, to go back to.
	base place
	// lane is the one that is appended to, which laneNode has, and laneTaken is set while the
	// transaction that takes it is underway. Where nobody else writes it is 0.
	lane      int64
	laneNode  string
	laneTaken bool
	// others are the lanes that nobody writes any more, of a server that has the log to itself.
	others []Lane
	// index is told of every entry once it is durable, and linked are those of the running
	// transaction; nil on PostgreSQL.
	index  *logIndex
	linked []*Entry
	// doubt is of a transaction of which nobody knows whether it is durable.
	doubt *doubt
	// unplaced is set on a new connection until it is known where the log stands.
	unplaced bool
	// rates are the counts of calls that were written last. Older ones that somebody
	// puts back are found by them: the log has no record of counts, and none
	// matters for longer than a minute. Where others write too it stays empty. counting are
	// those of the transaction that is underway.
	rates, counting map[rateKey]string
	// durable is where the log stands on disk, for everybody.
	durable atomic.Pointer[Head]
	// scrub is set until the write-ahead log is emptied, which is next tried at
	// scrubAt, for which wake has the writer run.
	scrub   bool
	scrubAt time.Time
	// scrubBy is when it has to be emptied for what may stay until then; zero for nothing.
	scrubBy time.Time
	wake    func()
	// checkpoints keep the write-ahead log short; nil on PostgreSQL, which has its own.
	checkpoints *checkpoints
}

// place is where a chain stands.
type place struct {
	// seq and head are those of its last event.
	seq  int64
	head []byte
	// newest is the number of the newest event of all lanes, with its hash and its time.
	newest     int64
	newestHash []byte
	at         time.Time
}

func (p place) same(o place) bool { return p.seq == o.seq && bytes.Equal(p.head, o.head) }

func newBatch(db *DB) *batch {
	return &batch{
		line:      line{pool: db.writer, on: db.on},
		q:         Queries{prover: db.queries.prover, on: db.on, unlogged: [2]map[string]string{ofBatch: {}}},
		keys:      db.keys,
		watching:  &db.watchers,
		obeyLater: func(news RuleNews) { db.feed.add(news, 0) },
		fence:     &db.node,
		wake:      db.wakeWriter,
		rates:     map[rateKey]string{},
		counting:  map[rateKey]string{},

		leaseMargin: &db.leaseMargin,
	}
}

// open connects, and reads where the chain stands.
func (b *batch) open(ctx context.Context) error {
	if _, err := b.connect(ctx); err != nil {
		return fmt.Errorf("opening the store: %w", err)
	}
	b.q.prepare = b.held.get
	return b.loadHead(ctx)
}

// commit writes the entries and runs the jobs in one transaction, which [answer] tells
// each job of. Its error is the transaction's. Watchers are told of the events that
// jobs have written.
func (b *batch) commit(jobs []*job, later []*Entry, deciding bool) error {
	b.base, b.careful = b.place, false
	err := b.transact(jobs, later, deciding)
	for try := 1; errors.Is(err, errConflict) && try < maxTries; try++ {
		b.place = b.base
		err = b.transact(jobs, later, deciding)
	}
	if err != nil {
		b.place = b.base
		clear(b.rates)
	}
	if b.newest != b.base.newest {
		if b.index != nil {
			b.index.newest.add(b.linked, b.place)
		}
		b.publish()
	}
	b.linked = nil
	for _, j := range jobs {
		if j.tx.forgetKeys {
			b.keys.forget() // before the answer
		}
		b.scrub = b.scrub || j.tx.scrub
		if j.tx.scrubSoon && b.checkpoints != nil {
			b.emptyLogAfter(b.checkpoints.scrubSoon)
		}
		if err == nil && j.err == nil {
			b.watching.tell(j.tx.happened)
		}
	}
	b.emptyLogWhenDue()
	return err
}

// answer tells each job how it went, but those that are run again; err is the transaction's.
func answer(jobs []*job, err error) {
	for _, j := range jobs {
		if j.again = j.again && err == nil; j.done == nil || j.again {
			continue
		}
		if j.err == nil {
			j.err = err
		}
		j.done <- j.err
	}
}

// maxTries is how often a transaction is begun that PostgreSQL undoes for another's
// sake, or the writer for that of a job. What changes rows runs alone, so that hardly any is.
const maxTries = 5

// transact uses a background context: a caller who leaves must not undo what
// others wait for.
func (b *batch) transact(jobs []*job, later []*Entry, deciding bool) (err error) {
	ctx := context.Background()
	defer b.generation.end()
	if err := b.begin(ctx, deciding); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			b.undo(ctx)
		}
	}()
	later = unwritten(later, b.node)
	clear(b.q.unlogged[ofBatch])
	b.q.entryCache.begin()
	clear(b.counting)
	for _, j := range jobs {
		if err := b.runJob(ctx, j); err != nil {
			return err
		}
	}
	if b.deciding && len(later) == 0 && !slices.ContainsFunc(jobs, decided) {
		b.undo(ctx) // none of it is decided here
		return nil
	}
	news, err := b.notice(ctx, jobs)
	if err != nil {
		return err
	}
	now := b.now()
	entries := later
	for _, j := range jobs {
		if j.err == nil {
			entries = append(entries, j.tx.entries...)
		}
	}
	rows, err := b.link(ctx, entries, now)
	if err != nil {
		return err
	}
	b.linked = entries
	if err := b.end(ctx, rows, news); err != nil {
		if b.on.remote() && !isRefusal(err) {
			b.doubt = doubtOf(b.place, jobs, later)
		}
		return fmt.Errorf("committing: %w", translate(err))
	}
	b.laneTaken = false
	if !b.on.shared {
		maps.Copy(b.rates, b.counting)
	}
	return nil
}

// decided reports whether a job in a transaction that only decides has come to its end there:
// it was neither refused, nor is it to be run again.
func decided(j *job) bool { return j.err == nil && !j.again && j.fn != nil }

// runJob runs one job so that its failure undoes nothing else. The error it
// returns is the batch's, not the job's.
func (b *batch) runJob(ctx context.Context, j *job) error {
	j.again = false
	if j.err = cmp.Or(j.aborted, j.ctx.Err()); j.err != nil || j.fn == nil {
		return nil //nolint:nilerr // it is the job's
	}
	j.tx = Tx{
		Queries:    b.q,
		rates:      b.rates,
		counting:   b.counting,
		node:       b.node,
		generation: &b.generation,
		deciding:   b.deciding,
		careful:    b.careful,
	}
	j.err = runRecovering(j.fn, &j.tx)
	if endsTransaction(j.err) {
		return j.err
	}
	if j.err == nil && len(j.tx.written) > 0 {
		j.err = errUnrecorded
	}
	if j.err != nil && j.tx.changed && !b.careful {
		b.careful = true
		return errConflict
	}
	if _, refused := errors.AsType[*refusedError](j.err); refused && !j.tx.saved {
		// A read. PostgreSQL goes on only after what a savepoint undoes: the others are run
		// again without this one.
		j.aborted = j.err
		return errConflict
	}
	if b.deciding && j.tx.triedToChange {
		j.again, j.err, j.tx = true, nil, Tx{}
		return nil
	}
	if j.tx.saved {
		if err := b.leaveSavepoint(ctx, j.err); err != nil {
			return err
		}
	}
	if j.err == nil {
		maps.Copy(b.q.unlogged[ofBatch], j.tx.unlogged[ofJob])
		maps.Copy(b.counting, j.tx.counted)
	}
	return nil
}

// leaveSavepoint keeps what a job has done since its savepoint, or undoes it where it failed.
func (b *batch) leaveSavepoint(ctx context.Context, failed error) error {
	if failed != nil {
		if _, err := b.q.exec(ctx, "ROLLBACK TO job"); err != nil {
			return fmt.Errorf("undoing a write: %w", err)
		}
		b.generation.undo()
	}
	if _, err := b.q.exec(ctx, "RELEASE job"); err != nil {
		return fmt.Errorf("ending a write: %w", err)
	}
	return nil
}

// runRecovering turns a panic in one job into its error: the writer serves
// everybody.
func runRecovering(fn func(*Tx) error, tx *Tx) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("store: a write panicked: %T", r) // not its text, which may quote a row
		}
	}()
	return fn(tx)
}
