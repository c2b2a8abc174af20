package command

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/blob/s3test"
	"github.com/bctrl-go/bctrl/internal/store/pgtest"
)

// movable is a stopped server with something of most kinds, and where it is moved to.
type movable struct {
	place
	apiKey string
	// database is the URL, in a file; files is the bucket.
	database, at, files, bucketDir string
	s3                             *s3test.Server
}

func newMovable(t *testing.T, files int) *movable {
	t.Helper()
	m := &movable{place: newPlace(t), s3: s3test.Start(t)}
	m.s3.Setenv(t)
	srv := m.start(t)
	m.apiKey = srv.firstKey
	c, ctx := srv.client(m.apiKey), t.Context()
	_, err := c.Vault.Set(ctx, "prod/crm", bctrl.VaultCredential{Username: "bot", Password: bctrl.NewSecret("hunter2")})
	require.NoError(t, err)
	ws, err := c.Workspaces.Create(ctx, bctrl.WorkspaceCreate{Name: "sales", Mounts: bctrl.Mounts{
		Vault: &bctrl.VaultMount{Allow: []string{"prod/"}}}})
	require.NoError(t, err)
	_, err = c.Secrets.Create(ctx, bctrl.SecretCreate{Name: "GITHUB_TOKEN", Value: bctrl.NewSecret("ghp"),
		Scope: bctrl.InWorkspace(ws.ID)})
	require.NoError(t, err)
	for i := range files {
		_, err = c.Storage("s").Upload(ctx, "f/"+strconv.Itoa(i), strings.NewReader(m.content(i)))
		require.NoError(t, err)
	}
	srv.terminate()
	m.fresh(t, "files")
	return m
}

// content is that of a file: none, some, and more than one part of an upload.
func (m *movable) content(i int) string {
	return strings.Repeat(strconv.Itoa(i), []int{0, 100, 300_000, 9 << 20}[i%4])
}

// fresh makes another place to move to.
func (m *movable) fresh(t *testing.T, bucket string) {
	t.Helper()
	m.at = pgtest.Fresh(t, "")
	m.database = filepath.Join(t.TempDir(), "database")
	require.NoError(t, os.WriteFile(m.database, []byte(m.at+"\n"), 0o600))
	m.bucketDir = m.s3.Bucket(t, bucket)
	m.files = m.s3.URL(bucket)
}

func (m *movable) moveArgs() []string {
	return []string{"move", "--data-dir", m.data, "--key-file", m.key, "--to-database-file", m.database,
		"--to-files", m.files}
}

func (m *movable) moves(ctx context.Context, more ...string) ran {
	return runIn(ctx, strings.NewReader(""), append(m.moveArgs(), more...)...)
}

// digests are of every file below a folder, but for the index of SQLite's log.
func digests(t *testing.T, dir string) map[string][32]byte {
	t.Helper()
	all := map[string][32]byte{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		all[path] = sha256.Sum256(text)
		return err
	}))
	return all
}

// serves requires that a server over what was moved has everything, and a log that is whole.
func (m *movable) serves(t *testing.T, files int) {
	t.Helper()
	where := []string{"--data-dir", m.data, "--key-file", m.key, "--database-file", m.database}
	report := runIn(t.Context(), strings.NewReader(""), append([]string{"audit", "verify"}, where...)...)
	require.Zero(t, report.code, report.stdout+report.stderr)
	p := m.place
	p.args = []string{"--database-file", m.database, "--files", m.files}
	srv := p.start(t)
	c, ctx := srv.client(m.apiKey), t.Context()
	got, err := c.Vault.Get(ctx, "prod/crm")
	require.NoError(t, err)
	require.True(t, got.Password.Equal(bctrl.NewSecret("hunter2")))
	_, err = c.Workspaces.GetByName(ctx, "sales")
	require.NoError(t, err)
	_, err = c.Vault.Set(ctx, "prod/new", bctrl.VaultCredential{Password: bctrl.NewSecret("p")})
	require.NoError(t, err, "and it takes new ones")
	for i := range files {
		text, err := c.Storage("s").Get(ctx, "f/"+strconv.Itoa(i))
		require.NoError(t, err)
		require.True(t, string(text) == m.content(i), "file %d", i)
	}
	srv.terminate()
}

// TestADataDirectoryMovesAsAWhole: a dry run changes nothing anywhere, and what was moved is served.
// Then the source is known to be the older one.
func TestADataDirectoryMovesAsAWhole(t *testing.T) {
	m := newMovable(t, 4)
	before := digests(t, m.data)
	for range 2 {
		dry := m.moves(t.Context())
		require.Contains(t, dry.good(t), "Files     4 of")
		require.Contains(t, dry.stdout, "Database  ")
		require.Contains(t, dry.stderr, "nothing was copied")
	}
	require.Equal(t, before, digests(t, m.data))
	require.Empty(t, digests(t, m.bucketDir))
	empty := runIn(t.Context(), strings.NewReader(""), "migrate", "--check", "--database-file", m.database)
	require.Contains(t, empty.stdout, "Version  0\n")

	m.moves(t.Context(), "--yes").good(t)
	require.Equal(t, before, digests(t, m.data), "the source was only read")
	m.serves(t, 4)
	require.Contains(t, m.place.refused(t, nil), "put back", "the head was signed for the copy that went on")
	again := m.moves(t.Context(), "--yes")
	require.Equal(t, 1, again.code)
	require.Contains(t, again.stderr, "it holds the data of a server")
}

