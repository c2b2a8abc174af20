package daemontest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

// launch starts a browser on a node, in a workspace that all nodes see.
func launch(t *testing.T, n *Node, alias string) *bctrl.Runtime {
	t.Helper()
	ctx := t.Context()
	ws, err := n.Client.Workspaces.GetByName(ctx, "shared")
	if err != nil {
		ws, err = n.Client.Workspaces.Create(ctx, bctrl.WorkspaceCreate{Name: "shared"})
		require.NoError(t, err)
	}
	rt, err := ws.Runtimes.Browser(alias).Stagehand(ctx, bctrl.Launch{})
	require.NoError(t, err)
	return rt
}

// TestANodeWithoutALeaseLosesWhatItHasAndTheOthersKeepTheirs ends the lease of one node of
// three, as the death of its machine does, while the server lives on and finds out: it must
// end its browsers, come back as another node, and undo nothing of what the others did.
func TestANodeWithoutALeaseLosesWhatItHasAndTheOthersKeepTheirs(t *testing.T) {
	c := NewCluster(t, 3)
	ctx := t.Context()
	var kept []*bctrl.Runtime
	lost := launch(t, c.Nodes[0], "lost")
	for i, n := range c.Nodes[1:] {
		kept = append(kept, launch(t, n, "kept"+string(rune('0'+i))))
	}
	was := c.Nodes[0].ID()
	c.Nodes[0].Expire()

	state := func(n *Node, rt *bctrl.Runtime) bctrl.RuntimeInfo {
		ws, err := n.Client.Workspaces.GetByName(ctx, "shared")
		require.NoError(t, err)
		found, err := ws.Runtimes.Get(ctx, rt.Latest().Alias)
		require.NoError(t, err)
		return found.Latest()
	}
	require.Eventually(t, func() bool {
		return state(c.Nodes[1], lost).Status == bctrl.RuntimeFailed
	}, time.Minute, 10*time.Millisecond)
	require.Equal(t, "runtimes.node_lost", state(c.Nodes[1], lost).Summary.Code)
	require.Eventually(t, func() bool {
		return c.Nodes[0].ID() != was && c.Nodes[0].Node().Valid() == nil
	}, time.Minute, 10*time.Millisecond, "it comes back as another node")
	require.Empty(t, c.Nodes[0].Browsers.Running())
	for i, rt := range kept {
		require.Equal(t, bctrl.RuntimeActive, state(c.Nodes[0], rt).Status)
		require.Len(t, c.Nodes[i+1].Browsers.Running(), 1)
	}
	again := launch(t, c.Nodes[0], "lost")
	require.NoError(t, again.Stop(ctx))
	report, err := c.Nodes[2].Client.Audit.Verify(ctx)
	require.NoError(t, err)
	require.True(t, report.OK, "%v", report.Problems)
}
