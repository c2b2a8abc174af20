package bctrl

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWhatIsRetried(t *testing.T) {
	for _, tc := range []struct {
		status   int
		body     string
		attempts int
		why      string
	}{
		{200, `{}`, 1, "an answer"},
		{400, refusalBody("profiles.invalid", "invalid_input"), 1, "wrong stays wrong"},
		{401, refusalBody("access.unauthorized", "unauthorized"), 1, "the key stays the same"},
		{403, refusalBody("vault.outside_mount", "capability_denied"), 1, "policy stays"},
		{404, refusalBody("profiles.not_found", "not_found"), 1, "missing stays missing"},
		{408, ``, 3, "the server waited in vain"},
		{409, refusalBody("profiles.taken", "conflict"), 1, "a conflict of state stays"},
		{409, refusalBody("request.in_progress", "conflict"), 3, "the first attempt is still being answered"},
		{409, `not json`, 1, "an unknown conflict stays"},
		{412, refusalBody("workspaces.stale", "conflict"), 1, "stale stays stale"},
		{422, refusalBody("request.idempotency_mismatch", "invalid_input"), 1, "another request under the same key"},
		{429, ``, 3, "later"},
		{503, refusalBody("runtimes.launch_failed", "server"), 1, "the server stays without a sandbox"},
		{503, refusalBody("runtimes.no_browser", "server"), 1, "the server stays without a browser"},
		{503, refusalBody("server.stopping", "server"), 3, "another may start"},
		{500, ``, 3, "may pass"}, {502, ``, 3, "may pass"}, {503, ``, 3, "may pass"}, {504, ``, 3, "may pass"},
	} {
		f := always(tc.status, tc.body)
		_, err := clientOn(t, f, WithRetryWait(0, 0)).Profiles.Create(t.Context(), BrowserProfileCreate{ID: "p"})
		require.Equal(t, tc.status != 200, err != nil, tc.why)
		require.Len(t, f.requests(), tc.attempts, "%d: %s", tc.status, tc.why)
	}
}

func TestALostAnswerIsAskedForUnderTheSameIdempotencyKey(t *testing.T) {
	for _, tc := range []struct {
		why  string
		lose func() (*http.Response, error)
	}{
		{"no answer", func() (*http.Response, error) { return nil, io.ErrUnexpectedEOF }},
		{"half an answer", func() (*http.Response, error) {
			resp := answered(200, "")
			resp.ContentLength, resp.Body = 99, io.NopCloser(io.MultiReader(strings.NewReader(`{"id":`), broken{}))
			return resp, nil
		}},
		{"a proxy's answer", func() (*http.Response, error) { return answered(502, "<html>"), nil }},
	} {
		effects := map[string]bool{}
		f := &fake{}
		f.answer = func(n int, r *http.Request) (*http.Response, error) {
			effects[r.Header.Get("Idempotency-Key")] = true // a server does a key's work once
			if n == 1 {
				return tc.lose()
			}
			return answered(200, `{"id":"p"}`), nil
		}
		got, err := clientOn(t, f, WithRetryWait(0, 0)).Profiles.Create(t.Context(), BrowserProfileCreate{ID: "p"})
		require.NoError(t, err, tc.why)
		require.Equal(t, "p", got.ID)
		require.Len(t, f.requests(), 2, tc.why)
		require.Len(t, effects, 1, tc.why)
		require.Equal(t, f.requests()[0].body, f.requests()[1].body, "the same request")
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("connection reset") }

func TestTwoCallsHaveTwoIdempotencyKeys(t *testing.T) {
	f := always(200, `{}`)
	c := clientOn(t, f)
	for range 2 {
		_, err := c.Profiles.Create(t.Context(), BrowserProfileCreate{ID: "p"})
		require.NoError(t, err)
	}
	require.NotEqual(t, f.requests()[0].header.Get("Idempotency-Key"), f.requests()[1].header.Get("Idempotency-Key"))
}

func TestBackoffDoublesWithFullJitterUpToItsBound(t *testing.T) {
	tr := clientOn(t, always(200, "")).via()
	for n, bound := range []time.Duration{250, 500, 1000, 2000, 2000, 2000} {
		bound *= time.Millisecond
		var low, high bool
		for range 400 {
			wait := tr.pause(n, nil)
			require.LessOrEqual(t, wait, bound)
			low, high = low || wait < bound/4, high || wait > bound*3/4
		}
		require.True(t, low && high, "retry %d waits anywhere below its bound", n)
	}
	require.LessOrEqual(t, tr.pause(1000, nil), 2*time.Second, "no overflow")
}

func TestRetryAfterIsHonouredButCapped(t *testing.T) {
	for _, tc := range []struct {
		header   string
		min, max time.Duration
	}{
		{"1", time.Second, time.Second},
		{"7", 7 * time.Second, 7 * time.Second},
		{"31536000", maxRetryAfter, maxRetryAfter},
		{"99999999999999999999999", maxRetryAfter, maxRetryAfter},
		{"Fri, 31 Dec 9999 23:59:59 GMT", maxRetryAfter, maxRetryAfter},
		{"Fri, 31 Dec 1999 23:59:59 GMT", 0, 0},
		{"-5", 0, 0}, {"soon", 0, 0}, {"", 0, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := inTurn(answered(429, "", "Retry-After", tc.header), answered(200, `{}`))
			start := time.Now()
			_, err := clientOn(t, f, WithRetryWait(0, 0)).Profiles.Get(t.Context(), "p")
			require.NoError(t, err)
			waited := time.Since(start)
			require.GreaterOrEqual(t, waited, tc.min, tc.header)
			require.LessOrEqual(t, waited, tc.max, tc.header)
		})
	}
}

func TestAWaitPastTheDeadlineIsNotBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := always(503, refusalBody("server.busy", "server"), "Retry-After", "20")
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		start := time.Now()
		_, err := clientOn(t, f).Profiles.Get(ctx, "p")
		require.Zero(t, time.Since(start), "nothing is waited for in vain")
		var e *Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, "server.busy", e.Code, "the server's reason, not the deadline")
		require.Len(t, f.requests(), 1)
	})
}

func TestACancelledContextEndsABackoffAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := always(503, "", "Retry-After", "30")
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		start := time.Now()
		_, err := clientOn(t, f).Profiles.Get(ctx, "p")
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, time.Second, time.Since(start))
		require.Len(t, f.requests(), 1)
	})
}

func TestAnUntrustedCertificateIsNotTriedAgain(t *testing.T) {
	f := &fake{answer: func(int, *http.Request) (*http.Response, error) {
		return nil, &tls.CertificateVerificationError{Err: errors.New("unknown authority")}
	}}
	_, err := clientOn(t, f, WithRetryWait(0, 0)).Profiles.Get(t.Context(), "p")
	require.ErrorIs(t, err, ErrUnavailable)
	require.Len(t, f.requests(), 1)
}

func TestRetriesLeaveTheUsersConnectionsAlone(t *testing.T) {
	idle := &closes{fake: always(503, "")}
	_, err := clientOn(t, idle, WithRetryWait(0, 0)).Profiles.Get(t.Context(), "p")
	require.Error(t, err)
	require.Zero(t, idle.n.Load(), "a failed call must not close the connections of others")
}

type closes struct {
	*fake
	n atomic.Int32
}

func (c *closes) CloseIdleConnections() { c.n.Add(1) }
