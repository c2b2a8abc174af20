package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
)

// maxBatch bounds how many writes share a transaction: enough to make the
// fsync cheap, few enough that the first does not wait long for the last.
const maxBatch = 256

// Tx is a write transaction. It is used by one function on the writer's
// goroutine and not kept.
type Tx struct {
	Queries
	entries []Entry
}

// Entry is one line of the audit log before it has its place in the chain.
type Entry struct {
	// Org is the organization the event belongs to; empty when the caller
	// could not be told.
	Org string
	// Body is the event as JSON.
	Body []byte
}

// Append adds an event to the audit log, in the same transaction: it is
// durable if and only if everything else in tx is.
func (tx *Tx) Append(e Entry) { tx.entries = append(tx.entries, e) }

type job struct {
	ctx  context.Context
	fn   func(*Tx) error
	done chan error // nil when nobody waits
	err  error
	tx   Tx
}

// Write runs fn in a transaction and returns when it is durable, or with fn's
// error when it is undone. fn runs on the writer's goroutine: it must be short,
// must not block and must not call Write. A write that has begun is not
// interrupted by ctx; one that still waits is dropped.
func (db *DB) Write(ctx context.Context, fn func(*Tx) error) error {
	j := &job{ctx: ctx, fn: fn, done: make(chan error, 1)}
	if err := db.enqueue(ctx, j); err != nil {
		return err
	}
	return <-j.done
}

// WriteLater queues fn for the next transaction and does not wait for it. It
// is for what may be lost in a crash, such as the outcome of a recorded intent.
// Close waits for it.
func (db *DB) WriteLater(fn func(*Tx) error) error {
	return db.enqueue(context.Background(), &job{ctx: context.Background(), fn: fn})
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
		jobs = append(jobs[:0], first)
	gather:
		for len(jobs) < maxBatch {
			select {
			case j, ok := <-db.jobs:
				if !ok {
					break gather
				}
				jobs = append(jobs, j)
			default:
				break gather
			}
		}
		db.batch.commit(jobs)
		clear(jobs)
	}
}

// batch writes groups of jobs on one connection and keeps the head of the
// audit chain.
type batch struct {
	conn *sql.Conn
	q    Queries
	seq  int64
	head []byte
}

func newBatch(conn *sql.Conn) *batch {
	return &batch{conn: conn, q: Queries{prepare: newStatements(conn).get}}
}

func (b *batch) close() error { return b.conn.Close() }

// commit runs the jobs in one transaction and answers each.
func (b *batch) commit(jobs []*job) {
	seq, head := b.seq, b.head
	err := b.transact(jobs)
	if err != nil {
		b.seq, b.head = seq, head
	}
	for _, j := range jobs {
		if j.done == nil {
			continue
		}
		if j.err == nil {
			j.err = err
		}
		j.done <- j.err
	}
}

// transact uses a background context: a caller who leaves must not undo what
// others wait for.
func (b *batch) transact(jobs []*job) (err error) {
	ctx := context.Background()
	if _, err := b.q.exec(ctx, "BEGIN IMMEDIATE"); err != nil {
		return fmt.Errorf("beginning a transaction: %w", err)
	}
	defer func() {
		if err == nil {
			return
		}
		// SQLite ends the transaction itself on some errors, a full disk
		// among them; then there is nothing left to roll back.
		_, _ = b.q.exec(ctx, "ROLLBACK")
	}()
	for _, j := range jobs {
		if err := b.runJob(ctx, j); err != nil {
			return err
		}
	}
	for _, j := range jobs {
		if j.err != nil {
			continue
		}
		for _, e := range j.tx.entries {
			if err := b.link(ctx, e); err != nil {
				return err
			}
		}
	}
	if _, err := b.q.exec(ctx, "COMMIT"); err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	return nil
}

// runJob runs one job inside a savepoint, so that its failure undoes nothing
// else. The error it returns is the batch's, not the job's.
func (b *batch) runJob(ctx context.Context, j *job) error {
	if j.err = j.ctx.Err(); j.err != nil {
		return nil //nolint:nilerr // it is the job's
	}
	if _, err := b.q.exec(ctx, "SAVEPOINT job"); err != nil {
		return fmt.Errorf("beginning a write: %w", err)
	}
	j.tx = Tx{Queries: b.q}
	if j.err = guard(j.fn, &j.tx); errors.Is(j.err, ErrFull) {
		return j.err // SQLite has rolled the whole transaction back
	}
	if j.err != nil {
		if _, err := b.q.exec(ctx, "ROLLBACK TO job"); err != nil {
			return fmt.Errorf("undoing a write: %w", err)
		}
	}
	if _, err := b.q.exec(ctx, "RELEASE job"); err != nil {
		return fmt.Errorf("ending a write: %w", err)
	}
	return nil
}

// guard turns a panic in one job into its error: the writer serves everybody.
func guard(fn func(*Tx) error, tx *Tx) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("store: a write panicked: %T", r) // not its text, which may quote a row
		}
	}()
	return fn(tx)
}

// link gives an event its place: its number and the hash that covers it and
// everything before it.
func (b *batch) link(ctx context.Context, e Entry) error {
	seq := b.seq + 1
	head := chain(b.head, seq, e)
	if _, err := b.q.exec(ctx, "INSERT INTO audit_events (seq, org_id, body, hash) VALUES ($1, $2, $3, $4)",
		seq, e.Org, e.Body, head); err != nil {
		return fmt.Errorf("appending to the audit log: %w", err)
	}
	b.seq, b.head = seq, head
	return nil
}

// chain is the hash of an event: SHA-256 over the hash before it, its number,
// its organization and its body, each with its length.
func chain(prev []byte, seq int64, e Entry) []byte {
	h := sha256.New()
	h.Write(prev)
	var n [8]byte
	for _, part := range [][]byte{binary.BigEndian.AppendUint64(nil, uint64(seq)), []byte(e.Org), e.Body} {
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		h.Write(n[:])
		h.Write(part)
	}
	return h.Sum(nil)
}

// loadHead reads where the chain stands.
func (b *batch) loadHead(ctx context.Context) error {
	head, err := one(ctx, b.q, func(row scanner) (head []byte, err error) { return head, row(&b.seq, &head) },
		"SELECT seq, hash FROM audit_events ORDER BY seq DESC LIMIT 1")
	if errors.Is(err, ErrNotFound) {
		head, err = make([]byte, sha256.Size), nil
	}
	if err != nil {
		return fmt.Errorf("reading the head of the audit log: %w", err)
	}
	b.head = head
	return nil
}
