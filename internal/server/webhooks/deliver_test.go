package webhooks

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNoOrganizationTakesEveryPlaceOfDeliveries has organizations come one after the other, each
// with more slow receivers than there are places. The first has all that one may have, and leaves
// as many for others.
func TestNoOrganizationTakesEveryPlaceOfDeliveries(t *testing.T) {
	s := &Service{busy: map[string]string{}}
	took := map[string]int{}
	for _, org := range []string{"first", "second", "third", "fourth", "fifth"} {
		for i := 0; s.mayBegin(org); i++ {
			s.busy[fmt.Sprint(org, i)] = org
			took[org]++
		}
	}
	want := map[string]int{"first": maxOfOrg, "second": maxOfOrg / 2, "third": maxOfOrg / 4, "fourth": 2, "fifth": 1}
	require.Equal(t, want, took)
	require.True(t, s.mayBegin("sixth"), "however many have slow receivers")
}
