package daemontest

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

// TestALockedNodeIsSeenByAllAndGetsNoLaunch locks a cluster, which each node then is by itself, and
// unlocks one node after the other, as an operator does who goes by what nodes tell.
func TestALockedNodeIsSeenByAllAndGetsNoLaunch(t *testing.T) {
	st := newStage(t, 2)
	ctx := t.Context()
	told := func(want ...bool) {
		t.Helper()
		for i, n := range st.Nodes {
			require.Eventually(t, func() bool {
				nodes, err := n.Client.Nodes.List(ctx)
				require.NoError(t, err)
				require.Len(t, nodes, 2)
				for _, other := range nodes {
					if other.Self {
						require.Equal(t, want[i], other.Locked, "of itself it knows")
					}
					require.Equal(t, other.Locked, other.Room == 0, "no launch is sent there")
				}
				return nodes[0].Locked == want[0] && nodes[1].Locked == want[1]
			}, time.Minute, 5*time.Millisecond, "node %d tells of %v", i, want)
		}
	}
	told(false, false)
	_, err := st.Nodes[1].Client.Seal.Lock(ctx)
	require.NoError(t, err)
	told(true, true)

	_, err = st.Nodes[0].Client.Seal.Unlock(ctx, bctrl.SealKey{})
	require.NoError(t, err)
	told(false, true)
	for i := range 2 { // the second of which the other node has more room for
		require.Equal(t, 0, st.holder(st.launch(0, "beside-a-locked-one-"+strconv.Itoa(i), bctrl.Launch{})))
	}

	_, err = st.Nodes[1].Client.Seal.Unlock(ctx, bctrl.SealKey{})
	require.NoError(t, err)
	told(false, false)
	require.Equal(t, 1, st.holder(st.launch(0, "beside-an-unlocked-one", bctrl.Launch{})))
}
