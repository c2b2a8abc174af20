package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// Where servers share a database, there are two kinds of transactions. One that changes a
// row runs alone. Those that only decide and append to the log run beside each other, since
// none of them changes what another decides by: they take turns for the end alone, from
// asking where the chain stands to the commit.

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
// lease. What is in doubt is found out where nobody else writes.
func (b *batch) start(ctx context.Context) error {
	statements := b.on.begin
	if b.deciding && b.doubt == nil {
		statements = b.on.decide
	}
	if !b.on.remote() {
		if err := b.run(ctx, statements[0]); err != nil || b.node == "" {
			return err
		}
		_, err := one(ctx, b.q, func(row scanner) (none struct{}, err error) { return none, checkLease(row, 0) },
			b.on.leaseQuery(), b.node)
		if errors.Is(err, ErrNotFound) {
			err = ErrFenced
		}
		return err
	}
	var with pgx.Batch
	for _, s := range statements {
		with.Queue(s)
	}
	b.askForLease(&with, 0)
	return b.send(ctx, &with)
}

// askForLease refuses what is sent where no more than a margin is left of the node's lease.
func (b *batch) askForLease(with *pgx.Batch, margin int64) {
	if b.node != "" {
		with.Queue(b.on.leaseQuery(), b.node).QueryRow(func(row pgx.Row) error { return checkLease(row.Scan, margin) })
	}
}

// takePlace takes the turn on the chain where others append too, and reads where the chain
// stands by now. What this server knows of it must still be in it.
func (b *batch) takePlace(ctx context.Context) error {
	if !b.on.shared {
		return nil
	}
	var with pgx.Batch
	if b.deciding {
		with.Queue(toAppend)
	}
	stands, known := place{head: ZeroHash()}, ZeroHash()
	// A statement of its own, after the lock: it sees what was committed until then.
	with.Queue(placeQuery).Query(func(rows pgx.Rows) (err error) {
		for rows.Next() {
			stands, err = scanPlace(rows.Scan)
		}
		return errors.Join(err, rows.Err())
	})
	if b.base.seq > 0 {
		known = nil
		with.Queue(hashQuery, b.base.seq).Query(func(rows pgx.Rows) (err error) {
			for rows.Next() {
				err = rows.Scan(&known)
			}
			return errors.Join(err, rows.Err())
		})
	}
	b.askForLease(&with, b.leaseMargin.Load())
	if err := b.send(ctx, &with); err != nil {
		return fmt.Errorf("reading the head of the audit log: %w", translate(err))
	}
	if !bytes.Equal(known, b.base.head) {
		return ErrOvertaken
	}
	if b.base = stands; b.seq != stands.seq {
		b.place = stands
		b.publish()
	}
	return nil
}

// end adds rows to the log, tells the other servers, and commits. Others may wait for their
// turn on the chain: on PostgreSQL all of it is sent at once. It gives the driver's own error.
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
		with.Queue(b.on.leaseOrError(), b.node).QueryRow(scanLease)
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
