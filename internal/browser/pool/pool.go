// Package pool keeps browsers ready before anybody asks for one: to start Chromium
// takes a hundred milliseconds and more, to hand out one that runs takes none.
//
// A browser leaves the pool once and never comes back: whoever had it may have left
// anything in it. One that is asked for in a way that shapes its process, with a
// profile or a configuration, is started for that, as without a pool. What waits in
// the pool reaches no address: see [browser.Prepared].
package pool

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/bctrl-go/bctrl/internal/browser"
)

const (
	// maxAge is how long a browser waits before another takes its place.
	maxAge = 30 * time.Minute
	// startTimeout bounds the start of a browser.
	startTimeout = 60 * time.Second
	// refillPause is how long the pool waits after it has handed a browser out before
	// it starts another, while it has more: whoever got it is about to use it, and a
	// browser that starts takes a processor for a while.
	refillPause = 500 * time.Millisecond
	// retryMin and retryMax are the waits after a start that failed; they double.
	retryMin = time.Second
	retryMax = time.Minute
	// stopTimeout bounds the end of a browser that nobody got.
	stopTimeout = 15 * time.Second
)

// Config says what a pool keeps.
type Config struct {
	// Driver starts the browsers.
	Driver browser.Preparer
	// Warm is how many browsers are kept ready, at least 1.
	Warm int
	// Log receives what an operator needs to know; nil discards it.
	Log *slog.Logger
}

// Pool is a [browser.Driver] that has browsers ready. At most [Config.Warm] processes
// wait or start in it.
type Pool struct {
	driver browser.Preparer
	want   int
	log    *slog.Logger

	life   context.Context // ends with Close
	end    context.CancelFunc
	keeper sync.WaitGroup
	// changed has an element when the keeper has something to look at.
	changed chan struct{}

	mu    sync.Mutex
	ready []*waiting // the oldest first
	// took is when a browser was handed out last.
	took time.Time
	// counts is what [Pool.Counts] returns of the past.
	counts Counts
}

// waiting is a browser in the pool.
type waiting struct {
	browser.Prepared
	until time.Time
}

// Counts are what a pool has and has done.
type Counts struct {
	// Ready is how many browsers wait, and Want how many should.
	Ready, Want int
	// Warm counts launches that were given one of them, Fresh those that were not.
	Warm, Fresh int
	// Failed counts browsers that did not start, Died those that ended as they waited.
	Failed, Died int
}

var _ browser.Driver = (*Pool)(nil)

// New makes a pool and begins to fill it. [Pool.Close] ends it.
func New(cfg Config) *Pool {
	p := &Pool{
		driver:  cfg.Driver,
		want:    cfg.Warm,
		log:     cfg.Log,
		changed: make(chan struct{}, 1),
	}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	p.life, p.end = context.WithCancel(context.Background())
	p.keeper.Go(p.keep)
	return p
}

// Launch hands a browser out that waits, or starts one. See [browser.Driver].
func (p *Pool) Launch(ctx context.Context, spec browser.Spec) (browser.Browser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if spec.FitsPrepared() {
		if b := p.take(); b != nil {
			b.Assign(spec)
			return b, nil
		}
	}
	p.mu.Lock()
	p.counts.Fresh++
	p.mu.Unlock()
	return p.driver.Launch(ctx, spec)
}

// CheckWebDriver asks the driver that starts the browsers. See [browser.Driver].
func (p *Pool) CheckWebDriver() error { return p.driver.CheckWebDriver() }

// Check implements [browser.Checker].
func (p *Pool) Check() error {
	if able, ok := p.driver.(browser.Checker); ok {
		return able.Check()
	}
	return nil
}

// take takes the oldest browser out that lives; nil where there is none.
func (p *Pool) take() browser.Prepared {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.signal()
	for len(p.ready) > 0 {
		b := p.ready[0].Prepared
		p.ready = p.ready[1:]
		if isGone(b) {
			p.counts.Died++
			continue
		}
		p.took = time.Now()
		p.counts.Warm++
		return b
	}
	return nil
}

