package browser

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/target"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/scrub"
)

const (
	// guardLife is how long a filled field waits to be sent: the model thinks
	// between its steps.
	guardLife = 5 * time.Minute
	// afterSwap is how long it goes on after the first request took the value:
	// some sites check a password before they log in with it.
	afterSwap = 15 * time.Second
	// afterDocument is how long it goes on when its document is gone: a request
	// may still be on its way out.
	afterDocument = 2 * time.Second
	// maxCarried is how many ids of requests with a value are remembered.
	maxCarried = 4096
)

// fillGuard watches the requests of a browser for one filled field: it swaps
// the placeholder for the value on the way to where the value belongs and
// stops it on every other way. Of a field that was filled directly it only
// does the latter.
type fillGuard struct {
	// placeholder is what the page holds; empty when it holds the value.
	placeholder string
	value       bctrl.Secret
	// allows reports whether the value may go to an origin.
	allows  func(origin string) bool
	element elementKey
	// still decides whether the value may be used now; nil is always yes.
	still func(context.Context) error

	seen    *scrub.Set // finds what the page holds
	hidden  *scrub.Set // finds the value
	timer   *time.Timer
	ends    time.Time
	flights map[flightID]bool // requests that took the value and have no answer
}

// flightID is a request with the value in it, on its way.
type flightID struct {
	session target.SessionID
	request network.RequestID
}

func newFillGuard(placeholder string, value bctrl.Secret, element elementKey, allows func(string) bool) *fillGuard {
	g := &fillGuard{
		placeholder: placeholder, value: value, allows: allows, element: element,
		hidden: scrub.New(value), flights: map[flightID]bool{},
	}
	g.seen = g.hidden
	if placeholder != "" {
		g.seen = scrub.New(bctrl.NewSecret(placeholder))
	}
	return g
}

// fillGuards are the guards of one browser. Requests are intercepted only
// while there is one.
type fillGuards struct {
	spawn     func(func(context.Context))
	intercept func(on bool) // returns once it is so everywhere

	switching sync.Mutex // held while intercept runs
	on        bool

	mu      sync.Mutex
	live    map[*fillGuard]bool
	carries map[network.RequestID]bool
	order   []network.RequestID
}

func newFillGuards(spawn func(func(context.Context)), intercept func(on bool)) *fillGuards {
	return &fillGuards{spawn: spawn, intercept: intercept, live: map[*fillGuard]bool{}, carries: map[network.RequestID]bool{}}
}

// arm adds a guard, in place of the element's former one, and returns once
// requests pass by it.
func (gs *fillGuards) arm(g *fillGuard) {
	gs.mu.Lock()
	for old := range gs.live {
		if old.element == g.element {
			gs.remove(old)
		}
	}
	g.ends = time.Now().Add(guardLife)
	g.timer = time.AfterFunc(guardLife, func() { gs.expire(g) })
	gs.live[g] = true
	gs.mu.Unlock()
	gs.apply()
}

// drop removes a guard: nothing was filled after all.
func (gs *fillGuards) drop(g *fillGuard) {
	gs.mu.Lock()
	gs.remove(g)
	gs.mu.Unlock()
	gs.spawn(func(context.Context) { gs.apply() })
}

// remove ends a guard. Call it with mu held.
func (gs *fillGuards) remove(g *fillGuard) {
	g.timer.Stop()
	delete(gs.live, g)
}

// apply turns interception on or off as the guards want it now.
func (gs *fillGuards) apply() {
	gs.switching.Lock()
	defer gs.switching.Unlock()
	if want := gs.armed(); want != gs.on {
		gs.intercept(want)
		gs.on = want
	}
}

// expire ends a guard whose time is over, unless a request with its value may
// still be redirected.
func (gs *fillGuards) expire(g *fillGuard) {
	gs.mu.Lock()
	if len(g.flights) > 0 && time.Since(g.ends) < guardLife {
		g.timer.Reset(afterDocument)
		gs.mu.Unlock()
		return
	}
	gs.remove(g)
	gs.mu.Unlock()
	gs.spawn(func(context.Context) { gs.apply() })
}

// shorten makes a guard end sooner. Call it with mu held.
func (g *fillGuard) shorten(life time.Duration) {
	if ends := time.Now().Add(life); ends.Before(g.ends) {
		g.ends = ends
		g.timer.Reset(life)
	}
}

func (gs *fillGuards) armed() bool {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	return len(gs.live) > 0
}

// close ends all guards.
func (gs *fillGuards) close() {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	for g := range gs.live {
		gs.remove(g)
	}
}

