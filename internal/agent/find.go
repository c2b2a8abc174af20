package agent

import (
	"context"
	"slices"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
)

const (
	// findTime is how long an element may take to appear that was there before.
	findTime = 10 * time.Second
	findPoll = 250 * time.Millisecond
)

// find returns the element of the newest view that a description means: the only one of
// its role, name, surroundings and frame, or of several the one of its index.
func (r *run) find(d bctrl.ElementDescription) (found browser.Element, ok bool) {
	var alike []browser.Element
	for _, e := range r.elements {
		if is := r.elementDescription(e); is.Role == d.Role && is.Name == d.Name && is.Frame == d.Frame &&
			slices.Equal(is.Surroundings, d.Surroundings) {
			alike = append(alike, e)
		}
	}
	if len(alike) == 1 {
		return alike[0], true
	}
	i := slices.IndexFunc(alike, func(e browser.Element) bool { return e.Index == d.Index })
	if i < 0 {
		return found, false
	}
	return alike[i], true
}

// awaitView looks at the page until it is as enough says, and reports whether it became
// so in time. The newest view may be enough: after an action it is of the page at rest.
func (r *run) awaitView(ctx context.Context, enough func() bool) (bool, error) {
	if enough() {
		return true, nil
	}
	wait := time.NewTimer(findTime)
	defer wait.Stop()
	poll := time.NewTicker(findPoll)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-wait.C:
			return false, nil
		case <-poll.C:
		}
		if _, err := r.observe(ctx); err != nil {
			return false, err
		}
		if enough() {
			return true, nil
		}
	}
}
