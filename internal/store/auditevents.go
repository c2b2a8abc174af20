package store

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"
)

// StoredEvent is an event with its outcome, where that is an entry of its own.
type StoredEvent struct {
	Seq  int64
	At   time.Time
	Org  string
	Body []byte
	// OutcomeSeq is 0 while there is none.
	OutcomeSeq  int64
	OutcomeAt   time.Time
	OutcomeBody []byte
}

func scanStoredEvent(row scanner) (e StoredEvent, err error) {
	var at, outcomeAt int64
	err = row(&e.Seq, &at, &e.Org, &e.Body, &e.OutcomeSeq, &outcomeAt, &e.OutcomeBody)
	e.At = fromMillis(at)
	if e.OutcomeSeq != 0 {
		e.OutcomeAt = fromMillis(outcomeAt)
	}
	return e, err
}

// EventIndex is a way to find events without reading the others.
type EventIndex int

// The indexes. ByOutcome finds errors' codes, not "ok".
const (
	ByNumber EventIndex = iota
	ByWorkspace
	ByRuntime
	ByAction
	ByObject
	ByOutcome
	ByDenial
)

// EventRange selects events of one organization.
type EventRange struct {
	Org string
	// By is the index to use, Value what to look for in it.
	By    EventIndex
	Value string
	// After and Before bound the numbers, both excluded.
	After, Before int64
	// Ascending is oldest first.
	Ascending bool
	Limit     int
}

// Events lists events with their outcomes. What the index of the log names is read in the
// log, and is only given where it is of the organization; whether it is what the range asks
// for, its reader sees in it.
func (q Queries) Events(ctx context.Context, r EventRange) ([]StoredEvent, error) {
	numbers, err := q.numbersIn(ctx, r)
	if err != nil || len(numbers) == 0 {
		return nil, err
	}
	list, err := json.Marshal(numbers)
	if err != nil {
		return nil, err
	}
	events, err := many(ctx, q, scanStoredEvent,
		`SELECT a.seq, a.at, a.org_id, a.body, COALESCE(o.seq, 0), COALESCE(o.at, 0), o.body
		FROM audit_events a LEFT JOIN audit_events o ON o.intent = a.seq
		WHERE a.org_id = $1 AND a.seq IN (`+q.on.listedNumbers()+`) ORDER BY a.seq`, r.Org, string(list))
	if !r.Ascending {
		slices.Reverse(events)
	}
	return events, err
}

// numbersQuery is the query of the numbers in the range, in a log that has the terms of events beside it.
func (r EventRange) numbersQuery() (query string, args []any) {
	// The texts are few: statements are prepared once each.
	where, number := "a.org_id = $1", "a.seq"
	args = []any{r.Org, r.After, r.Before, r.Limit, r.Value}
	switch r.By {
	case ByWorkspace:
		where += " AND a.workspace_id = $5"
	case ByRuntime:
		where += " AND a.runtime_id = $5"
	case ByAction:
		where += " AND a.action = $5"
	case ByObject:
		where += " AND a.object = $5"
	case ByOutcome:
		number = "COALESCE(a.intent, a.seq)"
		where += " AND a.outcome = $5"
	case ByDenial:
		where += " AND a.denied"
		args = args[:4]
	case ByNumber:
		where += " AND a.intent IS NULL" // as everything that has what the others look for
		args = args[:4]
	}
	order := " DESC"
	if r.Ascending {
		order = " ASC"
	}
	return "SELECT " + number + " AS number FROM audit_events a WHERE " + where + " AND " + number + " > $2 AND " +
		number + " < $3 ORDER BY " + number + order + " LIMIT $4", args
}

// picks reports whether an entry is what the range looks for, and the number of its event.
func (r EventRange) picks(e IndexRow) (number int64, is bool) {
	number = e.Seq
	if e.Intent != 0 {
		if r.By != ByOutcome {
			return 0, false
		}
		number = e.Intent
	}
	if e.Org != r.Org || number <= r.After || number >= r.Before {
		return 0, false
	}
	switch r.By {
	case ByNumber:
		is = true
	case ByWorkspace:
		is = e.Workspace == r.Value
	case ByRuntime:
		is = e.Runtime == r.Value
	case ByAction:
		is = e.Action == r.Value
	case ByObject:
		is = e.Object == r.Value
	case ByOutcome:
		is = e.Outcome == r.Value
	case ByDenial:
		is = e.Denied
	}
	return number, is
}

