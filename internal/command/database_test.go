package command

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/store/pgtest"
)

// TestServeOnPostgreSQL runs the command with its database in PostgreSQL: it keeps what it
// acknowledged over a kill, and commands that work without a server find it.
func TestServeOnPostgreSQL(t *testing.T) {
	at := pgtest.Fresh(t, "")
	file := filepath.Join(t.TempDir(), "database")
	require.NoError(t, os.WriteFile(file, []byte(at+"\n"), 0o600))
	where := newPlace(t)
	where.args = []string{"--database-file", file}
	srv := where.start(t)
	key, ctx := srv.firstKey, t.Context()
	_, err := srv.client(key).Vault.Set(ctx, "prod/crm", bctrl.VaultCredential{Password: bctrl.NewSecret("p")})
	require.NoError(t, err)
	require.NoFileExists(t, filepath.Join(where.data, "bctrl.db"))

	other := newPlace(t)
	said := other.refused(t, []string{"--database", at + "&lock_timeout=100"})
	require.Contains(t, said, "another server uses this database")
	srv.kill()

	where.args = nil
	srv = where.start(t, "BCTRL_DATABASE="+at)
	got, err := srv.client(key).Vault.Get(ctx, "prod/crm")
	require.NoError(t, err)
	require.True(t, got.Password.Equal(bctrl.NewSecret("p")))
	srv.terminate()

	t.Setenv("BCTRL_DATABASE", "postgres://nobody@127.0.0.1:1/none") // a flag wins over it
	for _, args := range [][]string{
		{"audit", "verify"}, {"keys", "list"}, {"status"},
	} {
		args = append(args, "--data-dir", where.data, "--key-file", where.key, "--database-file", file)
		runIn(ctx, strings.NewReader(""), args...).good(t)
	}
	require.Contains(t, where.refused(t, nil, "BCTRL_DATABASE="), "put back", "its log is not in a new file")
}

func TestADatabaseThatCannotBeUsedIsSaidWithoutItsPassword(t *testing.T) {
	const password = "hunter2-of-a-database"
	empty := filepath.Join(t.TempDir(), "empty")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	for _, tc := range []struct {
		why  string
		args []string
		env  string
		says string
	}{
		{"no URL of ours", []string{"--database", "mysql://u:" + password + "@h/d"}, "", "postgres://user:password@host"},
		{"nobody listens", nil, "BCTRL_DATABASE=postgres://u:" + password + "@127.0.0.1:1/d", "does not answer"},
		{"no such file", []string{"--database-file", empty + "s"}, "", "no such file"},
		{"an empty file", []string{"--database-file", empty}, "", "is empty"},
	} {
		said := newPlace(t).refused(t, tc.args, tc.env)
		require.Contains(t, said, tc.says, tc.why)
		require.False(t, strings.Contains(said, password), tc.why)
	}
}
