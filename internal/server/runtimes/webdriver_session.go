package runtimes

import (
	"context"
	"sync"
	"time"

	"github.com/bctrl-go/bctrl/internal/browser"
)

// driverIdle is how long a WebDriver session may be without a command before another
// takes its place. A client that is gone has not always quit.
const driverIdle = 5 * time.Minute

// driverSession is a WebDriver session with the browser of a runtime.
type driverSession struct {
	// by is the connect URL that opened it, and alone may use it.
	by *connectURL
	// life ends with the session, and by end.
	life context.Context
	end  context.CancelFunc
	// over is closed when nothing is left of it.
	over chan struct{}
	// driver and id are set before the session begins.
	driver browser.WebDriver
	id     string

	begun bool
	// busy counts the commands that have not been answered; used is when the last one was.
	busy int
	used time.Time
}

// driven is the WebDriver session that a runtime has, if any.
type driven struct {
	mu      sync.Mutex // guards what follows, and in the session begun, busy and used
	current *driverSession
}

// isTaken reports whether a new session would be refused.
func (d *driven) isTaken(now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.isTakenLocked(now)
}

func (d *driven) isTakenLocked(now time.Time) bool {
	return d.current != nil && (!d.current.begun || d.current.busy > 0 || now.Sub(d.current.used) < driverIdle)
}

// take takes the place of the session for s, and ends an idle one. It reports whether the
// place was free.
func (d *driven) take(s *driverSession, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.isTakenLocked(now) {
		return false
	}
	if d.current != nil {
		d.current.end()
	}
	d.current = s
	return true
}

// begin lets a session's commands in.
func (d *driven) begin(s *driverSession) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s.begun, s.used = true, time.Now()
}

// leave frees the place of a session that has ended.
func (d *driven) leave(s *driverSession) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.current == s {
		d.current = nil
	}
	close(s.over)
}

// quit ends a session and waits until another can be made.
func (d *driverSession) quit(ctx context.Context) {
	d.end()
	select {
	case <-d.over:
	case <-ctx.Done():
	}
}

// use finds the session of an id for whoever has opened it, which is not idle until it is
// released.
func (d *driven) use(id string, by *connectURL) (s *driverSession, release func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s = d.current
	if s == nil || !s.begun || s.id != id || s.by != by || s.life.Err() != nil {
		return nil, nil
	}
	s.busy++
	return s, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		s.busy--
		s.used = time.Now()
	}
}
