package web

import "github.com/bctrl-go/bctrl/internal/audit"

// ServerEvent is the event of something that the server does of itself.
func ServerEvent(action, object string) audit.Event {
	return audit.Event{
		Caller:   "server",
		Action:   action,
		Object:   object,
		Decision: audit.Allowed,
		Outcome:  audit.OK,
	}
}

// Event is the audit event of this request, its outcome still open.
func (rq *Request) Event() audit.Event {
	e := audit.Event{
		Org:       rq.Caller.Org,
		Parent:    rq.Caller.Parent,
		Caller:    rq.Caller.Name(),
		Action:    string(rq.Route.Verb),
		Object:    rq.Object,
		Decision:  audit.Allowed,
		RequestID: rq.ID,
		TraceID:   rq.TraceID,
	}
	if rt := rq.Caller.Runtime; rt != nil {
		e.Workspace, e.Group, e.Runtime = rt.WorkspaceID, rt.Group, rt.ID
	}
	if rq.Describe != nil {
		rq.Describe(&e)
	}
	return e
}

// MarkRecorded says that the audit log has the request's event, or will have it
// before the request is answered: the kernel writes none.
func (rq *Request) MarkRecorded() { rq.recorded = true }
