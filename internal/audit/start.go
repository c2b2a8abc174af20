package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"math"

	"github.com/bctrl-go/bctrl/internal/store"
)

// Start records that a server starts. What the one before left without an
// outcome ends as [Unknown]: nobody will ever know.
func (l *Log) Start(ctx context.Context) error {
	q, last := l.db.Read(), l.db.Head().Seq
	before, err := q.Events(ctx, store.EventRange{
		By:     store.ByAction,
		Value:  Started,
		Before: math.MaxInt64,
		Limit:  1,
	})
	if err != nil {
		return fmt.Errorf("reading the audit log: %w", err)
	}
	from := int64(0)
	if len(before) > 0 {
		from = before[0].Seq
	}
	for from < last {
		rows, err := q.EventsWithoutOutcome(ctx, from, last, 1000)
		if err != nil {
			return fmt.Errorf("reading the audit log: %w", err)
		}
		if err := l.endUnknown(ctx, rows); err != nil {
			return err
		}
		if len(rows) == 0 {
			break
		}
		from = rows[len(rows)-1].Seq
	}
	return l.Record(ctx, Event{
		Caller:   "server",
		Action:   Started,
		Decision: Allowed,
		Outcome:  OK,
	})
}

// endUnknown gives the intents among rows their outcome.
func (l *Log) endUnknown(ctx context.Context, rows []store.StoredEvent) error {
	return l.db.Write(ctx, func(tx *store.Tx) error {
		for _, row := range rows {
			var e Event
			if json.Unmarshal(row.Body, &e) != nil || e.Kind != Intent {
				continue
			}
			end := Event{
				Kind:      Outcome,
				Intent:    row.Seq,
				Org:       e.Org,
				Caller:    "server",
				Action:    e.Action,
				Outcome:   Unknown,
				RequestID: e.RequestID,
			}
			if _, err := add(tx, &end); err != nil {
				return err
			}
		}
		return nil
	})
}
