// Package steptime bounds how long something may take, without the time in which it waits for
// somebody: a step that waits for a person does not run out of its time meanwhile.
package steptime

import (
	"context"
	"sync"
	"time"
)

// clockKey is the key of the innermost clock of a context.
type clockKey struct{}

// clock is the time that is left to a context.
type clock struct {
	outer  *clock
	cancel context.CancelCauseFunc
	cause  error

	mu     sync.Mutex
	timer  *time.Timer
	end    time.Time     // when it runs out, while it runs
	left   time.Duration // what is left, while it is paused
	paused int
	over   bool
}

// timed is a context with a clock.
type timed struct {
	context.Context //nolint:containedctx // it is one
	clock           *clock
}

// With returns a context that ends with cause once d has passed, not counting the time in
// which [Pause] holds. Its error is [context.Canceled] then, as of any that has a cause.
func With(ctx context.Context, d time.Duration, cause error) (context.Context, context.CancelFunc) {
	inner, cancel := context.WithCancelCause(ctx)
	c := &clock{cancel: cancel, cause: cause, end: time.Now().Add(d)}
	c.outer, _ = ctx.Value(clockKey{}).(*clock)
	c.timer = time.AfterFunc(d, c.ring)
	return timed{inner, c}, func() {
		c.stop()
		cancel(nil)
	}
}

// ring ends the context, unless it has been paused since its time was up.
func (c *clock) ring() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.paused == 0 && !c.over && !time.Now().Before(c.end) {
		c.over = true
		c.cancel(c.cause)
	}
}

func (c *clock) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	c.timer.Stop()
}

// Deadline implements [context.Context]. While it is paused it is as much later as that has
// lasted.
func (t timed) Deadline() (time.Time, bool) {
	own := t.clock.deadline()
	if outer, ok := t.Context.Deadline(); ok && outer.Before(own) {
		return outer, true
	}
	return own, true
}

func (c *clock) deadline() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.paused > 0 {
		return time.Now().Add(c.left)
	}
	return c.end
}

// Value implements [context.Context].
func (t timed) Value(key any) any {
	if key == (clockKey{}) {
		return t.clock
	}
	return t.Context.Value(key)
}

// Pause stops all clocks that bound ctx, until resume is called.
func Pause(ctx context.Context) (resume func()) {
	c, _ := ctx.Value(clockKey{}).(*clock)
	c.pause()
	return sync.OnceFunc(c.resume)
}

func (c *clock) pause() {
	for ; c != nil; c = c.outer {
		c.mu.Lock()
		if c.paused++; c.paused == 1 {
			c.timer.Stop()
			c.left = time.Until(c.end)
		}
		c.mu.Unlock()
	}
}

func (c *clock) resume() {
	for ; c != nil; c = c.outer {
		c.mu.Lock()
		if c.paused--; c.paused == 0 && !c.over {
			c.end = time.Now().Add(c.left)
			c.timer.Reset(c.left)
		}
		c.mu.Unlock()
	}
}
