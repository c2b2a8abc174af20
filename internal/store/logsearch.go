package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
)

// Indexed is up to which event a search need not read the log itself. On PostgreSQL that
// is the newest one.
func (db *DB) Indexed() int64 {
	if db.index == nil {
		return db.Head().Seq
	}
	seq, err := db.queries.IndexedTo(context.Background())
	if err != nil {
		return 0
	}
	return seq
}

// searched is an index as one search, or one snapshot, reads it. Where there is no file yet, or
// none to be read, only the newest entries are at hand.
type searched struct {
	// q reads the index, each statement in whatever state it then is in, but for those of a snapshot.
	q        Queries
	file     *openIndex
	follow   *logIndex
	snapshot bool
}

// search is the index for one search.
func (x *logIndex) search() *searched {
	<-x.looked
	s := &searched{follow: x, file: x.opened.Load()}
	if s.file != nil {
		s.q = s.file.read
	}
	return s
}

func (q Queries) searched() *searched {
	if q.index == nil {
		return nil
	}
	return q.index()
}

func (s *searched) has() bool { return s != nil && s.file != nil }

// failed has an index opened again that could not be read, or made anew where it is damaged. That
// a search was cancelled says nothing of it.
func (s *searched) failed(ctx context.Context, why error) {
	if ctx.Err() != nil {
		return
	}
	if _, damaged := errors.AsType[*indexDamageError](indexError(why)); damaged {
		s.follow.damaged.Store(s.file)
	}
	if s.follow.opened.CompareAndSwap(s.file, nil) {
		select {
		case s.follow.look <- struct{}{}:
		default: // it is about to look
		}
	}
}

// newestAfter are the rows after an entry that are at hand, and up to which entry they are not.
func (s *searched) newestAfter(seq int64) (rows []IndexRow, unread int64) {
	if s == nil {
		return nil, math.MaxInt64
	}
	rows, _, known := s.follow.newest.after(seq)
	if known {
		return rows, 0
	}
	return rows, s.follow.newest.from()
}

// snapshot calls fn with the index in one state, which is not ahead of a state of the log that
// is looked at within fn. One that cannot be read is what its reader finds.
func (x *logIndex) snapshot(ctx context.Context, fn func(index func() *searched) error) (err error) {
	none := func() *searched { return nil }
	if x == nil {
		return fn(none)
	}
	s := x.search()
	if !s.has() {
		return fn(none)
	}
	q, end, err := s.file.beginReading(ctx)
	if err != nil {
		return fn(none) // it was closed for a new one
	}
	defer func() { err = errors.Join(err, end()) }()
	s.q, s.snapshot = q, true
	_, _ = s.at(ctx) // which takes the state
	return fn(func() *searched { return s })
}

