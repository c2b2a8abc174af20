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
	for _, c := range []struct {
		why   string
		path  func() pathOf
		shown bool // pictures of it have to be shown at all
	}{
		{"it stands still", func() pathOf { return func(float64) (float64, float64) { return 40, 80 } }, true},
		{"it jumps to and fro faster than pictures are taken", jumping(15, 500, 600), false},
		{"it jumps in a small room", jumping(15, 50, 50), true},
		{"it jumps as often as pictures are taken", jumping(70, 500, 600), false},
		{"it scrolls", func() pathOf {
			return func(ms float64) (float64, float64) { return 40, 4000 - ms/4 }
		}, true},
		{"it slides to and fro", func() pathOf {
			return func(ms float64) (float64, float64) {
				n := int(ms / 800)
				ms -= float64(n) * 800
				if n%2 == 1 {
					ms = 800 - ms
				}
				return ms / 2, ms / 2
			}
		}, true},
	} {
		shown := 0
		for range 100 { // pages
			path, seen, start := c.path(), motions{}, time.Unix(1e9, 0)
			ms := rnd.Float64() * 1000
			at := func() time.Time { return start.Add(time.Duration(ms * float64(time.Millisecond))) }
			for range 40 {
				look := func(by float64) []nodeMask {
					ms += by
					return []nodeMask{{protocol.Element{Backend: 1}, []box{path.box(ms)}}}
				}
				taken := &shot{begun: at()}
				taken.before, taken.lookedBefore = look(5+rnd.Float64()*15), at()
				ms += 5 + rnd.Float64()*15
				pictured := path.box(ms)
				ms += 5 + rnd.Float64()*15
				taken.after, taken.lookedAfter = look(5+rnd.Float64()*15), at()
				boxes, known := seen.cover(taken)
				ms += 40 + rnd.Float64()*150
				if !known || !taken.isSteady() {
					continue
				}
				shown++
				covered := false
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
