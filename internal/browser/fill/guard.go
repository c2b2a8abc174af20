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
	// longestFlight is how long after that it waits for the answer to a request
	// with its value, which may be a redirect.
	longestFlight = 5 * time.Minute
	// retiredLife is how long requests with a placeholder are stopped after it
	// has ceased to stand for its value: a page may have kept it for the next.
	retiredLife = 5 * time.Minute
	// maxCarried is how many ids of requests with a value are remembered.
	maxCarried = 4096
)

// Field is a field that was filled, and who decides about its value.
type Field struct {
	// Name is the field of the login: password or totp.
	Name string
	// Value is what was filled. What is sent is fresh's answer where there is
	// one: a code is made when it leaves.
	Value bctrl.Secret
	Fresh func(context.Context) (bctrl.Secret, error)
	// Placeholder is what the page holds; empty when it holds the value.
	Placeholder string
	// Row says that the placeholder was typed into a row of fields, a digit each.
	Row bool
	// MayGoTo reports whether the value may go to an origin.
	MayGoTo func(origin string) bool
	// Permitted decides whether the value may be used now; nil is always yes.
	Permitted func(context.Context) error
	// Report is told what became of the fill; nil is nobody.
	Report func(context.Context, *bctrl.Error)
	// Element is the field in its document, process the session of the process
	// that shows the document, and tab that of the tab. The sessions are empty
	// where there is no page, as in tests of requests alone.
	Element      protocol.Element
	Process, Tab target.SessionID
	// Look reads the state of the field and of those beside it; held is what the
	// page holds of the value. It reports whether the page has answered. Nil
	// where there is no page.
	Look func(ctx context.Context, held string) (FormState, bool)
}

// Guard watches the requests of a browser for one filled field, as long as
// the field's document lives: it swaps the placeholder for the value on the way
// to where the value belongs and stops it on every other way. Of a field that
// was filled directly it only does the latter.
type Guard struct {
	Field

	seen *scrub.Set // finds what the page holds

	// The rest changes under the lock of the guards.

	// latest is the value, or the code that was sent last; hidden finds it.
	latest         bctrl.Secret
	hidden         *scrub.Set
	endTimer       *time.Timer // runs once the document is gone
	documentGoneAt time.Time   // when that was
	flights        map[Flight]bool
	state          FormState
	// submitted says that something was done on the page since the fill that
	// may send a form, sent that the value has left, unsent that a request has
	// left without it, and told that this was said.
	submitted, sent, unsent, unsentReported bool
	reports                                 int
}

// Flight is a request with the value in it, on its way.
type Flight struct {
	Session target.SessionID
	Request network.RequestID
}

// NewGuard makes the guard of a field, which does nothing until it is armed.
func NewGuard(f Field) *Guard {
	g := &Guard{
		Field:   f,
		latest:  f.Value,
		hidden:  scrub.New(f.Value),
		flights: map[Flight]bool{},
	}
	g.seen = g.hidden
	if f.Placeholder != "" {
		g.seen = scrub.New(bctrl.NewSecret(f.Placeholder))
	}
	return g
}

// Guards are the guards of one browser. Requests are intercepted only
// while there is one.
type Guards struct {
	spawn     func(func(context.Context))
	intercept func(on bool) // returns once it is so everywhere

	switching sync.Mutex // held while intercept runs
	on        bool

	mu     sync.Mutex
	closed bool // no guard is added any more
	// live are the guards that swap, spent those whose placeholder is only
	// stopped.
	live, retired map[*Guard]bool
	carriers      map[network.RequestID]bool
	carrierOrder  []network.RequestID
}

// NewGuards makes the guards of a browser. spawn runs a function beside the caller
// until the browser ends; intercept turns the interception of requests on or off
// and returns once it is so everywhere.
func NewGuards(spawn func(func(context.Context)), intercept func(on bool)) *Guards {
	return &Guards{
		spawn:     spawn,
		intercept: intercept,
		live:      map[*Guard]bool{},
		retired:   map[*Guard]bool{},
		carriers:  map[network.RequestID]bool{},
	}
}

// Arm adds a guard, in place of the element's former one, and returns once
// requests pass by it.
func (gs *Guards) Arm(g *Guard) {
	gs.mu.Lock()
	for old := range gs.live {
		if old.Element == g.Element {
			gs.retire(old)
		}
	}
	gs.live[g] = true
	gs.mu.Unlock()
	gs.applyInterception()
}

// Drop ends a guard whose fill failed: what it typed may have been read by the
// page, and is worth nothing.
func (gs *Guards) Drop(g *Guard) {
	gs.mu.Lock()
	gs.retire(g)
	gs.mu.Unlock()
	gs.spawn(func(context.Context) { gs.applyInterception() })
}

// EndWithDocument ends a guard soon: its document is gone.
func (gs *Guards) EndWithDocument(g *Guard) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	gs.endSoon(g)
}

// retire ends a guard but for stopping its placeholder. Call it with mu held.
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
	gs.switching.Lock()
	defer gs.switching.Unlock()
	if want := gs.Watching(); want != gs.on {
		gs.intercept(want)
		gs.on = want
	}
}

// endExpired ends a guard whose document is gone, unless a request with its value
// may still be redirected.
func (gs *Guards) endExpired(g *Guard) {
	gs.mu.Lock()
	if len(g.flights) > 0 && time.Since(g.documentGoneAt) < longestFlight && !gs.closed {
		g.endTimer.Reset(afterDocument)
		gs.mu.Unlock()
		return
	}
	gs.retire(g)
	gs.mu.Unlock()
	gs.spawn(func(context.Context) { gs.applyInterception() })
}

// endSoon makes a guard end soon. Call it with mu held.
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
	return len(gs.live)+len(gs.retired) > 0
}

// Close ends all guards. A fill or a document that ends with the browser keeps
// none, and no timer keeps a value in memory.
func (gs *Guards) Close() {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	gs.closed = true
	for _, guards := range []map[*Guard]bool{gs.live, gs.retired} {
		for g := range guards {
			gs.remove(g)
		}
	}
}

// DocumentGone hears that a frame shows another document, or none.
func (gs *Guards) DocumentGone(f cdp.FrameID, now cdp.LoaderID) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	for g := range gs.live {
		if g.Element.Frame == f && g.Element.Loader != now {
			gs.endSoon(g)
		}
	}
}

// SessionGone hears that a tab, a frame's process or a worker is gone: with it
// its documents and its requests.
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
	return gs.carriers[id]
}

// rememberCarrier remembers a request that takes a value along. Call it with mu held.
func (gs *Guards) rememberCarrier(id network.RequestID) {
	if id == "" || gs.carriers[id] {
		return
	}
	gs.carriers[id] = true
	gs.carrierOrder = append(gs.carrierOrder, id)
	if len(gs.carrierOrder) > maxCarried {
		delete(gs.carriers, gs.carrierOrder[0])
		gs.carrierOrder = gs.carrierOrder[1:]
	}
}
