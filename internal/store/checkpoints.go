package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"modernc.org/sqlite"
)

const (
	// checkpointEvery is after how many pages what is in the write-ahead log is moved into the
	// database: 4 MiB, as SQLite has it.
	checkpointEvery = 1000
	// endLogPages are how many pages a log may have, 16 MiB, before the writer ends it. It then has
	// to move what was written during the last pass, at most checkpointRest pages where it can be,
	// and to wait for a sync of the database.
	endLogPages    = 4096
	checkpointRest = 500
	// checkpointPasses bounds how often the log is gone through until no more are left.
	checkpointPasses = 4
	// maxLogPages bounds the log, to 64 MiB: where it has more, the writer itself moves them, and
	// callers wait. It is beyond that only while a reader holds on to what was before.
	maxLogPages = 16384
)

// scrubDelay is how long emptying the write-ahead log waits after a reader was in
// the way: each try costs an fsync. It is tried until it goes well.
const scrubDelay = time.Second

// scrubSoonDelay is how long a login that was replaced stays in the write-ahead log: emptying it
// costs two syncs, and what is written next has to make the file longer.
const scrubSoonDelay = time.Minute

// logBounds are the numbers of pages by which the log is kept short, and how long what was
// replaced stays in it, as above.
type logBounds struct {
	every, end, most int64
	scrubSoon        time.Duration
}

func usualLogBounds() logBounds {
	return logBounds{checkpointEvery, endLogPages, maxLogPages, scrubSoonDelay}
}

// checkpoints move what is in the write-ahead log of a file into the database, so that
// the log stays short: a goroutine does it beside the writer, who would hold up every caller
// with it. The log begins anew once all of it has been moved. While callers write without a
// pause that never happens beside them, and the writer moves the little that is left, once the
// log has grown.
//
// What was committed is durable in the log until then, and SQLite makes the database durable
// before it uses the log again: a kill in between, and a disk that takes nothing more, lose
// nothing.
type checkpoints struct {
	pool *sql.DB // one connection of their own
	logBounds
	// mu is held during a checkpoint, so that none is in the way of another.
	mu         sync.Mutex
	wake, done chan struct{}
	stop       chan struct{} // closed to end the goroutine
	// little is set once so little is left that the writer should move it.
	little atomic.Bool
	// inLog is how many pages the log has, about, and written how many the writer has written.
	inLog, written atomic.Int64
	// woken and tried count the pages that were written since the goroutine was woken, and since
	// the writer itself moved some. They are the writer's.
	woken, tried int64
}

// newCheckpoints begins those of the store in the file at path. All connections to it leave
// them to it: see [storePragmas].
func newCheckpoints(path string, bounds logBounds) (*checkpoints, error) {
	pool, err := open(path, 1, storePragmas())
	if err != nil {
		return nil, err
	}
	c := &checkpoints{
		pool:      pool,
		logBounds: bounds,
		wake:      make(chan struct{}, 1),
		stop:      make(chan struct{}),
		done:      make(chan struct{}),
	}
	go c.run()
	return c, nil
}

// run moves pages whenever it is woken, until close.
func (c *checkpoints) run() {
	defer close(c.done)
	for {
		select {
		case <-c.wake:
		case <-c.stop:
			return
		}
		for range checkpointPasses {
			before := c.written.Load()
			in, left, err := c.move(c.pool)
			if err != nil {
				break // there is another try in as many pages, and the writer bounds the log
			}
			since := c.written.Load() - before
			c.inLog.Store(in + since)
			if left += since; left <= checkpointRest {
				c.little.Store(left > 0 && in+since >= c.end)
				break
			}
		}
	}
}

// close ends the goroutine. The writer has ended.
func (c *checkpoints) close() error {
	if c == nil {
		return nil
	}
	close(c.stop)
	<-c.done
	return c.pool.Close()
}

