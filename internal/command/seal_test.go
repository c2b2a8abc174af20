package command

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/seal"
)

const (
	onePassphrase   = "correct horse battery staple"
	otherPassphrase = "hunter2 and so much more"
)

// rotationKills is how often a server is killed while it exchanges its key.
const rotationKills = 25

// TestARotationThatIsKilledLosesNothing kills the real process while it
// exchanges its key under writes, again and again: each time it starts, with
// the old key or the new one, and has every secret that was acknowledged.
func TestARotationThatIsKilledLosesNothing(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed: %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	where := newPlace(t).built(t)
	srv := where.start(t)
	key := srv.firstKey
	kept := map[string]string{}
	exchanged := map[string]bool{}
	for round := range rotationKills {
		c := srv.client(key)
		for name, value := range kept {
			got, err := c.Vault.Get(t.Context(), name)
			require.NoError(t, err, "after %d kills", round)
			require.True(t, got.Password.Equal(bctrl.NewSecret(value)))
		}
		status, err := c.Seal.Status(t.Context())
		require.NoError(t, err)
		exchanged[status.KeyID] = true
		require.NoFileExists(t, where.key+".next", "what was left is finished")

		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		var mu sync.Mutex
		for g := range 3 {
			wg.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					name, value := fmt.Sprintf("k%d-%d", g, n%5), fmt.Sprint(round, "-", n)
					if _, err := c.Vault.Set(ctx, name, bctrl.VaultCredential{Password: bctrl.NewSecret(value)}); err != nil {
						mu.Lock()
						delete(kept, name) // done or not
						mu.Unlock()
						return
					}
					mu.Lock()
					kept[name] = value
					mu.Unlock()
				}
			})
		}
		// The kill comes a moment after a drawn number of rotations, however fast the machine is.
		wait := make(chan struct{})
		rotations, moment := rng.IntN(4), time.Duration(rng.IntN(15_000))*time.Microsecond
		wg.Go(func() {
			for n := 0; ; n++ {
				if n == rotations {
					close(wait)
				}
				_, err := c.Seal.Rotate(ctx, bctrl.SealKey{})
				if err != nil && n < rotations {
					t.Error("nothing was killed yet: ", err)
					close(wait)
				}
				if err != nil {
					return
				}
			}
		})
		<-wait
		kill := time.NewTimer(moment)
		<-kill.C
		srv.kill()
		stop()
		wg.Wait()
		c.CloseIdleConnections()
		require.NotContains(t, srv.stderr.String(), "panic")
		srv = where.start(t)
	}
	srv.terminate()
	require.Greater(t, len(exchanged), rotationKills/8, "too few rotations for the kills to mean anything")
	checkAudit(t, where, nil)
	t.Logf("%d kills, %d keys", rotationKills, len(exchanged))
}

// TestARotationWithAFullDiskChangesNothing lets no file of the server grow.
func TestARotationWithAFullDiskChangesNothing(t *testing.T) {
	where := newPlace(t)
	srv := where.start(t, fmt.Sprint(limitFiles, "=", 1<<30))
	key := srv.firstKey
	c, ctx := srv.client(key), t.Context()
	_, err := c.Vault.Set(ctx, "k", bctrl.VaultCredential{Password: bctrl.NewSecret("p")})
	require.NoError(t, err)
	before, err := c.Seal.Status(ctx)
	require.NoError(t, err)
	room := func(n uint64) {
		require.NoError(t, unix.Prlimit(srv.cmd.Process.Pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: n, Max: unix.RLIM_INFINITY},
			nil))
	}
	room(16)
	_, err = c.Seal.Rotate(ctx, bctrl.SealKey{})
	require.ErrorIs(t, err, bctrl.ErrUnavailable)
	room(unix.RLIM_INFINITY)
	status, err := c.Seal.Status(ctx)
	require.NoError(t, err)
	require.Equal(t, before, status)
	_, err = c.Vault.Get(ctx, "k")
	require.NoError(t, err)
	_, err = c.Seal.Rotate(ctx, bctrl.SealKey{})
	require.NoError(t, err)
	srv.terminate()
	srv = where.start(t)
	_, err = srv.client(key).Vault.Get(ctx, "k")
	require.NoError(t, err)
	srv.terminate()
	checkAudit(t, where, nil)
}

// commands runs commands with a place's data, key and server.
func (p place) commands(t *testing.T, srv *process, key string) func(in string, args ...string) ran {
	t.Helper()
	t.Setenv("BCTRL_DATA_DIR", p.data)
	t.Setenv("BCTRL_KEY_FILE", p.key)
	t.Setenv("BCTRL_API_KEY", key)
	t.Setenv("BCTRL_BASE_URL", srv.url)
	return func(in string, args ...string) ran { return runIn(t.Context(), strings.NewReader(in), args...) }
}

