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
	from, err := l.lastStart(ctx)
	if err != nil {
		return err
	}
	if err := l.endUnknown(ctx, from, ""); err != nil {
		return err
	}
	return l.recordStart(ctx, "")
}

// StartNode records that a server starts as a node of a cluster. What others have underway
// stays theirs.
func (l *Log) StartNode(ctx context.Context, node string) error { return l.recordStart(ctx, node) }

func (l *Log) recordStart(ctx context.Context, node string) error {
	return l.Record(ctx, Event{
		Caller:   "server",
		Action:   Started,
		Object:   node,
		Decision: Allowed,
		Outcome:  OK,
	})
}

// lastStart is the number of the newest event that says so itself, or 0: what the index of the
// log says is not believed.
func (l *Log) lastStart(ctx context.Context) (int64, error) {
	starts, err := l.db.Read().Events(ctx, store.EventRange{
		By:     store.ByAction,
		Value:  Started,
		Before: math.MaxInt64,
		Limit:  100,
	})
	if err != nil {
		return 0, fmt.Errorf("reading the audit log: %w", err)
	}
	for _, row := range starts {
		var e Event
		if json.Unmarshal(row.Body, &e) == nil && e.Action == Started {
			return row.Seq, nil
		}
	}
	return 0, nil
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

// intent is one that has no outcome.
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
