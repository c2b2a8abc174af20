package page

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// A picture shows a node where it was at one moment between two looks at the page, and
// nobody knows which. Where the node stands still that is where it was seen. Where it
// moves steadily it is no farther from there than its speed takes it in that time, which
// is painted over too. Where it jumps it could be anywhere: then no picture is shown. Neither
// is one while a node comes and goes: it could be there for that moment alone.

const (
	// restlessFor is how long what has moved is not believed to stand still: this, and
	// five times what the last picture took, where that is longer.
	restlessFor = time.Second
	// steadyLooks is how often a node that moves has to be seen before its speed is believed.
	steadyLooks = 16
	// mostRestless is how often that time doubles for what is shown and hidden again and again.
	mostRestless = 5
	// hiddenLooks is how often a node has to be seen hidden before it is believed to stay so.
	hiddenLooks = 6
	// fewestTries is how often a picture is tried at least, however long that takes: a slow
	// machine has to see what is hidden as often, and two pictures of what stands still.
	fewestTries = hiddenLooks/2 + 2
	// leastRoom is how far from where it was seen a node that moves may be at least, in CSS
	// pixels, and roomMargin how many times farther than it was seen to go.
	leastRoom  = 60
	roomMargin = 2
	// mostRoom is how far a node may go while a picture is taken, in CSS pixels: what goes
	// farther jumps.
	mostRoom = 200
	// unsteadyPause is the time between two attempts to take a picture.
	unsteadyPause = 40 * time.Millisecond
	// shotUnsteadyFor is how long a page may change too fast before a picture of it is refused
	// to an agent or a program.
	shotUnsteadyFor = 2 * time.Second
)

// errUnsteady is the error of a page that changes too fast to be masked.
var errUnsteady = errors.New("what has to be masked changes too fast")

// errPictureUnsteady is [errUnsteady] as agents and programs are told it.
var errPictureUnsteady = browser.Conflict("page.picture_unsteady",
	"what was filled moves or changes too fast to be painted over in a picture",
	"take the picture once the page has come to rest, or read the page")

// motions is where masked nodes were seen, and how they moved.
type motions map[protocol.Element]*motion

// motion is how a masked node has moved from one look to the next.
type motion struct {
	last  box // where it was seen; the zero box is nowhere
	at    time.Time
	seen  bool      // in the newest picture
	speed float64   // the highest since it stood still, in CSS pixels a second
	way   float64   // the longest since then while a picture was taken, in CSS pixels
	looks int       // since it began to move
	until time.Time // it is not believed to stand still before

	shown  bool      // at the newest look
	hidden int       // the looks at which it was not
	turns  int       // how often it came or went since it was believed to do neither
	turned time.Time // it is not believed to stay shown or hidden before
}

// takeMasked takes a picture in which what was filled is painted over. What is masked has to
// be the same nodes before and after, in places between which they cannot have gone
// farther than is painted over, and no text that repeats what was filled may have come and
// gone meanwhile. It tries for a while, and then returns [errUnsteady].
func (t *tab) takeMasked(
	ctx context.Context, fullPage bool, maxHeight float64, atMost time.Duration, seen motions,
) (*shot, error) {
	begun := time.Now()
	for n := 1; ; n++ {
		taken, err := t.tryMasked(ctx, fullPage, maxHeight, seen)
		if err == nil {
			return taken, nil
		}
		if _, told := asRefusal(err); told || ctx.Err() != nil || time.Since(begun) > atMost && n >= fewestTries {
			return nil, err
		}
		if err := t.session.pause(ctx, unsteadyPause); err != nil {
			return nil, err
		}
	}
}

// pause waits for a time, but for no longer than the session and ctx last.
func (s *session) pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-s.gone:
		return protocol.ErrGone
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *tab) tryMasked(ctx context.Context, fullPage bool, maxHeight float64, seen motions) (*shot, error) {
	texts, err := t.watchTexts(ctx)
	if err != nil {
		return nil, err
	}
	taken, err := t.take(ctx, fullPage, maxHeight)
	shown := texts.end(ctx) // also after an error, so that nothing is left in the page
	if err != nil {
		return nil, err
	}
	if shown != nil {
		return nil, shown
	}
	boxes, known := seen.cover(taken)
	if !known || !taken.isSteady() {
		return nil, errUnsteady
	}
	return taken, taken.paintOver(boxes)
}

