package command

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

// keys runs `bctrl keys` over the place.
func (p place) keys(t *testing.T, args []string, env ...string) ran {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), p.program, append([]string{"keys", "--data-dir", p.data, "--key-file", p.key},
		args...)...)
	cmd.Env = append(os.Environ(), asRealCommand+"=1", "BCTRL_API_KEY=", "BCTRL_BASE_URL=")
	cmd.Env = append(cmd.Env, env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil {
		require.ErrorAs(t, err, &exit, "it did not run")
	}
	return ran{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

func TestKeysAreTheSameWithAndWithoutAServer(t *testing.T) {
	p := newPlace(t)
	srv := p.start(t)
	env := []string{"BCTRL_API_KEY=" + srv.firstKey, "BCTRL_BASE_URL=" + srv.url}
	works := func(s *process, key string) error {
		_, err := s.client(key).Vault.TOTP(t.Context(), "nothing")
		return err
	}

	through := strings.TrimSpace(p.keys(t, []string{"create", "--label", "through the server"}, env...).good(t))
	require.ErrorIs(t, works(srv, through), bctrl.ErrNotFound, "a good key")
	list := p.keys(t, []string{"list"}, env...).good(t)
	require.Len(t, ids(list), 2)
	require.NotContains(t, list, through)
	require.Contains(t, list, "through the server")
	p.keys(t, []string{"revoke", ids(list)[1]}, env...).good(t)
	require.ErrorIs(t, works(srv, through), bctrl.ErrUnauthorized, "revoked")
	last := p.keys(t, []string{"revoke", ids(list)[0]}, env...)
	require.Equal(t, 1, last.code)
	require.Contains(t, last.stderr, "keys.last")

	locked := p.keys(t, []string{"create"})
	require.Equal(t, 1, locked.code)
	require.Contains(t, locked.stderr, "BCTRL_API_KEY", "it says what is missing")
	srv.terminate()

	latin := p.keys(t, []string{"create", "--label", "caf\xe9"})
	require.Equal(t, 2, latin.code, "no text, which nobody could be told again")
	require.Contains(t, latin.stderr, "request.invalid_utf8")
	direct := strings.TrimSpace(p.keys(t, []string{"create", "--label", "on the data"}).good(t))
	list = p.keys(t, []string{"list"}).good(t)
	require.Len(t, ids(list), 3)
	p.keys(t, []string{"revoke", ids(list)[0]}).good(t)
	last = p.keys(t, []string{"revoke", ids(list)[2]})
	require.Equal(t, 1, last.code)
	require.Contains(t, last.stderr, "keys.last")

	again := p.start(t)
	require.ErrorIs(t, works(again, direct), bctrl.ErrNotFound, "a good key")
	require.ErrorIs(t, works(again, srv.firstKey), bctrl.ErrUnauthorized, "revoked while no server ran")
}

func TestKeysMakeNothingWhereNoServerRan(t *testing.T) {
	p := newPlace(t)
	got := p.keys(t, []string{"create"})
	require.Equal(t, 1, got.code)
	require.Contains(t, got.stderr, "there is no data of a server")
	require.NoDirExists(t, p.data)
	for _, args := range [][]string{{"revoke"}, {"revoke", "a", "b"}, {"list", "x"}, {"lost"},
		{"create", "--lable", "x"}} {
		require.Equal(t, 2, p.keys(t, args).code, "%v", args)
	}
}
