package bctrl

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"time"

	"github.com/bctrl-go/bctrl/internal/wire"
)

// Hook is told about each attempt of each call after it has ended, also of those
// that a provider's SDK makes through [CapabilitiesService.HTTPClient]. It must
// be safe for concurrent use and quick: the call waits for it.
type Hook func(ctx context.Context, a Attempt)

// Attempt is one request on the wire, without headers, bodies, query and path
// variables, so that it is safe as a label of logs, metrics and traces.
type Attempt struct {
	// Method and PathTemplate name the route: "GET", "/v1/vault/{key}".
	Method, PathTemplate string
	// Number is 1 for the first attempt of a call.
	Number int
	// Status is 0 when there was no answer.
	Status int
	// Duration is the time until the answer's header.
	Duration time.Duration
	// RequestID is the server's. Where none came back it is the SDK's own, and
	// empty of a provider's SDK.
	RequestID string
	// Err says why there was no answer.
	Err error
}

// wayOut is where every request of a client leaves, those of a provider's SDK
// too. It tells hook and logger about each.
type wayOut struct {
	next   http.RoundTripper
	hook   Hook
	logger *slog.Logger
}

// headers writes ours into those of a request: whose it is and what it is
// limited to, and where it is of a call of ours also the call's own. A request
// that a provider's SDK made has no call, and keeps what it says of itself.
func (t *transport) headers(h http.Header, as *limits, call *exchange) {
	h["Authorization"] = t.authorization
	if t.subaccount != nil {
		h[wire.HeaderSubaccount] = t.subaccount
	}
	if as != nil {
		h[wire.HeaderRuntime] = []string{as.runtimeID}
		if as.narrowed != "" {
			h[wire.HeaderMounts] = []string{as.narrowed}
		}
	}
	if call == nil {
		return
	}
	h["User-Agent"] = t.userAgent
	h[wire.HeaderSDKVersion] = t.version
	id := []string{call.requestID}
	h[wire.HeaderRequestID] = id
	switch call.settings.idempotencyKey {
	case "":
	case call.requestID:
		h[wire.HeaderIdempotencyKey] = id
	default:
		h[wire.HeaderIdempotencyKey] = []string{call.settings.idempotencyKey}
	}
}

// fillHeader is for that of the first attempt, which the others share. Before [http.Client] has passed it on
// it is empty: what is in it would be copied for redirects, which are never followed.
func (x *exchange) fillHeader(h http.Header) {
	maps.Copy(h, x.r.header)
	x.t.headers(h, x.r.as, x)
	if x.r.in != nil {
		h["Content-Type"] = x.t.json
	}
}

// exchangeKey finds the exchange in the context of an attempt.
type exchangeKey struct{}

// RoundTrip implements [http.RoundTripper] for the attempts of an exchange,
// which come through an [http.Client].
func (w *wayOut) RoundTrip(req *http.Request) (*http.Response, error) {
	x := req.Context().Value(exchangeKey{}).(*exchange)
	if x.attempts++; x.attempts == 1 {
		x.fillHeader(req.Header)
	}
	resp, err := w.send(req, Attempt{PathTemplate: x.r.path, Number: x.attempts, RequestID: x.requestID})
	if resp != nil && resp.ContentLength == 0 && resp.Body != http.NoBody && resp.Header.Get("Content-Length") == "" {
		resp.ContentLength = -1 // a transport of the user's own, as for a test, has not said it
	}
	return resp, err
}

// send sends a request, and tells about it what a already says and what came of
// it.
func (w *wayOut) send(req *http.Request, a Attempt) (*http.Response, error) {
	if w.hook == nil && w.logger == nil {
		return w.next.RoundTrip(req)
	}
	start := time.Now()
	resp, err := w.next.RoundTrip(req)
	a.Method, a.Duration, a.Err = req.Method, time.Since(start), withoutURL(err)
	if resp != nil {
		a.Status = resp.StatusCode
		if id := resp.Header.Get(wire.HeaderRequestID); printable(id) {
			a.RequestID = id
		}
	}
	if w.logger != nil {
		w.logger.LogAttrs(req.Context(), slog.LevelDebug, "bctrl: request", a.attrs()...)
	}
	if w.hook != nil {
		w.hook(req.Context(), a)
	}
	return resp, err
}

func (a Attempt) attrs() []slog.Attr {
	attrs := []slog.Attr{
		slog.String("method", a.Method),
		slog.String("path", a.PathTemplate),
		slog.Int("attempt", a.Number),
		slog.Int("status", a.Status),
		slog.Duration("duration", a.Duration),
		slog.String("requestId", a.RequestID),
	}
	if a.Err != nil {
		attrs = append(attrs, slog.String("error", oneLine(a.Err.Error())))
	}
	return attrs
}
