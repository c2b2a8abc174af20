package events

import (
	"time"

	"github.com/bctrl-go/bctrl"
)

// How many events the pages of a runtime may make: a script can make any number.
const (
	pageBurst     = 200
	pagePerSecond = 10
)

// rate is a token bucket, of what a runtime's pages may make yet.
type rate struct {
	left float64
	at   time.Time
}

// takeOf takes an event of a source, where it may make one. h.mu is held.
func (h *Hub) takeOf(from source, now time.Time) bool {
	r := h.rates[from]
	if r == nil {
		r = &rate{left: pageBurst, at: now}
		h.rates[from] = r
	}
	if passed := now.Sub(r.at); passed > 0 {
		r.left, r.at = min(pageBurst, r.left+passed.Seconds()*pagePerSecond), now
	}
	if r.left < 1 {
		return false
	}
	r.left--
	return true
}

// isOfPages reports whether pages make events of a type, as often as they like.
func isOfPages(of bctrl.EventType) bool {
	switch of {
	case bctrl.EventNavigated, bctrl.EventTabOpened, bctrl.EventTabClosed, bctrl.EventDialog, bctrl.EventDownloaded:
		return true
	}
	return false
}