// TestWhatIsInTheWayOfAMoveIsSaid, each in a line, before anything is made.
func TestWhatIsInTheWayOfAMoveIsSaid(t *testing.T) {
	m := newMovable(t, 2)
	ctx := t.Context()
	foreign := m.s3.Bucket(t, "theirs")
	require.NoError(t, os.WriteFile(filepath.Join(foreign, "owner"), []byte("somebody\n"), 0o600))
	unclaimed := m.s3.Bucket(t, "unclaimed")
	require.NoError(t, os.MkdirAll(filepath.Join(unclaimed, "blobs"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(unclaimed, "blobs", "x"), []byte("x"), 0o600))
	otherKey := newPlace(t)
	otherKey.start(t).terminate()
	full := pgtest.Fresh(t, "")
	runIn(ctx, strings.NewReader(""), "migrate", "--database", full)
	for _, c := range []struct {
		why  string
		args []string
		says string
		code int
	}{
		{"nowhere", []string{"--data-dir", m.data}, "say where to move", 2},
		{"twice", []string{"--to-database", "postgres:///x", "--to-database-file", m.database}, "given twice", 2},
		{"no bucket's address", []string{"--to-files", "s3://k:hunter2@b"}, "--to-files", 2},
		{"no data", []string{"--data-dir", t.TempDir(), "--to-database", m.at}, "there is no data of a server", 1},
		{"another key", []string{"--data-dir", m.data, "--key-file", otherKey.key, "--to-database", m.at}, "wrong key", 1},
		{"no URL", []string{"--data-dir", m.data, "--key-file", m.key, "--to-database", "mysql://u:hunter2@h/d"},
			"postgres://user:password@host", 1},
		{"not empty", []string{"--data-dir", m.data, "--key-file", m.key, "--to-database", full}, "not empty", 1},
		{"another installation's bucket", []string{"--data-dir", m.data, "--key-file", m.key, "--to-files",
			m.s3.URL("theirs")}, "another installation", 1},
		{"a bucket with files of nobody", []string{"--data-dir", m.data, "--key-file", m.key, "--to-files",
			m.s3.URL("unclaimed")}, "there are files of somebody", 1},
		{"no bucket", []string{"--data-dir", m.data, "--key-file", m.key, "--to-files", m.s3.URL("nobodys")},
			"make it first", 1},
	} {
		for _, yes := range []string{"--yes=false", "--yes"} {
			got := runIn(ctx, strings.NewReader(""), append([]string{"move", yes}, c.args...)...)
			require.Equal(t, c.code, got.code, c.why+got.stderr)
			require.Contains(t, got.stderr, c.says, c.why)
			require.False(t, strings.Contains(got.stderr, "hunter2"), c.why)
		}
	}
	srv := m.start(t)
	running := m.moves(ctx)
	require.Equal(t, 1, running.code)
	require.Contains(t, running.stderr, "another server uses this data directory: stop it first")
	srv.terminate()
	lost, err := filepath.Glob(filepath.Join(m.data, "blobs", "*", "*-*"))
	require.NoError(t, err)
	require.NoError(t, os.Truncate(lost[len(lost)-1], 7))
	got := m.moves(ctx, "--yes")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.stderr, "the bytes of 1 of 2 files")
	require.Regexp(t, `first: "f/[01]" in s`, got.stderr)
	require.Empty(t, digests(t, m.bucketDir))
}

// TestAMoveThatIsKilledGoesOn kills the real process at random moments, and in between requires that
// no server starts on half of it. BCTRL_MOVES says how many moves are tried.
func TestAMoveThatIsKilledGoesOn(t *testing.T) {
	seed := rand.Uint64()
	if text := os.Getenv("BCTRL_TEST_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("seed: BCTRL_TEST_SEED=%d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	moves := 1
	if text := os.Getenv("BCTRL_MOVES"); text != "" {
		var err error
		moves, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	const files = 6
	m := newMovable(t, files)
	head, err := os.ReadFile(m.key + ".head")
	require.NoError(t, err)
	for i := range moves {
		if i > 0 {
			m.fresh(t, "files"+strconv.Itoa(i))
			require.NoError(t, os.WriteFile(m.key+".head", head, 0o600)) // the last server has gone on
		}
		kills := 0
		for !m.moveKilled(t, time.Duration(rng.IntN(400))*time.Millisecond<<min(kills, 4), kills > 0) {
			kills++
			p := m.place
			p.args = []string{"--database-file", m.database, "--files", m.files}
			if kills%3 == 1 && m.begun(t) {
				require.Regexp(t, "(move.*not finished|begin with an empty database)", p.refused(t, nil))
			}
		}
		t.Logf("%d kills", kills)
		m.serves(t, files)
	}
}

// begun reports whether a move has left its mark in the database.
func (m *movable) begun(t *testing.T) bool {
	t.Helper()
	got := runIn(t.Context(), strings.NewReader(""), "migrate", "--check", "--database-file", m.database)
	return strings.Contains(got.stderr, "not finished")
}

// moveKilled runs a move, again after one that was killed, kills it after a while, and reports
// whether it was done by then.
func (m *movable) moveKilled(t *testing.T, after time.Duration, again bool) (done bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), m.program, append(m.moveArgs(), "--yes")...)
	cmd.Env = append(cmd.Environ(), asRealCommand+"=1")
	var said bytes.Buffer
	cmd.Stderr = &said
	require.NoError(t, cmd.Start())
	killing := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	defer killing.Stop()
	err := cmd.Wait()
	if again && strings.Contains(said.String(), "it holds the data of a server") {
		return true // the one before was killed when all was done
	}
	if err != nil {
		require.Equal(t, -1, cmd.ProcessState.ExitCode(), "it fails in no other way: %s", said.String())
	}
	return err == nil
}
