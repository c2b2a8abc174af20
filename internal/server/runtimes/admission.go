package runtimes

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/cluster"
	"github.com/bctrl-go/bctrl/internal/server/web"
)

const (
	// defaultQueueTime is how long a launch waits for room, unless the operator says
	// otherwise. The SDK gives a request a minute.
	defaultQueueTime = 30 * time.Second
	// maxQueue bounds the launches that wait at a time: each holds a request.
	maxQueue = 1000
	// startingMemory is what a browser that starts is taken to need until it shows, in
	// bytes: some 100 MiB are seen of one with a page.
	startingMemory = 150 << 20
	// memoryPause is how often free memory is looked at while a launch waits for it.
	memoryPause = 500 * time.Millisecond
	// maxOffers is how many of the queue are offered to other nodes at a time.
	maxOffers = 20
)

// Capacity says how many runtimes there may be at a time, and what becomes of a launch
// that comes when there are. The zero Capacity bounds nothing.
type Capacity struct {
	// Runtimes bounds those that start or run; 0 is no bound.
	Runtimes int
	// MinFree is how much memory has to be available to the server for another browser
	// to start, in bytes; 0 is no bound. One browser may start however little there is.
	MinFree int64
	// Available is the memory that is available now. It is needed where MinFree is set;
	// not ok is taken for enough.
	Available func() (bytes int64, ok bool)
	// QueueTime is how long a launch may wait for room; 0 is 30 seconds.
	QueueTime time.Duration
	// UnreachedTime is how long no launch that waits is offered to a node that did not answer; 0 is
	// 15 seconds, since each offer takes two of them then, and a write to give it up.
	UnreachedTime time.Duration
}

// tenant is whose a runtime is.
type tenant struct{ org, workspace string }

// waitingLaunch is a launch that waits for room.
type waitingLaunch struct {
	id string
	of tenant
	// admitted is closed when there is room.
	admitted chan struct{}
	// offers has an element where another node has room for it. It is nil of one that runs
	// here or nowhere.
	offers chan cluster.Node
	// isOffered is set from then on until it was asked.
	isOffered bool
}

// admission lets launches in while there is room, and has the others wait in a queue.
//
// The queue is fair: next is who has the fewest runtimes, first among the organizations,
// then among the workspaces of one. Of those who have as many it is whoever was let in the
// longest ago, and then whoever came first. So nobody waits behind all the launches of
// another.
type admission struct {
	Capacity

	mu       sync.Mutex
	live     map[string]int // admitted and not released, by organization
	liveIn   map[tenant]int // the same, by workspace
	total    int
	starting int
	queue    []*waitingLaunch // by arrival
	// turns counts those that were let in; turn is the newest of each organization,
	// under a tenant without a workspace, and of each workspace.
	turns int
	turn  map[tenant]int
	// ends is closed when nobody may wait any more, since the server stops; nil is never.
	ends <-chan struct{}
}

func newAdmission(c Capacity) *admission {
	if c.QueueTime == 0 {
		c.QueueTime = defaultQueueTime
	}
	c.UnreachedTime = cmp.Or(c.UnreachedTime, unreachedTime)
	return &admission{Capacity: c, live: map[string]int{}, liveIn: map[tenant]int{}, turn: map[tenant]int{}}
}

// place is room that a launch has, or its place in the queue.
type place struct {
	a  *admission
	of tenant
	// wait is nil where there was room at once, and until is how long it is waited for.
	wait  *waitingLaunch
	until time.Time

	started, released sync.Once
}

// enter takes room for a runtime, or else a place in the queue, which is left for another node
// only where it is movable. It refuses where the queue is full.
func (a *admission) enter(id string, of tenant, movable bool) (*place, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if p := a.enterAtOnce(of); p != nil {
		return p, nil
	}
	if len(a.queue) >= maxQueue {
		return nil, errAtCapacity(fmt.Sprintf("there is no room for another runtime, and %d launches wait for it", maxQueue))
	}
	p := &place{a: a, of: of, until: time.Now().Add(a.QueueTime)}
	p.wait = &waitingLaunch{id: id, of: of, admitted: make(chan struct{})}
	if movable {
		p.wait.offers = make(chan cluster.Node, 1)
	}
	a.queue = append(a.queue, p.wait)
	return p, nil
}