func TestAServerWithAPassphraseIsUnlockedFromTheCommandLine(t *testing.T) {
	where := newPlace(t)
	require.Contains(t, where.refused(t, []string{"--key-source", "passphrase"}),
		"the first run with a passphrase needs it")
	where.args = []string{"--key-source", "passphrase"}
	srv := where.start(t, passphraseVariable+"="+onePassphrase)
	key := srv.firstKey
	_, err := srv.client(key).Vault.Set(t.Context(), "k", bctrl.VaultCredential{Password: bctrl.NewSecret("p")})
	require.NoError(t, err)
	srv.terminate()
	require.NoFileExists(t, where.key)

	where.args = nil // it knows
	srv = where.start(t)
	run := where.commands(t, srv, key)
	require.Contains(t, run("", "status").good(t), "locked")
	got := run("", "vault", "get", "k", "--reveal")
	require.NotZero(t, got.code)
	wrong := run(otherPassphrase+"\n", "unlock")
	require.Equal(t, exitDenied, wrong.code)
	require.NotContains(t, wrong.stdout+wrong.stderr, otherPassphrase)
	require.Contains(t, run(onePassphrase+"\n", "unlock").good(t), "unlocked")
	require.Contains(t, run("", "unlock").good(t), "unlocked", "nothing is asked for")
	shown := run("", "rotate-master", "--new-passphrase", otherPassphrase)
	require.Contains(t, shown.stderr, "Warning", "others can see it")
	require.Contains(t, run("", "lock").good(t), "locked")
	require.Contains(t, run(otherPassphrase+"\n", "unlock").good(t), "unlocked")
	_, err = srv.client(key).Vault.Get(t.Context(), "k")
	require.NoError(t, err)
	srv.terminate()

	require.Contains(t, run("", "status").good(t), "not running")
	require.NotZero(t, run(onePassphrase+"\n", "audit", "verify").code, "the old one")
	require.Contains(t, run(otherPassphrase+"\n", "audit", "verify").good(t), "whole")
	typed := run(otherPassphrase+"\n"+onePassphrase+"\n", "rotate-master")
	typed.good(t)
	require.NotContains(t, typed.stderr, "Warning", "nobody sees standard input")
	require.Contains(t, run(onePassphrase+"\n", "audit", "verify").good(t), "whole")
	shown = run(onePassphrase+"\n", "rotate-master", "--new-passphrase", otherPassphrase)
	shown.good(t)
	require.Contains(t, shown.stderr, "Warning", "others can see it")
	require.Contains(t, run(otherPassphrase+"\n"+onePassphrase+"\n", "rotate-master", "--generate").stderr,
		"leave out --new-key and --generate")
	run(otherPassphrase+"\n"+onePassphrase+"\n", "rotate-master").good(t)
	require.Contains(t, where.refused(t, nil, passphraseVariable+"="+otherPassphrase), "wrong key")
	srv = where.start(t, passphraseVariable+"="+onePassphrase)
	_, err = srv.client(key).Vault.Get(t.Context(), "k")
	require.NoError(t, err)
	srv.terminate()
}

func TestAKeyFileAndAKeyInTheEnvironmentAreExchangedWithoutAServer(t *testing.T) {
	where := newPlace(t)
	srv := where.start(t)
	key := srv.firstKey
	_, err := srv.client(key).Vault.Set(t.Context(), "k", bctrl.VaultCredential{Password: bctrl.NewSecret("p")})
	require.NoError(t, err)
	srv.terminate()
	run := where.commands(t, srv, key)
	before, err := os.ReadFile(where.key)
	require.NoError(t, err)
	require.Equal(t, exitUsage, run("", "rotate-master", "--generate").code, "the file's is made")
	run("", "rotate-master").good(t)
	after, err := os.ReadFile(where.key)
	require.NoError(t, err)
	require.NotEqual(t, before, after)
	require.Contains(t, run("", "audit", "verify").good(t), "whole")

	t.Setenv(keyVariable, strings.TrimSpace(string(after)))
	for _, flags := range [][]string{{"--new-passphrase", onePassphrase}, {"--generate", "--new-key", "k"}} {
		require.Equal(t, exitUsage, run("", append([]string{"rotate-master"}, flags...)...).code, "%q", flags)
	}
	shown := run("", "rotate-master", "--generate")
	shown.good(t)
	_, text, ok := strings.Cut(shown.stderr, "next start:\n")
	require.True(t, ok, shown.stderr)
	text, _, _ = strings.Cut(text, "\n")
	require.NotZero(t, run("", "audit", "verify").code, "the key of before")
	given := seal.Generate().Expose()
	t.Setenv(keyVariable, text)
	run(given, "rotate-master").good(t)
	t.Setenv(keyVariable, "")
	srv = where.start(t, keyVariable+"="+given)
	_, err = srv.client(key).Vault.Get(t.Context(), "k")
	require.NoError(t, err)
	srv.terminate()
}
