package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/bctrl-go/bctrl/internal/store"
)

// Start records that a server starts which has the log to itself. What the one before left
// without an outcome ends as [Unknown]: nobody will ever know.
func (l *Log) Start(ctx context.Context) error {
	last, err := lastStart(ctx, l.db.Read())
	if err != nil {
		return err
	}
	if err := l.endUnknown(ctx, last.seq, ""); err != nil {
		return err
	}
	return l.Record(ctx, startOf(""))
}

// StartNode records that a server starts as a node of a cluster. What others have underway
// stays theirs; what a server has left that had the log to itself before ends.
func (l *Log) StartNode(ctx context.Context, node string) error {
	last, err := lastStart(ctx, l.db.Read())
	if err != nil {
		return err
	}
	var left []intent
	if last.Object == "" {
		if left, err = l.intentsWithoutOutcome(ctx, last.seq, ""); err != nil {
			return err
		}
	}
	return l.db.Write(ctx, func(tx *store.Tx) error {
		now, err := lastStart(ctx, tx.Queries)
		if err != nil {
			return err
		}
		if now.seq == last.seq { // else another node has started at the same moment
			if err := appendUnknown(tx, left); err != nil {
				return err
			}
		}
		return Append(tx, startOf(node))
	})
}

// startOf is the event of a start, of a node or of a server that is alone.
func startOf(node string) Event {
	return Event{
		Caller:   "server",
		Action:   Started,
		Object:   node,
		Decision: Allowed,
		Outcome:  OK,
	}
}

// lastStart is the newest event that says so itself, with the number 0 where there is none:
// what the index of the log says is not believed.
func lastStart(ctx context.Context, q store.Queries) (last intent, err error) {
	starts, err := q.Events(ctx, store.EventRange{
		By:     store.ByAction,
		Value:  Started,
		Before: math.MaxInt64,
		Limit:  100,
	})
	if err != nil {
		return last, fmt.Errorf("reading the audit log: %w", err)
	}
	for _, row := range starts {
		var e Event
		if json.Unmarshal(row.Body, &e) == nil && e.Action == Started {
			return intent{e, row.Seq}, nil
		}
	}
	return last, nil
}

