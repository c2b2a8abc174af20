// Package events keeps what happens in runtimes and to workspaces for a while, numbered
// in each organization, and tells those who follow it.
//
// An event is told once, by the code that makes it happen: by [Hub.Append] in the
// transaction that does, so that both are durable or none, or by [Hub.Tell] where there
// is no transaction. All that is told is in the store, where every reader reads it: one
// who is slow costs the server nothing, and one who comes back goes on where it was.
package events

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

const (
	// defaultKept is how many events of an organization are kept, and keptFor for how
	// long.
	defaultKept = 50_000
	keptFor     = 7 * 24 * time.Hour
	// pruneEvery is how many events of an organization come between two removals of
	// those that are too old or too many.
	pruneEvery = 64
	// maxQueued bounds the events that wait to be written. Beyond them they are counted.
	maxQueued = 4096
	// maxBatch is how many of them are written in one transaction.
	maxBatch = 128
)

// Hub keeps events and answers the route of updates.
type Hub struct {
	*web.Kernel
	// kept is how many events of an organization are kept.
	kept int
	// also is called with each event in the transaction that keeps it; nil does nothing.
	also func(context.Context, *store.Tx, string, bctrl.Event) error

	mu     sync.Mutex
	queue  []queued
	missed map[source]int64 // of events that were not taken
	rates  map[source]*rate
	// told and written count the events that were queued, and those of them that are kept
	// or could not be.
	told, written uint64
	writing       bool       // somebody writes what is queued
	moved         *sync.Cond // written has grown
	closed        bool
}

// source is where events that come too fast come from.
type source struct{ org, workspace, runtime string }

type queued struct {
	org   string
	event bctrl.Event
}

// New makes a hub. kept is how many events of an organization are kept; 0 is 50,000.
func New(k *web.Kernel, kept int) *Hub {
	h := &Hub{
		Kernel: k,
		kept:   cmp.Or(kept, defaultKept),
		missed: map[source]int64{},
		rates:  map[source]*rate{},
	}
	h.moved = sync.NewCond(&h.mu)
	return h
}

// OnAppend has also called with each event and its organization, in the transaction that
// keeps the event. It is called before the first event.
func (h *Hub) OnAppend(also func(context.Context, *store.Tx, string, bctrl.Event) error) {
	h.also = also
}

// Append keeps an event in a transaction. Its ID and, where it has none, its time are
// made.
func (h *Hub) Append(ctx context.Context, tx *store.Tx, org string, e bctrl.Event) error {
	_, err := h.append(ctx, tx, org, e)
	return err
}

// append is Append, and returns the event as it is kept.
func (h *Hub) append(ctx context.Context, tx *store.Tx, org string, e bctrl.Event) (bctrl.Event, error) {
	e.ID = web.NewID()
	if e.Time.IsZero() {
		e.Time = store.Now()
	}
	e, err := tx.InsertEvent(ctx, org, e)
	if err != nil {
		return e, err
	}
	if e.Seq%pruneEvery == 0 {
		if err := tx.PruneEvents(ctx, org, h.kept, e.Time.Add(-keptFor)); err != nil {
			return e, err
		}
	}
	if h.also == nil {
		return e, nil
	}
	return e, h.also(ctx, tx, org, e)
}

// Tell keeps an event soon, after those that were told before, and waits for nothing. Of
// events that come faster than the server takes them, and of those of a runtime whose
// pages make more than ten a second, some are counted instead: readers are told how many
// by a [bctrl.GapEvent].
func (h *Hub) Tell(org string, e bctrl.Event) {
	if e.Time.IsZero() {
		e.Time = store.Now()
	}
	from := source{org, e.WorkspaceID, e.RuntimeID}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	if len(h.queue) >= maxQueued || isOfPages(e.Type) && !h.takeOf(from, e.Time) {
		h.missed[from]++
		return
	}
	if n := h.missed[from]; n > 0 {
		delete(h.missed, from)
		h.enqueue(org, gapOf(from, n))
	}
	h.enqueue(org, e)
	if !h.writing {
		h.writing = true
		go h.write()
	}
}

