package main

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

// place is where a server under test keeps what it has, and the program that
// it runs.
type place struct {
	data, key, program string
	args               []string
}

func newPlace(t *testing.T) place {
	t.Helper()
	dir := t.TempDir()
	return place{data: filepath.Join(dir, "data"), key: filepath.Join(dir, "config", "key"), program: os.Args[0]}
}

// built runs the command as users build it, which starts in a fifth of the
// time that one with the race detector takes.
func (p place) built(t *testing.T) place {
	t.Helper()
	p.program = filepath.Join(t.TempDir(), "bctrl")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-race=false", "-o", p.program, ".").CombinedOutput()
	require.NoError(t, err, string(out))
	return p
}

// command is `bctrl serve` over the place, on a free port. Env is added to an
// environment that says nothing about bctrl.
func (p place) command(t *testing.T, env ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(p.program, "serve", "--data-dir", p.data, "--key-file", p.key, "--address", "127.0.0.1:0")
	cmd.Args = append(cmd.Args, p.args...)
	cmd.Env = append(cmd.Environ(), asRealCommand+"=1")
	for _, name := range []string{"BCTRL_DATA_DIR", "BCTRL_KEY_FILE", "BCTRL_KEY", "BCTRL_ADDRESS"} {
		cmd.Env = append(cmd.Env, name+"=")
	}
	cmd.Env = append(cmd.Env, env...)
	return cmd
}

// process is a running server.
type process struct {
	t   *testing.T
	cmd *exec.Cmd
	// url is where it listens.
	url string
	// firstKey is the organization key that it printed; empty unless this is
	// its first run.
	firstKey string
	stderr   *bytes.Buffer
}

// start runs the server until it says where it listens. It is killed when the
// test ends, if it still runs.
func (p place) start(t *testing.T, env ...string) *process {
	t.Helper()
	srv := &process{t: t, cmd: p.command(t, env...), stderr: &bytes.Buffer{}}
	srv.cmd.Stderr = srv.stderr
	out, err := srv.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, srv.cmd.Start())
	t.Cleanup(srv.kill)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if key, ok := strings.CutPrefix(line, "export BCTRL_API_KEY="); ok {
			srv.firstKey = key
		}
		if url, ok := strings.CutPrefix(line, "Listening on "); ok {
			srv.url = url
			return srv
		}
	}
	_ = srv.cmd.Wait()
	require.FailNow(t, "the server did not start", srv.stderr.String())
	return nil
}

// kill ends the process as a crash does, at once and without a word.
func (s *process) kill() {
	if s.cmd.ProcessState == nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
	}
}

// terminate asks the process to stop, and requires that it ends well.
func (s *process) terminate() {
	s.t.Helper()
	require.NoError(s.t, s.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(s.t, s.cmd.Wait(), s.stderr.String())
}

// client is an SDK client of the process, which sends each call once.
func (s *process) client(key string) *bctrl.Client {
	s.t.Helper()
	c, err := bctrl.New(bctrl.WithBaseURL(s.url), bctrl.WithAPIKey(bctrl.NewSecret(key)), bctrl.WithMaxRetries(0))
	require.NoError(s.t, err)
	s.t.Cleanup(c.CloseIdleConnections)
	return c
}

// refused runs a server that must not start, and returns what it says.
func (p place) refused(t *testing.T, args []string, env ...string) string {
	t.Helper()
	cmd := p.command(t, env...)
	cmd.Args = append(cmd.Args, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit, "the server ran")
	require.Equal(t, 1, exit.ExitCode(), stderr.String())
	return stderr.String()
}
