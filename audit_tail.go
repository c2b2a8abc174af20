package bctrl

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/http"
	"strings"
	"time"
)

const (
	// silence is how long a stream may say nothing: the server says every 15
	// seconds that it is there.
	silence = 45 * time.Second
	// maxStreamLine bounds a line of a stream.
	maxStreamLine = 1 << 20
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
		t := tail{s: s, filter: filter, opts: opts}
		for attempt := 0; ; attempt++ {
			more, err := t.follow(ctx, yield)
			if !more {
				return
			}
			if err == nil {
				attempt = 0
			}
			if err := t.fatal(ctx, err); err != nil {
				yield(AuditEvent{}, err)
				return
			}
			timer := time.NewTimer(s.via().pause(min(attempt, 16), nil))
			select {
			case <-ctx.Done(): // the next connection says so
			case <-timer.C:
			}
			timer.Stop()
		}
	}
}

// tail is the state of one tail over the connections it takes.
type tail struct {
	s         *AuditService
	filter    AuditFilter
	opts      []CallOption
	connected bool
	last      string // id of the newest event
}

// fatal returns the error that ends the tail, if any.
func (t *tail) fatal(ctx context.Context, err error) error {
	e, known := errors.AsType[*Error](err)
	switch {
	case ctx.Err() != nil && err == nil:
		return t.failed(&Error{Code: codeCancelled, Message: "the call was cancelled", cause: ctx.Err()})
	case ctx.Err() != nil, err != nil && !t.connected:
		return err
	case known && !e.Retryable:
		return err
	}
	return nil
}

func (t *tail) failed(e *Error) error {
	e.Method, e.PathTemplate = http.MethodGet, pathAuditStream
	return e
}

// follow reads one connection to its end. More is false when the caller has
// enough; err says why there was no connection.
func (t *tail) follow(ctx context.Context, yield func(AuditEvent, error) bool) (more bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r := &request{
		method: http.MethodGet,
		path:   pathAuditStream,
		query:  queryOf(t.filter.pairs()...),
		slow:   true,
		opts:   t.opts,
	}
	if t.last != "" {
		r.header = http.Header{"Last-Event-Id": {t.last}}
	}
	resp, err := t.s.via().open(ctx, r)
	if err != nil {
		return true, err
	}
	defer resp.Body.Close()
	t.connected = true
	watch := time.AfterFunc(silence, cancel)
	defer watch.Stop()
	for data, err := range t.messages(resp.Body, watch) {
		var e AuditEvent
		if err == nil && json.Unmarshal(data, &e) != nil {
			err = t.failed(&Error{Status: http.StatusBadGateway, Code: "transport.bad_answer",
				Message: "the stream holds something that is no event"})
		}
		if err != nil {
			yield(AuditEvent{}, err)
			return false, nil
		}
		if !yield(e, nil) {
			return false, nil
		}
	}
	return true, nil
}

// messages reads server-sent events until the connection breaks, and remembers
// the id of each.
func (t *tail) messages(body io.Reader, watch *time.Timer) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		lines := bufio.NewScanner(body)
		lines.Buffer(nil, maxStreamLine)
		data, id := "", t.last
		for lines.Scan() {
			watch.Reset(silence)
			name, value, _ := strings.Cut(lines.Text(), ":")
			value = strings.TrimPrefix(value, " ")
			switch {
			case name == "data":
				data = value // events of the log have one line
			case name == "id":
				id = value
			case lines.Text() != "":
			case data == "":
				t.last = id // where the stream begins
			default:
				t.last = id
				if !yield([]byte(data), nil) {
					return
				}
				data = ""
			}
		}
		if errors.Is(lines.Err(), bufio.ErrTooLong) {
			yield(nil, t.failed(&Error{Status: http.StatusRequestEntityTooLarge, Code: "transport.answer_too_large",
				Message: "the stream holds a line that is too long"}))
		}
	}
}

// Export writes the events that the filter selects to w, oldest first, each a
// line of JSON as [AuditEvent] has it. It ends with the newest of when it
// began. An export that breaks off is an error; what was written until then is
// whole but for its last line.
//
// Access: audit.read
func (s *AuditService) Export(ctx context.Context, w io.Writer, filter AuditFilter, opts ...CallOption) error {
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
		Code:         "audit.broken_export",
		Message:      "the export broke off",
		Retryable:    true,
		Method:       http.MethodGet,
		PathTemplate: pathAuditExport,
		cause:        withoutURL(body.err),
	}
	if ctx.Err() != nil {
		e.Code, e.Message, e.Retryable, e.cause = codeCancelled, "the call was cancelled", false, ctx.Err()
	}
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
