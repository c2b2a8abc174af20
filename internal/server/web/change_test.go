package web

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/cluster"
)

// lapsed is a node that has lost its lease.
type lapsed struct{ cluster.Member }

func (lapsed) Valid() error { return cluster.ErrLeaseLost }

// TestNothingIsUnderwayWithoutALease: who took the node for dead has ended its intents.
func TestNothingIsUnderwayWithoutALease(t *testing.T) {
	require.NoError(t, (&Kernel{Cluster: cluster.Alone{}}).StillUnderway(t.Context()))
	require.ErrorIs(t, (&Kernel{Cluster: lapsed{cluster.Alone{}}}).StillUnderway(t.Context()), cluster.ErrLeaseLost)
	ended, end := context.WithCancelCause(t.Context())
	end(ErrStopping)
	require.ErrorIs(t, (&Kernel{Cluster: cluster.Alone{}}).StillUnderway(ended), ErrStopping)
}
