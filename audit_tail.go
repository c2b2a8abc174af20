package bctrl

import (
	"context"
	"encoding/json"
	"io"
	"iter"
	"net/http"
)

// Tail ranges over events as they come, until the context ends; the last error
// is then the context's. An event whose outcome comes later is there twice: at
// once, with the empty Outcome, and again with its outcome. It begins with what
// comes next, or after the number filter.After. A connection that breaks is
// made anew and goes on where it broke; an error ends it only when the server
// refuses, or cannot be reached at first.
//
// Access: audit.read
func (s *AuditService) Tail(ctx context.Context, filter AuditFilter, opts ...CallOption) iter.Seq2[AuditEvent, error] {
	return func(yield func(AuditEvent, error) bool) {
		f := feed[AuditEvent]{
			via: s.via,
			request: request{
				method: http.MethodGet,
				path:   pathAuditStream,
				query:  queryOf(filter.pairs()...),
				slow:   true,
				opts:   opts,
			},
			decode: func(text []byte) (e AuditEvent, err error) { return e, json.Unmarshal(text, &e) },
		}
		f.all(ctx)(yield)
	}
}

// Export writes the events that the filter selects to w, oldest first, each a
// line of JSON as [AuditEvent] has it. It ends with the newest of when it
// began. An export that breaks off is an error; what was written until then is
// whole but for its last line.
//
// Access: audit.read
func (s *AuditService) Export(ctx context.Context, w io.Writer, filter AuditFilter, opts ...CallOption) error {
	ctx, cancel := bounded(ctx, opts)
	defer cancel()
	resp, err := s.via().open(ctx, &request{
		method: http.MethodGet,
		path:   pathAuditExport,
		query:  queryOf(filter.pairs()...),
		slow:   true,
		opts:   opts,
	})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body := &reading{r: resp.Body}
	if _, err := io.Copy(w, body); body.err == nil {
		return err // the writer's own
	}
	e := &Error{
		Code:      "audit.broken_export",
		Message:   "the export broke off",
		Retryable: true,
		cause:     withoutURL(body.err),
	}
	if ctx.Err() != nil {
		e = endedBy(ctx)
	}
	e.Method, e.PathTemplate = http.MethodGet, pathAuditExport
	return e
}

// reading remembers why reading ended early.
type reading struct {
	r   io.Reader
	err error
}

// Read implements [io.Reader].
func (r *reading) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}
