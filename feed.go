package bctrl

import (
	"bufio"
	"context"
	"errors"
	"io"
	"iter"
	"maps"
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

// feed is a stream of server-sent events that goes on over the connections it takes: one
// that breaks is made anew, and goes on after the last event that came whole. It holds
// nothing: an event is read when the one before it has been taken.
type feed[T any] struct {
	via via
	// request is what asks for the stream; it is sent again for each connection.
	request request
	decode  func(text []byte) (T, error)
	// isLast reports whether the stream is over with an item; nil has no end.
	isLast func(T) bool
	// connected is set once there was a connection.
	connected bool
	last      string // id of the newest event
}

// all ranges over the stream until the context ends, the caller has enough, or the server
// refuses; a server that cannot be reached at first is an error too.
func (f *feed[T]) all(ctx context.Context) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		ctx, cancel := bounded(ctx, f.request.opts)
		defer cancel()
		for attempt := 0; ; attempt++ {
			more, err := f.follow(ctx, yield)
			if !more {
				return
			}
			if err == nil {
				attempt = 0
			}
			if err := f.fatal(ctx, err); err != nil {
				var none T
				yield(none, err)
				return
			}
			timer := time.NewTimer(f.via().pause(min(attempt, 16), nil))
			select {
			case <-ctx.Done(): // the next connection says so
			case <-timer.C:
			}
			timer.Stop()
		}
	}
}

// fatal returns the error that ends the stream, if any.
func (f *feed[T]) fatal(ctx context.Context, err error) error {
	e, known := errors.AsType[*Error](err)
	switch {
	case ctx.Err() != nil && err == nil:
		return f.failed(endedBy(ctx))
	case ctx.Err() != nil, err != nil && !f.connected:
		return err
	case known && !e.Retryable:
		return err
	}
	return nil
}

func (f *feed[T]) failed(e *Error) error {
	e.Method, e.PathTemplate = http.MethodGet, f.request.path
	return e
}

// follow reads one connection to its end. More is false when the caller has
// enough; err says why there was no connection.
func (f *feed[T]) follow(ctx context.Context, yield func(T, error) bool) (more bool, err error) {
	outer := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watch := time.AfterFunc(silence, cancel)
	defer watch.Stop()
	r := f.request
	if f.last != "" {
		r.header = maps.Clone(r.header)
		if r.header == nil {
			r.header = http.Header{}
		}
		r.header["Last-Event-Id"] = []string{f.last}
	}
	resp, err := f.via().open(ctx, &r)
	if err != nil {
		if e, is := errors.AsType[*Error](err); is && e.Status == 0 && ctx.Err() != nil && outer.Err() == nil {
			e.Code, e.Message, e.Retryable, e.cause = "transport.timeout", "no answer in time", true, context.DeadlineExceeded
		}
		return true, err
	}
	defer resp.Body.Close()
	f.connected = true
	watch.Reset(silence)
	for data, err := range f.messages(resp.Body, watch) {
		var item T
		if err == nil {
			if item, err = f.decode(data); err != nil {
				err = f.failed(errBadEvent())
			}
		}
		if err != nil {
			yield(item, err)
			return false, nil
		}
		if !yield(item, nil) || f.isLast != nil && f.isLast(item) {
			return false, nil
		}
	}
	return true, nil
}

// messages reads server-sent events until the connection breaks, and remembers
// the id of each.
func (f *feed[T]) messages(body io.Reader, watch *time.Timer) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		lines := bufio.NewScanner(body)
		lines.Buffer(nil, maxStreamLine)
		data, id := "", f.last
		for lines.Scan() {
			watch.Reset(silence)
			name, value, _ := strings.Cut(lines.Text(), ":")
			value = strings.TrimPrefix(value, " ")
			switch {
			case name == "data":
				data = value // an event has one line
			case name == "id":
				id = value
			case lines.Text() != "":
			case data == "":
				f.last = id // where the stream stands
			default:
				f.last = id
				if !yield([]byte(data), nil) {
					return
				}
				data = ""
			}
		}
		if errors.Is(lines.Err(), bufio.ErrTooLong) {
			yield(nil, f.failed(&Error{Status: http.StatusRequestEntityTooLarge, Code: "transport.answer_too_large",
				Message: "the stream holds a line that is too long"}))
		}
	}
}
