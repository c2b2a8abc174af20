package web

import (
	"context"
	"errors"
	"net/http"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/cluster"
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// fail answers an error, and records it where the log wants it: every refusal,
// and every mutation that did not happen.
func (k *Kernel) fail(w *statusWriter, rq *Request, err error) {
	e := AsError(err)
	if e == ErrInternal && errors.Is(err, context.Canceled) && rq.Context().Err() != nil {
		e = ErrAbandoned
	}
	if e == ErrInternal && err != error(ErrInternal) {
		k.Log.Error("a request failed", "requestId", rq.ID, "route", rq.Route.Path, "traceId", rq.TraceID,
			"error", err)
	}
	ctx := context.WithoutCancel(rq.Context()) // the record outlives a caller who left
	counted := false
	if wantsRecord(rq, e) && (e.Status == http.StatusUnauthorized || rq.Caller.Org == "") {
		e, counted = k.countStranger(w, rq, e)
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
	if e.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer") // RFC 9110, 15.5.2, and RFC 6750, 3
	}
	if rq.Route.Foreign != nil {
		rq.Route.Foreign.Refuse(w, rq, e)
		return
	}
	if rq.Route.Refuse != nil {
		rq.Route.Refuse(w, rq, e)
		return
	}
	WriteJSON(w, e.Status, body)
}

// recordFailure writes the event of a failed request, unless it has one, and
// keeps its answer where the request has an idempotency key.
func (k *Kernel) recordFailure(ctx context.Context, rq *Request, e *bctrl.Error, body []byte) error {
	if e == cluster.ErrLeaseLost {
		return nil // nothing is written without a lease
	}
	denied := isDenied(e)
	record := wantsRecord(rq, e)
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
	return k.DB.Decide(ctx, func(tx *store.Tx) error {
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

// wantsRecord reports whether the audit log wants a refusal, and does not have it.
func wantsRecord(rq *Request, e *bctrl.Error) bool {
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
