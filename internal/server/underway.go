package server

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/store"
)

// underway is what callers have begun and have not ended: requests, streams,
// executions, DevTools connections, downloads by a link, questions to a model,
// files on their way into storage. Whoever changes what is permitted, by
// lowering a workspace, ending a runtime, a key, a token or a credential, asks
// about all of it again before the change is acknowledged ([Server.recheck]),
// and what is no longer permitted ends.
//
// A decision is made in three parts, so that none is made under old rules and
// missed: note how often rules have changed, decide, enter what was decided.
// When those of its organization have changed since, entering fails and all is
// done again; when they change after, what was entered is asked about.
type underway struct {
	mu      sync.Mutex
	changes uint64
	// last is the count at each organization's last change; open is by
	// organization too. What is done for a subaccount with a key of its parent is
	// among what both have open.
	last map[string]uint64
	// locked is the count when the server was last locked.
	locked uint64
	open   map[string]map[*effect]struct{}
}

// effect is one thing that a caller has begun.
type effect struct {
	// parent is the organization that the caller's key is of, where that acts
	// for its subaccount org.
	org, parent string
	workspace   string
	// keyless is set where it goes on while the server is locked.
	keyless bool
	// still decides about it anew.
	still func(context.Context) error
	// end makes its context end, with why as the cause.
	end context.CancelCauseFunc
}

// organizations are those whose rules it depends on.
func (e *effect) organizations() []string {
	if e.parent == "" {
		return []string{e.org}
	}
	return []string{e.org, e.parent}
}

// age is how often the rules have changed.
func (u *underway) age() uint64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.changes
}

// enter takes in what was decided at an age. It refuses when that is past.
func (u *underway) enter(e *effect, age uint64) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, org := range e.organizations() {
		if max(u.last[org], u.locked) > age {
			return false
		}
	}
	if u.open == nil {
		u.open = map[string]map[*effect]struct{}{}
	}
	for _, org := range e.organizations() {
		if u.open[org] == nil {
			u.open[org] = map[*effect]struct{}{}
		}
		u.open[org][e] = struct{}{}
	}
	return true
}

func (u *underway) leave(e *effect) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, org := range e.organizations() {
		delete(u.open[org], e)
		if len(u.open[org]) == 0 {
			delete(u.open, org)
		}
	}
}

// changed counts a change of the rules and returns what it may concern: what is
// underway in a workspace, or with "" in all of the organization's.
func (u *underway) changed(org, workspace string) []*effect {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.last == nil {
		u.last = map[string]uint64{}
	}
	u.changes++
	u.last[org] = u.changes
	var list []*effect
	for e := range u.open[org] {
		if workspace == "" || e.workspace == workspace {
			list = append(list, e)
		}
	}
	return list
}

// keyed returns what is underway and cannot go on while the server is locked.
func (u *underway) keyed() map[*effect]struct{} {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.changes++
	u.locked = u.changes
	list := map[*effect]struct{}{}
	for _, effects := range u.open {
		maps.Copy(list, effects)
	}
	maps.DeleteFunc(list, func(e *effect, _ struct{}) bool { return e.keyless })
	return list
}

// recheck decides again about everything underway in a workspace, or with ""
// in all of the organization's, and ends what is no longer permitted. It is
// called once a change is durable and before it is acknowledged.
func (s *Server) recheck(ctx context.Context, org, workspace string) {
	ctx = context.WithoutCancel(ctx) // also for who does not wait for the acknowledgement
	for _, e := range s.underway.changed(org, workspace) {
		if err := e.still(ctx); err != nil {
			e.end(asError(err)) // what cannot be told is not permitted
		}
	}
}

// during runs do for as long as it is permitted: begin decides that, and still
// decides again. Once that says no, the context of do ends.
func (s *Server) during(ctx context.Context, e *effect, begin func(context.Context) error, do func(context.Context) error) error {
	ctx, e.end = context.WithCancelCause(ctx)
	defer e.end(nil)
	for {
		age := s.underway.age()
		if err := begin(ctx); err != nil {
			return err
		}
		if s.underway.enter(e, age) {
			break
		}
	}
	defer s.underway.leave(e)
	err := do(ctx)
	if cut := cutShort(ctx); err != nil && cut != nil {
		return cut
	}
	return err
}

