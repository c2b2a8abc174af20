package calls

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/broker"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/trace"
)

// intendedCall is a request with what the transaction of its intent resolved it
// to. It is complete when [Service.intend] returns it.
type intendedCall struct {
	providerRequest
	with *Resolution
	to   destination
	// lookup finds what the call is made with once more, by the credential that was
	// chosen.
	lookup broker.Query
}

// callDescription is what an event says of a call. It is added to with each step
// that decides about the call, so that a refusal says all that was known by then:
// the call itself there is only after the last of them.
type callDescription struct {
	request *providerRequest
	with    *Resolution // nil until the request is resolved
	host    string      // empty until it is known where the call goes
	secrets []bctrl.AuditSecret
}

// describe adds to an event what is known of the call.
func (d *callDescription) describe(ev *audit.Event) {
	d.request.describe(ev)
	if d.with == nil {
		return
	}
	ev.Credential, ev.Tier = d.with.Credential.ID, string(d.with.Tier)
	ev.UID, ev.Version = d.with.uid, d.with.version
	if d.host != "" {
		ev.Host = d.host
	}
	ev.Secrets = d.secrets
}

// callProvider records the intent to call a provider and, once that is durable,
// sends the request. The caller ends the answer. With an error there is none to
// end: what was refused before the intent is for the caller of callProvider to
// record, after it the outcome says it.
func (s *Service) callProvider(ctx context.Context, req providerRequest) (*providerAnswer, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	a := &providerAnswer{
		description: callDescription{request: &req},

		ctx:           ctx,
		cancel:        cancel,
		clock:         time.AfterFunc(req.timeout, func() { cancel(errUpstreamTimeout) }),
		stayOnStop:    func() bool { return true },
		dropCondition: func() {},
	}
	select {
	case <-s.StreamsEnd(): // there may be no time left for it
		a.close()
		return a, web.ErrStopping
	default:
	}
	begin := s.Audit.BeginIn
	if req.keepSent != nil { // a row of its own
		begin = s.Audit.BeginChanging
	}
	var call *intendedCall
	ev, done, err := begin(ctx, func(tx *store.Tx) (ev audit.Event, err error) {
		a.dropCondition() // of a transaction that came to nothing
		a.description = callDescription{request: &req}
		if call, ev, err = s.intend(ctx, tx, req, &a.description); err == nil {
			a.dropCondition = s.requireUnchanged(call)
		}
		return ev, err
	})
	if err != nil {
		if errors.Is(err, context.Canceled) { // while it waited for the transaction
			err = cmp.Or(web.EndedBecause(ctx), err)
		}
		a.close()
		return a, err
	}
	a.call, a.begun = call, time.Now()
	provider := s.knownProvider(call.with.Credential.Provider)
	ctx, span := trace.Start(ctx, trace.Call, trace.Client)
	span.Text(trace.Provider, provider)
	a.record = func(end audit.End) {
		endTraced(span, end)
		s.Meter.ProviderAnswered(provider, end.Status, end.Took)
		s.RecordOutcome(ev, done, end)
	}
	// An answer that never ends would keep the server from stopping.
	a.stayOnStop = context.AfterFunc(s.CallsEnd(), func() { cancel(web.ErrStopping) })
	a.Response, err = s.send(ctx, a.call)
	if err != nil {
		return a, a.end(err)
	}
	if _, read := broker.Whole(a.Response); !read { // else nothing more is waited for
		a.idle = time.AfterFunc(idleBound, func() { cancel(errUpstreamTimeout) })
	}
	return a, nil
}

// endTraced ends the span of a call. Its answer may have come and still not be passed on.
func endTraced(span *trace.Span, end audit.End) {
	if end.Status != 0 {
		span.Number(trace.Status, end.Status)
	}
	code := end.Outcome
	if code == audit.OK {
		code = ""
	}
	span.EndWith(code)
}

// knownProvider is the name of a provider of the registry, or "other": metrics are of
// all organizations, and the names that these make up are not for whoever reads them.
func (s *Service) knownProvider(name string) string {
	if _, ok := s.registry.Provider(name); ok {
		return name
	}
	return "other"
}

// intend decides about a request once more, resolves it, counts it and returns
// the call with the event of its intent: all in the transaction that makes the
// intent durable, so that nothing is sent under rules that have been replaced. It
// adds to the description what it finds, also when it refuses.
func (s *Service) intend(
	ctx context.Context, tx *store.Tx, req providerRequest, known *callDescription,
) (call *intendedCall, ev audit.Event, err error) {
	call = new(intendedCall)
	if call.providerRequest, err = s.decideAgain(ctx, tx, req); err != nil {
		return nil, ev, err
	}
	req, known.request = call.providerRequest, &call.providerRequest
	query := queryOf(req)
	with, err := s.resolveOrAI(ctx, tx, req.caller, query)
	known.with = with
	if err != nil {
		return nil, ev, err
	}
	byMount := with.ai != nil && req.caller.Runtime != nil
	if byMount {
		// The one that was mounted, and not another that has its id since.
		if _, err := s.models.FindUsable(ctx, tx.Queries, req.caller, with.Credential.ID); err != nil {
			return nil, ev, err
		}
	}
	to, err := s.destinationOf(req, with)
	if err != nil {
		return nil, ev, err
	}
	known.host = to.host
	if err := s.checkPins(with, to.base); err != nil {
		return nil, ev, err
	}
	if err := countCall(ctx, tx, req); err != nil {
		return nil, ev, err
	}
	if req.keepSent != nil {
		if err := req.keepSent(ctx, tx); err != nil {
			return nil, ev, err
		}
	}
	known.secrets = with.audited
	ev = req.event()
	known.describe(&ev)
	if byMount {
		ev.Action, ev.Object = string(bctrl.UseAI), with.Credential.ID
	}
	query.Credential = with.Credential.ID
	query.NoAI = hidesAI(req.caller, query.Credential)
	call.with, call.to, call.lookup = with, to, query
	return call, ev, nil
}

// decideAgain decides about a request once more, and returns it as the capability
// that it is and with that one's limits, by the rules as the transaction sees them.
func (s *Service) decideAgain(ctx context.Context, tx *store.Tx, req providerRequest) (providerRequest, error) {
	if err := s.StillPermitted(ctx, tx.Queries, req.grant); err != nil {
		return req, err
	}
	if req.classify != nil {
		var err error
		if req, err = req.classify(ctx, tx.Queries, req); err != nil {
			return req, err
		}
	}
	return s.limitByPolicy(ctx, tx, req)
}