// EndNode gives the intents that a node has left without an outcome theirs, [Unknown]. The
// node was ended before, so that no outcome of its own can come any more. What another
// server has recorded meanwhile is not recorded again.
func (l *Log) EndNode(ctx context.Context, n store.Node) error {
	intents, err := l.intentsWithoutOutcome(ctx, n.LogFrom, n.ID)
	for err == nil && len(intents) > 0 {
		some := min(unknownAtOnce, len(intents))
		err = l.db.Write(ctx, func(tx *store.Tx) error { // alone, so that no intent gets two
			open, err := withoutOutcome(ctx, tx, intents[:some])
			if err != nil {
				return err
			}
			return appendUnknown(tx, open)
		})
		intents = intents[some:]
	}
	if err != nil {
		return err
	}
	err = l.db.Write(ctx, func(tx *store.Tx) error { return tx.SettleNode(ctx, n.ID) })
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// withoutOutcome leaves out the intents that have an outcome by now.
func withoutOutcome(ctx context.Context, tx *store.Tx, intents []intent) (open []intent, err error) {
	numbers := make([]int64, len(intents))
	for i := range intents {
		numbers[i] = intents[i].seq
	}
	ended, err := tx.WithOutcome(ctx, numbers)
	for _, i := range intents {
		if !slices.Contains(ended, i.seq) {
			open = append(open, i)
		}
	}
	return open, err
}

// NoteSettled notes up to which number no intent of a node lacks its outcome. There [Log.EndNode]
// begins, and reads what was written since, not all since the node came: at some 1.3 µs an event, and
// with no index, which each use of a secret would pay for. It reads each event once, and stops before
// the oldest intent of any node that is underway.
func (l *Log) NoteSettled(ctx context.Context) error {
	q := l.db.Read()
	from, err := q.LogFrom(ctx)
	if err != nil {
		return fmt.Errorf("reading up to where nodes have settled the audit log: %w", err)
	}
	last, err := l.db.Settled(ctx)
	if err != nil {
		return fmt.Errorf("reading the audit log: %w", err)
	}
	settled, err := settledFrom(ctx, q, from, last, readAtOnce)
	if err != nil {
		return fmt.Errorf("reading the audit log: %w", err)
	}
	if settled <= from {
		return nil
	}
	if err := l.db.SetLogFrom(ctx, settled); err != nil {
		return fmt.Errorf("noting up to where nodes have settled the audit log: %w", err)
	}
	return nil
}

// settledFrom is the number before the oldest intent of a node after from that has no outcome, or
// else the last, up to which the log is settled. One statement reads so many at once.
func settledFrom(ctx context.Context, q store.Queries, from, last, atOnce int64) (settled int64, err error) {
	ofNode := func(node string) bool { return node != "" }
	for from < last {
		to, err := q.NumberAfter(ctx, from, last, atOnce)
		if err != nil {
			return from, err
		}
		open, err := openIntents(ctx, q, from, to, intentText, ofNode)
		if err != nil {
			return from, err
		}
		if len(open) > 0 {
			return open[0].seq - 1, nil
		}
		from = to
	}
	return from, nil
}

// unknownAtOnce is how many intents one transaction ends, and readAtOnce how many events
// one statement looks through for them.
const (
	unknownAtOnce = 1000
	readAtOnce    = 10_000
)

// endUnknown gives the intents of a node after a number their outcome.
func (l *Log) endUnknown(ctx context.Context, from int64, node string) error {
	intents, err := l.intentsWithoutOutcome(ctx, from, node)
	for err == nil && len(intents) > 0 {
		n := min(unknownAtOnce, len(intents))
		err = l.db.Write(ctx, func(tx *store.Tx) error { return appendUnknown(tx, intents[:n]) })
		intents = intents[n:]
	}
	return err
}

// intent is an event with its number: an intent that has no outcome, or a start.
type intent struct {
	Event
	seq int64
}

// intentText is in the body of every intent as [Encode] writes it, and of hardly any other
// event: quotes in what callers send are escaped.
const intentText = `"kind":"intent"`

// intentsWithoutOutcome reads the intents of a node after a number.
func (l *Log) intentsWithoutOutcome(ctx context.Context, from int64, node string) ([]intent, error) {
	var found []intent
	q := l.db.Read()
	holding := node
	if node == "" {
		holding = intentText
	}
	last, err := q.LastEvent(ctx)
	for err == nil && from < last {
		var to int64
		if to, err = q.NumberAfter(ctx, from, last, readAtOnce); err != nil {
			break
		}
		var open []intent
		open, err = openIntents(ctx, q, from, to, holding, func(of string) bool { return of == node })
		found, from = append(found, open...), to
	}
	if err != nil {
		return nil, fmt.Errorf("reading the audit log: %w", err)
	}
	return found, nil
}

// openIntents reads the intents in (after, last] that have no outcome, whose body holds a text and
// whose node is asked for, oldest first.
func openIntents(
	ctx context.Context, q store.Queries, after, last int64, holding string, of func(node string) bool,
) (open []intent, err error) {
	rows, err := q.EventsWithoutOutcome(ctx, after, last, holding)
	for _, row := range rows {
		var e Event
		if json.Unmarshal(row.Body, &e) == nil && e.Kind == Intent && of(e.Node) {
			open = append(open, intent{e, row.Seq})
		}
	}
	return open, err
}

// appendUnknown ends intents.
func appendUnknown(tx *store.Tx, intents []intent) error {
	for _, i := range intents {
		end := Event{
			Kind:      Outcome,
			Intent:    i.seq,
			Org:       i.Org,
			Caller:    "server",
			Action:    i.Action,
			Outcome:   Unknown,
			RequestID: i.RequestID,
			TraceID:   i.TraceID,
		}
		if _, err := add(tx, &end); err != nil {
			return err
		}
	}
	return nil
}
