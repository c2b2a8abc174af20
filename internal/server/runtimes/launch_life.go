package runtimes

import (
	"context"
	"sync"
	"time"

	"github.com/bctrl-go/bctrl"
)

// uses is who uses a live runtime at the moment: executions that run in it, programs
// that are connected to its browser.
type uses struct {
	mu      sync.Mutex
	now     int
	last    time.Time     // when the last of them ended
	changed chan struct{} // has an element when now or last changed
}

func newUses() uses { return uses{last: time.Now(), changed: make(chan struct{}, 1)} }

// begin counts a use until its end.
func (u *uses) begin() (end func()) {
	u.add(1)
	return func() { u.add(-1) }
}

func (u *uses) add(n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.now += n
	u.last = time.Now()
	select {
	case u.changed <- struct{}{}:
	default:
	}
}

// idleAt is when the runtime will have been idle for so long, if nobody uses it
// meanwhile. It reports false while it is in use.
func (u *uses) idleAt(timeout time.Duration) (time.Time, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.last.Add(timeout), u.now == 0
}

// endInTime stops a runtime once it has been idle for too long, or has lived for as
// long as it may. It returns when the runtime ends.
func (s *Service) endInTime(lr *liveRuntime, c bctrl.LaunchConfig) {
	timer := time.NewTimer(time.Hour) // set anew before it is looked at
	defer timer.Stop()
	lr.uses.add(0) // it has not been idle before it had started
	for {
		due, reason := time.Time{}, ""
		if !lr.endsAt.IsZero() {
			due, reason = lr.endsAt, reasonMaxLife+c.MaxLife.String()
		}
		if c.IdleTimeout > 0 {
			at, idle := lr.uses.idleAt(c.IdleTimeout)
			if idle && (due.IsZero() || at.Before(due)) {
				due, reason = at, reasonIdle+c.IdleTimeout.String()
			}
		}
		var over <-chan time.Time // never, while it is in use
		if !due.IsZero() {
			timer.Reset(time.Until(due))
			over = timer.C
		}
		select {
		case <-lr.life.Done():
			return
		case <-lr.uses.changed:
		case <-over:
			if err := s.stopBrowserBecause(context.Background(), lr.id, reason); err != nil {
				s.Log.Error("a runtime did not end in its time", "runtime", lr.id, "error", err)
			}
			return
		}
	}
}
