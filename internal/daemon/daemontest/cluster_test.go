package daemontest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

func TestNodesShareWhatOneServerKeeps(t *testing.T) {
	c := NewCluster(t, 3)
	ctx := t.Context()
	_, err := c.Nodes[0].Client.Vault.Set(ctx, "prod/db", bctrl.VaultCredential{Username: "bot"})
	require.NoError(t, err)
	for _, n := range c.Nodes {
		entry, err := n.Client.Vault.Get(ctx, "prod/db")
		require.NoError(t, err)
		require.Equal(t, "bot", entry.Username)
		nodes, err := n.Node().Nodes(ctx)
		require.NoError(t, err)
		require.Len(t, nodes, 3)
	}
	leads := func() (n int) {
		for _, node := range c.Nodes {
			if node.Node().Leads() {
				n++
			}
		}
		return n
	}
	require.Eventually(t, func() bool { return leads() == 1 }, time.Minute, 5*time.Millisecond)
	came := c.Nodes[2].Node().Self().LogFrom
	require.Eventually(t, func() bool {
		nodes, err := c.Nodes[2].Node().Nodes(ctx)
		require.NoError(t, err)
		return nodes[0].LogFrom > came && nodes[2].LogFrom > came
	}, time.Minute, 5*time.Millisecond, "the one that leads notes how far the log is settled")
}
