package fill

import (
	"slices"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/scrub"
)

// Clients from outside intercept requests and read what the browser has, beside the
// guards. What is here tells those who let them in what has to be kept from them.

// minFilledLength is how long a filled value has to be, in bytes, for a text of the
// browser's to be kept from clients because of it. A shorter one, and a number of any
// length, stands in texts by chance.
const minFilledLength = 6

// filled are the values that were filled, which clients are not handed in what they read.
type filled struct {
	count  int // how many fills there were
	values []bctrl.Secret
	set    *scrub.Set
}

// remember adds a value. Of more than maxScrubbed the oldest is forgotten.
func (f *filled) remember(value bctrl.Secret) {
	f.count++
	if text := value.Expose(); len(text) < minFilledLength || isDigits(text) {
		return
	}
	f.values = append(slices.DeleteFunc(f.values, value.Equal), value)
	f.values = f.values[max(0, len(f.values)-maxScrubbed):]
	f.set = scrub.New(f.values...)
}

// Touches reports whether a request has to do with what was filled: it took a value
// along, holds one or what stands for one, or goes where requests have a login of HTTP
// with them. No client sees such a request, holds it up or changes it.
func (gs *Guards) Touches(r Request) bool {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	if id := r.flight.Request; gs.carriers.ids[id] || gs.httpCarriers.ids[id] {
		return true
	}
	if gs.httpLogins[CanonicalOrigin(r.url)] != nil {
		return true
	}
	for _, guards := range []map[*Guard]bool{gs.live, gs.retired} {
		for g := range guards {
			if g.foundAnywhere(r) || g.found(g.valueSet, g.latest.Expose(), r.body) {
				return true
			}
		}
	}
	return false
}

// HoldsFilled reports whether a text holds a value that was filled, as such or in a usual
// encoding.
func (gs *Guards) HoldsFilled(text []byte) bool {
	gs.mu.Lock()
	set := gs.filled.set
	gs.mu.Unlock()
	return set != nil && set.Holds(text)
}

// MaskFilled returns a text with [scrub.Mark] in the place of every filled value.
func (gs *Guards) MaskFilled(text string) string {
	gs.mu.Lock()
	set := gs.filled.set
	gs.mu.Unlock()
	if set == nil {
		return text
	}
	return set.String(text)
}

// openBytes is how much of the end of a text that goes on is taken for the beginning of a
// value, in bytes. It does not depend on what the text is: from how much is held back of a
// text of its own, a client would learn letter by letter how a value begins.
const openBytes = 4 << 10

// FindFilled is [Guards.HoldsFilled] for a text that goes on unless end is set. open is how
// many of its last bytes are not to be handed out yet, as they may begin a value.
func (gs *Guards) FindFilled(text []byte, end bool) (found bool, open int) {
	gs.mu.Lock()
	set := gs.filled.set
	gs.mu.Unlock()
	if set == nil {
		return false, 0
	}
	find := set.Finder()
	_, _ = find.Write(text) // it does not fail
	if end {
		return find.End(), 0
	}
	return find.Found(), max(find.Open(), min(openBytes, len(text)))
}

// Fills is how many fills there were. It reports too whether one of them may still be
// sent.
func (gs *Guards) Fills() (count int, waiting bool) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	return gs.filled.count, len(gs.live)+len(gs.httpLogins) > 0
}
