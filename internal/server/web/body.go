package web

import (
	"cmp"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/bctrl-go/bctrl/internal/strictjson"
)

// endingBody is a request's body that nobody waits for once the request has
// been ended.
type endingBody struct {
	io.ReadCloser
	w *statusWriter

	mu   sync.Mutex
	over bool // nothing of it is left to read
}

func (b *endingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.mu.Lock()
		b.over = true
		b.mu.Unlock()
	}
	return n, err
}

// isOver reports whether nothing of the body is left to read.
func (b *endingBody) isOver() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.over
}

// HasUnreadBody reports whether the request has a body of which the caller may
// still be sending some.
func (rq *Request) HasUnreadBody() bool {
	body, sent := rq.Body.(*endingBody)
	return sent && !body.isOver()
}

// breakOff ends a read that waits. Where the body has been read whole it does
// nothing: net/http reads on behind it, takes a deadline for the client's going
// away, and would have the connection's later requests end as they begin.
func (b *endingBody) breakOff() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over {
		return
	}
	b.w.last.Store(true) // for the end of the body may be read at this moment
	_ = http.NewResponseController(b.w).SetReadDeadline(PastDeadline)
}

// PastDeadline is a deadline that is over.
var PastDeadline = time.Unix(1, 0)

// ReadBody reads the whole body, at most as much as the route takes, within 30
// seconds. What is longer is request.too_large, what does not come to its end
// request.incomplete_body.
func (rq *Request) ReadBody() ([]byte, error) {
	if rq.read != nil {
		return rq.read, nil
	}
	limit := cmp.Or(rq.Route.MaxBody, MaxBody)
	if rq.ContentLength > limit { // told before it is sent, to who asks first
		return nil, &http.MaxBytesError{Limit: limit}
	}
	// A caller who sends a byte a minute must not hold a connection for ever.
	conn := http.NewResponseController(rq.w)
	if err := conn.SetReadDeadline(time.Now().Add(bodyBound)); err == nil {
		defer func() { _ = conn.SetReadDeadline(time.Time{}) }() // it could be set before
	}
	body, err := io.ReadAll(http.MaxBytesReader(rq.w, rq.Body, limit))
	if _, tooLong := errors.AsType[*http.MaxBytesError](err); err == nil || tooLong {
		return body, err
	}
	if why := EndedBecause(rq.Context()); why != nil { // which breaks the body off
		return nil, why
	}
	return nil, TimedOut("request.incomplete_body", "the body broke off, or was too slow: nothing was done")
}

// bodyBound is how long a JSON body may take to arrive.
const bodyBound = 30 * time.Second

// MaxBody bounds a JSON body, in bytes, where its route names no bound of its own.
const MaxBody = 1 << 20

// decode reads the body into In. Requests that take none refuse one.
func decode[In any](rq *Request) (in In, err error) {
	if _, takesNone := any(in).(None); takesNone {
		length := rq.ContentLength
		if length < 0 { // in chunks, of which there may be none
			body, err := rq.ReadBody()
			if err != nil {
				return in, err
			}
			length = int64(len(body))
		}
		if length > 0 {
			return in, Invalid("request.unexpected_body", "", "this request takes no body")
		}
		return in, nil
	}
	if ct := rq.Header.Get("Content-Type"); !IsJSON(ct) {
		return in, Invalid("request.content_type", "", "the body must be application/json")
	}
	body, err := rq.ReadBody()
	if err != nil {
		return in, err
	}
	if err := strictjson.Unmarshal(body, &in); err != nil {
		return in, BadJSON(err)
	}
	return in, nil
}

// IsJSON reports whether a content type is that of JSON, whatever its parameters.
func IsJSON(contentType string) bool {
	mediaType, _, _ := strings.Cut(contentType, ";")
	return strings.EqualFold(strings.TrimSpace(mediaType), "application/json")
}
