package daemontest

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/blob"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/daemon"
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/store/storetest"
)

// TestWhatDoesNotBelongToAClusterIsRefused opens servers that are given what is another installation's: they
// say so, and the nodes go on as before.
func TestWhatDoesNotBelongToAClusterIsRefused(t *testing.T) {
	c := NewCluster(t, 1)
	ctx, first := t.Context(), c.Nodes[0]
	_, err := first.Client.Storage("s").Upload(ctx, "report.txt", strings.NewReader("quarter"))
	require.NoError(t, err)
	dir := t.TempDir()
	otherKey := filepath.Join(dir, "key")
	_, err = seal.CreateFile(otherKey)
	require.NoError(t, err)
	empty, theirs := c.bucket(t, "empty"), c.bucket(t, "theirs")
	second := daemon.Config{
		DataDir:  filepath.Join(dir, "second"),
		KeyFile:  filepath.Join(dir, "second.key"),
		Database: bctrl.NewSecret(storetest.Database(t)),
		Files:    &theirs,
		Browsers: &browser.Fake{},
	}
	other, err := daemon.Open(ctx, second)
	require.NoError(t, err)
	require.NoError(t, other.Close())

	for _, tc := range []struct {
		why    string
		change func(*daemon.Config)
		says   string
	}{
		{"a node with another key", func(cfg *daemon.Config) { cfg.KeyFile = otherKey }, "wrong key"},
		{"a node with a bucket of its own", func(cfg *daemon.Config) { cfg.Files = &empty }, "are not in the bucket"},
		{"a node with another cluster's bucket", func(cfg *daemon.Config) { cfg.Files = &theirs }, "another installation"},
		{"a node with another cluster's database", func(cfg *daemon.Config) { cfg.Database = second.Database },
			"another installation"},
		{"another cluster on this database", func(cfg *daemon.Config) {
			address := cfg.NodeAddress
			*cfg = second
			cfg.NodeAddress, cfg.Database = address, first.Config.Database
		}, "another installation"},
		{"another server on this database", func(cfg *daemon.Config) {
			*cfg = second
			cfg.Database = bctrl.NewSecret(c.Database + "&lock_timeout=100")
		}, "another server uses this database"},
	} {
		cfg := first.Config
		cfg.DataDir = filepath.Join(dir, "node")
		tc.change(&cfg)
		_, err := daemon.Open(ctx, cfg)
		require.ErrorContains(t, err, tc.says, tc.why)
		for _, secret := range []string{first.Config.Database.Expose(), second.Database.Expose()} {
			require.False(t, strings.Contains(err.Error(), secret), tc.why)
		}
	}
	text, err := first.Client.Storage("s").Get(ctx, "report.txt")
	require.NoError(t, err)
	require.Equal(t, "quarter", string(text))
	nodes, err := first.Node().Nodes(ctx)
	require.NoError(t, err)
	for _, n := range nodes {
		require.Equal(t, first.ID(), n.ID, "none of them stays a node")
	}
}

// bucket makes another bucket on the cluster's S3 server.
func (c *Cluster) bucket(t *testing.T, name string) blob.S3Config {
	t.Helper()
	cfg := c.Files
	cfg.Bucket = name
	_, err := c.s3.MakeBucket(name)
	require.NoError(t, err)
	return cfg
}