// documentGone hears that a frame shows another document, or none.
func (gs *fillGuards) documentGone(f cdp.FrameID, now cdp.LoaderID) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	for g := range gs.live {
		if g.element.frame == f && g.element.loader != now {
			g.shorten(afterDocument)
		}
	}
}

// sessionGone forgets the requests of a session that is gone.
func (gs *fillGuards) sessionGone(id target.SessionID) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	for g := range gs.live {
		for flight := range g.flights {
			if flight.session == id {
				delete(g.flights, flight)
			}
		}
	}
}

// carried reports whether a request took a value along.
func (gs *fillGuards) carried(id network.RequestID) bool {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	return gs.carries[id]
}

// carry remembers a request that takes a value along. Call it with mu held.
func (gs *fillGuards) carry(id network.RequestID) {
	if id == "" || gs.carries[id] {
		return
	}
	gs.carries[id] = true
	gs.order = append(gs.order, id)
	if len(gs.order) > maxCarried {
		delete(gs.carries, gs.order[0])
		gs.order = gs.order[1:]
	}
}

// outgoing is a request before it leaves.
type outgoing struct {
	flight      flightID
	method, url string
	contentType string
	// headers are the values of headers that a script can have set.
	headers []string
	body    []byte
	// whole says that body is all there is and may be replaced.
	whole bool
}

// verdict is what happens to a request.
type verdict struct {
	// block says why the request does not leave; empty lets it pass.
	block string
	// body replaces the request's own when swapped.
	body    []byte
	swapped bool
	// watch asks for the answer: a redirect would take the value elsewhere.
	watch bool
	// gives are the guards whose values the request takes along.
	gives []*fillGuard
}

// judge decides about a request.
func (gs *fillGuards) judge(r outgoing) verdict {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	v := verdict{body: r.body}
	origin := canonicalOrigin(r.url)
	for g := range gs.live {
		where := origin
		if where == "" {
			where = "another place"
		}
		inBody, inHeader := g.seen.Holds(v.body), holdsAny(g.seen, r.headers)
		switch {
		case g.seen.Holds([]byte(r.url)) || g.hidden.Holds([]byte(r.url)):
			return verdict{block: "a request with a login's value in its address, to " + where}
		case !g.allows(origin) && (inBody || inHeader || g.hidden.Holds(v.body)):
			return verdict{block: "a request with a login's value, to " + where + ", where it may not go"}
		case g.placeholder == "" && inBody, g.placeholder != "" && g.hidden.Holds(v.body):
			// It belongs here: filled directly, or swapped before a redirect.
			gs.take(g, r.flight, &v)
		case g.placeholder == "" && inHeader:
			v.gives = append(v.gives, g)
		case g.placeholder == "":
		case inHeader && !inBody:
			return verdict{block: "a request with a login's value in a header, to " + where + " (the entry needs fill: direct)"}
		case !inBody:
		case !r.whole || !writes(r.method):
			return verdict{block: "a request with a login's value, to " + where + ", which could not be completed (the entry needs fill: direct)"}
		default:
			body, n := swapBody(r.contentType, v.body, g.placeholder, g.value.Expose())
			if n == 0 {
				return verdict{block: "a request with a login's value inside another, to " + where + " (the entry needs fill: direct)"}
			}
			v.body, v.swapped = body, true
			gs.take(g, r.flight, &v)
			g.shorten(afterSwap)
		}
	}
	return v
}

// take notes that a request carries the value of a guard. Call it with mu held.
func (gs *fillGuards) take(g *fillGuard, id flightID, v *verdict) {
	v.watch = true
	v.gives = append(v.gives, g)
	g.flights[id] = true
	gs.carry(id.request)
}

// ask has it decided whether the values that a request takes along may still be
// used: what was permitted when they were filled may not be now.
func (gs *fillGuards) ask(ctx context.Context, id flightID, v verdict) verdict {
	for _, g := range v.gives {
		if g.still == nil {
			continue
		}
		if err := g.still(ctx); err != nil {
			gs.landed(id, "") // it never leaves
			return verdict{block: "a request with a login's value, which may no longer be used"}
		}
	}
	return v
}

// landed decides about the answer to a request that took a value along: false
// stops a redirect to where the value may not go.
func (gs *fillGuards) landed(id flightID, redirect string) bool {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	for g := range gs.live {
		if !g.flights[id] {
			continue
		}
		delete(g.flights, id)
		if redirect != "" && !g.allows(canonicalOrigin(redirect)) {
			return false
		}
	}
	return true
}

func writes(method string) bool {
	switch strings.ToUpper(method) {
	case "POST", "PUT", "PATCH":
		return true
	}
	return false
}

func holdsAny(set *scrub.Set, texts []string) bool {
	for _, text := range texts {
		if set.Holds([]byte(text)) {
			return true
		}
	}
	return false
}
