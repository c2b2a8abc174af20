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
	o := &outline{tab: &tab{set: &Set{scrub: fill.NewScrubber()}}}
	for i := range 2000 {
		o.lines = append(o.lines, outlineLine{
			text: fmt.Sprintf("line %d %s", i, strings.Repeat("x", i%60)),
			top:  float64(i * 20),
		})
	}
	for _, scrolled := range []float64{0, 1, 10_000, 39_980, 1e9} {
		obs := o.observation("https://example.com/", "t", scrolled, false)
		require.LessOrEqual(t, len(obs.Outline), browser.MaxOutline)
		require.Greater(t, len(obs.Outline), browser.MaxOutline*9/10, "the room is used")
		if i := int(scrolled / 20); i < 2000 {
			require.True(t, strings.Contains(obs.Outline, fmt.Sprintf("line %d ", i+min(1, int(scrolled)%20))))
		}
	}
}