// cutShort returns why a context was ended by a change of the rules, or nil.
func cutShort(ctx context.Context) error {
	if why := (*bctrl.Error)(nil); ctx.Err() != nil && errors.As(context.Cause(ctx), &why) {
		return why
	}
	return nil
}

// whileCaller runs do for as long as the caller is one, and also says nothing
// against it. It is for what outlives the request that began it, or has none.
func (s *Server) whileCaller(ctx context.Context, c access.Caller, also func(context.Context) error, do func(context.Context) error) error {
	if c.Token != nil {
		var expire context.CancelFunc
		ctx, expire = context.WithDeadlineCause(ctx, c.Token.Expires, errTokenExpired)
		defer expire()
	}
	e := &effect{org: c.Org, parent: c.Parent}
	if c.Runtime != nil {
		e.workspace = c.Runtime.WorkspaceID
	}
	e.still = func(ctx context.Context) error {
		if err := s.callerLives(ctx, c); err != nil || also == nil {
			return err
		}
		return also(ctx)
	}
	return s.during(ctx, e, e.still, do)
}

// granted is what a request of a runtime caller was permitted.
type granted struct {
	mu      sync.Mutex
	actions []access.Action
	// caller is the caller under the rules as they were when they last changed.
	caller *access.Caller
	// also is what else must go on to hold; nil is nothing.
	also func(context.Context, access.Caller) error
}

// require has also asked with all that the request was permitted.
func (g *granted) require(also func(context.Context, access.Caller) error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.also = also
}

// all is what the request was permitted so far.
func (g *granted) all() []access.Action {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.actions)
}

// enter authenticates a request, and counts it as underway from then on.
func (s *Server) enter(rq *request) (err error) {
	for {
		age := s.underway.age()
		rq.caller, err = s.authenticate(rq.Context(), rq.Header)
		if rq.route.toUnlock && errors.Is(err, seal.ErrLocked) {
			rq.unproven = true
			rq.caller, err = s.unprovenCaller(rq.Context(), rq.Header)
		}
		if err != nil {
			return err
		}
		ctx, end := context.WithCancelCause(rq.Context())
		e := &effect{org: rq.caller.Org, parent: rq.caller.Parent, end: end}
		if rt := rq.caller.Runtime; rt != nil {
			e.workspace = rt.WorkspaceID
		} else {
			e.keyless = rq.route.withoutKey
		}
		who := identity(rq.Header)
		e.still = func(ctx context.Context) error { return s.stillGranted(ctx, rq, who) }
		if !s.underway.enter(e, age) {
			end(nil)
			continue
		}
		expire := func() {}
		if t := rq.caller.Token; t != nil {
			ctx, expire = context.WithDeadlineCause(ctx, t.Expires, errTokenExpired)
		}
		rq.Request = rq.WithContext(ctx)
		stop := func() bool { return true }
		if rq.ContentLength != 0 {
			body := &endingBody{ReadCloser: rq.Body, w: rq.w}
			rq.Body = body
			stop = context.AfterFunc(ctx, body.breakOff)
		}
		leave := sync.OnceFunc(func() { s.underway.leave(e) })
		rq.settle = leave
		rq.onLeave(func() { leave(); stop(); end(nil); expire() })
		return nil
	}
}

// endingBody is a request's body that nobody waits for once the request has
// been ended.
type endingBody struct {
	io.ReadCloser
	w *statusWriter

	mu   sync.Mutex
	over bool // nothing of it is left to read
}

func (b *endingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.mu.Lock()
		b.over = true
		b.mu.Unlock()
	}
	return n, err
}

// isOver reports whether nothing of the body is left to read.
func (b *endingBody) isOver() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.over
}

// breakOff ends a read that waits. Where the body has been read whole it does
// nothing: net/http reads on behind it, takes a deadline for the client's going
// away, and would have the connection's later requests end as they begin.
func (b *endingBody) breakOff() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over {
		return
	}
	b.w.last.Store(true) // for the end of the body may be read at this moment
	_ = http.NewResponseController(b.w).SetReadDeadline(past)
}

// past is a deadline that is over.
var past = time.Unix(1, 0)

