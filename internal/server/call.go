package server

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/broker"
	"github.com/bctrl-go/bctrl/internal/registry"
	"github.com/bctrl-go/bctrl/internal/store"
)

// call is one request to a provider, from what was asked to what it came to:
// an invocation, a request passed through, an agent's question to its model,
// the test of an AI credential. All of them go through [Server.call].
type call struct {
	caller access.Caller
	// grant is what the request or the question that makes it was permitted. It is
	// decided about once more in the transaction that records the intent, and from
	// then on has a condition of the call's own, which unwatch takes out again.
	grant   *grant
	unwatch func()
	// event is on whose behalf it is made.
	event func() audit.Event
	// classify completes what the call is, as the transaction finds it that records
	// the intent; nil where there is nothing to complete.
	classify func(context.Context, store.Queries) error

	// What it is made as. A capability may be found by the request.
	capability bctrl.Capability
	provider   string
	credential string
	context    bctrl.Scope
	consumer   string

	// What is sent. The path is percent-encoded; template is what permits it.
	method, path, template, host string
	// hostNamed is set where a header names the host.
	hostNamed bool
	query     string
	header    http.Header
	body      *callBody
	// made is the request where the server itself made it, for a model. Then
	// target and path are those of the AI credential.
	made *http.Request

	// brought is the caller's own token where an SDK brings it in the place of
	// its provider's key; nil where it came as ours.
	brought *broughtToken

	// transparent is set where the caller's client calls the provider, as far as
	// it knows: with its addresses, and a word for its key.
	transparent bool

	// test is set where it is the test of a credential.
	test bool

	// timeout bounds the call; maxAnswer its answer, in bytes.
	timeout   time.Duration
	maxAnswer int64
	// recorded is set once the log has the intent.
	recorded bool
	// once keeps, in the transaction of the intent, that it was sent.
	once func(context.Context, *store.Tx) error

	// What it came to.
	resolved *resolvedCall
	tier     string
	uid      string
	version  int64
	base     *url.URL
	// callersBase is the base path that the caller knows, in place of that of base.
	callersBase string
	// used are the secrets that it is made with.
	used []bctrl.AuditSecret
}

// complete adds to an event what the call was made as, as far as that is known.
func (c *call) complete(ev *audit.Event) {
	ev.Capability, ev.Credential, ev.Consumer = c.capability.ID, c.credential, c.consumer
	ev.Method, ev.Host, ev.Path, ev.Tier = c.method, c.host, c.template, c.tier
	if c.uid != "" {
		ev.UID, ev.Version = c.uid, c.version
	}
	ev.Secrets = c.used
	if ev.Runtime == "" {
		about(ev, c.context)
	}
}

// model reports whether a runtime makes it as a call of a language model, which
// its ai mount decides.
func (c *call) model() bool { return c.capability.Model && c.caller.Runtime != nil }

// providerAnswer is a provider's answer on its way. It ends once.
type providerAnswer struct {
	*http.Response
	call  *call
	ctx   context.Context //nolint:containedctx // it bounds the body that is read
	begun time.Time
	idle  *time.Timer
	// received counts what of the body was passed on.
	received int64
	settle   func(audit.End)
	cancel   context.CancelCauseFunc
	stop     func()
}

// idleBound is how long a provider may send nothing, once it has begun to
// answer.
const idleBound = 5 * time.Minute

// call records the intent to call a provider and, once that is durable, sends
// the request. The caller ends the answer. What is refused before the intent is
// for the caller of call to record; after it, the outcome says it.
func (s *Server) call(ctx context.Context, c *call) (*providerAnswer, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	ctx, expire := context.WithTimeoutCause(ctx, c.timeout, errUpstreamTimeout)
	a := &providerAnswer{call: c, ctx: ctx, cancel: cancel, stop: expire}
	ev, done, err := s.audit.BeginIn(ctx, func(tx *store.Tx) (audit.Event, error) { return s.intend(ctx, tx, c) })
	if err != nil {
		a.release()
		return nil, err
	}
	c.recorded, a.begun = true, time.Now()
	a.settle = func(end audit.End) { s.recordOutcome(ev, done, end) }
	go func() { // what streams for ever would keep the server from stopping
		select {
		case <-s.streams.ended():
			cancel(errStopping)
		case <-ctx.Done():
		}
	}()
	a.Response, err = s.send(ctx, c)
	if err != nil {
		return nil, a.end(err)
	}
	a.idle = time.AfterFunc(idleBound, func() { cancel(errUpstreamTimeout) })
	return a, nil
}

