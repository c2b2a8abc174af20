package server

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

// TestARowThatWasChangedIsRefusedOnce: asking again restores no row.
func TestARowThatWasChangedIsRefusedOnce(t *testing.T) {
	for e, want := range map[*bctrl.Error]int{ErrTampered("credentials.tampered"): 422, errUpstreamTimeout: 504, ErrInternal: 500} {
		h := http.Header{}
		require.Equal(t, want, asOnce(h, e))
		require.Equal(t, want == 422, h.Get("X-Should-Retry") == "false", e.Code)
	}
}