// identity is the part of a request's header that says who calls.
func identity(h http.Header) http.Header {
	who := http.Header{}
	for _, name := range []string{"Authorization", "Bctrl-Subaccount-Id", "Bctrl-Runtime", "Bctrl-Mounts"} {
		if values, ok := h[name]; ok {
			who[name] = values
		}
	}
	return who
}

// stillGranted decides again about everything that a request was permitted, by
// who its caller now is.
func (s *Server) stillGranted(ctx context.Context, rq *request, who http.Header) error {
	g := &rq.granted
	g.mu.Lock()
	defer g.mu.Unlock()
	caller, err := s.authenticate(ctx, who)
	if err != nil {
		return err
	}
	g.caller = &caller
	if err := decideAll(caller, g.actions); err != nil || g.also == nil {
		return err
	}
	return g.also(ctx, caller)
}

func decideAll(c access.Caller, actions []access.Action) error {
	for _, a := range actions {
		if !access.Decide(c, a) {
			return outsideMount(a.Verb)
		}
	}
	return nil
}

// decide asks access by the newest rules, and remembers what it permits.
func (g *granted) decide(c *access.Caller, a access.Action) bool {
	if c.Runtime == nil {
		return access.Decide(*c, a)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.caller != nil {
		*c = *g.caller
	}
	if !access.Decide(*c, a) {
		return false
	}
	if !slices.Contains(g.actions, a) {
		g.actions = append(g.actions, a)
	}
	return true
}

// grantedIn decides again about everything that a request was permitted, by the
// rules as q has them: in a transaction, or around a read, what is decided and
// what is done are of one moment.
func (s *Server) grantedIn(ctx context.Context, q store.Queries, rq *request) error {
	if rq.caller.Runtime == nil {
		return nil
	}
	rq.granted.mu.Lock()
	defer rq.granted.mu.Unlock()
	now, err := s.callerIn(ctx, q, rq.caller)
	if err != nil {
		return err
	}
	return decideAll(now, rq.granted.actions)
}

// callerIn returns a runtime caller with the mounts of its workspace as q has
// them.
func (s *Server) callerIn(ctx context.Context, q store.Queries, c access.Caller) (access.Caller, error) {
	version, live, err := q.RuntimeCeiling(ctx, c.Org, c.Runtime.ID)
	if errors.Is(err, store.ErrNotFound) || err == nil && !live {
		return c, errEnded(c)
	}
	if err != nil || version == c.Runtime.Version {
		return c, err
	}
	rt, err := runtimeCaller(ctx, q, c.Org, c.Runtime.ID)
	if errors.Is(err, errNotActive) {
		err = errEnded(c)
	}
	if err != nil {
		return c, err
	}
	below := c.Runtime.Chain[2:]
	rt.Chain, rt.Launched = append(rt.Chain, below...), append(rt.Launched, below...)
	c.Runtime = rt
	return c, nil
}

// ofOneMoment reads for a runtime caller, and reads once more, newly decided,
// where the rules changed between the decision and what was read: what is shown
// and what permitted it are of one moment. What is on record was decided in the
// transaction that recorded it.
func ofOneMoment[T any](ctx context.Context, s *Server, rq *request, read func(context.Context) (T, error)) (T, error) {
	for {
		out, err := read(ctx)
		if rq.caller.Runtime == nil || rq.recorded {
			return out, err
		}
		same, refused := s.sameRules(ctx, rq)
		if refused != nil {
			return out, refused
		}
		if same {
			return out, err
		}
	}
}

// sameRules reports whether a request's caller is bound by the rules as they
// are now, and where it is not makes it so, with nothing permitted yet.
func (s *Server) sameRules(ctx context.Context, rq *request) (bool, error) {
	g := &rq.granted
	g.mu.Lock()
	defer g.mu.Unlock()
	if cut := cutShort(ctx); cut != nil {
		return false, cut
	}
	now, err := s.callerIn(ctx, s.db.Read(), rq.caller)
	if err != nil || now.Runtime.Version == rq.caller.Runtime.Version {
		return err == nil, err
	}
	rq.caller, g.caller, g.actions = now, &now, nil
	return false, nil
}
