package runtimes

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTheEndOfARuntimeHoldsUpNotThatOfItsOrganization: what another node has asked for is begun
// once, each for itself.
func TestTheEndOfARuntimeHoldsUpNotThatOfItsOrganization(t *testing.T) {
	s := &Service{fleet: newFleet()}
	lr := &liveRuntime{id: "rt", org: "org"}
	require.NoError(t, s.fleet.add(lr))
	runtimeEnds, ok := s.beginToldEnd(lr, lr.id)
	require.True(t, ok)
	_, ok = s.beginToldEnd(lr, lr.id)
	require.False(t, ok, "it is being ended already")
	orgEnds, ok := s.beginToldEnd(lr, lr.org)
	require.True(t, ok)
	runtimeEnds()
	orgEnds()
	again, ok := s.beginToldEnd(lr, lr.org)
	require.True(t, ok, "told again")
	again()
}
