package calls

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/server/web"
)

// requestBody is the body of a request to a provider. It is read while it is sent.
type requestBody struct {
	src io.Reader
	// held is the whole body where it is in memory, and may be sent twice.
	held []byte
	// length is in bytes, -1 where it is not known.
	length int64
	// limit is in bytes; 0 is none.
	limit int64
	// sent counts bytes.
	sent atomic.Int64
	// failed is why it could not be read to its end.
	failed atomic.Pointer[bctrl.Error]
}

// heldBody is a body that is in memory.
func heldBody(data []byte) *requestBody {
	return &requestBody{src: bytes.NewReader(data), held: data, length: int64(len(data))}
}

// attach makes it the body of an HTTP request.
func (b *requestBody) attach(req *http.Request) {
	if b.length == 0 {
		req.Body = http.NoBody
		return
	}
	req.ContentLength = b.length
	req.Body = io.NopCloser(b)
	if b.held == nil {
		return
	}
	req.GetBody = func() (io.ReadCloser, error) {
		b.sent.Store(0)
		return io.NopCloser(&bodyAgain{bytes.NewReader(b.held), b}), nil
	}
}

// bodyAgain is a body that is sent once more, with a new access token.
type bodyAgain struct {
	io.Reader
	of *requestBody
}

// Read implements [io.Reader].
func (t *bodyAgain) Read(p []byte) (int, error) {
	n, err := t.Reader.Read(p)
	t.of.sent.Add(int64(n))
	return n, err
}

// errBodyBroke is all that the broker gets to see; [callFailure] takes the reason
// from the field failed.
var errBodyBroke = errors.New("the body cannot be read to its end")

// Read implements [io.Reader].
func (b *requestBody) Read(p []byte) (int, error) {
	n, err := b.src.Read(p)
	switch {
	case b.sent.Add(int64(n)) > b.limit && b.limit > 0:
		b.failed.CompareAndSwap(nil, errRequestTooLarge(b.limit))
		return 0, errBodyBroke
	case err != nil && err != io.EOF:
		why := web.ErrAbandoned // the caller left, or sent no whole body
		if known, ok := errors.AsType[*bctrl.Error](err); ok {
			why = known
		}
		b.failed.CompareAndSwap(nil, why)
		return n, errBodyBroke
	}
	return n, err
}

// limitTo bounds the body, and refuses it at once where it is known to be longer.
func (b *requestBody) limitTo(limit int64) error {
	if b.length > limit {
		return errRequestTooLarge(limit)
	}
	b.limit = limit
	return nil
}

// errRequestTooLarge refuses a body that is longer than its limit in bytes.
func errRequestTooLarge(limit int64) *bctrl.Error {
	return web.TooLarge("invoke.request_too_large",
		"the body is longer than the capability permits: "+strconv.FormatInt(limit, 10)+" bytes")
}

// readCloser is a body that reads from one thing and closes another.
type readCloser struct {
	io.Reader
	io.Closer
}
