package store

import (
	"context"
	"errors"
	"slices"
	"time"
)

// WriteFault is why the newest transaction that was to make something durable failed.
type WriteFault struct {
	Err error
	// At is when it failed.
	At time.Time
}

// WriteFault returns what the newest transaction failed with, or nil where one after it was made
// durable. That the node is without its lease is none, nor is the failure of one function alone.
func (db *DB) WriteFault() *WriteFault { return db.fault.Load() }

// TryWrite writes a row of the schema's versions as it is. It finds out whether the database takes
// writes again where nobody else writes, and then there is no [WriteFault] any more.
func (db *DB) TryWrite(ctx context.Context) error {
	return db.Write(ctx, func(tx *Tx) error {
		return tx.execChanging(ctx, "UPDATE "+versionTable+" SET is_applied = is_applied WHERE version_id = 0")
	})
}

// noteFault keeps why a transaction failed, and forgets it after one that has made something
// durable: one in which there is nothing to write works on a full disk too.
func (db *DB) noteFault(jobs []*job, err error) {
	switch {
	case errors.Is(err, ErrFenced):
	case err != nil:
		db.fault.Store(&WriteFault{err, time.Now()})
	case !db.batch.same(db.batch.base) || slices.ContainsFunc(jobs, changed):
		db.fault.Store(nil)
	}
}

// changed reports whether a job in a transaction that is durable has changed something.
func changed(j *job) bool { return j.err == nil && j.tx.changed }
