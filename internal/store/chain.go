package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/bctrl-go/bctrl/internal/tuple"
)

// Entry is one line of the audit log.
type Entry struct {
	// Seq is its number, from 1, without a gap where one server has the log; set once its
	// transaction is durable.
	Seq int64
	// Org is the organization the event belongs to; empty when the caller
	// could not be told.
	Org string
	// At is when the log took it, in milliseconds; set by the writer, and never
	// back from what the writer knows of the log, whatever the machine's clock does.
	At time.Time
	// Body is the event as JSON. The hash covers Seq, At, Org and Body; the
	// rest indexes Body.
	Body []byte
	// Intent is, of an outcome, the number of its intent; of every other entry
	// 0.
	Intent int64
	// Record names the sealed record that was written: "vault:<uid>".
	Record string
	// Terms are what else the entry is found by. They lie beside the log, see
	// [IndexRow]; one that is read has none.
	Terms

	// Node is, of an outcome, the node of its intent. It is not written, but the entry is
	// dropped where the writer is another node's by then: others have ended the intent.
	Node string

	// durable is set of one that is written later, once it is found in the log after
	// a transaction of which nobody knew.
	durable bool
}

// Append adds an event to the audit log, in the same transaction: it is
// durable if and only if everything else in tx is. It records what tx has
// written since the Append before.
func (tx *Tx) Append(e *Entry) {
	tx.entries = append(tx.entries, e)
	tx.written = nil
}

// Head is where the log stands.
type Head struct {
	Seq int64
	// Hash stands for all of it, see [HeadOf]. Where others write too it is none.
	Hash []byte
	// Moved is closed when there is a newer one.
	Moved <-chan struct{}

	move chan struct{}
}

// Head returns where the log stands on disk, as far as this server knows.
func (db *DB) Head() Head { return *db.batch.durable.Load() }

// publish makes the head of the log known, once it is on disk.
func (b *batch) publish() {
	move := make(chan struct{})
	if before := b.durable.Swap(&Head{
		Seq:   b.newest,
		Hash:  b.wholeHead(),
		Moved: move,
		move:  move,
	}); before != nil {
		close(before.move)
	}
}

// wholeHead is the hash that stands for all of the log, where nobody else writes.
func (b *batch) wholeHead() []byte {
	switch {
	case b.on.shared:
		return nil
	case b.seq == 0:
		return HeadOf(b.others)
	}
	return HeadOf(append([]Lane{{0, b.seq, b.head}}, b.others...))
}

// now is the time of the next transaction.
func (b *batch) now() time.Time {
	now := Now()
	if now.Before(b.at) {
		return b.at
	}
	return now
}

// link gives events their places: to each its number and the hash that covers it and
// everything before it. On PostgreSQL it returns the rows, which [batch.end] adds.
func (b *batch) link(ctx context.Context, entries []*Entry, now time.Time) (rows entryRows, err error) {
	for _, e := range entries {
		e.Seq, e.At = b.nextNumber(b.lane), now
		head := NextHash(b.head, *e)
		if b.on.remote() {
			rows.add(e, head, b.lane, b.seq)
		} else if err := b.q.insertEntry(ctx, e, head); err != nil {
			return rows, fmt.Errorf("appending to the audit log: %w", err)
		}
		b.place = place{e.Seq, head, e.Seq, head, now}
	}
	return rows, nil
}

// insertEntry adds a row to the log.
func (q Queries) insertEntry(ctx context.Context, e *Entry, head []byte) (err error) {
	var intent any
	if e.Intent != 0 {
		intent = e.Intent
	}
	_, err = q.exec(ctx, "INSERT INTO audit_events (seq, at, org_id, body, hash, intent, record) "+
		"VALUES ($1, $2, $3, $4, $5, $6, $7)",
		e.Seq, millis(e.At), e.Org, e.Body, head, intent, orNull(e.Record))
	return err
}

// orNull keeps empty columns out of the indexes.
func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// NextHash is the hash of an event: SHA-256 over the hash before it in its lane, its number
// and its time in milliseconds, then its organization and its body, each after
// its length; numbers are big-endian and have 8 bytes. The hash before the first
// is [ZeroHash].
func NextHash(before []byte, e Entry) []byte {
	covered := append(tuple.New(1<<10), before...) // on the stack, where that is room enough
	hash := sha256.Sum256(covered.Fixed(e.Seq, millis(e.At)).Text(e.Org).Bytes(e.Body))
	return hash[:]
}

// ZeroHash is the hash before the first event.
func ZeroHash() []byte { return make([]byte, sha256.Size) }

// loadHead reads where the chain stands.
func (b *batch) loadHead(ctx context.Context) (err error) {
	if b.on.remote() && !b.on.shared {
		lanes, err := b.q.LanesAt(ctx, math.MaxInt64)
		if err != nil {
			return fmt.Errorf("reading the head of the audit log: %w", err)
		}
		b.others = slices.DeleteFunc(lanes, func(l Lane) bool { return l.Number == 0 })
	}
	if b.place, err = b.q.laneEnd(ctx, b.lane); err == nil {
		if b.index != nil {
			b.index.newest.startAt(b.place)
		}
		b.publish()
	}
	return err
}

