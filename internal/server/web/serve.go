package web

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// handler runs a route: caller, right, idempotency, the work, the record.
func (k *Kernel) handler(rt *Route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		sw := &statusWriter{ResponseWriter: w}
		rq := &Request{
			Request: r,
			kernel:  k,
			w:       sw,
			Route:   rt,
			ID:      w.Header().Get(wire.HeaderRequestID),
		}
		defer rq.leave() // after the answer, whichever it is, has been kept
		defer func() {
			if p := recover(); p != nil && p != http.ErrAbortHandler {
				// Not its text, which may hold a value; the stack has none.
				k.Log.Error("a handler panicked", "requestId", rq.ID, "route", rt.Path, "stack", string(debug.Stack()))
				k.fail(sw, rq, ErrInternal)
			} else if p != nil {
				panic(p) // the client went away in the middle of a stream
			}
			k.Log.LogAttrs(r.Context(), slog.LevelDebug, "request", slog.String("requestId", rq.ID), slog.String("method", r.Method),
				slog.String("route", rt.Path), slog.Int("status", sw.status), slog.Duration("took", time.Since(start)))
		}()
		if err := k.run(sw, rq); err != nil {
			if why := EndedBecause(rq.Context()); why != nil && AsError(err) == ErrInternal {
				err = why // whatever it was doing failed because its context had ended
			}
			k.fail(sw, rq, err)
		}
	})
}

