package calls

import (
	"context"
	"net/http"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/broker"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// providerRequest is what is asked of a provider: by an invocation, by a request
// that is passed through, by an agent's question to its model, by the test of an
// AI credential. It is a value: each step of reading and deciding returns it with
// what it found. All of them are made by [Service.callProvider].
type providerRequest struct {
	callIdentity
	sentRequest
	callOrigin
	// timeout bounds the call; maxAnswer its answer, in bytes.
	timeout   time.Duration
	maxAnswer int64
}

// callIdentity is who makes a call, and as what.
type callIdentity struct {
	caller   access.Caller
	context  bctrl.Scope
	consumer string
	// capability permits the call. A provider's model may be asked without one.
	capability bctrl.Capability
	// provider is empty where the credential alone says what is called.
	provider string
	// credential is the id that is named or chosen; empty leaves it to the
	// resolution.
	credential string
}

// asksModel reports whether a runtime makes it as a call of a language model,
// which its ai mount decides.
func (as callIdentity) asksModel() bool { return as.capability.Model && as.caller.Runtime != nil }

// sentRequest is what is sent.
type sentRequest struct {
	method string
	// path is percent-encoded; template is that of the capability's paths which
	// permits it.
	path, template string
	// host is the one of the provider's that is meant; empty leaves it open.
	host string
	// hostNamed is set where a header names the host.
	hostNamed bool
	query     string
	header    http.Header
	body      *callBody
	// made is the request where the server itself made it, for a model. Then where
	// it goes is as the AI credential has it.
	made *http.Request
	// brought is the caller's own token where an SDK brings it in the place of its
	// provider's key; nil where it came as ours.
	brought *broughtToken
	// transparent is set where the caller's client calls the provider, as far as
	// it knows: with its addresses, and a word for its key.
	transparent bool
}

// callOrigin is on whose behalf a call is made, and what goes with it into the
// transaction that records its intent.
type callOrigin struct {
	// grant is what the request or the question that makes the call was permitted.
	// It is decided about once more in that transaction, and has a condition of the
	// call's own from then on.
	grant *web.Grant
	// event begins the event of the intent.
	event func() audit.Event
	// classify returns the request as the capability that it is by the rules that
	// the transaction sees; nil where that was decided before.
	classify func(context.Context, store.Queries, providerRequest) (providerRequest, error)
	// once keeps that the request was sent; nil where it may be sent again.
	once func(context.Context, *store.Tx) error
	// test is set where it is the test of a credential, which may be disabled.
	test bool
}

// describe adds to an event what is asked, as far as that is known.
func (r providerRequest) describe(ev *audit.Event) {
	ev.Capability, ev.Credential, ev.Consumer = r.capability.ID, r.credential, r.consumer
	ev.Method, ev.Host, ev.Path = r.method, r.host, r.template
	if ev.Runtime == "" {
		web.SetEventScope(ev, r.context)
	}
}

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

// queryOf asks for what a request is to be made with.
func queryOf(req providerRequest) broker.Query {
	return broker.Query{
		Provider:   req.provider,
		Capability: req.capability.ID,
		Credential: req.credential,
		Consumer:   req.consumer,
		Context:    req.context,
		Test:       req.test,
		NoAI:       hidesAI(req.caller, req.credential),
	}
}

// hidesAI reports whether a credential that a caller names is, where it is an AI
// credential, none to it: a runtime knows of those alone that are mounted.
func hidesAI(c access.Caller, id string) bool {
	return c.Runtime != nil && !access.Decide(c, access.Action{Verb: bctrl.UseAI, Object: id})
}
