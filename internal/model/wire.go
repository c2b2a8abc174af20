package model

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/broker"
)

const (
	firstWait = 500 * time.Millisecond
	maxWait   = 20 * time.Second
)

// wire sends requests to one provider, repeats them where that can help and
// turns every failure into an error of this package.
type wire struct {
	client  Sender
	base    *url.URL
	timeout time.Duration
	retries int
	// maxAnswer bounds an answer in bytes; 0 leaves that to the broker.
	maxAnswer int64
}

const (
	// maxAnswer is far more than a model's longest answer has.
	maxAnswer = 1 << 20
	// maxEventAnswer bounds one that comes as a stream of events, each of which wraps a
	// few bytes of it.
	maxEventAnswer = 8 << 20
)

// withVersion adds the "/v1" that Anthropic's base URL is often written without.
func withVersion(base string) string {
	u, err := url.Parse(base)
	if err != nil || path.Base(u.Path) == "v1" {
		return base // a malformed one is refused by the broker
	}
	return u.JoinPath("v1").String()
}

// Do returns the answer to req when it is a success, with its whole body in
// memory; every other outcome is an error: the context's, or a *failure.
func (w *wire) Do(req *http.Request) (*http.Response, error) {
	for attempt := 0; ; attempt++ {
		resp, err := w.attempt(req)
		failed, ok := errors.AsType[*failure](err)
		if !ok || !failed.retryable || attempt >= w.retries {
			return resp, err
		}
		if err := sleep(req.Context(), waitBefore(attempt, failed.retryAfter)); err != nil {
			return nil, err
		}
		if req.GetBody != nil {
			if req.Body, err = req.GetBody(); err != nil {
				return nil, fmt.Errorf("repeat the request: %w", err)
			}
		}
	}
}

// errAttempt is the cause of an attempt that took too long.
var errAttempt = errors.New("the attempt took too long")

func (w *wire) attempt(req *http.Request) (*http.Response, error) {
	outer := req.Context()
	ctx, cancel := context.WithTimeoutCause(outer, w.timeout, errAttempt)
	defer cancel()
	resp, err := w.client.Do(req.WithContext(ctx))
	if err != nil {
		return nil, noAnswer(outer, ctx, err)
	}
	defer resp.Body.Close()
	body, err := w.read(resp)
	if err != nil {
		return nil, noAnswer(outer, ctx, err)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return nil, refusedAnswer(resp, body)
	}
	if status := refusalInside(body); status != 0 {
		resp.StatusCode = status
		return nil, refusedAnswer(resp, body)
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// read reads an answer within its bound.
func (w *wire) read(resp *http.Response) ([]byte, error) {
	if w.maxAnswer == 0 {
		return io.ReadAll(resp.Body) // the broker bounds it
	}
	most := w.maxAnswer
	if mediaType(resp) == "text/event-stream" {
		most = maxEventAnswer
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, most+1))
	if int64(len(body)) > most {
		err = broker.ErrTooLarge
	}
	return body, err
}

func mediaType(resp *http.Response) string {
	name, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return name
}

// noAnswer says why no whole answer came.
func noAnswer(outer, attempt context.Context, err error) error {
	switch {
	case outer.Err() != nil:
		return outer.Err()
	case context.Cause(attempt) == errAttempt || errors.Is(err, broker.ErrTimeout):
		return &failure{err: &bctrl.Error{
			Status:    http.StatusGatewayTimeout,
			Code:      "model.timeout",
			Message:   "the provider did not answer in time",
			Retryable: true,
		}}
	case errors.Is(err, broker.ErrTooLarge):
		return &failure{err: answerTooLong()}
	case errors.Is(err, broker.ErrUnreachable):
		f := unreachable(err)
		f.retryable, f.err.Retryable = true, true
		return f
	case errors.Is(err, broker.ErrRedirect):
		return &failure{err: &bctrl.Error{
			Status:  http.StatusBadGateway,
			Code:    "model.redirected",
			Message: "the provider redirects, and a key follows no redirect",
			Hint:    "have the credential's baseUrl be the address that it redirects to",
		}}
	case errors.Is(err, broker.ErrAddress), errors.Is(err, broker.ErrAnswer), errors.Is(err, broker.ErrRefused):
		return unreachable(err)
	}
	if known, ok := errors.AsType[*bctrl.Error](err); ok {
		return &failure{err: known} // the sender's own refusal
	}
	return unreachable(broker.ErrUnreachable) // an error of unknown text is not repeated
}

func unreachable(err error) *failure {
	return &failure{err: &bctrl.Error{Status: http.StatusBadGateway, Code: "model.unreachable", Message: err.Error()}}
}

// waitBefore returns how long to wait before the attempt after the given one.
func waitBefore(attempt int, retryAfter time.Duration) time.Duration {
	if retryAfter > 0 {
		return min(retryAfter, maxWait)
	}
	full := min(firstWait<<min(attempt, 10), maxWait)
	return full/2 + rand.N(full/2)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// retryAfter reads the header's two forms, RFC 9110 §10.2.3, and the
// milliseconds that OpenAI sends beside it.
func retryAfter(h http.Header) time.Duration {
	if ms, err := strconv.ParseFloat(h.Get("Retry-After-Ms"), 64); err == nil && ms > 0 {
		return time.Duration(min(ms, 1e9) * float64(time.Millisecond))
	}
	text := h.Get("Retry-After")
	if seconds, err := strconv.ParseFloat(text, 64); err == nil && seconds > 0 {
		return time.Duration(min(seconds, 1e6) * float64(time.Second))
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(time.Until(at), 0)
	}
	return 0
}
