package webhooks

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNoOrganizationTakesEveryPlaceOfDeliveries(t *testing.T) {
	s := &Service{busy: map[string]string{}}
	took := map[string]int{}
	for _, org := range []string{"first", "second", "third", "fourth"} {
		for i := 0; s.mayBegin(org); i++ {
			s.busy[fmt.Sprint(org, i)] = org
			took[org]++
		}
	}
	want := map[string]int{"first": maxAtOnce / 2, "second": maxAtOnce / 4, "third": maxAtOnce / 8, "fourth": 1}
	require.Equal(t, want, took)
	require.True(t, s.mayBegin("fifth"), "however many have slow receivers")
}
