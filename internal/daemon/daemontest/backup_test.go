package daemontest

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/blob"
	"github.com/bctrl-go/bctrl/internal/daemon"
	"github.com/bctrl-go/bctrl/internal/store/pgtest"
)

// TestABackupOfAClusterIsServedAndAnOlderOneRefused dumps the database while nodes run and after their
// end, and copies the bucket then. The dump of the end is served as a whole by a node that never was
// there. The one before is known to be older than what the bucket has of the log, until somebody says that
// it was meant; it is served with the copy of the bucket, beside the original, which lacks nothing after it.
func TestABackupOfAClusterIsServedAndAnOlderOneRefused(t *testing.T) {
	c := NewCluster(t, 2)
	ctx := t.Context()
	set := func(n *Node, key string) {
		_, err := n.Client.Vault.Set(ctx, key, bctrl.VaultCredential{Password: bctrl.NewSecret("p-" + key)})
		require.NoError(t, err)
	}
	upload := func(n *Node, path string) {
		_, err := n.Client.Storage("s").Upload(ctx, path, strings.NewReader(path))
		require.NoError(t, err)
	}
	has := func(n *Node, path string) {
		text, err := n.Client.Storage("s").Get(ctx, path)
		require.NoError(t, err)
		require.Equal(t, path, string(text))
	}
	set(c.Nodes[0], "prod/first")
	upload(c.Nodes[0], "before.txt")
	older, err := pgtest.Dump(ctx, c.Database)
	require.NoError(t, err)
	set(c.Nodes[1], "prod/second")
	upload(c.Nodes[1], "after.txt")
	for _, n := range c.Nodes {
		n.Stop()
	}
	copied := c.copyBucket("copy")
	newest, err := pgtest.Dump(ctx, c.Database)
	require.NoError(t, err)

	restore := func(dump []byte) func(*daemon.Config) {
		at := pgtest.Fresh(t, "")
		require.NoError(t, pgtest.Load(ctx, at, dump))
		return func(cfg *daemon.Config) { cfg.Database = bctrl.NewSecret(at) }
	}
	restored := restore(newest)
	n := c.Start(restored)
	for _, key := range []string{"prod/first", "prod/second"} {
		got, err := n.Client.Vault.Get(ctx, key)
		require.NoError(t, err)
		require.True(t, got.Password.Equal(bctrl.NewSecret("p-"+key)))
	}
	has(n, "after.txt")
	set(n, "prod/third")
	report, err := n.Client.Audit.Verify(ctx)
	require.NoError(t, err)
	require.True(t, report.OK, "%+v", report.Problems)
	n.Stop()

	cfg := n.Config
	cfg.DataDir, cfg.Files = t.TempDir(), &copied
	restore(older)(&cfg)
	_, err = daemon.Open(ctx, cfg)
	require.ErrorIs(t, err, audit.ErrOlder)
	require.NoError(t, daemon.AcceptAudit(ctx, cfg, "the backup of before was put back"))
	n = c.Start(func(again *daemon.Config) { again.Database, again.Files = cfg.Database, cfg.Files })
	_, err = n.Client.Vault.Get(ctx, "prod/first")
	require.NoError(t, err)
	_, err = n.Client.Vault.Get(ctx, "prod/second")
	require.ErrorIs(t, err, bctrl.ErrNotFound, "which was not in it")
	verified, err := n.Client.Audit.Verify(ctx)
	require.NoError(t, err)
	require.NotEmpty(t, verified.Accepted)
	has(n, "before.txt")
	_, err = n.Client.Storage("s").Get(ctx, "after.txt")
	require.ErrorIs(t, err, bctrl.ErrNotFound, "of which the backup has the bytes alone")
	require.NoError(t, n.Client.Storage("s").Delete(ctx, "before.txt"))
	n.Stop()

	n = c.Start(restored)
	for _, path := range []string{"before.txt", "after.txt"} {
		has(n, path)
	}
}

// copyBucket makes a bucket with all that the cluster's has.
func (c *Cluster) copyBucket(name string) blob.S3Config {
	c.t.Helper()
	dir, err := c.s3.MakeBucket(name)
	require.NoError(c.t, err)
	// What the server knows of an object beside its bytes is in attributes of the file.
	original := filepath.Join(filepath.Dir(dir), "files")
	out, err := exec.CommandContext(c.t.Context(), "cp", "-a", original+"/.", dir).CombinedOutput()
	require.NoError(c.t, err, "%s", out)
	at, err := blob.ParseS3(c.s3.URL(name))
	require.NoError(c.t, err)
	return at
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
