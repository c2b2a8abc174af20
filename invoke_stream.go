package bctrl

import (
	"context"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/bctrl-go/bctrl/internal/wire"
)

// InvokeStream is a provider's answer as it comes. Read it to its end, or close
// it, which ends the call.
type InvokeStream struct {
	// Status is the provider's.
	Status int
	// Header, Credential and Tier are as those of [InvokeResponse].
	Header           http.Header
	Credential, Tier string

	// body is a func so that no printer walks into its connection.
	body func() io.ReadCloser
	once sync.Once
	err  error
}

// Stream calls a provider like [CapabilitiesService.Invoke] and returns as soon
// as its answer begins. What the provider sends is passed on at once, so that
// an answer of server-sent events can be read while a model still writes it. An
// answer that breaks off, or that grows beyond what the capability's policy
// permits, ends with an error instead of [io.EOF].
//
// Access: capability.invoke
func (s *CapabilitiesService) Stream(ctx context.Context, inv Invocation, opts ...CallOption) (*InvokeStream, error) {
	return stream(ctx, s.via, nil, inv, opts)
}

func stream(ctx context.Context, via via, as *limits, inv Invocation, opts []CallOption) (*InvokeStream, error) {
	r, err := inv.request(as, opts)
	if err != nil {
		return nil, err
	}
	r.query = url.Values{"stream": {"true"}}
	ctx, cancel := bounded(ctx, opts)
	resp, err := via().open(ctx, r)
	if err != nil {
		cancel()
		return nil, err
	}
	body := &streamed{ctx: ctx, cancel: cancel, body: resp.Body}
	h := resp.Header
	status, err := strconv.Atoi(h.Get(wire.HeaderUpstreamStatus))
	if err != nil {
		_ = body.Close() // there is nothing to read in it
		return nil, &Error{
			Status:       http.StatusBadGateway,
			Code:         "transport.bad_answer",
			Message:      "the answer is not that of an invocation",
			Method:       r.method,
			PathTemplate: r.path,
		}
	}
	out := &InvokeStream{
		Status:     status,
		Header:     h,
		Credential: h.Get(wire.HeaderCredential),
		Tier:       h.Get(wire.HeaderTier),
		body:       func() io.ReadCloser { return body },
	}
	for _, name := range []string{wire.HeaderUpstreamStatus, wire.HeaderCredential, wire.HeaderTier, wire.HeaderRequestID,
		"Date"} {
		h.Del(name)
	}
	return out, nil
}

// Read implements [io.Reader].
func (s *InvokeStream) Read(p []byte) (int, error) { return s.body().Read(p) }

// Close ends the call if it has not ended, and lets go of its connection.
func (s *InvokeStream) Close() error {
	s.once.Do(func() { s.err = s.body().Close() })
	return s.err
}

// Chunks ranges over what comes, as it comes, and closes the stream. A chunk is
// good until the next one.
func (s *InvokeStream) Chunks() iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		defer s.Close()
		buf := make([]byte, 16<<10)
		for {
			n, err := s.Read(buf)
			if n > 0 && !yield(buf[:n], nil) || err == io.EOF {
				return
			}
			if err != nil {
				yield(nil, err)
				return
			}
		}
	}
}

// streamed is the body of a stream, whose errors say how it ended.
type streamed struct {
	ctx    context.Context
	cancel context.CancelFunc
	body   io.ReadCloser
	closed atomic.Bool
	done   error // what every further Read returns
}

// Read implements [io.Reader].
func (s *streamed) Read(p []byte) (int, error) {
	if s.done != nil {
		return 0, s.done
	}
	n, err := s.body.Read(p)
	if err != nil {
		s.done = s.ended(err)
		s.cancel()
	}
	return n, s.done
}

func (s *streamed) ended(err error) error {
	var e *Error
	switch {
	case err == io.EOF:
		return err
	case s.closed.Load():
		e = refusal(http.StatusBadRequest, "invoke.stream_closed", "", "the stream is closed")
	case s.ctx.Err() != nil:
		e = endedBy(s.ctx)
	default:
		e = &Error{
			Code:    "invoke.broken_off",
			Message: "the answer broke off before its end",
			Hint:    "the audit log says why",
			cause:   err,
		}
	}
	e.Method, e.PathTemplate = http.MethodPost, pathInvoke
	return e
}

// Close implements [io.Closer].
func (s *streamed) Close() error {
	s.closed.Store(true)
	s.cancel()
	return s.body.Close()
}