// inOneState calls fn with queries that all see the index in one state.
func (s *searched) inOneState(ctx context.Context, fn func(Queries) error) (err error) {
	if s.snapshot {
		return fn(s.q)
	}
	q, end, err := s.file.beginReading(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	return fn(q)
}

// beginReading gives queries that all see the index in the state of the first.
func (f *openIndex) beginReading(ctx context.Context) (q Queries, end func() error, err error) {
	conn, err := f.reader.Conn(ctx)
	if err != nil {
		return q, nil, err
	}
	if _, err := conn.ExecContext(ctx, "BEGIN DEFERRED"); err != nil {
		return q, nil, errors.Join(err, conn.Close())
	}
	statements := newStatements(conn)
	return Queries{prepare: statements.get}, func() error {
		_, _ = conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK") // SQLite may have done so itself
		return errors.Join(statements.close(), conn.Close())
	}, nil
}

func (s *searched) at(ctx context.Context) (int64, error) {
	at, err := one(ctx, s.q, scanIndexPlace, "SELECT "+placeColumns+" FROM audit_index_place")
	if err != nil {
		return 0, fmt.Errorf("reading the index of the log: %w", err)
	}
	return at.seq, nil
}

// numbers are those of the events that a range names, of those that are indexed, and up to where that
// is. Both are of one moment.
func (s *searched) numbers(ctx context.Context, r EventRange) (indexed int64, numbers []int64, err error) {
	err = s.inOneState(ctx, func(q Queries) error {
		runs, at, err := readRuns(ctx, q)
		if err != nil {
			return err
		}
		if !r.Ascending {
			slices.Reverse(runs)
		}
		indexed = at.seq
		for _, run := range runs {
			if run.last <= r.After || r.By != ByOutcome && (run.after >= r.Before-1 || len(numbers) >= r.Limit) {
				continue // what is found by an outcome may be in any of those that come later
			}
			found, err := run.numbers(ctx, q, r)
			if err != nil {
				return err
			}
			numbers = append(numbers, found...)
		}
		return nil
	})
	return indexed, numbers, err
}

// numbersIn finds the numbers of the events in a range, in their order, of which there may be
// no more than its limit: those that the index has, and those that it has not seen yet.
func (q Queries) numbersIn(ctx context.Context, r EventRange) ([]int64, error) {
	if q.on.remote() {
		query, args := r.numbersQuery()
		return many(ctx, q, func(row scanner) (n int64, err error) { return n, row(&n) }, query, args...)
	}
	var indexed int64
	var numbers []int64
	s := q.searched()
	if s.has() {
		var err error
		if indexed, numbers, err = s.numbers(ctx, r); err != nil {
			s.failed(ctx, err)
			indexed, numbers = 0, nil
		}
	}
	rows, unread := s.newestAfter(indexed)
	for _, row := range rows {
		if number, is := r.picks(row); is {
			numbers = append(numbers, number)
		}
	}
	if indexed < unread {
		read, err := q.numbersBetween(ctx, r, indexed, unread)
		if err != nil {
			return nil, err
		}
		numbers = append(numbers, read...)
	}
	slices.Sort(numbers)
	numbers = slices.Compact(numbers)
	if !r.Ascending {
		slices.Reverse(numbers)
	}
	return numbers[:min(len(numbers), r.Limit)], nil
}

// numbersBetween finds the numbers of the events in a range among the entries after one and up
// to another, by reading them.
func (q Queries) numbersBetween(ctx context.Context, r EventRange, after, to int64) (numbers []int64, err error) {
	if r.By != ByOutcome { // an outcome may come long after the event that it is of
		after, to = max(after, r.After), min(to, r.Before)
	}
	order := "ORDER BY a.seq"
	if r.By == ByNumber { // for which no entry has to be looked into
		order = "AND COALESCE(a.intent, 0) = 0 " + order
		if !r.Ascending {
			order += " DESC"
		}
		order += " LIMIT " + strconv.Itoa(r.Limit+1) // one may be the bound itself
	}
	err = each(ctx, q, scanStoredEntry, func(e StoredEntry) error {
		e.Terms = TermsOf(e.Body)
		if row, is := termRow(e.Entry); is {
			if number, is := r.picks(row); is {
				numbers = append(numbers, number)
			}
		}
		return nil
	}, "SELECT "+entryColumns+" FROM audit_events a WHERE a.seq > $1 AND a.seq <= $2 AND a.org_id = $3 "+order,
		after, to, r.Org)
	return numbers, err
}

// IndexRow is what the index of the log says of an entry.
type IndexRow struct {
	Seq    int64
	Org    string
	Intent int64
	Terms
}

// IndexedTo is the last entry that the index of the log has seen. Those after it are found
// all the same.
func (q Queries) IndexedTo(ctx context.Context) (int64, error) {
	if q.on.remote() {
		return math.MaxInt64, nil
	}
	s := q.searched()
	if !s.has() {
		return 0, nil
	}
	at, err := s.at(ctx)
	if err != nil {
		s.failed(ctx, err)
	}
	return at, err
}

// IndexRows lists what the log on PostgreSQL says beside the entries after one, as many as the limit.
func (q Queries) IndexRows(ctx context.Context, after int64, limit int) ([]IndexRow, error) {
	return many(ctx, q, func(row scanner) (r IndexRow, err error) {
		return r, row(&r.Seq, &r.Org, &r.Intent, &r.Workspace, &r.Runtime, &r.Action, &r.Object, &r.Denied, &r.Outcome)
	}, `SELECT seq, org_id, COALESCE(intent, 0), COALESCE(workspace_id, ''), COALESCE(runtime_id, ''),
		COALESCE(action, ''), COALESCE(object, ''), COALESCE(denied, FALSE), COALESCE(outcome, '')
		FROM audit_events WHERE seq > $1 ORDER BY seq LIMIT $2`, after, limit)
}