// release lets go of what the call holds, its connection to the provider among
// that.
func (a *providerAnswer) release() {
	a.cancel(nil)
	a.stop()
	if a.call.unwatch != nil {
		a.call.unwatch()
	}
}

// Read reads the body.
func (a *providerAnswer) Read(p []byte) (int, error) {
	n, err := a.Body.Read(p)
	a.received += int64(n)
	a.idle.Reset(idleBound)
	return n, err
}

// end ends the call and records how: nil is well. It returns the error as a
// caller may see it.
func (a *providerAnswer) end(err error) error {
	err = a.call.failure(a.ctx, err)
	end := audit.End{Outcome: audit.OK, ResponseBytes: a.received, Took: time.Since(a.begun)}
	if err != nil {
		end.Outcome = asError(err).Code
	}
	if a.call.body != nil {
		end.RequestBytes = a.call.body.sent.Load()
	}
	if a.Response != nil {
		end.Status = a.StatusCode
		_ = a.Body.Close() // it was read, or is to be read no further
		a.idle.Stop()
	}
	a.release()
	a.settle(end)
	return err
}

// intend resolves what the call is made with, decides about it once more,
// counts it and returns its event: all in the transaction that makes the intent
// durable, so that nothing is sent under rules that have been replaced.
func (s *Server) intend(ctx context.Context, tx *store.Tx, c *call) (ev audit.Event, err error) {
	if err := s.stillPermitted(ctx, tx.Queries, c.grant); err != nil {
		return ev, err
	}
	if c.classify != nil {
		if err := c.classify(ctx, tx.Queries); err != nil {
			return ev, err
		}
	}
	if err := s.underPolicy(ctx, tx.Queries, c); err != nil {
		return ev, err
	}
	query := broker.Query{
		Provider: c.provider, Capability: c.capability.ID, Credential: c.credential, Consumer: c.consumer, Context: c.context,
		Test: c.test,
	}
	query.NoAI = hidesAI(c.caller, query.Credential)
	if c.resolved, err = s.resolveOrAI(ctx, tx.Queries, c, query); err != nil {
		return ev, err
	}
	if p := c.capability.Policy; p != nil && p.MaxResponseBytes > 0 {
		c.maxAnswer = min(c.maxAnswer, p.MaxResponseBytes)
	}
	r := c.resolved
	c.credential, c.tier, c.uid, c.version = r.Credential.ID, string(r.Tier), r.UID, r.Version
	if r.AI != nil && c.caller.Runtime != nil {
		// The one that was mounted, and not another that has its id since.
		if _, err := s.askable(ctx, tx.Queries, c.caller, r.Credential.ID); err != nil {
			return ev, err
		}
	}
	if err := s.aim(c); err != nil {
		return ev, err
	}
	if err := s.pinnedHere(c); err != nil {
		return ev, err
	}
	if p := c.capability.Policy; p != nil && p.CallsPerMinute > 0 {
		wait, err := tx.TakeCall(ctx, c.caller.Org, c.capability.ID, p.CallsPerMinute, time.Now())
		if err != nil {
			return ev, err
		}
		if wait > 0 {
			return ev, &rateLimitedError{wait}
		}
	}
	if c.once != nil {
		if err := c.once(ctx, tx); err != nil {
			return ev, err
		}
	}
	c.used = r.used()
	ev = c.event()
	c.complete(&ev)
	if r.AI != nil && c.caller.Runtime != nil {
		ev.Action, ev.Object = string(bctrl.UseAI), r.Credential.ID
	}
	query.Credential, query.NoAI = r.Credential.ID, hidesAI(c.caller, r.Credential.ID)
	s.watchCall(c, query)
	return ev, nil
}

// hidesAI reports whether a credential that a caller names is, where it is an AI
// credential, none to it: a runtime knows of those alone that are mounted.
func hidesAI(c access.Caller, id string) bool {
	return c.Runtime != nil && !access.Decide(c, access.Action{Verb: bctrl.UseAI, Object: id})
}

