package server

import (
	"net/http"

	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/server/web"
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
	position := s.DB.Head().Seq
	if filter.After != 0 {
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
			head := s.DB.Head()
			entries, err := audit.Since(ctx, s.DB.Read(), rq.Caller.Org, position, streamBatch)
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
				position = max(position, head.Seq)
				return head.Moved, nil
			}
			select {
			case <-s.StreamsEnd():
				return head.Moved, nil
			case <-ctx.Done():
				return head.Moved, nil
			default:
			}
		}
	}))
}
