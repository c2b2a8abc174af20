package web

import (
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/trace"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// handler runs a route: caller, right, idempotency, the work, the record.
func (k *Kernel) handler(rt *Route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		var refused error
		r, span := k.traced(r, rt)
		sw := &statusWriter{ResponseWriter: w}
		rq := &Request{
			Request: r,
			kernel:  k,
			w:       sw,
			Route:   rt,
			ID:      w.Header().Get(wire.HeaderRequestID),
			TraceID: traceIDOf(r),
		}
		span.Text(trace.RequestID, rq.ID)
		defer rq.leave() // after the answer, whichever it is, has been kept
		defer func() {
			k.Meter.Answered(rt.Method, rt.Path, sw.status, time.Since(start))
			endTraced(span, sw.status, refused)
		}()
		defer func() {
			if p := recover(); p != nil && p != http.ErrAbortHandler {
				// Not its text, which may hold a value; the stack has none.
				k.Log.Error("a handler panicked", "requestId", rq.ID, "route", rt.Path, "stack", string(debug.Stack()))
				refused = ErrInternal
				k.fail(sw, rq, refused)
			} else if p != nil {
				panic(p) // the client went away in the middle of a stream
			}
			k.logRequest(r, rq, sw.status, time.Since(start))
		}()
		if err := k.run(sw, rq); err != nil {
			if why := EndedBecause(rq.Context()); why != nil && AsError(err) == ErrInternal {
				err = why // whatever it was doing failed because its context had ended
			}
			refused = err
			k.fail(sw, rq, err)
		}
	})
}

// logRequest says of a request what an operator may need to find it, where the log wants that.
func (k *Kernel) logRequest(r *http.Request, rq *Request, status int, took time.Duration) {
	if !k.Log.Enabled(r.Context(), slog.LevelDebug) {
		return
	}
	attrs := []slog.Attr{
		slog.String("requestId", rq.ID),
		slog.String("method", r.Method),
		slog.String("route", rq.Route.Path),
		slog.Int("status", status),
		slog.Duration("took", took),
	}
	if rq.TraceID != "" {
		attrs = append(attrs, slog.String("traceId", rq.TraceID))
	}
	k.Log.LogAttrs(r.Context(), slog.LevelDebug, "request", attrs...)
}

func (k *Kernel) run(w http.ResponseWriter, rq *Request) (err error) {
	if k.Peers != nil && k.Custody.Locked() && k.Peers.Passed(rq.Request) {
		w.Header().Set("Connection", "close") // a locked node speaks to no other
		return ErrLocked
	}
	if rq.Route.Verb == access.Public {
		if err := rq.Route.checkQuery(rq); err != nil {
			return err
		}
		if passed, err := k.passOn(w, rq); passed || err != nil {
			return err
		}
		return rq.Route.serve(w, rq)
	}
	if rq.Route.Foreign != nil {
		ours, err := rq.Route.Foreign.TakeToken(rq.Request)
		if err != nil {
			return err
		}
		rq.Request = ours
	}
	if err := k.enter(rq); err != nil {
		return err
	}
	if rq.Caller.Runtime != nil && !access.ForRuntimes(rq.Route.Verb) {
		return WithHint(
			Forbidden("auth.not_for_runtimes", "this needs an organization key: a runtime has no administrative right"),
			"the missing right is "+string(rq.Route.Verb),
		)
	}
	if err := rq.Route.checkQuery(rq); err != nil && rq.Route.Foreign == nil {
		return err
	}
	locked, err := k.openKeysOf(rq)
	if err != nil {
		return err
	}
	if passed, err := k.passOn(w, rq); passed || err != nil {
		return err
	}
	if !locked && rq.Route.Foreign == nil { // else there is nothing to open or seal an answer with
		if err := k.takeIdempotencyKey(rq.Context(), rq); err != nil {
			return err
		}
	}
	if err := k.serveOnce(w, rq); err != nil {
		return err
	}
	if !rq.decided {
		k.Log.Error("a route answered without a decision", "route", rq.Route.Path)
	}
	return nil
}