// after is called by the writer after each transaction, whose error is given, once callers are
// answered.
func (c *checkpoints) after(conn *sql.Conn, err error) {
	if c == nil || conn == nil {
		return
	}
	written := pagesWritten(conn)
	c.written.Add(written)
	c.woken, c.tried = c.woken+written, c.tried+written
	tooLong := c.inLog.Add(written) >= c.most && c.tried >= c.most/16
	// On a full disk there may be room in a log that begins anew.
	if little := c.little.Swap(false); little || tooLong || errors.Is(err, ErrFull) {
		c.tried = 0
		if in, left, err := c.move(conn); err == nil {
			c.inLog.Store(in)
			if left == 0 {
				c.inLog.Store(0)
				c.woken = 0
			}
		}
	}
	if c.woken >= c.every {
		c.woken = 0
		c.moveSoon()
	}
}

// moveSoon wakes the goroutine.
func (c *checkpoints) moveSoon() {
	select {
	case c.wake <- struct{}{}:
	default: // it will be awake
	}
}

// querier is a connection, or a pool of one.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// move moves pages from the write-ahead log into the database, and waits for no reader. It
// returns how many the log had when it began, and how many of these are left to be moved: those
// that readers need where they are.
func (c *checkpoints) move(by querier) (in, left int64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var busy, moved int64
	row := by.QueryRowContext(context.Background(), "PRAGMA wal_checkpoint(PASSIVE)")
	if err := row.Scan(&busy, &in, &moved); err != nil {
		return 0, 0, fmt.Errorf("moving the write-ahead log: %w", translate(err))
	}
	return in, in - moved, nil
}

// pagesWritten is how many pages a connection has written since it was asked before.
func pagesWritten(conn *sql.Conn) (n int64) {
	_ = conn.Raw(func(dc any) error { // which fails only where the connection is gone
		if status, ok := dc.(sqlite.DBStatus); ok {
			pages, _, err := status.Status(sqlite.DBStatusCacheWrite, true)
			n = int64(pages)
			return err
		}
		return nil
	})
	return n
}

// emptyLogInTime is emptyLogWhenDue for what may stay for a while. It is called once callers
// are answered: none waits for it.
func (b *batch) emptyLogInTime() {
	if !b.scrubBy.IsZero() && !time.Now().Before(b.scrubBy) {
		b.scrub = true
		b.emptyLogWhenDue()
	}
}

// emptyLogWhenDue empties the write-ahead log where what was deleted is in it, unless a reader
// was in the way a moment ago.
func (b *batch) emptyLogWhenDue() {
	if !b.scrub || time.Now().Before(b.scrubAt) {
		return
	}
	b.scrub = !b.emptyLog()
	b.scrubAt = time.Time{}
	if !b.scrub {
		b.scrubBy = time.Time{}
		return
	}
	b.scrubAt = time.Now().Add(scrubDelay)
	time.AfterFunc(scrubDelay, b.wake) // nobody may ever write again
}

// emptyLogAfter has the log emptied after a while. After half of it the checkpoints move what is in the
// log, so that little is left to the writer.
func (b *batch) emptyLogAfter(while time.Duration) {
	if by := time.Now().Add(while); b.scrubBy.IsZero() || by.Before(b.scrubBy) {
		b.scrubBy = by
		time.AfterFunc(while/2, b.checkpoints.moveSoon)
		time.AfterFunc(while, b.wake)
	}
}

// emptyLog moves what is in the write-ahead log into the database and cuts the
// log to nothing, if no reader is in the way: it waits for none. PostgreSQL's log is
// its server's, and nothing of it is emptied from here.
func (b *batch) emptyLog() bool {
	if b.on.remote() {
		return true
	}
	ctx := context.Background()
	b.checkpoints.mu.Lock()
	defer b.checkpoints.mu.Unlock()
	if _, err := b.conn.ExecContext(ctx, "PRAGMA busy_timeout(0)"); err != nil {
		return false
	}
	var busy, frames, moved int
	err := b.conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &frames, &moved)
	_, restored := b.conn.ExecContext(ctx, "PRAGMA busy_timeout("+busyTimeout+")")
	if err != nil || restored != nil || busy != 0 {
		return false
	}
	b.checkpoints.inLog.Store(0)
	return true
}
