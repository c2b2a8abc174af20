package page

import (
	"context"
	"time"

	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

const (
	// quietTime is how long a settled page has not changed.
	quietTime = 300 * time.Millisecond
	// longRequest is how long a request may run before it is taken for one
	// that waits for news rather than for content.
	longRequest = 3 * time.Second
	// settleStep is the time between two looks at the requests.
	settleStep = 50 * time.Millisecond
)

// Settle waits until nothing changes. See [browser.Page].
func (s *Set) Settle(ctx context.Context, longest time.Duration) error {
	limit, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	s.cancelWhenAsked(limit, cancel) // a page that asks does nothing until it is answered
	for limit.Err() == nil {
		t, err := s.agentTab(limit)
		if err == nil && t.documentIsQuiet(limit, longest) && t.requestsAreIdle() {
			return nil
		}
		step := time.NewTimer(settleStep)
		select {
		case <-step.C:
		case <-s.conn.Done():
			step.Stop()
			return protocol.ErrGone
		case <-limit.Done():
		}
		step.Stop()
	}
	return ctx.Err() // a page that never settles is used as it is
}

// documentIsQuiet waits until the document has not changed for a while, and reports
// whether it came to that.
func (t *tab) documentIsQuiet(ctx context.Context, longest time.Duration) bool {
	return t.waitQuiet(ctx, quietTime, longest)
}

// waitQuiet is documentIsQuiet with another while.
func (t *tab) waitQuiet(ctx context.Context, quiet, longest time.Duration) bool {
	tree, err := t.frameTree(ctx)
	if err != nil {
		return false
	}
	w, err := isolatedWorld(ctx, tree.top)
	if err != nil {
		return false
	}
	var still bool
	err = evaluate(ctx, tree.top, w, &still, jsQuiet, quiet.Milliseconds(), longest.Milliseconds())
	return err == nil && still
}

// requestsAreIdle reports whether no request has begun or ended for a while, and none
// is on its way but those that last.
func (t *tab) requestsAreIdle() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	for _, started := range t.traffic {
		if now.Sub(started) < longRequest {
			return false
		}
	}
	return now.Sub(t.lastTraffic) >= quietTime
}
