// Package fill keeps what was filled into pages where it belongs. For each filled
// field a guard looks at what leaves the browser: it puts the value in the place
// of its placeholder on the way to where the login belongs, and stops it on every
// other way. A scrubber takes what was filled out of what is read of pages.
//
// It decides and changes nothing itself: it is handed requests and texts and says
// what to do with them. It knows no page, no tab but by its session, and no
// browser.
package fill

import (
	"context"
	"sync"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/target"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
	"github.com/bctrl-go/bctrl/internal/scrub"
)

const (
	// afterDocument is how long a guard goes on when its document is gone: a
	// request may still be on its way out.
	afterDocument = 2 * time.Second
	// maxFlight is how long after that it waits for the answer to a request with
	// its value: the answer may be a redirect.
	maxFlight = 5 * time.Minute
	// retiredLife is how long requests with a placeholder are stopped after it
	// has ceased to stand for its value: a script may have kept it.
	retiredLife = 5 * time.Minute
	// maxCarriers is how many ids of requests with a value are remembered.
	maxCarriers = 4096
)

// carriers are requests that have taken a value along, the newest of them.
type carriers struct {
	ids   map[network.RequestID]bool
	order []network.RequestID // oldest first
}

func newCarriers() carriers { return carriers{ids: map[network.RequestID]bool{}} }

// remember adds a request, in the place of the oldest where there are too many.
func (c *carriers) remember(id network.RequestID) {
	if id == "" || c.ids[id] {
		return
	}
	c.ids[id] = true
	c.order = append(c.order, id)
	if len(c.order) > maxCarriers {
		delete(c.ids, c.order[0])
		c.order = c.order[1:]
	}
}

// Field is a field that was filled, and who decides about its value.
type Field struct {
	// Name is the field of the login: password or totp.
	Name string
	// Value is what was filled.
	Value bctrl.Secret
	// Fresh returns the value to send in place of Value: a code is made when the
	// request with it leaves. Nil sends Value.
	Fresh func(context.Context) (bctrl.Secret, error)
	// Placeholder is what the page holds in place of the value; empty when the
	// field was filled directly and the page holds the value itself.
	Placeholder string
	// Row says that the placeholder was typed into a row of fields, a digit each.
	Row bool
	// RowNames are the names of the fields of such a row, which may be empty.
	RowNames []string
	// MayGoTo reports whether the value may go to an origin.
	MayGoTo func(origin string) bool
	// StillPermitted decides whether the value may be used now: an error stops the
	// request. Nil is always yes.
	StillPermitted func(context.Context) error
	// Report is told what became of the fill; nil is nobody.
	Report func(context.Context, *bctrl.Error)
	// Element is the field in its document. It changes with [Guards.Move] alone.
	Element protocol.Element
	// Process is the session of the process that shows the document, and Tab that
	// of its tab. Both are empty in tests of requests alone, which have no page.
	Process, Tab target.SessionID
	// Look reads the state of the field, which is Element, and of the fields beside
	// it, where held is what the page holds: the placeholder or the value. It reports
	// whether the page has answered. It is nil in tests of requests alone.
	Look func(ctx context.Context, field protocol.Element, held string) (FormState, bool)
}

// Guard watches the requests of a browser for one filled field, as long as the
// field's document lives. It puts the value in the place of the placeholder where
// a request goes to where the value belongs, and stops every other request with
// either of them. Of a field that was filled directly it only stops requests.
type Guard struct {
	Field

	heldSet *scrub.Set // finds what the page holds

	// The rest changes under the lock of the guards.

	latest   bctrl.Secret // the value, or the code that was sent last
	valueSet *scrub.Set   // finds latest

	documentGoneAt time.Time   // zero while the document lives
	endTimer       *time.Timer // ends the guard some time after that

	flights map[Flight]bool // requests with the value whose answer has not come
	state   FormState       // what is known of the field's form

	submitExpected bool // something was done on the page that may send a form
	valueSent      bool // a request with the value has left
	leftWithout    bool // a request that looks like the login has left without it
	unsentReported bool // and this was reported
	reports        int  // how many reports there were of the field
}

// Flight names a request with a value in it until its answer has come.
type Flight struct {
	Session target.SessionID
	Request network.RequestID
}

// NewGuard makes the guard of a field, which does nothing until it is armed.
func NewGuard(f Field) *Guard {
	g := &Guard{
		Field:    f,
		latest:   f.Value,
		valueSet: scrub.New(f.Value),
		flights:  map[Flight]bool{},
	}
	g.heldSet = g.valueSet
	if f.Placeholder != "" {
		g.heldSet = scrub.New(bctrl.NewSecret(f.Placeholder))
	}
	return g
}

// Guards are the guards of one browser. Requests are intercepted only while there
// is a guard.
type Guards struct {
	spawn     func(func(context.Context))
	intercept func(on bool)

	interceptMu  sync.Mutex // held while intercept runs
	intercepting bool

	mu     sync.Mutex
	closed bool // the browser has ended: no guard is added any more
	// live are the guards of fields that are there, and retired those whose
	// placeholder is worth nothing any more and only stopped.
	live, retired map[*Guard]bool
	// httpLogins are what requests have with them, by their origins.
	httpLogins map[string]*HTTPLogin
	// carriers are the requests that have taken a filled value along. Those with a login
	// of HTTP are kept apart: a page makes as many as it likes, and must not have the
	// others forgotten.
	carriers, httpCarriers carriers
	// sentHTTPLogin says that requests have had a login of HTTP with them.
	sentHTTPLogin bool
	filled        filled
}