// EventsSince lists, for who follows the log, what was appended after seq, up to another
// number, and belongs to the organization: an event when it comes, and once more with its
// outcome when that comes. The number with each is that of the entry that was
// appended.
func (q Queries) EventsSince(ctx context.Context, org string, seq, upTo int64, limit int) ([]StoredEvent, error) {
	return many(ctx, q, scanStoredEvent,
		`SELECT COALESCE(i.seq, a.seq), COALESCE(i.at, a.at), a.org_id, COALESCE(i.body, a.body),
		CASE WHEN i.seq IS NULL THEN 0 ELSE a.seq END, a.at, CASE WHEN i.seq IS NULL THEN NULL ELSE a.body END
		FROM audit_events a LEFT JOIN audit_events i ON i.seq = a.intent
		WHERE a.seq > $1 AND a.seq <= $4 AND a.org_id = $2 ORDER BY a.seq LIMIT $3`, seq, org, limit, upTo)
}

// FirstEventAt returns the number of the first entry that is not before at, or
// the one after the last. Times never go back along the log, but by [Queries.ClockSlack], so
// that a few entries tell.
func (q Queries) FirstEventAt(ctx context.Context, at time.Time) (int64, error) {
	last, err := one(ctx, q, func(row scanner) (n int64, err error) { return n, row(&n) },
		"SELECT seq FROM audit_events ORDER BY seq DESC LIMIT 1")
	if errors.Is(err, ErrNotFound) {
		return 1, nil
	}
	low, high := int64(1), last+1
	for low < high && err == nil {
		middle := low + (high-low)/2
		var then int64
		then, err = one(ctx, q, func(row scanner) (then int64, err error) { return then, row(&then) },
			"SELECT at FROM audit_events WHERE seq >= $1 ORDER BY seq LIMIT 1", middle)
		if then < at.UnixMilli() {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low, err
}

// NumberAfter is the number of the nth entry after one, or last where that comes before.
func (q Queries) NumberAfter(ctx context.Context, after, last, nth int64) (int64, error) {
	if !q.on.remote() { // there are no gaps
		return min(after+nth, last), nil
	}
	return one(ctx, q, func(row scanner) (n int64, err error) { return n, row(&n) },
		"SELECT COALESCE((SELECT seq FROM audit_events WHERE seq > $1 AND seq < $2 ORDER BY seq OFFSET $3 LIMIT 1), $2)",
		after, last, nth-1)
}

// EventsWithoutOutcome lists the events in (after, last] that no outcome names and whose body
// holds a text, oldest first: intents without an outcome, and events that are intent and
// outcome at once.
func (q Queries) EventsWithoutOutcome(ctx context.Context, after, last int64, holding string) ([]StoredEvent, error) {
	holds := "instr(a.body, $3) > 0"
	if q.on.remote() {
		holds = "position($3::bytea IN a.body) > 0"
	}
	return many(ctx, q, scanStoredEvent, `SELECT a.seq, a.at, a.org_id, a.body, 0, 0, NULL FROM audit_events a
		WHERE a.seq > $1 AND a.seq <= $2 AND a.intent IS NULL AND `+holds+` AND NOT EXISTS
			(SELECT 1 FROM audit_events o WHERE o.intent = a.seq)
		ORDER BY a.seq`, after, last, []byte(holding))
}

// WithOutcome lists which of the intents with these numbers have an outcome.
func (q Queries) WithOutcome(ctx context.Context, intents []int64) ([]int64, error) {
	list, err := json.Marshal(intents)
	if err != nil {
		return nil, err
	}
	return many(ctx, q, func(row scanner) (n int64, err error) { return n, row(&n) },
		"SELECT intent FROM audit_events WHERE intent > $1 AND intent IN ("+q.on.listedNumbers()+")", 0, string(list))
}
