package server

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/server/web"
)

// TestEveryRouteOfRuntimesSaysWhichNodeServesIt fails for a new route that needs a browser, or
// a disk, and does not say whose: in a cluster it would be served where there is none.
func TestEveryRouteOfRuntimesSaysWhichNodeServesIt(t *testing.T) {
	h := newHarness(t)
	areas := map[string][]web.Route{"runtimes": h.server.runtimes.Routes(), "profiles": h.server.profiles.Routes()}
	for area, routes := range areas {
		require.NotEmpty(t, routes)
		for _, rt := range routes {
			require.True(t, rt.Where().IsSaid(), "%s: %s %s: add On, with web.AnyNode where the store has all that it needs",
				area, rt.Method, rt.Path)
			below := strings.Contains(rt.Path, "/{alias}/") && !strings.HasSuffix(rt.Path, "/explain") &&
				!strings.HasSuffix(rt.Path, "/tokens") && !strings.Contains(rt.Path, "/events")
			if below || strings.Contains(rt.Path, "{token}") {
				require.False(t, rt.Where().IsAny(), "%s %s works in a browser", rt.Method, rt.Path)
			}
		}
	}
}
