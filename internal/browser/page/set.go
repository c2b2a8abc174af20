// Package page observes and acts on the pages of one browser, for an agent: it
// follows the tabs, reads them as text, clicks, types, fills logins and takes
// pictures. What a page gets to see of a login, package fill decides.
//
// It has a connection of its own and knows neither how a browser is started nor
// who else is connected, but for what [Clients] says.
package page

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/cdp/jsonv2"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/fill"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
	"github.com/bctrl-go/bctrl/internal/egress"
)

// maxTabs is how many tabs pages may have opened at a time. One that they open
// beyond it is closed at once. Tabs of clients are not counted.
const maxTabs = 20

// Clients tells what clients from outside have attached and set.
type Clients interface {
	// Attached reports whether a client has attached a tab.
	Attached(target.ID) bool
	// HearsDialogs reports whether a client is told of the dialogs of a tab.
	HearsDialogs(target.ID) bool
	// RestoreScreens sets again the screens that clients emulate in a tab.
	RestoreScreens(context.Context, target.ID)
	// Released has an element when a client has let go of a tab.
	Released() <-chan struct{}
}

// Set follows every tab, frame and worker of one browser over one DevTools
// connection that nobody else reads. It implements [browser.Page] on the agent's
// tab in front: see owner.go.
//
// It relies on the rules for clients from outside: they do not let them intercept a
// request for which [Set.KeepsRequest] is true, nor see the body of one for which
// [Set.CarriesFill] is.
type Set struct {
	conn    *protocol.Conn
	world   string // [Surroundings.World]
	clients Clients
	proxy   *egress.Proxy // by which the browser reaches the network
	ctx     context.Context
	cancel  context.CancelFunc
	workers sync.WaitGroup
	groups  atomic.Int64
	// actionTimeout is [Surroundings.ActionTimeout], or its default.
	actionTimeout time.Duration
	anyFilled     atomic.Bool  // something was filled
	textWatches   atomic.Int64 // how many there have been, which numbers them
	secretFilled  atomic.Bool  // a password or a code was, or its placeholder

	guards  *fill.Guards
	scrub   *fill.Scrubber
	refs    *refTable
	dialogs heldDialogs
	uploads uploads
	bounds  boundsList
	watched watched

	intercepting struct {
		mu  sync.Mutex
		now interception
	}

	mu           sync.Mutex
	sessions     map[target.SessionID]*session
	tabs         []*tab // oldest first
	tabIDs       *browser.TabIDs
	notes        []string           // for the next observation, of tabs that are gone
	floods       map[target.ID]bool // pages that were closed for opening tabs without end; some of the tabs come later
	brought      int                // how often one came to the front
	tabsChange   chan struct{}      // closed and replaced when tabs changes
	agentTargets map[target.ID]bool // tabs that were there before any client, or opened for the agent
	listed       bool               // all tabs that were there before are attached
}

var _ browser.Page = (*Set)(nil)

// Surroundings are what pages work with beside their connection.
type Surroundings struct {
	// Proxy is by which the browser reaches the network.
	Proxy   *egress.Proxy
	Clients Clients
	Copies  Copies
	// TabIDs names the tabs, for whoever else tells of them too.
	TabIDs *browser.TabIDs
	// World is the name of the worlds in which scripts of the server run, by which clients
	// are kept from them.
	World string
	// ActionTimeout bounds every action beside its context: a page that hangs must not
	// hold an agent for as long as its whole task may take. Zero is 30 seconds.
	ActionTimeout time.Duration
}

