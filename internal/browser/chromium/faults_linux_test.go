package chromium

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
)

func TestAPageWhoseProcessDiesEndsNothingElse(t *testing.T) {
	t.Parallel()
	site := browsertest.ServePage(t, "<title>site</title>")
	b := launch(t, browser.Spec{ID: "renderer", Egress: browsertest.Loopback()})
	page, err := b.Page(t.Context())
	require.NoError(t, err)
	require.NoError(t, page.Goto(t.Context(), site, ""))
	for pid, cmdline := range group(t, b.proc.pid()) {
		if strings.Contains(cmdline, "--type=renderer") {
			require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
		}
	}
	require.Eventually(t, func() bool {
		again, err := b.Page(t.Context())
		return err == nil && again.Goto(t.Context(), site, "") == nil
	}, 30*time.Second, 50*time.Millisecond, "the browser works on, in another tab")
	require.NoError(t, b.Err())
}

// killed is a process that got SIGKILL.
func killed(t *testing.T) *process {
	t.Helper()
	cmd := exec.Command("sleep", "600")
	require.NoError(t, cmd.Start())
	require.NoError(t, cmd.Process.Kill())
	p := &process{cmd: cmd, stderr: &stderrTail{}, exited: make(chan struct{})}
	p.err = cmd.Wait()
	return p
}

func TestABrowserThatEndedSaysWhy(t *testing.T) {
	const full, free = "/proc", "/" // the first has room for nothing
	for _, tc := range []struct {
		why   string
		dir   string
		kills int64 // beside those that were there
		want  error
	}{
		{"the system ended a process meanwhile", free, -1, browser.ErrSystemMemory},
		{"the system ended none", free, 0, browser.ErrKilled},
		{"nothing is left of the disk", full, 0, browser.ErrDiskFull},
	} {
		b := &instance{dirs: dirs{root: tc.dir}, proc: killed(t)}
		b.oomKills.Store(oomKills() + tc.kills)
		got := b.whyEnded(false)
		for _, err := range []error{browser.ErrSystemMemory, browser.ErrKilled, browser.ErrDiskFull} {
			require.Equal(t, err == tc.want, errors.Is(got, err), "%s: %v", tc.why, got)
		}
		require.NotErrorIs(t, b.whyEnded(true), browser.ErrKilled, "the server killed it")
	}
	require.Equal(t, int64(12), oomKillsIn("pgfault 3\noom_kill 12\noom_kill_other 4\n"))
	require.Zero(t, oomKillsIn("oom_kill_other 4\noom_kill x\n"), "an old kernel does not say")
}

// smallDisk mounts a disk of a few megabytes, and returns how to fill it. There is none
// where the test may not mount.
func smallDisk(t *testing.T) (dir string, fill func(), ok bool) {
	t.Helper()
	dir = openTempDir(t)
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=48m,mode=755"); err != nil {
		return "", nil, false
	}
	t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	return dir, func() {
		f, err := os.Create(filepath.Join(dir, "filler"))
		require.NoError(t, err)
		defer f.Close()
		_, err = io.Copy(f, zeros{})
		require.ErrorIs(t, err, syscall.ENOSPC)
	}, true
}

// zeros never end.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// TestAFullDiskLeavesBrowsersAndSaysSo fills the disk with the temporary folders. Where the
// test may not mount one, TestABrowserThatEndedSaysWhy is what holds of it.
func TestAFullDiskLeavesBrowsersAndSaysSo(t *testing.T) {
	t.Parallel()
	temp, fill, ok := smallDisk(t)
	if !ok {
		return
	}
	site := browsertest.ServePage(t, "<title>site</title>")
	driver, err := New(Options{TempDir: temp})
	require.NoError(t, err)
	launched, err := driver.Launch(t.Context(), browser.Spec{ID: "full", Egress: browsertest.Loopback()})
	require.NoError(t, err)
	b := launched.(*instance)
	page, err := b.Page(t.Context())
	require.NoError(t, err)
	require.False(t, b.diskIsFull())
	fill()
	require.True(t, b.diskIsFull())
	require.NoError(t, page.Goto(t.Context(), site, ""), "a browser goes on without a disk")
	_, err = page.Screenshot(t.Context(), true)
	require.NoError(t, err)

	profile := newKeeper(t, filepath.Join(t.TempDir(), "p")).profile()
	_, err = driver.Launch(t.Context(), browser.Spec{ID: "second", Profile: profile})
	require.ErrorIs(t, err, browser.ErrDiskFull, "a launch that has to write")
	entries, err := os.ReadDir(temp)
	require.NoError(t, err)
	require.Len(t, entries, 2, "the first browser's folder and what fills the disk")

	require.NoError(t, syscall.Kill(b.proc.pid(), syscall.SIGSEGV))
	<-b.Done()
	require.ErrorIs(t, b.Err(), browser.ErrDiskFull)
	require.NoError(t, os.Remove(filepath.Join(temp, "filler")))
	requireNothingLeft(t, temp, b.proc.pid())
	at := strings.TrimPrefix(b.proxy.URL(), "http://")
	_, err = net.Dial("tcp", at)
	require.ErrorIs(t, err, syscall.ECONNREFUSED, "the proxy is gone")
	require.ErrorIs(t, b.Stop(context.Background()), browser.ErrDiskFull)
}
