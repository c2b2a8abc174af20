package server

import (
	"context"
	"encoding/base64"
	"net/http"
	"strconv"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/wire"
)

func (s *Server) auditRoutes() []web.Route {
	filter := []string{
		"workspaceId", "runtimeId", "action", "object", "outcome", "decision", "capability", "credential",
		"since", "until", "after", "before",
	}
	return []web.Route{
		web.Endpoint("GET /v1/audit", access.AuditRead, s.listAudit, append(filter, "limit", "cursor")...),
		web.Endpoint("GET /v1/audit/verify", access.AuditRead, s.verifyAudit),
		web.Raw("GET /v1/audit/export", access.AuditRead, s.exportAudit, filter...),
		web.Raw("GET /v1/audit/stream", access.AuditRead, s.streamAudit, filter...),
	}
}

// auditFilter reads from the query which events are asked for.
func auditFilter(rq *web.Request) (f bctrl.AuditFilter, err error) {
	q := rq.Query
	f = bctrl.AuditFilter{
		WorkspaceID: q.Get("workspaceId"),
		RuntimeID:   q.Get("runtimeId"),
		Action:      q.Get("action"),
		Object:      q.Get("object"),
		Outcome:     q.Get("outcome"),
		Decision:    bctrl.AuditDecision(q.Get("decision")),
		Capability:  q.Get("capability"),
		Credential:  q.Get("credential"),
	}
	if f.Decision != "" && f.Decision != bctrl.AuditAllowed && f.Decision != bctrl.AuditDenied {
		return f, web.Invalid("request.parameter", "decision", "decision must be allow or deny")
	}
	for i, to := range []*time.Time{&f.Since, &f.Until} {
		name := []string{"since", "until"}[i]
		if !q.Has(name) {
			continue
		}
		if *to, err = time.Parse(time.RFC3339, q.Get(name)); err != nil {
			return f, web.Invalid("request.parameter", name, name+" must be a time, as RFC 3339 has it")
		}
		if to.IsZero() {
			*to = to.Add(1) // the zero time is no bound
		}
	}
	if f.After, err = rq.Integer("after", 0, 0, 1<<53); err != nil {
		return f, err
	}
	f.Before, err = rq.Integer("before", 0, 1, 1<<53) // before the first event there is none
	return f, err
}

func (s *Server) listAudit(
	ctx context.Context, rq *web.Request, _ web.None,
) (list wire.List[bctrl.AuditEvent], err error) {
	limit, cursor, err := rq.Page()
	if err != nil {
		return list, err
	}
	from := int64(0)
	if cursor != "" {
		if from, err = strconv.ParseInt(cursor, 10, 64); err != nil || from < 1 {
			return list, web.Invalid("request.cursor", "cursor", "the cursor is not one that this server gave")
		}
	}
	filter, err := auditFilter(rq)
	if err != nil {
		return list, err
	}
	if err := rq.Authorize(""); err != nil {
		return list, err
	}
	if err := s.upToNow(ctx, &filter); err != nil {
		return list, err
	}
	page, err := audit.List(ctx, s.DB.Read(), rq.Caller.Org, filter, false, from, limit)
	list.Plural, list.Items = wire.AuditEvents, page.Events
	if page.Next != 0 {
		list.NextCursor = base64.RawURLEncoding.EncodeToString(strconv.AppendInt(nil, page.Next, 10))
	}
	return list, err
}

// catchUp writes to the audit log what is not there yet: outcomes, which are written a
// little later than they are known, and refusals of strangers, which are counted. So
// whoever has been answered finds in the log what the answer was about.
func (s *Server) catchUp(ctx context.Context) {
	s.Strangers.Flush(ctx)
	if err := s.DB.CatchUp(ctx); err != nil && ctx.Err() == nil { // what there is can be read all the same
		s.Log.Error("the audit log is read without events that cannot be written", "error", err)
	}
}

// upToNow has a filter ask for what the log has by now, to which nothing is added before its end.
func (s *Server) upToNow(ctx context.Context, f *bctrl.AuditFilter) error {
	s.catchUp(ctx)
	now, err := s.DB.Settled(ctx)
	if err == nil && (f.Before == 0 || f.Before > now+1) {
		f.Before = now + 1
	}
	return err
}

// verifyAudit verifies the log of all organizations, and tells the caller about its
// own. It reads everything, so that one request does at a time.
func (s *Server) verifyAudit(ctx context.Context, rq *web.Request, _ web.None) (out bctrl.AuditReport, err error) {
	if err := rq.Authorize(""); err != nil {
		return out, err
	}
	select {
	case s.verifying <- struct{}{}:
		defer func() { <-s.verifying }()
	case <-ctx.Done():
		return out, ctx.Err()
	}
	s.catchUp(ctx)
	report, err := s.Custody.Verify(ctx)
	if err != nil {
		return out, err
	}
	return report.For(rq.Caller.Org), nil
}

// exportAudit writes the events up to now, oldest first, a line of JSON each.
func (s *Server) exportAudit(w http.ResponseWriter, rq *web.Request) error {
	filter, err := auditFilter(rq)
	if err != nil {
		return err
	}
	if err := rq.Authorize(""); err != nil {
		return err
	}
	if err := s.upToNow(rq.Context(), &filter); err != nil { // it ends, however fast the log grows
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/jsonl")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	return audit.Export(rq.Context(), s.DB.Read(), rq.Caller.Org, filter, w)
}
