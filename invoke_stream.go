package bctrl

import (
	"context"
	"errors"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"sync"

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
	resp, err := via().open(ctx, r)
	if err != nil {
		return nil, err
	}
	h := resp.Header
	status, err := strconv.Atoi(h.Get(wire.HeaderUpstreamStatus))
	if err != nil {
		resp.Body.Close()
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
		body:       func() io.ReadCloser { return resp.Body },
	}
	for _, name := range []string{wire.HeaderUpstreamStatus, wire.HeaderCredential, wire.HeaderTier, wire.HeaderRequestID,
		"Date"} {
		h.Del(name)
	}
	return out, nil
}

// Read implements [io.Reader].
func (s *InvokeStream) Read(p []byte) (int, error) {
	n, err := s.body().Read(p)
	if err != nil && err != io.EOF && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		err = &Error{
			Code:         "invoke.broken_off",
			Message:      "the answer broke off before its end",
			Method:       http.MethodPost,
			PathTemplate: pathInvoke,
			Hint:         "the audit log says why",
			cause:        err,
		}
	}
	return n, err
}

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