// cover returns what is painted over in a picture, and whether that is all that it may show
// of the masked nodes.
func (ms motions) cover(taken *shot) (boxes []box, known bool) {
	took := taken.lookedAfter.Sub(taken.begun)
	known = true
	for _, m := range taken.before {
		known = ms.note(m, taken.lookedBefore, took) && known
	}
	for _, m := range taken.after {
		known = ms.note(m, taken.lookedAfter, took) && known
	}
	boxes = taken.masked()
	for _, m := range slices.Concat(taken.before, taken.after) {
		moved := ms[m.element]
		room := moved.roomIn(took, taken.lookedAfter)
		if room == 0 {
			continue
		}
		known = known && moved.looks >= steadyLooks && room <= mostRoom
		for _, b := range m.boxes {
			boxes = append(boxes, box{b.left - room, b.top - room, b.right + room, b.bottom + room})
		}
	}
	for element, moved := range ms {
		if !moved.seen {
			moved.turn(false, taken.lookedAfter, took)
		}
		if taken.lookedAfter.Before(moved.turned) {
			known = false // it may have been there for a moment
		} else if !moved.seen {
			delete(ms, element)
		}
		moved.seen = false
	}
	return boxes, known
}

// note takes note of where a node was seen, in the taking of a picture that took some time.
// It reports false of one that was not seen before, and of a hidden one that was seen a few
// times only: nobody knows where it was a moment ago.
func (ms motions) note(m nodeMask, at time.Time, took time.Duration) (known bool) {
	moved, shown := ms[m.element], len(m.boxes) > 0
	if known = moved != nil; moved == nil {
		moved = &motion{shown: shown}
		ms[m.element] = moved
	}
	moved.seen = true
	moved.turn(shown, at, took)
	if !shown {
		moved.hidden++
		return moved.hidden > hiddenLooks
	}
	if at.After(moved.until) {
		moved.speed, moved.way, moved.looks = 0, 0, 0
	}
	now := around(m.boxes)
	if moved.last != (box{}) && moved.last != now {
		way := max(math.Abs(now.left-moved.last.left), math.Abs(now.top-moved.last.top),
			math.Abs(now.right-moved.last.right), math.Abs(now.bottom-moved.last.bottom))
		since := max(at.Sub(moved.at), time.Millisecond)
		moved.speed = max(moved.speed, way/since.Seconds())
		if since <= took {
			moved.way = max(moved.way, way)
		}
		moved.until = at.Add(max(restlessFor, 5*took))
	}
	if moved.speed > 0 {
		moved.looks++
	}
	moved.last, moved.at = now, at
	return known
}

// turn takes note of whether the node was shown. Each time that it comes or goes it is believed
// later: what blinks is hidden at every look for a while, by chance.
func (m *motion) turn(shown bool, at time.Time, took time.Duration) {
	if at.After(m.turned) {
		m.turns = 0
	}
	if m.shown != shown {
		m.shown = shown
		m.turned = at.Add(max(restlessFor, 3*took) << min(m.turns, mostRestless))
		m.turns++
	}
}

// roomIn is how far from where it was seen the node may have been, in a time that ended at.
func (m *motion) roomIn(took time.Duration, at time.Time) float64 {
	if at.After(m.until) {
		return 0
	}
	return max(leastRoom, roomMargin*m.way, roomMargin*m.speed*took.Seconds())
}

// isSteady reports whether what was to be painted over before was so after, and the other
// way round. A node that was so once alone may lie inside of one that was so twice, as the
// text in a field that shows it and hides it.
func (s *shot) isSteady() bool {
	times := map[protocol.Element]int{}
	for _, m := range slices.Concat(s.before, s.after) {
		if len(m.boxes) > 0 {
			times[m.element]++
		}
	}
	var sure []box
	for _, m := range slices.Concat(s.before, s.after) {
		if times[m.element] > 1 {
			sure = append(sure, m.boxes...)
		}
	}
	for _, m := range slices.Concat(s.before, s.after) {
		for _, b := range m.boxes {
			if times[m.element] == 1 && !slices.ContainsFunc(sure, func(of box) bool { return of.holds(b) }) {
				return false
			}
		}
	}
	return true
}

// holds reports whether another box is inside of the box, as far as masks reach.
func (b box) holds(other box) bool {
	return other.left >= b.left-maskMargin && other.right <= b.right+maskMargin &&
		other.top >= b.top-maskMargin && other.bottom <= b.bottom+maskMargin
}
