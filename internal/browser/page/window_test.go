package page

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/fill"
)

// TestObservationShowsWhatIsInView chooses lines of random sizes.
func TestObservationShowsWhatIsInView(t *testing.T) {
	page := &frame{url: "https://example.com/"}
	top := &document{frame: page, view: box{right: 1280, bottom: 800}, height: 40_000}
	o := &outline{
		tab:  &tab{set: &Set{scrub: fill.NewScrubber()}},
		docs: &documents{top: top, tree: &frameTree{top: page}},
	}
	for i := range 2000 {
		o.lines = append(o.lines, outlineLine{
			text: fmt.Sprintf("line %d %s", i, strings.Repeat("x", i%60)),
			top:  float64(i * 20),
		})
	}
	for _, scrolled := range []float64{0, 1, 10_000, 39_980, 1e9} {
		top.scrolled = scrolled
		obs := o.observation("t")
		require.LessOrEqual(t, len(obs.Outline), browser.MaxOutline)
		require.Greater(t, len(obs.Outline), browser.MaxOutline*9/10, "the room is used")
		if i := int(scrolled / 20); i < 2000 {
			require.True(t, strings.Contains(obs.Outline, fmt.Sprintf("line %d ", i+min(1, int(scrolled)%20))))
		}
	}
}

// TestWhatIsInViewComesFirst chooses lines of a page of many columns, which all begin in
// view.
func TestWhatIsInViewComesFirst(t *testing.T) {
	page := &frame{url: "https://example.com/"}
	o := &outline{
		tab: &tab{set: &Set{scrub: fill.NewScrubber()}},
		docs: &documents{
			top:  &document{frame: page, view: box{right: 1280, bottom: 800}},
			tree: &frameTree{top: page},
		},
	}
	for column := range 300 {
		for i := range 20 {
			o.lines = append(o.lines, outlineLine{text: fmt.Sprintf("column %d line %d", column, i), top: float64(i * 100)})
		}
	}
	obs := o.observation("t")
	require.LessOrEqual(t, len(obs.Outline), browser.MaxOutline)
	require.Greater(t, strings.Count(obs.Outline, "line 0\n"), 100)
	require.Zero(t, strings.Count(obs.Outline, "line 19\n"))
}
