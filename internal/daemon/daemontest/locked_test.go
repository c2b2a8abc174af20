package daemontest

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/daemon"
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

// TestTheLogIsSignedWhileTheOldestNodeIsLocked rotates the key on the second node, which the first
// has not: it locks itself.
func TestTheLogIsSignedWhileTheOldestNodeIsLocked(t *testing.T) {
	c := NewCluster(t, 1)
	ctx := t.Context()
	oldest := c.Nodes[0]
	key, err := os.ReadFile(oldest.Config.KeyFile)
	require.NoError(t, err)
	own := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(own, key, 0o600))
	other := c.Start(func(cfg *daemon.Config) { cfg.KeyFile = own })
	_, err = other.Client.Seal.Rotate(ctx, bctrl.SealKey{})
	require.NoError(t, err)
	require.True(t, oldest.Locked())
	_, err = other.Client.Vault.Set(ctx, "prod/db", bctrl.VaultCredential{Username: "bot"})
	require.NoError(t, err)
	written, err := other.Client.Audit.Verify(ctx)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		report, err := other.Client.Audit.Verify(ctx)
		require.NoError(t, err)
		return report.Signed >= written.Head.Seq
	}, time.Minute, 50*time.Millisecond)
	require.False(t, oldest.Node().Leads())
	require.True(t, other.Node().Leads())
	require.Eventually(t, func() bool {
		nodes, err := other.Client.Nodes.List(ctx)
		require.NoError(t, err)
		return !nodes[0].Leads && nodes[1].Leads
	}, time.Minute, 5*time.Millisecond)
}
