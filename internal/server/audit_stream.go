package server

import (
	"errors"
	"net/http"
	"time"

	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// streamBatch is how many events are read at a time. A slow reader costs no more memory
// than these.
const streamBatch = 256

// streamAudit sends events as they are recorded. One whose outcome is recorded later is
// sent a second time, with it. The stream goes on after the event that Last-Event-ID
// or after names; without either it begins with the next one.
func (s *Server) streamAudit(w http.ResponseWriter, rq *web.Request) error {
	filter, err := auditFilter(rq)
	if err != nil {
		return err
	}
	if err := rq.Authorize(""); err != nil {
		return err
	}
	s.catchUp(rq.Context())
	position, err := s.DB.Settled(rq.Context())
	if err != nil {
		return err
	}
	if rq.Query.Has("after") {
		position = filter.After
	}
	last, given, err := rq.LastEventID()
	if err != nil {
		return err
	}
	if given {
		position = last
	}
	filter.After = 0 // an event from before may still get its outcome
	st := web.OpenStream(w)
	if err := st.Begin(position); err != nil {
		return st.Close(err)
	}
	ctx := rq.Context()
	return st.Close(s.Follow(ctx, st, func() (<-chan struct{}, error) {
		for {
			settled, moved, err := s.DB.FollowSettled(ctx)
			var entries []audit.Entry
			if err == nil {
				entries, err = audit.Since(ctx, s.DB.Read(), rq.Caller.Org, position, settled, streamBatch)
			}
			if errors.Is(err, store.ErrUnavailable) { // nothing is missed by asking again
				return afterOutage(), nil
			}
			if err != nil {
				return nil, err
			}
			for _, e := range entries {
				position = e.Position
				if !audit.Matches(filter, e.AuditEvent) {
					continue
				}
				data, err := audit.Encode(e.AuditEvent)
				if err != nil {
					return nil, err
				}
				if err := st.Send(position, "audit", data); err != nil {
					return nil, err
				}
			}
			if len(entries) < streamBatch {
				position = max(position, settled)
				return moved, nil
			}
			select {
			case <-s.StreamsEnd():
				return moved, nil
			case <-ctx.Done():
				return moved, nil
			default:
			}
		}
	}))
}

// afterOutage is closed when a database that was away is asked again.
func afterOutage() <-chan struct{} {
	again := make(chan struct{})
	time.AfterFunc(time.Second, func() { close(again) })
	return again
}