// NewGuards makes the guards of a browser. spawn runs a function beside the caller
// until the browser ends; intercept turns the interception of requests on or off
// and returns once it is so everywhere.
func NewGuards(spawn func(func(context.Context)), intercept func(on bool)) *Guards {
	return &Guards{
		spawn:        spawn,
		intercept:    intercept,
		live:         map[*Guard]bool{},
		retired:      map[*Guard]bool{},
		httpLogins:   map[string]*HTTPLogin{},
		carriers:     newCarriers(),
		httpCarriers: newCarriers(),
	}
}

// Arm adds a guard, which takes the place of the element's former one, and returns
// once requests are intercepted.
func (gs *Guards) Arm(g *Guard) {
	gs.mu.Lock()
	for old := range gs.live {
		if old.Element == g.Element {
			gs.retire(old)
		}
	}
	gs.live[g] = true
	gs.filled.remember(g.Value)
	gs.mu.Unlock()
	gs.applyInterception()
}

// Move has a guard watch the element that the page has put in the place of its field, in
// the same document.
func (gs *Guards) Move(g *Guard, to protocol.Element) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	g.Element = to
}

// Drop ends a guard whose fill failed. The page may have read the placeholder that
// was typed: it is worth nothing, and requests with it are stopped for a while.
func (gs *Guards) Drop(g *Guard) {
	gs.mu.Lock()
	gs.retire(g)
	gs.mu.Unlock()
	gs.spawn(func(context.Context) { gs.applyInterception() })
}

// EndWithDocument ends a guard whose document is gone, once what is on its way out
// has left.
func (gs *Guards) EndWithDocument(g *Guard) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	gs.endSoon(g)
}

// retire ends a guard, whose placeholder is stopped for a while longer. Call it
// with mu held.
func (gs *Guards) retire(g *Guard) {
	gs.remove(g)
	if g.Placeholder == "" || gs.closed {
		return
	}
	gs.retired[g] = true
	g.endTimer = time.AfterFunc(retiredLife, func() { gs.endRetired(g) })
}

// remove ends a guard. Call it with mu held.
func (gs *Guards) remove(g *Guard) {
	if g.endTimer != nil {
		g.endTimer.Stop()
	}
	delete(gs.live, g)
	delete(gs.retired, g)
}

func (gs *Guards) endRetired(g *Guard) {
	gs.mu.Lock()
	gs.remove(g)
	gs.mu.Unlock()
	gs.spawn(func(context.Context) { gs.applyInterception() })
}

// applyInterception turns interception on or off as the guards want it now.
func (gs *Guards) applyInterception() {
	gs.interceptMu.Lock()
	defer gs.interceptMu.Unlock()
	if want := gs.Watching(); want != gs.intercepting {
		gs.intercept(want)
		gs.intercepting = want
	}
}

// endExpired ends a guard whose document is gone, unless a request with its value
// may still be redirected.
func (gs *Guards) endExpired(g *Guard) {
	gs.mu.Lock()
	if len(g.flights) > 0 && time.Since(g.documentGoneAt) < maxFlight && !gs.closed {
		g.endTimer.Reset(afterDocument)
		gs.mu.Unlock()
		return
	}
	gs.retire(g)
	gs.mu.Unlock()
	gs.spawn(func(context.Context) { gs.applyInterception() })
}

// endSoon starts the time after which a guard ends whose document is gone. Call it
// with mu held.
func (gs *Guards) endSoon(g *Guard) {
	if g.endTimer == nil {
		g.documentGoneAt = time.Now()
		g.endTimer = time.AfterFunc(afterDocument, func() { gs.endExpired(g) })
	}
}

// Armed reports whether a filled field waits to be sent.
func (gs *Guards) Armed() bool {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	return len(gs.live) > 0
}

// Watching reports whether any request has to be looked at.
func (gs *Guards) Watching() bool {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	return len(gs.live)+len(gs.retired)+len(gs.httpLogins) > 0
}

// Close ends all guards with their browser, so that none of their timers keeps a
// value in memory.
func (gs *Guards) Close() {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	gs.closed = true
	clear(gs.httpLogins)
	gs.filled = filled{}
	for _, guards := range []map[*Guard]bool{gs.live, gs.retired} {
		for g := range guards {
			gs.remove(g)
		}
	}
}

// DocumentGone takes note that a frame now shows another document, or none.
func (gs *Guards) DocumentGone(f cdp.FrameID, now cdp.LoaderID) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	for g := range gs.live {
		if g.Element.Frame == f && g.Element.Loader != now {
			gs.endSoon(g)
		}
	}
}

// SessionGone takes note that a tab, a frame's process or a worker is gone, and its
// documents and requests with it.
func (gs *Guards) SessionGone(id target.SessionID) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	for g := range gs.live {
		if g.Process == id || g.Tab == id {
			gs.endSoon(g)
		}
		for flight := range g.flights {
			if flight.Session == id {
				delete(g.flights, flight)
			}
		}
	}
}

// CarriesValue reports whether a request took a value along.
func (gs *Guards) CarriesValue(id network.RequestID) bool {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	return gs.carriers.ids[id] || gs.httpCarriers.ids[id]
}

// SentHTTPLogin reports whether any request has had a login of HTTP with it: from then on
// nobody is shown the headers that could hold it, of whatever request they are.
func (gs *Guards) SentHTTPLogin() bool {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	return gs.sentHTTPLogin
}
