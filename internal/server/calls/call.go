package calls

import (
	"context"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// intendedCall is a request with what the transaction of its intent resolved it
// to: with what it is made, and where it goes.
type intendedCall struct {
	providerRequest
	with *Resolution
	to   callTarget
	// secrets are those that it uses, for the log.
	secrets []bctrl.AuditSecret
	// unwatch takes the condition out again that the call goes on under.
	unwatch func()
}

// describe adds to an event what the call is made as, as far as it was resolved.
func (c *intendedCall) describe(ev *audit.Event) {
	c.providerRequest.describe(ev)
	if c.with == nil {
		return
	}
	ev.Credential, ev.Tier = c.with.Credential.ID, string(c.with.Tier)
	ev.UID, ev.Version = c.with.UID, c.with.Version
	if c.to.host != "" {
		ev.Host = c.to.host
	}
	ev.Secrets = c.secrets
}

// callProvider records the intent to call a provider and, once that is durable,
// sends the request. The caller ends the answer. With an error there is none to
// end: what was refused before the intent is for the caller of callProvider to
// record, after it the outcome says it.
func (s *Service) callProvider(ctx context.Context, req providerRequest) (*providerAnswer, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	ctx, stopClock := context.WithTimeoutCause(ctx, req.timeout, errUpstreamTimeout)
	a := &providerAnswer{
		call:   &intendedCall{providerRequest: req, unwatch: func() {}},
		ctx:    ctx,
		cancel: cancel,
		release: func() {
			cancel(nil)
			stopClock()
		},
	}
	ev, done, err := s.Audit.BeginIn(ctx, func(tx *store.Tx) (ev audit.Event, err error) {
		a.call.unwatch() // of a transaction that came to nothing
		a.call, ev, err = s.intend(ctx, tx, req)
		return ev, err
	})
	if err != nil {
		a.close()
		return a, err
	}
	a.intended, a.begun = true, time.Now()
	a.record = func(end audit.End) { s.RecordOutcome(ev, done, end) }
	go func() { // what streams for ever would keep the server from stopping
		select {
		case <-s.Streams.Ended():
			cancel(web.ErrStopping)
		case <-ctx.Done():
		}
	}()
	a.Response, err = s.send(ctx, a.call)
	if err != nil {
		return a, a.end(err)
	}
	a.idle = time.AfterFunc(idleBound, func() { cancel(errUpstreamTimeout) })
	return a, nil
}

// intend decides about a request once more, resolves it, counts it and returns
// the event of its intent: all in the transaction that makes the intent durable,
// so that nothing is sent under rules that have been replaced. With an error the
// call is as far as it was resolved.
func (s *Service) intend(ctx context.Context, tx *store.Tx, req providerRequest) (*intendedCall, audit.Event, error) {
	call := &intendedCall{providerRequest: req, unwatch: func() {}}
	fail := func(err error) (*intendedCall, audit.Event, error) { return call, audit.Event{}, err }
	req, err := s.permittedIn(ctx, tx.Queries, req)
	if err != nil {
		return fail(err)
	}
	call.providerRequest = req
	query := queryOf(req)
	if call.with, err = s.resolveOrAI(ctx, tx.Queries, req.caller, query); err != nil {
		return fail(err)
	}
	if call.with.AI != nil && req.caller.Runtime != nil {
		// The one that was mounted, and not another that has its id since.
		if _, err := s.models.FindUsable(ctx, tx.Queries, req.caller, call.with.Credential.ID); err != nil {
			return fail(err)
		}
	}
	to, err := s.targetOf(req, call.with)
	if err != nil {
		return fail(err)
	}
	call.to = to
	if err := s.checkPins(call.with, to.base); err != nil {
		return fail(err)
	}
	if err := takeTurn(ctx, tx, req); err != nil {
		return fail(err)
	}
	if req.once != nil {
		if err := req.once(ctx, tx); err != nil {
			return fail(err)
		}
	}
	call.secrets = call.with.used()
	ev := req.event()
	call.describe(&ev)
	if call.with.AI != nil && req.caller.Runtime != nil {
		ev.Action, ev.Object = string(bctrl.UseAI), call.with.Credential.ID
	}
	query.Credential = call.with.Credential.ID
	query.NoAI = hidesAI(req.caller, query.Credential)
	s.watchCall(call, query)
	return call, ev, nil
}

// permittedIn decides about a request once more, and returns it with the limits
// of its capability, by the rules as q has them.
func (s *Service) permittedIn(ctx context.Context, q store.Queries, req providerRequest) (providerRequest, error) {
	if err := s.StillPermitted(ctx, q, req.grant); err != nil {
		return req, err
	}
	if req.classify != nil {
		var err error
		if req, err = req.classify(ctx, q, req); err != nil {
			return req, err
		}
	}
	return s.underPolicy(ctx, q, req)
}
