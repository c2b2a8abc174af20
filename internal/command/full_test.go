package command

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/bctrl-go/bctrl"
)

// TestAFullDiskIsSaidAndHarmsNothing lets the server's files grow so far and
// no further, which fails its writes as a full disk or a quota does, and later
// makes room again.
func TestAFullDiskIsSaidAndHarmsNothing(t *testing.T) {
	where := newPlace(t)
	srv := where.start(t, fmt.Sprint(limitFiles, "=", 1<<20))
	key := srv.firstKey
	c := srv.client(key)
	ctx := t.Context()
	notes := strings.Repeat("n", 50<<10)
	set := func(i int) error {
		_, err := c.Vault.Set(ctx, fmt.Sprintf("k%03d", i), bctrl.VaultCredential{Notes: notes,
			Password: bctrl.NewSecret("secret")})
		return err
	}
	kept := 0
	var err error
	for ; kept < 200; kept++ {
		if err = set(kept); err != nil {
			break
		}
	}
	require.Positive(t, kept)
	requireFull(t, err)

	_, err = c.Storage("files").Upload(ctx, "large", strings.NewReader(strings.Repeat("x", 2<<20)))
	requireFull(t, err)

	// What cannot be recorded is not done; what leaves no record still is.
	page, err := c.Vault.KeysPage(ctx, "", bctrl.PageOptions{Limit: 1000})
	require.NoError(t, err)
	require.Len(t, page.Items, kept, "every acknowledged write, and no other")

	// With room again, the same process goes on.
	require.NoError(t, unix.Prlimit(srv.cmd.Process.Pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: unix.RLIM_INFINITY,
		Max: unix.RLIM_INFINITY}, nil))
	for i := kept; i < kept+20; i++ {
		require.NoError(t, set(i))
	}
	srv.terminate()
	require.NotContains(t, srv.stderr.String(), "panic")

	srv = where.start(t)
	c = srv.client(key)
	for i := range kept + 20 {
		got, err := c.Vault.Get(ctx, fmt.Sprintf("k%03d", i))
		require.NoError(t, err)
		require.Equal(t, notes, got.Notes)
	}
	srv.terminate()
	checkAudit(t, where, nil)
}

// requireFull requires the refusal that tells an operator what to do.
func requireFull(t *testing.T, err error) {
	t.Helper()
	require.ErrorIs(t, err, bctrl.ErrUnavailable)
	var e *bctrl.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, "server.disk_full", e.Code)
	require.True(t, e.Retryable, "there may be room again")
}
