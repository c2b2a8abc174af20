package store

import (
	"context"
	"time"
)

// Clocks compares this machine's clock with that of the database: ahead is by how much it is
// ahead, give or take within. Where the database is in a file there is one clock.
func (db *DB) Clocks(ctx context.Context) (ahead, within time.Duration, err error) {
	if !db.on.remote() {
		return 0, 0, nil
	}
	before := time.Now()
	millis, err := one(ctx, db.queries, func(row scanner) (ms int64, err error) { return ms, row(&ms) },
		"SELECT "+db.on.now())
	within = time.Since(before)/2 + time.Millisecond
	return before.Add(within).Sub(time.UnixMilli(millis)), within, err
}
