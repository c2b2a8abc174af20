package bctrl

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/bctrl-go/bctrl/internal/body"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// maxRetryAfter caps the wait that a server may ask for.
const maxRetryAfter = 30 * time.Second

// shouldRetry decides whether the attempt that ended with resp or err is followed by
// another, and sets the wait before it. It is retryablehttp's CheckRetry.
func (x *exchange) shouldRetry(ctx context.Context, resp *http.Response, err error) (bool, error) {
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	if x.r.once || !x.mayPass(resp, err) || !x.r.body.Replayable() {
		return false, err
	}
	wait := x.t.pause(max(x.attempts-1, 0), resp)
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= wait {
		return false, err // a retry that cannot happen would only hide what went wrong
	}
	x.sender.RetryWaitMin = wait
	return true, err
}

// mayPass reports whether what went wrong may go right the next time.
func (x *exchange) mayPass(resp *http.Response, err error) bool {
	if err != nil {
		_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
		return !untrusted && !errors.Is(err, errTooLong) && !errors.Is(err, body.ErrUnreadable)
	}
	return !succeeded(resp) && retryable(resp.StatusCode, refusalCode(resp))
}

// retryable reports whether the same request may succeed later.
func retryable(status int, code string) bool {
	return retryableStatus(status) && !wire.Lasts(code) || code == wire.CodeInProgress
}

func retryableStatus(status int) bool {
	return status == http.StatusRequestTimeout || status == http.StatusTooManyRequests ||
		status >= http.StatusInternalServerError
}

// refusalCode reads the code of a refusal and puts its body back.
func refusalCode(resp *http.Response) string {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorAnswer))
	resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	var w wire.Error[Problem]
	if err != nil || json.Unmarshal(body, &w) != nil {
		return ""
	}
	return w.Code
}

// chosen is retryablehttp's Backoff: the wait that again, which knows the
// deadline, has chosen.
func chosen(wait, _ time.Duration, _ int, _ *http.Response) time.Duration { return wait }

// pause is the wait before retry n, counted from 0: full jitter below a bound
// that doubles, but not less than the server asks for, within reason.
func (t *transport) pause(n int, resp *http.Response) time.Duration {
	bound := t.retryMax
	if n < 32 && t.retryMin<<n < bound && t.retryMin<<n>>n == t.retryMin {
		bound = t.retryMin << n
	}
	wait := time.Duration(0)
	if bound > 0 {
		wait = rand.N(bound + 1)
	}
	if resp != nil {
		wait = max(wait, wire.RetryAfter(resp.Header.Get("Retry-After"), maxRetryAfter))
	}
	return wait
}
