package events

import (
	"context"
	"slices"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// readBatch is how many events are read at a time. A slow reader costs no more memory
// than these.
const readBatch = 256

// Filter says which events somebody reads.
type Filter struct {
	Org string
	// Workspace and Runtime select theirs; empty is all.
	Workspace, Runtime string
	// Types select those; none is all. Gaps are always told.
	Types []bctrl.EventType
}

func (f Filter) selects(e bctrl.Event) bool {
	return e.Type == bctrl.EventGap || (f.Workspace == "" || e.WorkspaceID == f.Workspace) &&
		(len(f.Types) == 0 || slices.Contains(f.Types, e.Type))
}

// Reader reads events in order, from a position on.
type Reader struct {
	hub    *Hub
	filter Filter
	// Position is the number of the last event that was read, or looked at.
	Position int64
}

// ReadAfter makes a reader that begins after a number.
func (h *Hub) ReadAfter(f Filter, position int64) *Reader {
	return &Reader{hub: h, filter: f, Position: position}
}

// ReadNew makes a reader of what comes next.
func (h *Hub) ReadNew(ctx context.Context, f Filter) (*Reader, error) {
	h.Flush()
	_, newest, err := h.DB.Read().EventBounds(ctx, f.Org)
	return h.ReadAfter(f, newest), err
}

// ReadRuntime makes a reader of a runtime's events from its first on. Where that is not
// kept any more, it begins with a gap.
func (h *Hub) ReadRuntime(ctx context.Context, f Filter) (*Reader, error) {
	h.Flush()
	// Before the events: what is told in between has a higher number.
	_, newest, err := h.DB.Read().EventBounds(ctx, f.Org)
	if err != nil {
		return nil, err
	}
	first, err := h.DB.Read().Happened(ctx, store.HappenedRange{Org: f.Org, Runtime: f.Runtime, Limit: 1})
	switch {
	case err != nil:
		return nil, err
	case len(first) == 0:
		return h.ReadAfter(f, newest), nil
	case slices.Contains([]bctrl.EventType{bctrl.EventLaunched, bctrl.EventStopped, bctrl.EventFailed}, first[0].Type):
		return h.ReadAfter(f, first[0].Seq-1), nil
	}
	return h.ReadAfter(f, 0), nil
}

// Next returns the next events that the filter selects, in order. None means that there
// are no more now. Where events after the position are not kept any more, a gap is in
// their place.
func (r *Reader) Next(ctx context.Context) (out []bctrl.Event, err error) {
	for {
		_, before, err := r.hub.DB.Read().EventBounds(ctx, r.filter.Org)
		if err != nil {
			return nil, err
		}
		list, err := r.hub.DB.Read().Happened(ctx, store.HappenedRange{
			Org:     r.filter.Org,
			Runtime: r.filter.Runtime,
			After:   r.Position,
			Limit:   readBatch,
		})
		if err != nil {
			return nil, err
		}
		// Once more, after the events: what is kept now was kept when they were read.
		oldest, newest, err := r.hub.DB.Read().EventBounds(ctx, r.filter.Org)
		if err != nil {
			return nil, err
		}
		if e, missed := gap(r.Position, oldest, newest); missed {
			r.Position = e.Seq
			return append(out, e), nil
		}
		for _, e := range list {
			r.Position = e.Seq
			if r.filter.selects(e) {
				out = append(out, e)
			}
		}
		if len(list) < readBatch {
			r.Position = max(r.Position, before) // what is between is others'
			return out, nil
		}
		if len(out) > 0 {
			return out, nil
		}
	}
}

// gap is the event in the place of those after a position that are not kept. It has the
// number of the last of them, after which a reader that comes back goes on. A position
// that the organization has not reached is of another history, such as that of a
// database which was put back: all that there is now comes after it.
func gap(position, oldest, newest int64) (e bctrl.Event, missed bool) {
	var data bctrl.GapEvent
	switch {
	case position > newest:
	case position+1 < oldest:
		data.From, data.To = position+1, oldest-1
	default:
		return e, false
	}
	e = bctrl.NewEvent(store.Now(), data)
	e.ID, e.Seq = web.NewID(), max(oldest-1, 0)
	return e, true
}