// Open takes over conn, an unfiltered DevTools connection to a browser, until
// [Set.Close]. Of the browser's tabs, own are the agent's. The context bounds the
// start alone.
func Open(ctx context.Context, conn browser.CDPConn, around Surroundings, own []target.ID) (*Set, error) {
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s := &Set{
		ctx:           life,
		cancel:        cancel,
		proxy:         around.Proxy,
		clients:       around.Clients,
		world:         around.World,
		tabIDs:        around.TabIDs,
		actionTimeout: cmp.Or(around.ActionTimeout, defaultActionTimeout),
		uploads: uploads{
			copies:     around.Copies,
			grace:      uploadGrace,
			ofDocument: map[protocol.Document][]upload{},
		},
		agentTargets: map[target.ID]bool{},
		floods:       map[target.ID]bool{},
		scrub:        fill.NewScrubber(),
		refs:         newRefTable(),
		sessions:     map[target.SessionID]*session{},
		tabsChange:   make(chan struct{}),
		watched:      watched{change: make(chan struct{})},
		dialogs:      heldDialogs{change: make(chan struct{})},
	}
	for _, id := range own {
		s.agentTargets[id] = true
	}
	s.guards = fill.NewGuards(func(fn func(context.Context)) { s.spawn(fn) }, func(bool) { s.applyInterception() })
	s.conn = protocol.NewConn(life, conn, s.onEvent)
	s.spawn(func(ctx context.Context) { s.dismissAbandonedDialogs(ctx, around.Clients.Released()) })
	root := s.conn.Root()
	if err := protocol.Tell(ctx, root, target.SetAutoAttach, autoAttach()); err != nil {
		s.Close()
		return nil, fmt.Errorf("attaching to the browser: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listed = true
	return s, nil
}

// autoAttach has every related target attached, and paused until it is set up: so a
// tab that a form opens sends nothing before it is watched.
func autoAttach() target.SetAutoAttachParams {
	flat := true
	return target.SetAutoAttachParams{AutoAttach: true, WaitForDebuggerOnStart: true, Flatten: &flat}
}

// Close ends the watching of tabs once the connection has ended. It does not stop
// the browser.
func (s *Set) Close() {
	s.mu.Lock()
	s.cancel() // under mu: nothing is spawned after it
	s.mu.Unlock()
	s.guards.Close()
	<-s.conn.Done()
	s.workers.Wait()
}

// spawn runs fn beside the reader of the connection. Its context ends with Close,
// which waits for it.
// It reports whether it runs: not once the set is closed.
func (s *Set) spawn(fn func(ctx context.Context)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return false
	}
	s.workers.Go(func() { fn(s.ctx) })
	return true
}

// hasFilled reports whether anything was filled in this browser.
func (s *Set) hasFilled() bool { return s.anyFilled.Load() }

// SentHTTPLogin reports whether any request had a login of HTTP with it.
func (s *Set) SentHTTPLogin() bool { return s.guards.SentHTTPLogin() }

// CarriesFill reports whether the body of a request held, or may come to hold,
// a value from the vault.
func (s *Set) CarriesFill(id network.RequestID) bool { return s.guards.CarriesValue(id) }

// KeepsRequest reports whether a request that a client has paused has to do with what was
// filled, so that the client may not see it.
func (s *Set) KeepsRequest(id network.RequestID, r *network.Request) bool {
	return s.guards.Touches(fill.RequestOf(fill.Flight{Request: id}, r, time.Now()))
}

// HoldsFilled reports whether a text that a client is to read holds a filled value.
func (s *Set) HoldsFilled(text []byte) bool { return s.guards.HoldsFilled(text) }

// MaskFilled takes the values that were filled out of a text.
func (s *Set) MaskFilled(text string) string { return s.guards.MaskFilled(text) }

// FindFilled is HoldsFilled for a text that goes on unless end is set.
func (s *Set) FindFilled(text []byte, end bool) (found bool, open int) {
	return s.guards.FindFilled(text, end)
}

// Fills is how many secrets were filled, and whether one of them may still be sent.
func (s *Set) Fills() (count int, waiting bool) { return s.guards.Fills() }

// Ready waits until the agent's tab is set up, and opens one when there is none.
func (s *Set) Ready(ctx context.Context) error {
	_, err := s.agentTab(ctx)
	return err
}

// agentTab returns the agent's tab once it is set up, opening one when there is
// none.
func (s *Set) agentTab(ctx context.Context) (*tab, error) {
	for {
		s.mu.Lock()
		changed := s.tabsChange
		t := s.frontTab()
		s.mu.Unlock()
		if t == nil {
			// Its session was announced before the answer, so the next round
			// finds it unless it is gone already.
			if _, err := s.createTab(ctx); err != nil {
				return nil, err
			}
			continue
		}
		ready := t.session.ready
		if t.hasCrashed() {
			ready = nil // it is being closed
		}
		select {
		case <-ready:
			return t, nil
		case <-t.session.gone:
		case <-changed:
		case <-s.conn.Done():
			return nil, protocol.ErrGone
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// signalTabsChange wakes those who wait in agentTab. Call it with mu held.
func (s *Set) signalTabsChange() {
	s.watched.signal()
	close(s.tabsChange)
	s.tabsChange = make(chan struct{})
}

func (s *Set) session(id target.SessionID) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[id]
}

// intercept has requests be intercepted everywhere.
func (s *Set) intercept(what interception) {
	s.mu.Lock()
	all := make([]*session, 0, len(s.sessions))
	for _, session := range s.sessions {
		all = append(all, session)
	}
	s.mu.Unlock()
	var each sync.WaitGroup
	for _, session := range all {
		each.Go(func() {
			ctx, cancel := context.WithTimeout(s.ctx, frameTimeout)
			defer cancel()
			interceptOn(ctx, session, what)
		})
	}
	each.Wait()
}

// interceptOn has requests be intercepted in one session. Errors do not matter: a
// session that does not answer sends the placeholder, which is worth nothing.
func interceptOn(ctx context.Context, session *session, what interception) {
	// A service worker, in which scripts of the site run, would see the body after
	// the value was put into it.
	_ = protocol.Tell(ctx, session, network.SetBypassServiceWorker,
		network.SetBypassServiceWorkerParams{Bypass: what == interceptsAll})
	if what == interceptsNothing {
		_ = protocol.Tell(ctx, session, fetch.Disable, cdp.Empty{})
		return
	}
	_ = protocol.Tell(ctx, session, fetch.Enable, what.params())
}

// onEvent handles an event of the connection. It must not block.
func (s *Set) onEvent(id target.SessionID, method string, params jsonv2.Value) {
	switch method {
	case target.AttachedToTarget.Method:
		protocol.Event(params, func(ev target.EventAttachedToTarget) { s.onAttached(id, ev) })
		return
	case target.DetachedFromTarget.Method:
		protocol.Event(params, func(ev target.EventDetachedFromTarget) { s.onDetached(ev.SessionID) })
		return
	case target.TargetInfoChanged.Method: // its address comes here after the tab itself had it, its title here alone
		s.watched.signal()
		return
	}
	session := s.session(id)
	if session == nil {
		return
	}
	if method == fetch.RequestPaused.Method {
		protocol.Event(params, func(ev fetch.EventRequestPaused) {
			arrived := time.Now()
			s.spawn(func(ctx context.Context) { s.onRequestPaused(ctx, session, ev, arrived) })
		})
		return
	}
	if session.tab != nil {
		session.tab.onEvent(session, method, params)
	}
}

func (s *Set) onAttached(parent target.SessionID, ev target.EventAttachedToTarget) {
	session := &session{
		Session:  s.conn.Session(ev.SessionID),
		targetID: ev.TargetInfo.TargetID,
		kind:     ev.TargetInfo.Type,
		world:    s.world,
		ready:    make(chan struct{}),
		gone:     make(chan struct{}),
	}
	s.mu.Lock()
	over := false
	var floods *tab
	switch session.kind {
	case "page":
		if ev.TargetInfo.Subtype != "" {
			break // a prerendered page becomes part of its tab when it is shown
		}
		t := newTab(s, session)
		t.opener = ev.TargetInfo.OpenerID
		t.countsAgainstPages = s.countsAgainstPages(t)
		late := s.floods[t.opener]
		if over = late || t.countsAgainstPages && s.listed && s.openedByPages() >= maxTabs; over {
			floods = s.noteTabRefused(t.opener)
			break
		}
		session.tab = t
		s.addTab(t)
	case "iframe", "worker":
		if up := s.sessions[parent]; up != nil {
			session.tab = up.tab
		}
		if session.kind == "iframe" && session.tab != nil {
			session.tab.addFrame(session)
		}
	}
	s.sessions[session.ID] = session
	s.mu.Unlock()

	if floods != nil {
		s.spawn(func(ctx context.Context) { s.endFlood(ctx, floods) })
	}
	s.spawn(func(ctx context.Context) {
		// A page that hangs is ready all the same: it can be navigated away.
		setting, cancel := context.WithTimeout(ctx, 2*frameTimeout)
		defer cancel()
		s.setUpSession(setting, session)
		close(session.ready)
		if over { // not before it runs: the page that opened it stands still until then
			root := s.conn.Root()
			_ = protocol.Tell(ctx, root, target.CloseTarget, target.CloseTargetParams{TargetID: session.targetID})
		}
	})
}

func (s *Set) onDetached(id target.SessionID) {
	s.mu.Lock()
	session := s.sessions[id]
	delete(s.sessions, id)
	if session != nil {
		if t := session.tab; t != nil && t.session == session {
			s.noteClosed(t)
			s.keepOwnersOf(t)
			s.tabs = slices.DeleteFunc(s.tabs, func(other *tab) bool { return other == t })
			s.refs.forgetTab(t)
			s.dialogs.take(func(h *heldDialog) bool { return h.tab == t })
			s.signalTabsChange()
		} else if t != nil {
			t.removeFrame(session)
		}
	}
	s.mu.Unlock()
	if session == nil {
		return
	}
	close(session.gone)
	s.uploads.sessionGone(s, id)
	s.conn.EndSession(id)
	s.guards.SessionGone(id)
}

// setUpSession prepares a new target and lets it run. All commands are sent before an
// answer is awaited: a paused target answers some of them only once it runs.
func (s *Set) setUpSession(ctx context.Context, session *session) {
	send := func(method string, params any) <-chan struct{} {
		reply, err := session.Post(ctx, method, params)
		answered := make(chan struct{})
		if err != nil {
			close(answered)
			return answered
		}
		s.spawn(func(ctx context.Context) {
			defer close(answered)
			select {
			case <-reply:
			case <-ctx.Done():
			}
		})
		return answered
	}
	var answers []<-chan struct{}
	switch session.kind {
	case "page", "iframe":
		small := int64(1) // byte: bodies are not kept for anybody to read
		answers = append(answers,
			send(page.Enable.Method, page.EnableParams{}),
			send(page.SetLifecycleEventsEnabled.Method, page.SetLifecycleEventsEnabledParams{Enabled: true}),
			send(network.Enable.Method, network.EnableParams{
				MaxTotalBufferSize:    &small,
				MaxResourceBufferSize: &small,
				MaxPostDataSize:       &small,
			}),
			send(page.SetInterceptFileChooserDialog.Method, page.SetInterceptFileChooserDialogParams{Enabled: true}),
			send(target.SetAutoAttach.Method, autoAttach()))
	case "worker", "shared_worker", "service_worker":
		send(target.SetAutoAttach.Method, autoAttach())
	}
	// What is wanted may change before it is sent: whoever changes it tells the sessions that
	// there are, and this one last what is wanted then.
	for sent := interceptsNothing; ; {
		what := s.wantedInterception()
		if what == sent {
			break
		}
		send(network.SetBypassServiceWorker.Method,
			network.SetBypassServiceWorkerParams{Bypass: what == interceptsAll})
		if what == interceptsNothing {
			send(fetch.Disable.Method, cdp.Empty{})
		} else {
			send(fetch.Enable.Method, what.params())
		}
		sent = what
	}
	answers = append(answers, send(runtime.RunIfWaitingForDebugger.Method, nil))
	for _, answered := range answers {
		select {
		case <-answered:
		case <-session.gone:
			return
		case <-ctx.Done():
			return
		}
	}
}

// closeTab closes a tab. Whoever has it closed says why.
func (s *Set) closeTab(ctx context.Context, t *tab) {
	t.expectEnd(true)
	root := s.conn.Root()
	_ = protocol.Tell(ctx, root, target.CloseTarget, target.CloseTargetParams{TargetID: t.session.targetID})
}

// closeCrashed closes a tab whose page has crashed.
func (s *Set) closeCrashed(ctx context.Context, t *tab) {
	s.mu.Lock()
	s.addNote(fmt.Sprintf("page.crashed: the page of tab %s has crashed, and the tab was closed", t.id))
	s.mu.Unlock()
	s.closeTab(ctx, t)
}