// enterWithoutWaiting takes room for a runtime that has waited on another node. It is nil where
// there is none, or where anybody waits for it here.
func (a *admission) enterWithoutWaiting(of tenant) *place {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.enterAtOnce(of)
}

// enterAtOnce is [admission.enterWithoutWaiting]. Call it with mu held.
func (a *admission) enterAtOnce(of tenant) *place {
	if len(a.queue) > 0 || !a.hasRoom() {
		return nil
	}
	a.take(of)
	return &place{a: a, of: of}
}

// offer has launches that wait leave for nodes that choose returns, those first that are next,
// until it returns none. Each asks its node itself, and waits on in its place where that does
// not take it.
func (a *admission) offer(choose func() cluster.Node) {
	a.mu.Lock()
	defer a.mu.Unlock()
	offered := 0
	for _, w := range a.order() {
		if w.offers == nil {
			continue
		}
		if offered++; offered > maxOffers {
			return
		}
		if w.isOffered {
			continue
		}
		to := choose()
		if to.ID == "" {
			return
		}
		w.isOffered = true
		w.offers <- to
	}
}

// hasRoom reports whether another runtime may start. Call it with mu held.
func (a *admission) hasRoom() bool {
	if a.Runtimes > 0 && a.total >= a.Runtimes {
		return false
	}
	if a.MinFree <= 0 || a.total == 0 {
		return true
	}
	free, ok := a.Available()
	return !ok || free-int64(a.starting+1)*startingMemory >= a.MinFree
}

// take counts a runtime. Call it with mu held.
func (a *admission) take(of tenant) {
	a.live[of.org]++
	a.liveIn[of]++
	a.total++
	a.starting++
	a.hadTurn(of)
}

// hadTurn notes that it was the turn of a tenant. Call it with mu held.
func (a *admission) hadTurn(of tenant) {
	a.turns++
	a.turn[of], a.turn[tenant{org: of.org}] = a.turns, a.turns
}

// drop counts a runtime no more. Call it with mu held.
func (a *admission) drop(of tenant) {
	a.total--
	if a.live[of.org]--; a.live[of.org] == 0 {
		delete(a.live, of.org)
	}
	if a.liveIn[of]--; a.liveIn[of] == 0 {
		delete(a.liveIn, of)
	}
	a.admitNext()
	if len(a.queue) > 0 {
		return // whose turn it was counts while anybody waits
	}
	for who := range a.turn {
		if a.liveIn[who] == 0 && (who.workspace != "" || a.live[who.org] == 0) {
			delete(a.turn, who)
		}
	}
}

// admitNext lets those in for whom there is room. Call it with mu held.
func (a *admission) admitNext() {
	for len(a.queue) > 0 && a.hasRoom() {
		next := a.order()[0]
		a.queue = slices.DeleteFunc(a.queue, func(w *waitingLaunch) bool { return w == next })
		a.take(next.of)
		close(next.admitted)
	}
}

// order lists the queue as it is let in if nobody leaves or comes. Call it with mu held.
func (a *admission) order() []*waitingLaunch {
	byOrg, in := map[string]int{}, map[tenant]int{}
	type ranked struct {
		*waitingLaunch
		org, workspace, arrival int
	}
	// A launch ranks as if those of its own before it had been let in already.
	var all []ranked
	for i, w := range a.queue {
		all = append(all, ranked{w, 0, a.liveIn[w.of] + in[w.of], i})
		in[w.of]++
	}
	slices.SortFunc(all, func(x, y ranked) int {
		return cmp.Or(x.workspace-y.workspace, a.turn[x.of]-a.turn[y.of], x.arrival-y.arrival)
	})
	for i := range all {
		all[i].org = a.live[all[i].of.org] + byOrg[all[i].of.org]
		byOrg[all[i].of.org]++
	}
	slices.SortFunc(all, func(x, y ranked) int {
		return cmp.Or(x.org-y.org, a.turn[tenant{org: x.of.org}]-a.turn[tenant{org: y.of.org}], x.arrival-y.arrival)
	})
	out := make([]*waitingLaunch, len(all))
	for i := range all {
		out[i] = all[i].waitingLaunch
	}
	return out
}

