package web

import (
	"context"
	"errors"

	"github.com/bctrl-go/bctrl/internal/seal"
)

// enter authenticates a request, and counts it as underway from then on.
func (k *Kernel) enter(rq *Request) error {
	ctx, a, err := k.underway.begin(rq.Context(), func(ctx context.Context) (entry, error) {
		return k.authenticated(ctx, rq)
	})
	if err != nil {
		return err
	}
	rq.Request, rq.activity = rq.WithContext(ctx), a
	stopWatching := func() bool { return true }
	if rq.ContentLength != 0 {
		body := &endingBody{ReadCloser: rq.Body, w: rq.w}
		rq.Body = body
		stopWatching = context.AfterFunc(ctx, body.breakOff)
	}
	rq.onLeave(func() {
		a.leave()
		stopWatching() // before the context ends, which says nothing of a body that is left over
		a.close()
	})
	return nil
}

// authenticated finds who sends a request, and what decides whether it may go on.
// The caller is set with an error too, once it is known, for the audit log.
func (k *Kernel) authenticated(ctx context.Context, rq *Request) (e entry, err error) {
	rq.Caller, err = k.Authenticate(ctx, rq.Header)
	rq.Unproven = rq.Route.ToUnlock && errors.Is(err, seal.ErrLocked)
	if rq.Unproven {
		rq.Caller, err = k.unprovenCaller(ctx, rq.Header)
	}
	if err != nil {
		return e, err
	}
	rq.Granted.Caller = rq.Caller
	e = k.entryOf(&rq.Granted)
	e.keyless = rq.Caller.Runtime == nil && rq.Route.WithoutKey
	ask := e.stillPermitted
	e.stillPermitted = func(ctx context.Context) error {
		err := ask(ctx)
		if errors.Is(err, errKeyRevoked) {
			err = ErrUnauthorized // as every request with the key from now on
		}
		return err
	}
	return e, nil
}

// LetFinish lets the request end as it will, whatever becomes of its caller. It is
// for what can only be answered from now on, such as a runtime's own end.
func (rq *Request) LetFinish() {
	if rq.activity != nil {
		rq.activity.leave()
	}
}
