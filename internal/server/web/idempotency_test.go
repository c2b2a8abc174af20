package web

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAKeyHasAnOrderOnlyWhereItHoldsATime(t *testing.T) {
	for _, c := range []struct{ key, order, why string }{
		{"0193a5f2-7c1b-7d3a-9f00-0123456789ab", "0193a5f27c1b", "a version 7 UUID"},
		{"0193A5F2-7C1B-7D3A-9F00-0123456789AB", "0193a5f27c1b", "the same in capitals"},
		{"0193a5f2-7c1b-4d3a-9f00-0123456789ab", "", "a random UUID"},
		{"0193a5f27c1b7d3a9f000123456789ab", "", "another form"},
		{"{0193a5f2-7c1b-7d3a-9f00-0123456789ab}", "", "another form"},
		{"0193a5f2-7c1b-7d3a-9f00-0123456789ag", "", "no UUID"},
		{"order/0193a5f2/7c1b/7d3a/9f00/0123456789", "", "no UUID"},
		{"x", "", "no UUID"},
	} {
		require.Equal(t, c.order, orderOf(c.key), "%s: %s", c.key, c.why)
	}
}