// room is how many more runtimes may start now; below 0 is no bound.
func (a *admission) room() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case len(a.queue) > 0 || !a.hasRoom():
		return 0
	case a.Runtimes > 0:
		return a.Runtimes - a.total
	}
	return -1
}

// placeOf is the place of a runtime in the queue, 1 of the next; 0 where it does not
// wait.
func (a *admission) placeOf(id string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !slices.ContainsFunc(a.queue, func(w *waitingLaunch) bool { return w.id == id }) {
		return 0
	}
	return 1 + slices.IndexFunc(a.order(), func(w *waitingLaunch) bool { return w.id == id })
}

// counts are how many runtimes have room, and how many launches wait for it.
func (a *admission) counts() (live, queued int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.total, len(a.queue)
}

// isWaiting reports whether there was no room at once.
func (p *place) isWaiting() bool { return p.wait != nil }

// waitForRoom waits until there is room, which is taken then, or until another node has some,
// which it returns: it is asked, and what it said is told by [place.moved] or [place.stays]. It
// refuses when all of that takes too long, and ends with ctx, whose cause it returns.
func (p *place) waitForRoom(ctx context.Context) (elsewhere cluster.Node, err error) {
	if p.wait == nil {
		return elsewhere, nil
	}
	timeout := time.NewTimer(time.Until(p.until))
	defer timeout.Stop()
	look := time.NewTicker(memoryPause)
	defer look.Stop()
	for {
		select {
		case <-p.wait.admitted:
			return elsewhere, nil
		case elsewhere = <-p.wait.offers:
			return elsewhere, context.Cause(ctx) // nobody may wait for it any more
		case <-look.C:
			if p.a.MinFree > 0 { // that memory has come free is told by nobody
				p.a.mu.Lock()
				p.a.admitNext()
				p.a.mu.Unlock()
			}
		case <-timeout.C:
			at := p.a.placeOf(p.wait.id)
			return elsewhere, errAtCapacity(fmt.Sprintf(
				"there was no room for another runtime within %v; the launch was at place %d", p.a.QueueTime, at))
		case <-p.a.ends:
			return elsewhere, web.ErrStopping
		case <-ctx.Done():
			return elsewhere, context.Cause(ctx)
		}
	}
}

// stays says that another node did not take the launch. It has its place still, or room that
// came free meanwhile.
func (p *place) stays() {
	p.a.mu.Lock()
	defer p.a.mu.Unlock()
	p.wait.isOffered = false
}

// moved says that another node has taken the launch, which counts as a turn of its own. It gives
// its place back, or room that came free meanwhile.
func (p *place) moved() {
	p.a.mu.Lock()
	p.a.hadTurn(p.of)
	p.a.mu.Unlock()
	p.release()
}

// hasStarted says that the browser of the runtime runs, or did not start.
func (p *place) hasStarted() {
	p.started.Do(func() {
		p.a.mu.Lock()
		defer p.a.mu.Unlock()
		p.a.starting--
	})
}

// release gives the room back, or the place in the queue. It may be called twice.
func (p *place) release() {
	p.released.Do(func() {
		p.a.mu.Lock()
		defer p.a.mu.Unlock()
		if w := p.wait; w != nil {
			before := len(p.a.queue)
			p.a.queue = slices.DeleteFunc(p.a.queue, func(q *waitingLaunch) bool { return q == w })
			if len(p.a.queue) < before { // it was never let in
				return
			}
		}
		p.started.Do(func() { p.a.starting-- })
		p.a.drop(p.of)
	})
}

// codeAtCapacity is the refusal of a launch for which there was no room.
const codeAtCapacity = "runtimes.at_capacity"

// retryLater is what a caller is asked to wait who found no room, in seconds.
const retryLater = 5

func errAtCapacity(message string) *bctrl.Error {
	return web.WithHint(
		web.TooManyRequests(codeAtCapacity, message),
		"stop runtimes that are not used, launch again later, or let the server have more: bctrl serve --max-runtimes",
	)
}
