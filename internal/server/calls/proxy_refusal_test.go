package calls

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/server/web"
)

// TestARowThatWasChangedIsRefusedOnce: asking again restores no row.
func TestARowThatWasChangedIsRefusedOnce(t *testing.T) {
	for e, want := range map[*bctrl.Error]int{
		web.Tampered("credentials.tampered"): 422,
		errUpstreamTimeout:                   504,
		web.ErrInternal:                      500,
	} {
		h := http.Header{}
		require.Equal(t, want, refusalStatus(h, e))
		require.Equal(t, want == 422, h.Get("X-Should-Retry") == "false", e.Code)
	}
}