// underPolicy takes over the capability's limits as q has them, and refuses a
// call that was admitted by a capability which is another one now.
func (s *Server) underPolicy(ctx context.Context, q store.Queries, c *call) error {
	if c.capability.ID == "" {
		return nil
	}
	now, err := s.defined(ctx, q, c.caller.Org, c.capability.ID)
	if err != nil {
		return err
	}
	if !samePermission(now, c.capability) {
		return errCapabilityChanged
	}
	c.capability.Policy = nil
	if err := s.addPolicy(ctx, q, c.caller.Org, &c.capability); err != nil || c.capability.Policy == nil {
		return err
	}
	p := c.capability.Policy
	if p.MaxResponseBytes > 0 {
		c.maxAnswer = min(c.maxAnswer, p.MaxResponseBytes)
	}
	if c.body != nil && p.MaxRequestBytes > 0 {
		return c.body.within(p.MaxRequestBytes)
	}
	return nil
}

// samePermission reports whether two descriptions of a capability permit the
// same requests, with the same credential.
func samePermission(a, b bctrl.Capability) bool {
	return a.Credential == b.Credential && a.Model == b.Model &&
		slices.Equal(a.Methods, b.Methods) && slices.Equal(a.Paths, b.Paths) && slices.Equal(a.Hosts, b.Hosts)
}

var errCapabilityChanged = conflict("capabilities.changed", "the capability was changed at this moment")

// rateLimitedError refuses a call until there is room for it.
type rateLimitedError struct{ wait time.Duration }

// Error implements error.
func (e *rateLimitedError) Error() string { return e.refusal().Error() }

// Unwrap returns the refusal.
func (e *rateLimitedError) Unwrap() error { return e.refusal() }

func (e *rateLimitedError) refusal() *bctrl.Error {
	return &bctrl.Error{
		Status: http.StatusTooManyRequests, Code: "invoke.rate_limited",
		Message: "as many calls of this capability have begun as its policy permits in a minute",
		Hint:    "there is room for one in " + e.seconds() + " seconds",
	}
}

// seconds is what Retry-After says.
func (e *rateLimitedError) seconds() string {
	return strconv.FormatInt(int64((e.wait+time.Second-1)/time.Second), 10)
}

// send opens the secrets that the call uses and sends it.
func (s *Server) send(ctx context.Context, c *call) (*http.Response, error) {
	secrets, err := c.resolved.open()
	if err != nil {
		return nil, err
	}
	client, err := s.broker.Client(s.targetOf(c, secrets))
	if err != nil {
		return nil, err
	}
	req, err := c.request(ctx)
	if err != nil {
		return nil, err
	}
	if err := endedBecause(ctx); err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	if err := c.redact(resp); err != nil {
		_ = resp.Body.Close() // it is refused whole
		return nil, err
	}
	return resp, nil
}

// request makes the request that the broker sends.
func (c *call) request(ctx context.Context) (*http.Request, error) {
	if c.made != nil {
		req := c.made.Clone(ctx)
		if c.body != nil {
			req.Body, req.GetBody = io.NopCloser(c.body), nil
		}
		return req, nil
	}
	path, err := url.PathUnescape(c.path)
	if err != nil {
		return nil, err // it has been checked
	}
	u := *c.base
	u.Path, u.RawPath, u.RawQuery = path, c.path, c.query
	req, err := http.NewRequestWithContext(ctx, c.method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header = c.header.Clone()
	if c.body != nil {
		c.body.attach(req)
	}
	return req, nil
}

// hides reports whether the capability's policy names fields to take out.
func (c *call) hides() bool { return c.capability.Policy != nil && len(c.capability.Policy.Redact) > 0 }

// redact takes out of an answer what the capability's policy names.
func (c *call) redact(resp *http.Response) error {
	if !c.hides() {
		return nil
	}
	r := broker.NewRedactor(c.capability.Policy.Redact)
	if c.method == http.MethodHead || resp.StatusCode == http.StatusNoContent || resp.StatusCode == http.StatusNotModified {
		return nil
	}
	text, ok := r.Reader(resp.Body, resp.Header.Get("Content-Type"))
	if !ok {
		return &bctrl.Error{
			Status: http.StatusUnprocessableEntity, Code: "invoke.answer_refused",
			Message: "the capability's policy hides fields of JSON, and the provider's answer is none",
		}
	}
	resp.Body, resp.ContentLength = bodyOf{text, resp.Body}, -1
	broker.DropDigests(resp.Header)
	return nil
}

// registryProvider is the provider of the call, where the registry has it.
func (s *Server) registryProvider(c *call) (registry.Provider, bool) {
	return s.registry.Provider(c.provider)
}
