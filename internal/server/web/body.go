package web

import (
	"io"
	"net/http"
	"sync"
	"time"
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
