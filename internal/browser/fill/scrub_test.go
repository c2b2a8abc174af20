package fill

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

// TestScrubbingKeepsPasswordsBesideManyCodes fills codes for hours.
func TestScrubbingKeepsPasswordsBesideManyCodes(t *testing.T) {
	s := NewScrubber()
	s.Add(bctrl.NewSecret("the  Password"))
	for i := range 3 * maxScrubbed {
		s.Add(bctrl.NewSecret(fmt.Sprintf("%06d", 100_000+i)))
	}
	last := 100_000 + 3*maxScrubbed - 1
	for _, shown := range []string{"the  Password", "the Password", "THE  PASSWORD", fmt.Sprint(last),
		fmt.Sprintf("%d %03d", last/1000, last%1000), "dGhlICBQYXNzd29yZA"} {
		require.Contains(t, s.Text("x"+shown+"y"), Hidden, shown)
	}
	require.Equal(t, "100000", s.Text("100000"), "an old code is a number again")
}
