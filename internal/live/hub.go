// Package live is what people look at browsers with: one screencast of a tab for all who
// watch it, who of them works in the browser, the recording of what was shown, and the
// pages that show it. It knows browsers by [browser.Screen] alone, and neither HTTP nor who
// may watch.
package live

import (
	"context"
	"errors"
	"sync"

	"github.com/bctrl-go/bctrl/internal/browser"
)

// ErrTabGone is the error of a watcher whose tab is gone.
var ErrTabGone = errors.New("the tab is gone")

// Hub shares the screencasts of one browser: a tab has one, which runs while anybody
// watches it. The next picture is asked for once at least one watcher has taken the last
// one and waits for another; those who are slower miss pictures, and nothing is kept for
// them. So a watcher who stalls costs nothing.
type Hub struct {
	screen browser.Screen
	life   context.Context

	mu      sync.Mutex
	casts   map[browser.TabID]*cast
	running sync.WaitGroup
}

// NewHub makes a hub whose screencasts end with ctx.
func NewHub(ctx context.Context, screen browser.Screen) *Hub {
	return &Hub{screen: screen, life: ctx, casts: map[browser.TabID]*cast{}}
}

// Wait waits until all screencasts have ended. It is called once the hub's context has.
func (h *Hub) Wait() { h.running.Wait() }

// cast is the screencast of a tab.
type cast struct {
	watchers int // under mu of the hub
	cancel   context.CancelFunc
	done     chan struct{} // closed once it has ended

	mu      sync.Mutex
	newest  browser.Frame
	number  int           // counts pictures; 0 is none
	waiting int           // watchers that have taken the newest and wait for another
	change  chan struct{} // closed and replaced when any of it changes
	err     error         // why it has ended
}

// Watcher watches one tab. It is for one goroutine.
type Watcher struct {
	h    *Hub
	tab  browser.TabID
	cast *cast
	seen int
}

// Watch has one more watch a tab. The watcher has to be closed.
func (h *Hub) Watch(ctx context.Context, tab browser.TabID) (*Watcher, error) {
	for {
		h.mu.Lock()
		c := h.casts[tab]
		if c == nil {
			if h.life.Err() != nil {
				h.mu.Unlock()
				return nil, ErrTabGone
			}
			c = h.start(tab)
		}
		if c.watchers >= 0 {
			c.watchers++
			h.mu.Unlock()
			return &Watcher{h: h, tab: tab, cast: c}, nil
		}
		h.mu.Unlock()
		select { // the one before ends
		case <-c.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// ending is the number of watchers of a screencast that takes no more.
const ending = -1

// start begins a screencast. Call it with mu held.
func (h *Hub) start(tab browser.TabID) *cast {
	ctx, cancel := context.WithCancel(h.life)
	c := &cast{cancel: cancel, done: make(chan struct{}), change: make(chan struct{})}
	h.casts[tab] = c
	h.running.Go(func() {
		err := h.screen.Cast(ctx, tab, func(f browser.Frame) { c.publish(ctx, f) })
		if err == nil {
			err = ErrTabGone
		}
		cancel()
		h.mu.Lock()
		c.watchers = ending
		delete(h.casts, tab)
		h.mu.Unlock()
		c.mu.Lock()
		c.err = err
		c.signal()
		c.mu.Unlock()
		close(c.done)
	})
	return c
}

// signal wakes whoever waits. Call it with mu held.
func (c *cast) signal() {
	close(c.change)
	c.change = make(chan struct{})
}

// publish gives a picture to the watchers, and returns once one of them waits for the next.
func (c *cast) publish(ctx context.Context, f browser.Frame) {
	c.mu.Lock()
	c.newest = f
	c.number++
	c.waiting = 0
	c.signal()
	for c.waiting == 0 {
		change := c.change
		c.mu.Unlock()
		select {
		case <-change:
		case <-ctx.Done():
			return
		}
		c.mu.Lock()
	}
	c.mu.Unlock()
}

// Next returns the newest picture that the watcher has not seen, waiting for one. It
// returns [ErrTabGone] once the tab is gone.
func (w *Watcher) Next(ctx context.Context) (browser.Frame, error) {
	c := w.cast
	c.mu.Lock()
	defer c.mu.Unlock()
	asked := -1
	for {
		if c.number != w.seen {
			w.seen = c.number
			return c.newest, nil
		}
		if c.err != nil {
			return browser.Frame{}, ErrTabGone
		}
		if asked != c.number {
			asked = c.number
			c.waiting++
			c.signal()
		}
		change := c.change
		c.mu.Unlock()
		select {
		case <-change:
			c.mu.Lock()
		case <-ctx.Done():
			c.mu.Lock()
			if c.number == w.seen && c.waiting > 0 {
				c.waiting--
			}
			return browser.Frame{}, ctx.Err()
		}
	}
}

// Close ends the watching. With the last watcher the screencast ends.
func (w *Watcher) Close() {
	w.h.mu.Lock()
	defer w.h.mu.Unlock()
	c := w.cast
	if c.watchers == ending {
		return
	}
	if c.watchers--; c.watchers == 0 {
		c.watchers = ending
		c.cancel()
	}
}
