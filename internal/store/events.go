package store

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/tuple"
)

const eventColumns = "org_id, seq, runtime_id, at, body, proof"

// eventRow is an event as it is stored: what it is lies in its body, and the columns
// beside it are indexes of that.
type eventRow struct {
	runtime string
	seq, at int64
	body    string
}

func (r *eventRow) cells(org string) tuple.Encoding {
	return cellsOf(KindEvent).Text(org, r.runtime, r.body).Number(r.seq, r.at)
}

// scanEvent reads an event. It is proven as a row that has ended, which nothing
// changes any more: so it is written and read also while the server is locked.
func scanEvent(row scanner) (e bctrl.Event, p provenRow, err error) {
	var r eventRow
	if err := row(&p.org, &r.seq, &r.runtime, &r.at, &r.body, &p.proof); err != nil {
		return e, p, err
	}
	p.kind, p.uid, p.cells, p.ended = KindEvent, r.runtime, r.cells(p.org), true
	return e, p, json.Unmarshal([]byte(r.body), &e)
}

// HappenedRange selects events of one organization, the oldest first.
type HappenedRange struct {
	Org string
	// Runtime selects those of one; empty is all.
	Runtime string
	// After is the number that comes before the first.
	After int64
	Limit int
}

// Happened lists events.
func (q Queries) Happened(ctx context.Context, r HappenedRange) ([]bctrl.Event, error) {
	query := "SELECT " + eventColumns + " FROM events WHERE org_id = $1 AND seq > $2"
	args := []any{r.Org, r.After, r.Limit}
	if r.Runtime != "" {
		query += " AND runtime_id = $4"
		args = append(args, r.Runtime)
	}
	return many(ctx, q, checked(q, scanEvent), query+" ORDER BY seq LIMIT $3", args...)
}

// EventBounds returns the numbers of the oldest event of an organization that is kept
// and of the newest; both are 0 where there never was one.
func (q Queries) EventBounds(ctx context.Context, org string) (oldest, newest int64, err error) {
	number := func(row scanner) (n int64, err error) { return n, row(&n) }
	if newest, err = one(ctx, q, number,
		"SELECT COALESCE(MAX(seq), 0) FROM events WHERE org_id = $1", org); err != nil {
		return 0, 0, err
	}
	oldest, err = one(ctx, q, number, "SELECT COALESCE(MIN(seq), 0) FROM events WHERE org_id = $1", org)
	return oldest, newest, err
}

// InsertEvent adds an event and returns it with its number, one more than that of the
// event before it in the organization.
func (tx *Tx) InsertEvent(ctx context.Context, org string, e bctrl.Event) (bctrl.Event, error) {
	_, newest, err := tx.EventBounds(ctx, org)
	if err != nil {
		return e, err
	}
	e.Seq, e.Time = newest+1, fromMillis(millis(e.Time))
	body, err := json.Marshal(e)
	if err != nil {
		return e, err
	}
	r := eventRow{
		runtime: e.RuntimeID,
		seq:     e.Seq,
		at:      millis(e.Time),
		body:    string(body),
	}
	proof, err := tx.prove(KindEvent, r.cells(org), true)
	if err != nil {
		return e, err
	}
	_, err = tx.exec(ctx, "INSERT INTO events ("+eventColumns+") VALUES ($1, $2, $3, $4, $5, $6)",
		org, r.seq, r.runtime, r.at, r.body, proof)
	if err == nil {
		tx.happened = append(tx.happened, eventScope{org, e.RuntimeID})
	}
	return e, err
}

// Wake has those woken who watch the events of an organization, on every server, though
// there may be none: something else has happened that they look for.
func (tx *Tx) Wake(org string) { tx.happened = append(tx.happened, eventScope{org: org}) }

// PruneEvents removes the events of an organization that are older than before, or that
// more than keep others follow. The newest always stays: the numbers go on from it.
func (tx *Tx) PruneEvents(ctx context.Context, org string, keep int, before time.Time) error {
	_, newest, err := tx.EventBounds(ctx, org)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, "DELETE FROM events WHERE org_id = $1 AND seq < $2 AND (seq <= $3 OR at < $4)",
		org, newest, newest-int64(keep), millis(before))
	return err
}

// OrganizationsWithEvents lists the organizations that have events from before a time.
func (q Queries) OrganizationsWithEvents(ctx context.Context, before time.Time) ([]string, error) {
	return many(ctx, q, func(row scanner) (org string, err error) { return org, row(&org) },
		"SELECT DISTINCT org_id FROM events WHERE at < $1", millis(before))
}

// eventScope is whose an event is.
type eventScope struct{ org, runtime string }

// watchers are told when events are durable.
type watchers struct {
	mu   sync.Mutex
	open map[*eventWatcher]struct{}
}

type eventWatcher struct {
	scope eventScope
	moved chan struct{} // has an element when there may be more events
}

// WatchEvents returns a channel that has an element when there may be more events of an
// organization, or of one runtime of it, than when it was last received from. An empty
// organization is any. stop ends that.
func (db *DB) WatchEvents(org, runtime string) (moved <-chan struct{}, stop func()) {
	w := &eventWatcher{eventScope{org, runtime}, make(chan struct{}, 1)}
	db.watchers.mu.Lock()
	defer db.watchers.mu.Unlock()
	if db.watchers.open == nil {
		db.watchers.open = map[*eventWatcher]struct{}{}
	}
	db.watchers.open[w] = struct{}{}
	return w.moved, func() {
		db.watchers.mu.Lock()
		defer db.watchers.mu.Unlock()
		delete(db.watchers.open, w)
	}
}

// tell wakes those who watch what happened.
func (ws *watchers) tell(happened []eventScope) {
	if len(happened) == 0 {
		return
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for w := range ws.open {
		if w.wants(happened) {
			w.wake()
		}
	}
}

// tellAll wakes everybody.
func (ws *watchers) tellAll() {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for w := range ws.open {
		w.wake()
	}
}

func (w *eventWatcher) wake() {
	select {
	case w.moved <- struct{}{}:
	default: // it has been woken already
	}
}

func (w *eventWatcher) wants(happened []eventScope) bool {
	for _, of := range happened {
		if (w.scope.org == "" || w.scope.org == of.org) && (w.scope.runtime == "" || w.scope.runtime == of.runtime) {
			return true
		}
	}
	return false
}