// Counts returns what the pool has and has done.
func (p *Pool) Counts() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.counts
	c.Ready, c.Want = len(p.ready), p.want
	return c
}

// Close ends what waits in the pool and what starts for it, and refills it no more.
// Launch works on, without a pool.
func (p *Pool) Close() error {
	p.end()
	p.keeper.Wait() // afterwards nobody adds to ready
	p.mu.Lock()
	left := p.ready
	p.ready = nil
	p.mu.Unlock()
	errs := make([]error, len(left))
	var all sync.WaitGroup
	for i, b := range left {
		all.Go(func() { errs[i] = stop(b) })
	}
	all.Wait()
	return errors.Join(errs...)
}

func stop(b browser.Browser) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	return b.Stop(ctx)
}

func isGone(b browser.Browser) bool {
	select {
	case <-b.Done():
		return true
	default:
		return false
	}
}

// signal has the keeper look at the pool.
func (p *Pool) signal() {
	select {
	case p.changed <- struct{}{}:
	default: // it is about to
	}
}

// keep keeps the pool full until it is closed, a browser at a time.
func (p *Pool) keep() {
	var retry time.Duration // the wait after the start that failed last; 0 where the last did not
	var notBefore time.Time // no browser is started until then
	for p.life.Err() == nil {
		if p.dropUseless() > 0 {
			notBefore = time.Now().Add(retryMin) // what ends by itself may do so at once again
		}
		wait, start := p.next(notBefore)
		if start {
			retry = p.refill(retry)
			notBefore = time.Now().Add(retry)
			continue
		}
		alarm := time.NewTimer(wait)
		select {
		case <-alarm.C:
		case <-p.changed:
		case <-p.life.Done():
		}
		alarm.Stop()
	}
}

// next says whether a browser is to be started now, or else how long nothing has to be
// done.
func (p *Pool) next(notBefore time.Time) (wait time.Duration, start bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	wait = maxAge
	if len(p.ready) > 0 {
		wait = p.ready[0].until.Sub(now)
		if pause := p.took.Add(refillPause); pause.After(notBefore) {
			notBefore = pause
		}
	}
	if len(p.ready) < p.want {
		if !notBefore.After(now) {
			return 0, true
		}
		wait = min(wait, notBefore.Sub(now))
	}
	return wait, false
}

// refill starts a browser. Where that fails it returns how long to wait before the next
// attempt.
func (p *Pool) refill(last time.Duration) (retry time.Duration) {
	ctx, cancel := context.WithTimeout(p.life, startTimeout)
	defer cancel()
	b, err := p.driver.Prepare(ctx)
	switch {
	case err == nil:
		p.mu.Lock()
		p.ready = append(p.ready, &waiting{b, time.Now().Add(maxAge)})
		p.mu.Unlock()
		p.keeper.Go(func() {
			select {
			case <-b.Done():
				p.signal()
			case <-p.life.Done():
			}
		})
		return 0
	case p.life.Err() != nil:
		return 0
	}
	p.mu.Lock()
	p.counts.Failed++
	p.mu.Unlock()
	if last == 0 { // once, and not each time
		p.log.Error("a browser that was to be kept ready did not start", "error", err)
	}
	return min(max(2*last, retryMin), retryMax)
}

// dropUseless takes out what has ended, and ends what is too old. It returns how many
// had ended by themselves.
func (p *Pool) dropUseless() (died int) {
	p.mu.Lock()
	now := time.Now()
	var old []browser.Browser
	p.ready = slices.DeleteFunc(p.ready, func(b *waiting) bool {
		switch {
		case isGone(b):
			died++
			return true
		case !b.until.After(now):
			old = append(old, b)
			return true
		}
		return false
	})
	p.counts.Died += died
	p.mu.Unlock()
	if died > 0 {
		p.log.Warn("browsers that were kept ready have ended", "count", died)
	}
	for _, b := range old { // before the next is started: no more than those wanted run
		if err := stop(b); err != nil {
			p.log.Error("a browser that was kept ready did not end well", "error", err)
		}
	}
	return died
}
