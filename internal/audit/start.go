package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"

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
// node was ended before, so that no outcome of its own can come any more. Where another
// server has done so meanwhile, nothing is recorded.
func (l *Log) EndNode(ctx context.Context, n store.Node) error {
	intents, err := l.intentsWithoutOutcome(ctx, n.LogFrom, n.ID)
	if err != nil {
		return err
	}
	err = l.db.Write(ctx, func(tx *store.Tx) error {
		if err := tx.SettleNode(ctx, n.ID); err != nil {
			return err
		}
		return appendUnknown(tx, intents)
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// unknownAtOnce is how many intents one transaction ends.
const unknownAtOnce = 1000

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

// intentsWithoutOutcome reads the intents of a node after a number.
func (l *Log) intentsWithoutOutcome(ctx context.Context, from int64, node string) ([]intent, error) {
	var found []intent
	q := l.db.Read()
	last, err := q.LastEvent(ctx)
	for err == nil && from < last {
		var rows []store.StoredEvent
		if rows, err = q.EventsWithoutOutcome(ctx, from, last, 1000); len(rows) == 0 {
			break
		}
		for _, row := range rows {
			var e Event
			if bytes.Contains(row.Body, []byte(node)) && json.Unmarshal(row.Body, &e) == nil && e.Kind == Intent &&
				e.Node == node {
				found = append(found, intent{e, row.Seq})
			}
		}
		from = rows[len(rows)-1].Seq
	}
	if err != nil {
		return nil, fmt.Errorf("reading the audit log: %w", err)
	}
	return found, nil
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
		}
		if _, err := add(tx, &end); err != nil {
			return err
		}
	}
	return nil
}
