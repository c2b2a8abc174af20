package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// Where servers share a database, there are two kinds of transactions. One that changes a
// row runs alone. Those that only decide and append to the log run beside each other, since
// none of them changes what another decides by, and each server appends to a lane of its own.

// errChangesRow ends a function that changes something in a transaction that may not.
var errChangesRow = errors.New("store: what was to decide only changes a row, and is run again")

// Decide is [DB.Write] for a function that reads, decides and appends to the audit log, and
// hardly ever changes a row: where servers share the database, such transactions of all of
// them are underway at once, and no change is. One that changes something all the same is
// run again from its beginning, as Write would run it.
func (db *DB) Decide(ctx context.Context, fn func(*Tx) error) error {
	return db.submit(ctx, &job{ctx: ctx, fn: fn, deciding: true})
}

// writeAll runs the jobs that were gathered, those that decide apart from those that change
// rows where the store is shared. The entries that wait for a transaction go with the first
// that is durable; it returns those for which there was none.
func (db *DB) writeAll(jobs []*job, later []*Entry) []*Entry {
	if !db.on.shared {
		return db.write(jobs, later, false)
	}
	var deciding, changing []*job
	for _, j := range jobs {
		if j.deciding || j.fn == nil {
			deciding = append(deciding, j)
		} else {
			changing = append(changing, j)
		}
	}
	if len(deciding) > 0 {
		later = db.write(deciding, later, true)
		for _, j := range deciding {
			if j.again {
				changing = append(changing, j)
			}
		}
	}
	if len(changing) > 0 {
		later = db.write(changing, later, false)
	}
	return later
}

// fencedNode is the node whose transaction is about to begin.
func (b *batch) fencedNode() string {
	if at := b.fence.Load(); at != nil {
		return *at
	}
	return ""
}

// start begins a transaction of its kind, and refuses it where the node is without its
// lease. What is in doubt is found out where nobody else writes, and so is what
// somebody writes who has no lane.
func (b *batch) start(ctx context.Context) error {
	if !b.on.remote() {
		if err := b.run(ctx, b.on.begin[0]); err != nil || b.node == "" {
			return err
		}
		_, err := one(ctx, b.q, func(row scanner) (none struct{}, err error) { return none, checkLease(row) },
			b.on.leaseQuery(), b.node)
		if errors.Is(err, ErrNotFound) {
			err = ErrFenced
		}
		return err
	}
	if b.on.shared && b.laneNode != b.node {
		b.leaveLane()
	}
	statements := b.on.begin
	if b.deciding && b.doubt == nil && b.lane != 0 {
		statements = b.on.decide
	}
	var with pgx.Batch
	for _, s := range statements {
		with.Queue(s)
	}
	if b.node != "" {
		with.Queue(b.on.leaseQuery(), b.node).QueryRow(func(row pgx.Row) error { return checkLease(row.Scan) })
	}
	if !b.on.shared {
		return b.send(ctx, &with)
	}
	is := b.askWhereItStands(&with)
	if err := b.send(ctx, &with); err != nil {
		return err
	}
	switch {
	case !is.whole:
		return ErrOvertaken
	case b.lane != 0 && is.lane != b.lane: // a database that took over has lost who has it
		b.leaveLane()
		return errConflict
	case b.lane == 0:
		if err := b.findLane(ctx, &is.place); err != nil {
			return err
		}
	}
	b.goOnFrom(is.place)
	return nil
}

// findLane takes a lane for the node, where there is a node and it may have one, and finds
// where that stands. The transaction runs alone.
func (b *batch) findLane(ctx context.Context, stands *place) (err error) {
	var lane int64
	if b.node != "" {
		if lane, err = b.takeLane(ctx); err != nil {
			return fmt.Errorf("taking a lane of the audit log: %w", err)
		}
	}
	if *stands, err = b.q.laneEnd(ctx, lane); err != nil {
		return err
	}
	b.lane, b.laneNode, b.laneTaken = lane, b.node, lane != 0
	return nil
}

// leaveLane has the next transaction find a lane. What is in doubt stays so, and what is known of
// the newest event has still to be there.
func (b *batch) leaveLane() {
	b.lane, b.laneNode, b.laneTaken = 0, "", false
	b.base.seq, b.base.head = 0, ZeroHash()
	b.place = b.base
}

// goOnFrom has the running transaction, and what follows it, append after a place.
func (b *batch) goOnFrom(stands place) {
	moved := stands.newest != b.newest
	b.place, b.base = stands, stands
	if moved {
		b.publish()
	}
}

// undo ends a transaction that has failed. A lane that it took is not the node's.
func (b *batch) undo(ctx context.Context) {
	b.line.undo(ctx)
	if b.laneTaken {
		b.leaveLane()
	}
}

// end adds rows to the log, tells the other servers, and commits. On PostgreSQL all of it is sent
// at once. It gives the driver's own error.
func (b *batch) end(ctx context.Context, rows entryRows, news string) error {
	if !b.on.remote() {
		return b.run(ctx, "COMMIT")
	}
	var with pgx.Batch
	if len(rows.seq) > 0 {
		rows.insert(&with)
	}
	if news != "" {
		with.Queue("SELECT pg_notify("+channel+", $1)", news)
	}
	if b.node != "" {
		with.Queue(b.on.leaseOrError(), b.node, int64(0)).QueryRow(scanLease(ErrFenced))
		with.Queue(b.on.leaseOrError(), b.node, b.leaseMargin.Load()).QueryRow(scanLease(errLeaseEnds))
	}
	with.Queue("COMMIT")
	return b.send(ctx, &with)
}

// send sends statements at once and reads the answers, those after an error not. It gives
// the driver's own error.
func (l *line) send(ctx context.Context, with *pgx.Batch) error {
	ctx, done := context.WithTimeout(ctx, l.on.limit)
	defer done()
	return l.conn.Raw(func(driver any) error {
		conn, ok := driver.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("store: a connection is a %T", driver)
		}
		return conn.Conn().SendBatch(ctx, with).Close()
	})
}
