package page

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser/protocol"
)

// pathOf is where a node of 300 by 40 is at a time, in milliseconds, by its left upper corner.
type pathOf func(ms float64) (left, top float64)

func (p pathOf) box(ms float64) box {
	left, top := p(ms)
	return box{left, top, left + 300, top + 40}
}

// TestAPictureCoversWhereverItsNodeMayHaveBeen takes pictures of a node that moves: each at a
// moment between two looks, at which nobody looks. Of those that are shown what is painted over
// has to hold the node as it was at that moment.
func TestAPictureCoversWhereverItsNodeMayHaveBeen(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	jumping := func(every, wide, high float64) func() pathOf {
		return func() pathOf {
			of := rnd.Uint64()
			return func(ms float64) (float64, float64) {
				at := rand.New(rand.NewPCG(of, uint64(ms/every)))
				return at.Float64() * wide, at.Float64() * high
			}
		}
	}
	still := func() pathOf { return func(float64) (float64, float64) { return 40, 80 } }
	// It is shown long enough to be seen first, and then for 30 ms of 45.
	blinks := func(ms float64) bool { return ms > 1500 && int(ms/15)%3 == 0 }
	for _, c := range []struct {
		why   string
		path  func() pathOf
		shown bool // pictures of it have to be shown at all
		// hidden is whether it is, at a time in milliseconds; nil for never. A node that is gone
		// is not among what is masked meanwhile.
		hidden func(ms float64) bool
		gone   bool
	}{
		{why: "it stands still", path: still, shown: true},
		{why: "it blinks", path: still, hidden: blinks},
		{why: "it comes and goes", path: still, hidden: blinks, gone: true},
		{why: "it is hidden once", path: still, hidden: func(ms float64) bool { return ms > 1500 }, shown: true},
		{why: "it goes once", path: still, hidden: func(ms float64) bool { return ms > 1500 }, gone: true, shown: true},
		{why: "it appears once", path: still, hidden: func(ms float64) bool { return ms < 2500 }, shown: true},
		{why: "it jumps to and fro faster than pictures are taken", path: jumping(15, 500, 600)},
		{why: "it jumps in a small room", path: jumping(15, 50, 50), shown: true},
		{why: "it jumps as often as pictures are taken", path: jumping(70, 500, 600)},
		{why: "it scrolls", path: func() pathOf {
			return func(ms float64) (float64, float64) { return 40, 4000 - ms/4 }
		}, shown: true},
		{why: "it slides to and fro", path: func() pathOf {
			return func(ms float64) (float64, float64) {
				n := int(ms / 800)
				ms -= float64(n) * 800
				if n%2 == 1 {
					ms = 800 - ms
				}
				return ms / 2, ms / 2
			}
		}, shown: true},
	} {
		shown := 0
		for range 100 { // pages
			path, seen, start := c.path(), motions{}, time.Unix(1e9, 0)
			ms := rnd.Float64() * 1000
			at := func() time.Time { return start.Add(time.Duration(ms * float64(time.Millisecond))) }
			for range 40 {
				look := func(by float64) []nodeMask {
					ms += by
					element := protocol.Element{Backend: 1}
					switch {
					case c.hidden == nil || !c.hidden(ms):
						return []nodeMask{{element, []box{path.box(ms)}}}
					case c.gone:
						return nil
					}
					return []nodeMask{{element: element}}
				}
				taken := &shot{begun: at()}
				taken.before, taken.lookedBefore = look(5+rnd.Float64()*15), at()
				ms += 5 + rnd.Float64()*15
				pictured, inSight := path.box(ms), c.hidden == nil || !c.hidden(ms)
				ms += 5 + rnd.Float64()*15
				taken.after, taken.lookedAfter = look(5+rnd.Float64()*15), at()
				boxes, known := seen.cover(taken)
				ms += 40 + rnd.Float64()*150
				if !known || !taken.isSteady() {
					continue
				}
				shown++
				covered := !inSight
				for _, b := range boxes {
					covered = covered || b.holds(pictured)
				}
				require.True(t, covered, "%s: after %v ms", c.why, ms)
			}
		}
		if c.shown {
			require.Greater(t, shown, 100*40/2, c.why)
		}
	}
}

// TestAHiddenNodeIsBelievedOnceItWasSeenAFewTimes has a node that is hidden from the first look
// on, which a page may show for a moment, and one that is so for ever.
func TestAHiddenNodeIsBelievedOnceItWasSeenAFewTimes(t *testing.T) {
	seen, at := motions{}, time.Unix(1e9, 0)
	cover := func(boxes ...box) bool {
		node := []nodeMask{{protocol.Element{Backend: 1}, boxes}}
		begun := at
		at = at.Add(100 * time.Millisecond)
		_, known := seen.cover(&shot{before: node, after: node, begun: begun, lookedBefore: at, lookedAfter: at})
		return known
	}
	for n := range 20 {
		require.Equal(t, 2*n >= hiddenLooks, cover(), "picture %d", n)
	}
	require.False(t, cover(box{0, 0, 10, 10}), "it appears")
	require.False(t, cover(box{0, 0, 10, 10}), "and may go again")
	at = at.Add(restlessFor)
	require.True(t, cover(box{0, 0, 10, 10}), "it has stayed")
}