// LogEnd is where the log ends in the database. Where others write too, a transaction that
// changes, or a snapshot, sees it as nothing is underway.
func (q Queries) LogEnd(ctx context.Context) (h Head, err error) {
	lanes, err := q.LanesAt(ctx, math.MaxInt64)
	if err != nil {
		return h, fmt.Errorf("reading the head of the audit log: %w", err)
	}
	for _, l := range lanes {
		h.Seq = max(h.Seq, l.Seq)
	}
	h.Hash = HeadOf(lanes)
	return h, nil
}

// LastEvent is the number of the newest event in the database, also where another server
// has written it.
func (q Queries) LastEvent(ctx context.Context) (int64, error) {
	p, err := q.newestEntry(ctx)
	return p.newest, err
}

// Checkpoint is where the chain stood, signed.
type Checkpoint struct {
	Seq int64
	// Previous is the Seq of the checkpoint before; 0 for the first.
	Previous  int64
	Head      []byte
	At        time.Time
	Signature []byte
}

const checkpointColumns = "seq, previous, head, at, signature"

func scanCheckpoint(row scanner) (c Checkpoint, err error) {
	var at int64
	err = row(&c.Seq, &c.Previous, &c.Head, &at, &c.Signature)
	c.At = fromMillis(at)
	return c, err
}

// NewestCheckpoint returns the checkpoint that covers most.
func (q Queries) NewestCheckpoint(ctx context.Context) (Checkpoint, error) {
	return one(ctx, q, scanCheckpoint, "SELECT "+checkpointColumns+" FROM audit_checkpoints ORDER BY seq DESC LIMIT 1")
}

// NextCheckpoint returns the first checkpoint after seq.
func (q Queries) NextCheckpoint(ctx context.Context, seq int64) (Checkpoint, error) {
	return one(ctx, q, scanCheckpoint, "SELECT "+checkpointColumns+" FROM audit_checkpoints WHERE seq > $1 "+
		"ORDER BY seq LIMIT 1", seq)
}

// InsertCheckpoint adds a checkpoint.
func (tx *Tx) InsertCheckpoint(ctx context.Context, c Checkpoint) error {
	_, err := tx.exec(ctx, "INSERT INTO audit_checkpoints (seq, previous, head, at, signature) "+
		"VALUES ($1, $2, $3, $4, $5)",
		c.Seq, c.Previous, c.Head, millis(c.At), c.Signature)
	return err
}

// DeleteCheckpointsAfter removes the checkpoints after seq.
func (tx *Tx) DeleteCheckpointsAfter(ctx context.Context, seq int64) error {
	_, err := tx.exec(ctx, "DELETE FROM audit_checkpoints WHERE seq > $1", seq)
	return err
}

const hashQuery = "SELECT hash FROM audit_events WHERE seq = $1"

// HashAt returns the hash of the event with this number as it is stored, which stands for those of
// its lane.
func (q Queries) HashAt(ctx context.Context, seq int64) ([]byte, error) {
	if seq == 0 {
		return ZeroHash(), nil
	}
	return one(ctx, q, func(row scanner) (hash []byte, err error) { return hash, row(&hash) },
		hashQuery, seq)
}

// StoredEntry is an entry as it lies in the database.
type StoredEntry struct {
	Entry
	Hash []byte
	// Lane is that of its chain, and Previous the number of the event before it there; 0 is none.
	Lane, Previous int64
}

const entryColumns = `a.seq, a.at, a.org_id, a.body, a.hash, COALESCE(a.intent, 0), COALESCE(a.record, '')`

func scanStoredEntry(row scanner) (e StoredEntry, err error) {
	var at int64
	err = row(&e.Seq, &at, &e.Org, &e.Body, &e.Hash, &e.Intent, &e.Record)
	e.At, e.Previous = fromMillis(at), e.Seq-1
	return e, err
}

// scanLaneEntry is [scanStoredEntry] where the log has lanes.
func scanLaneEntry(row scanner) (e StoredEntry, err error) {
	var lane int64
	var previous sql.NullInt64
	e, err = scanStoredEntry(func(dest ...any) error { return row(append(dest, &lane, &previous)...) })
	if e.Lane = lane; previous.Valid {
		e.Previous = previous.Int64
	}
	return e, err
}

// EachEntry calls fn with every entry after seq, in order, one at a time.
func (q Queries) EachEntry(ctx context.Context, seq int64, fn func(StoredEntry) error) error {
	columns, scan := entryColumns, scanStoredEntry
	if q.on.remote() {
		columns, scan = columns+", a.lane, a.previous", scanLaneEntry
	}
	return each(ctx, q, scan, fn, "SELECT "+columns+" FROM audit_events a WHERE a.seq > $1 ORDER BY a.seq", seq)
}

// EachNewestRecord calls fn with the newest event of every record that was ever
// written.
func (q Queries) EachNewestRecord(ctx context.Context, fn func(StoredEntry) error) error {
	return each(ctx, q, scanStoredEntry, fn, "SELECT "+entryColumns+` FROM audit_events a
		WHERE a.seq IN (SELECT max(seq) FROM audit_events WHERE record IS NOT NULL GROUP BY record)`)
}