func (k *Kernel) run(w http.ResponseWriter, rq *Request) (err error) {
	if rq.Route.Verb == access.Public {
		if err := rq.Route.checkQuery(rq); err != nil {
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
	locked, err := k.unsealed(rq)
	if err != nil {
		return err
	}
	if !locked && rq.Route.Foreign == nil { // else there is nothing to open or seal an answer with
		first, err := k.replay(rq.Context(), rq)
		if err != nil {
			return err
		}
		if first != nil {
			return repeatAnswer(w, rq, first)
		}
	}
	if err := rq.Route.serve(w, rq); err != nil {
		return err
	}
	if !rq.decided {
		k.Log.Error("a route answered without a decision", "route", rq.Route.Path)
	}
	return nil
}

// Authorize asks access whether the caller may do what the route does to the
// object. The answer to a denied request is the same whether or not the object
// exists: nothing is looked up before.
func (rq *Request) Authorize(object string) error {
	return rq.authorizeAs(rq.Route.Verb, object)
}

// authorizeAs is [Request.Authorize] for a right other than the route's own.
func (rq *Request) authorizeAs(verb access.Verb, object string) error {
	rq.Object = object
	rq.decided = true
	if rq.Granted.Decide(&rq.Caller, access.Action{Verb: verb, Object: object}) {
		return nil
	}
	return OutsideMount(verb)
}

// OutsideMount is the refusal of what the mounts do not permit.
func OutsideMount(verb access.Verb) *bctrl.Error {
	area, _, _ := strings.Cut(string(verb), ".")
	return WithHint(
		Forbidden(area+".outside_mount", "the mounts do not permit "+string(verb)+" here"),
		"the missing right is "+string(verb)+": mount it in the workspace and keep it in every narrower level",
	)
}

// Change does a mutation in one transaction with its audit event and, where
// the request has an idempotency key, its answer: all of it is durable, or
// none. fn may complete the event. What the caller was permitted is decided
// once more inside: nothing is written under rules that have been replaced.
func Change[Out any](
	ctx context.Context, rq *Request, fn func(tx *store.Tx, e *audit.Event) (Out, error),
) (out Out, err error) {
	err = rq.kernel.DB.Write(ctx, func(tx *store.Tx) (err error) {
		if err := rq.kernel.StillPermitted(ctx, tx.Queries, &rq.Granted); err != nil {
			return err
		}
		e := rq.Event()
		if out, err = fn(tx, &e); err != nil {
			return err
		}
		if err := rq.KeepAnswer(ctx, tx, out); err != nil {
			return err
		}
		e.Outcome = audit.OK
		return audit.Append(tx, e)
	})
	if err != nil {
		rq.answer = nil
		return out, err
	}
	rq.MarkRecorded()
	return out, nil
}

// ChangeRules is [Change] for rules that what is underway in the organization
// depends on. What they do not permit any more has ended when it returns.
func ChangeRules[Out any](
	ctx context.Context, rq *Request, fn func(tx *store.Tx, e *audit.Event) (Out, error),
) (Out, error) {
	out, err := Change(ctx, rq, fn)
	if err == nil {
		rq.kernel.RecheckUnderway(ctx, rq.Caller.Org, "")
	}
	return out, err
}

// Use records the intent to use a secret, runs fn once that is durable, and
// records how it went.
func (k *Kernel) Use(ctx context.Context, e audit.Event, fn func() error) error {
	return k.UseFound(ctx, func(*store.Tx) (audit.Event, error) { return e, nil }, fn)
}

// UseFound is use for an intent that names what find reads in the transaction
// that records it. When find fails, there is neither intent nor use.
func (k *Kernel) UseFound(ctx context.Context, find func(*store.Tx) (audit.Event, error), fn func() error) error {
	e, done, err := k.Audit.BeginIn(ctx, find)
	if err != nil {
		return err
	}
	if err = EndedBecause(ctx); err == nil {
		err = fn()
	}
	outcome := audit.OK
	if err != nil {
		outcome = AsError(err).Code
	}
	k.RecordOutcome(e, done, audit.End{Outcome: outcome})
	return err
}

// fail answers an error, and records it where the log wants it: every refusal,
// and every mutation that did not happen.
func (k *Kernel) fail(w *statusWriter, rq *Request, err error) {
	e := AsError(err)
	if e == ErrInternal && errors.Is(err, context.Canceled) && rq.Context().Err() != nil {
		e = ErrAbandoned
	}
	if e == ErrInternal && err != error(ErrInternal) {
		k.Log.Error("a request failed", "requestId", rq.ID, "route", rq.Route.Path, "error", err)
	}
	ctx := context.WithoutCancel(rq.Context()) // the record outlives a caller who left
	counted := false
	if recorded(rq, e) && (e.Status == http.StatusUnauthorized || rq.Caller.Org == "") {
		e, counted = k.strange(w, rq, e)
	}
	body := EncodeError(e, rq.ID)
	if counted {
		rq.recorded = true
	} else if recordErr := k.recordFailure(ctx, rq, e, body); recordErr != nil {
		k.Log.Error("a refusal was not recorded", "requestId", rq.ID, "error", recordErr)
		e = AsError(recordErr)
		body = EncodeError(e, rq.ID)
	}
	if w.status != 0 {
		// The answer has begun: all that is left is to break it off.
		panic(http.ErrAbortHandler)
	}
	later := e.Status == http.StatusTooManyRequests || e.Status == http.StatusServiceUnavailable
	if (later || e.Code == wire.CodeInProgress) && w.Header().Get("Retry-After") == "" {
		w.Header().Set("Retry-After", "1")
	}
	if rq.Route.Foreign != nil {
		rq.Route.Foreign.Refuse(w, rq, e)
		return
	}
	WriteJSON(w, e.Status, body)
}

// recordFailure writes the event of a failed request, unless it has one, and
// keeps its answer where the request has an idempotency key.
func (k *Kernel) recordFailure(ctx context.Context, rq *Request, e *bctrl.Error, body []byte) error {
	denied := isDenied(e)
	record := recorded(rq, e)
	keep := rq.idempotent != nil && rq.mutates() && !denied && !transient(e.Status)
	if !record && !keep {
		return nil
	}
	event := rq.Event()
	event.Outcome, event.Status = e.Code, e.Status
	if denied {
		event.Decision = audit.Denied
	}
	if e.Status == http.StatusUnauthorized || rq.Caller.Org == "" {
		event.Address, event.Count = addressOf(rq.Request), 1
	}
	return k.DB.Write(ctx, func(tx *store.Tx) error {
		if keep {
			if err := rq.keep(ctx, tx, e.Status, body); err != nil && !errors.Is(err, seal.ErrLocked) {
				return err
			}
		}
		if record {
			return audit.Append(tx, event)
		}
		return nil
	})
}

// recorded reports whether the log wants a refusal that it has not yet.
func recorded(rq *Request, e *bctrl.Error) bool {
	return !rq.recorded && (isDenied(e) || rq.mutates() || IsTampered(e) || rq.Describe != nil || rq.Route.Foreign != nil)
}

func isDenied(e *bctrl.Error) bool {
	return e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden
}

// mutates reports whether somebody asks for a change.
func (rq *Request) mutates() bool {
	return rq.Method != http.MethodGet && rq.Method != http.MethodHead && rq.Caller.Org != ""
}

// transient reports whether a refusal is of the moment, so that the same request
// may be answered otherwise next time.
func transient(status int) bool {
	return status >= 500 || status == http.StatusConflict || status == http.StatusTooManyRequests ||
		status == http.StatusRequestTimeout
}

// statusWriter remembers the status, which tells whether an answer has begun.
type statusWriter struct {
	http.ResponseWriter
	status int
	// last is set where the connection is good for no request after this one.
	last atomic.Bool
}

// begin notes the status of an answer that begins.
func (w *statusWriter) begin(status int) {
	if w.status != 0 {
		return
	}
	w.status = status
	if w.last.Load() {
		w.Header().Set("Connection", "close")
	}
}

func (w *statusWriter) WriteHeader(status int) {
	w.begin(status)
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(p []byte) (int, error) {
	w.begin(http.StatusOK)
	return w.ResponseWriter.Write(p)
}

// ReadFrom lets the kernel send a file without it passing through here.
func (w *statusWriter) ReadFrom(r io.Reader) (int64, error) {
	w.begin(http.StatusOK)
	return io.Copy(w.ResponseWriter, r)
}

// Unwrap lets [http.ResponseController] reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// RecordOutcome records how what was intended went; that it was intended is on
// record already.
func (k *Kernel) RecordOutcome(ev audit.Event, done audit.RecordOutcome, end audit.End) {
	if lost := done(end); lost != nil {
		k.Log.Error("an outcome was not recorded", "requestId", ev.RequestID, "error", lost)
	}
}
