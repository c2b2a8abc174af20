package daemontest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/daemon"
	"github.com/bctrl-go/bctrl/internal/store/pgtest"
)

// TestABackupOfAClusterIsServedAndAnOlderOneRefused dumps the database while nodes run and after their
// end. The bucket stays as it is. The dump of the end is served as a whole by a node that never was
// there, and the one before is known to be older than what the bucket has of the log, until somebody
// says that it was meant.
func TestABackupOfAClusterIsServedAndAnOlderOneRefused(t *testing.T) {
	c := NewCluster(t, 2)
	ctx := t.Context()
	set := func(n *Node, key string) {
		_, err := n.Client.Vault.Set(ctx, key, bctrl.VaultCredential{Password: bctrl.NewSecret("p-" + key)})
		require.NoError(t, err)
	}
	set(c.Nodes[0], "prod/first")
	older, err := pgtest.Dump(ctx, c.Database)
	require.NoError(t, err)
	set(c.Nodes[1], "prod/second")
	_, err = c.Nodes[1].Client.Storage("s").Upload(ctx, "report.txt", strings.NewReader("quarter"))
	require.NoError(t, err)
	for _, n := range c.Nodes {
		n.Stop()
	}
	newest, err := pgtest.Dump(ctx, c.Database)
	require.NoError(t, err)

	restore := func(dump []byte) func(*daemon.Config) {
		at := pgtest.Fresh(t, "")
		require.NoError(t, pgtest.Load(ctx, at, dump))
		return func(cfg *daemon.Config) { cfg.Database = bctrl.NewSecret(at) }
	}
	n := c.Start(restore(newest))
	for _, key := range []string{"prod/first", "prod/second"} {
		got, err := n.Client.Vault.Get(ctx, key)
		require.NoError(t, err)
		require.True(t, got.Password.Equal(bctrl.NewSecret("p-"+key)))
	}
	text, err := n.Client.Storage("s").Get(ctx, "report.txt")
	require.NoError(t, err)
	require.Equal(t, "quarter", string(text))
	set(n, "prod/third")
	report, err := n.Client.Audit.Verify(ctx)
	require.NoError(t, err)
	require.True(t, report.OK, "%+v", report.Problems)
	n.Stop()

	cfg := n.Config
	cfg.DataDir = t.TempDir()
	restore(older)(&cfg)
	_, err = daemon.Open(ctx, cfg)
	require.ErrorIs(t, err, audit.ErrOlder)
	require.NoError(t, daemon.AcceptAudit(ctx, cfg, "the backup of before was put back"))
	n = c.Start(func(again *daemon.Config) { again.Database = cfg.Database })
	_, err = n.Client.Vault.Get(ctx, "prod/first")
	require.NoError(t, err)
	_, err = n.Client.Vault.Get(ctx, "prod/second")
	require.ErrorIs(t, err, bctrl.ErrNotFound, "which was not in it")
	verified, err := n.Client.Audit.Verify(ctx)
	require.NoError(t, err)
	require.NotEmpty(t, verified.Accepted)
}

// TestTheKeyOfAClusterThatIsStoppedIsRotatedWithItsHead exchanges the key while no node runs:
// the head of the log, which the bucket has, is signed with the new one.
func TestTheKeyOfAClusterThatIsStoppedIsRotatedWithItsHead(t *testing.T) {
	c := NewCluster(t, 1)
	ctx := t.Context()
	n := c.Nodes[0]
	_, err := n.Client.Vault.Set(ctx, "prod/first", bctrl.VaultCredential{Password: bctrl.NewSecret("p-first")})
	require.NoError(t, err)
	n.Stop()
	cfg := n.Config
	cfg.NodeAddress = "" // as the command line has it
	before, err := daemon.SealStatus(ctx, cfg)
	require.NoError(t, err)
	status, err := daemon.RotateSeal(ctx, cfg, bctrl.Secret{})
	require.NoError(t, err)
	require.NotEqual(t, before.KeyID, status.KeyID)
	report, err := daemon.VerifyAudit(ctx, cfg)
	require.NoError(t, err)
	require.True(t, report.OK, "%+v", report.Problems)
	n = c.Start(func(again *daemon.Config) { again.KeyFile = cfg.KeyFile })
	got, err := n.Client.Vault.Get(ctx, "prod/first")
	require.NoError(t, err)
	require.True(t, got.Password.Equal(bctrl.NewSecret("p-first")))
}