// enqueue adds an event to those that are written soon. h.mu is held.
func (h *Hub) enqueue(org string, e bctrl.Event) {
	h.queue = append(h.queue, queued{org, e})
	h.told++
}

func gapOf(from source, missed int64) bctrl.Event {
	e := bctrl.NewEvent(store.Now(), bctrl.GapEvent{Missed: missed})
	e.WorkspaceID, e.RuntimeID = from.workspace, from.runtime
	return e
}

// write writes what is queued, and ends when nothing is.
func (h *Hub) write() {
	for {
		h.mu.Lock()
		n := min(len(h.queue), maxBatch)
		if n == 0 {
			h.writing = false
			h.mu.Unlock()
			return
		}
		batch := h.queue[:n:n]
		h.queue = h.queue[n:]
		h.mu.Unlock()
		h.writeBatch(batch)
		h.mu.Lock()
		h.written += uint64(n)
		h.moved.Broadcast()
		h.mu.Unlock()
	}
}

// writeBatch writes events together, and where that fails each by itself: one whose
// organization is gone must not take others with it.
func (h *Hub) writeBatch(batch []queued) {
	if err := h.keep(batch); err == nil || errors.Is(err, store.ErrClosed) {
		return
	}
	for i, q := range batch {
		if err := h.keep(batch[i : i+1]); err != nil && !errors.Is(err, store.ErrClosed) {
			h.Log.Error("an event was not kept", "type", string(q.event.Type), "error", err)
			h.mu.Lock()
			h.missed[source{q.org, q.event.WorkspaceID, q.event.RuntimeID}]++
			h.mu.Unlock()
		}
	}
}

// keep keeps events in one transaction. They remember as what it tried to keep them: one that
// is there already, since the commit of another try was durable and only its answer was lost,
// is not kept twice.
func (h *Hub) keep(batch []queued) error {
	ctx := context.Background()
	return h.DB.Write(ctx, func(tx *store.Tx) error {
		for i := range batch {
			q := &batch[i]
			if is, err := isKept(ctx, tx, *q); err != nil {
				return err
			} else if is {
				continue
			}
			e, err := h.append(ctx, tx, q.org, q.event)
			if err != nil {
				return err
			}
			q.event = e
		}
		return nil
	})
}

// isKept reports whether an event is there as another try would have kept it.
func isKept(ctx context.Context, tx *store.Tx, q queued) (bool, error) {
	if q.event.Seq == 0 {
		return false, nil
	}
	at, err := tx.Happened(ctx, store.HappenedRange{Org: q.org, After: q.event.Seq - 1, Limit: 1})
	return len(at) > 0 && at[0].ID == q.event.ID, err
}

// Flush waits until what was told before is kept, so that what is appended next comes
// after it.
func (h *Hub) Flush() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for told := h.told; h.written < told; {
		h.moved.Wait()
	}
}

// Forget lets go of what was counted for a runtime that has ended, and tells what of it
// was missed.
func (h *Hub) Forget(org, workspace, runtime string) {
	from := source{org, workspace, runtime}
	h.mu.Lock()
	n := h.missed[from]
	delete(h.missed, from)
	delete(h.rates, from)
	h.mu.Unlock()
	if n > 0 {
		h.Tell(org, gapOf(from, n))
	}
}

// Close waits until what was told is kept. What is told from then on is dropped.
func (h *Hub) Close() {
	h.Flush()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
}

// Sweep removes events that are too old, of organizations where nothing happens any
// more.
func (h *Hub) Sweep(ctx context.Context) error {
	before := store.Now().Add(-keptFor)
	orgs, err := h.DB.Read().OrganizationsWithEvents(ctx, before)
	if err != nil {
		return err
	}
	for _, org := range orgs {
		err := h.DB.Write(ctx, func(tx *store.Tx) error { return tx.PruneEvents(ctx, org, h.kept, before) })
		if err != nil {
			return err
		}
	}
	return nil
}
