package chromium

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
	"github.com/bctrl-go/bctrl/internal/lockbox"
)

// group returns the processes of a process group that are not dead, with their
// command lines.
func group(t testing.TB, pgid int) map[int]string {
	t.Helper()
	found := map[int]string{}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	require.NoError(t, err)
	for _, name := range stats {
		b, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
		if fields[2] != strconv.Itoa(pgid) || fields[0] == "Z" {
			continue
		}
		cmdline, _ := os.ReadFile(filepath.Join(filepath.Dir(name), "cmdline"))
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		require.NoError(t, err)
		found[pid] = strings.ReplaceAll(string(cmdline), "\x00", " ")
	}
	return found
}

// status returns a field of /proc/pid/status.
func status(t *testing.T, pid int, field string) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err)
	for line := range strings.Lines(string(b)) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("no %s in the status of %d", field, pid)
	return ""
}

func TestRenderersAreSandboxedAndNothingRunsAsRoot(t *testing.T) {
	b := launch(t, browser.Spec{ID: "sandbox"})
	own, err := os.Readlink("/proc/self/ns/user")
	require.NoError(t, err)
	renderers := 0
	require.Eventually(t, func() bool {
		renderers = 0
		for _, cmdline := range group(t, b.proc.pid()) {
			if strings.Contains(cmdline, "--type=renderer") {
				renderers++
			}
		}
		return renderers > 0
	}, 10*time.Second, 20*time.Millisecond)
	for pid, cmdline := range group(t, b.proc.pid()) {
		require.NotContains(t, cmdline, "--no-sandbox")
		for _, uid := range strings.Fields(status(t, pid, "Uid")) {
			require.NotEqual(t, "0", uid, "%s runs as root", cmdline)
		}
		if strings.Contains(cmdline, "--type=renderer") {
			require.Equal(t, "2", status(t, pid, "Seccomp"), "a renderer has a system call filter")
			require.Equal(t, "1", status(t, pid, "NoNewPrivs"))
			ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/user", pid))
			require.NoError(t, err)
			require.NotEqual(t, own, ns, "a renderer has a user namespace of its own")
		}
	}
}

func TestTheBrowserInheritsNothingOfTheServer(t *testing.T) {
	t.Setenv("OPENAI_API_KEY", "canary-of-the-environment")
	secret, err := os.CreateTemp(t.TempDir(), "")
	require.NoError(t, err)
	defer secret.Close()
	b := launch(t, browser.Spec{ID: "inherit"})
	for pid := range group(t, b.proc.pid()) {
		env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		require.NoError(t, err)
		require.NotContains(t, string(env), "canary-of-the-environment")
		links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		require.NoError(t, err)
		for _, link := range links {
			target, _ := os.Readlink(link)
			require.NotEqual(t, secret.Name(), target, "an open file of the server")
		}
		require.Empty(t, status(t, pid, "Groups"), "root's groups did not come along")
	}
}

func TestStopLeavesNothing(t *testing.T) {
	temp := openTempDir(t)
	driver, err := New(Options{TempDir: temp})
	require.NoError(t, err)
	launched, err := driver.Launch(t.Context(), browser.Spec{ID: "../../stop"})
	require.NoError(t, err)
	b := launched.(*instance)
	proxy, err := url.Parse(b.proxy.URL())
	require.NoError(t, err)
	entries, err := os.ReadDir(temp)
	require.NoError(t, err)
	require.Len(t, entries, 1, "all it writes is in one folder")
	require.True(t, strings.HasPrefix(entries[0].Name(), "bctrl-stop-"), entries[0].Name())

	require.NoError(t, b.Stop(t.Context()))
	require.NoError(t, b.Stop(t.Context()), "twice")
	<-b.Done()
	require.NoError(t, b.Err())
	requireNothingLeft(t, temp, b.proc.pid())
	_, err = net.Dial("tcp", proxy.Host)
	require.ErrorIs(t, err, syscall.ECONNREFUSED, "the proxy is gone")
	_, err = b.Page(t.Context())
	require.Error(t, err)
	require.Error(t, b.ServeCDP(t.Context(), browsertest.MemConn{}))
}

func requireNothingLeft(t *testing.T, temp string, pgid int) {
	t.Helper()
	require.Empty(t, group(t, pgid), "processes")
	entries, err := os.ReadDir(temp)
	require.NoError(t, err)
	require.Empty(t, entries, "files")
}

func TestACrashIsSeenWithinSeconds(t *testing.T) {
	for _, c := range []struct {
		name string
		sig  syscall.Signal
	}{{"killed", syscall.SIGKILL}, {"crashed", syscall.SIGSEGV}} {
		t.Run(c.name, func(t *testing.T) {
			temp := openTempDir(t)
			driver, err := New(Options{TempDir: temp})
			require.NoError(t, err)
			b, err := driver.Launch(t.Context(), browser.Spec{ID: "crash"})
			require.NoError(t, err)
			pid := b.(*instance).proc.pid()
			require.NoError(t, b.Err(), "it lives")

			began := time.Now()
			require.NoError(t, syscall.Kill(pid, c.sig)) // the leader alone
			select {
			case <-b.Done():
			case <-time.After(5 * time.Second):
				t.Fatal("not seen")
			}
			t.Logf("seen and cleaned up after %v", time.Since(began))
			require.ErrorContains(t, b.Err(), "ended by itself")
			requireNothingLeft(t, temp, pid)
			_, err = net.Dial("tcp", strings.TrimPrefix(b.(*instance).proxy.URL(), "http://"))
			require.ErrorIs(t, err, syscall.ECONNREFUSED, "the proxy is gone")
			require.ErrorContains(t, b.Stop(t.Context()), "ended by itself", "a late stop does not hide it")
		})
	}
}

func TestAHangingBrowserIsKilled(t *testing.T) {
	for _, tc := range []struct {
		why     string
		profile bool
	}{
		{"one that keeps nothing is killed at once", false},
		{"one that has a profile to write is asked first, for as long as Stop may take", true},
	} {
		temp := openTempDir(t)
		driver, err := New(Options{TempDir: temp})
		require.NoError(t, err)
		spec := browser.Spec{ID: "hang"}
		if tc.profile {
			spec.Profile = newKeeper(t, filepath.Join(t.TempDir(), "p")).profile()
		}
		b, err := driver.Launch(t.Context(), spec)
		require.NoError(t, err)
		pid := b.(*instance).proc.pid()
		require.NoError(t, syscall.Kill(-pid, syscall.SIGSTOP))
		ctx, cancel := context.WithCancel(t.Context())
		if tc.profile {
			ctx, cancel = context.WithTimeout(ctx, 200*time.Millisecond)
		}
		err = b.Stop(ctx)
		cancel()
		if tc.profile {
			require.ErrorIs(t, err, context.DeadlineExceeded, tc.why)
		} else {
			require.NoError(t, err, tc.why)
		}
		<-b.Done()
		require.NoError(t, b.Err(), "it was asked to end")
		requireNothingLeft(t, temp, pid)
	}
}

func TestABrowserThatHangsWithoutBeingStoppedEnds(t *testing.T) {
	t.Parallel()
	temp := openTempDir(t)
	driver, err := New(Options{TempDir: temp})
	require.NoError(t, err)
	b, err := driver.Launch(t.Context(), browser.Spec{ID: "hang"})
	require.NoError(t, err)
	pid := b.(*instance).proc.pid()
	require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
	select {
	case <-b.Done():
	case <-time.After(time.Minute):
		t.Fatal("not seen")
	}
	require.ErrorIs(t, b.Err(), browser.ErrHung)
	requireNothingLeft(t, temp, pid)
}

func TestABrowserWhosePageIsBusyIsNoneThatHangs(t *testing.T) {
	t.Parallel()
	b := launch(t, browser.Spec{ID: "busy"})
	hangs := chromedp.Evaluate[chromedp.Void](`setTimeout(() => { for (;;); })`)
	require.NoError(t, chromedp.Do(browsertest.Chromedp(t, b), hangs))
	require.Never(t, func() bool { return b.life.Err() != nil }, hungAfter+2*askPause, 50*time.Millisecond)
}

func TestABrowserThatSomebodyKillsSaysSo(t *testing.T) {
	temp := openTempDir(t)
	driver, err := New(Options{TempDir: temp})
	require.NoError(t, err)
	launched, err := driver.Launch(t.Context(), browser.Spec{ID: "full"})
	require.NoError(t, err)
	b := launched.(*instance)
	require.False(t, b.diskIsFull())
	require.NoError(t, syscall.Kill(b.proc.pid(), syscall.SIGKILL))
	<-b.Done()
	require.ErrorIs(t, b.Err(), browser.ErrKilled)
	require.NotErrorIs(t, b.Err(), browser.ErrDiskFull)
}

// A browser does not run in the folder of the server, from which --browser ./chromium and TMPDIR=tmp are meant.
func TestPathsOfABrowserMayBeRelative(t *testing.T) {
	installed, err := browser.Locate("")
	require.NoError(t, err)
	t.Chdir(openTempDir(t))
	require.NoError(t, os.Mkdir("relative", 0o755))
	require.NoError(t, os.WriteFile("chromium", []byte("#!/bin/sh\nexec "+installed+` "$@"`), 0o755))
	driver, err := New(Options{Path: "./chromium", TempDir: "relative"})
	require.NoError(t, err)
	b, err := driver.Launch(t.Context(), browser.Spec{ID: "relative"})
	require.NoError(t, err)
	require.NoError(t, b.Stop(t.Context()))
}

func TestALaunchThatFailsSaysWhyAndLeavesNothing(t *testing.T) {
	temp := openTempDir(t)
	script := filepath.Join(temp, "broken")
	require.NoError(t, os.WriteFile(script,
		[]byte("#!/bin/sh\necho 'a broken thing' >&2\necho 'at https://app.example/?token=canary' >&2\nexit 3\n"), 0o755))
	below := filepath.Join(temp, "below")
	require.NoError(t, os.Mkdir(below, 0o755))
	driver, err := New(Options{Path: script, TempDir: below})
	require.NoError(t, err)
	_, err = driver.Launch(t.Context(), browser.Spec{ID: "broken"})
	require.ErrorContains(t, err, "a broken thing")
	require.ErrorContains(t, err, "exit status 3")
	require.NotContains(t, err.Error(), "canary")

	sandboxless := filepath.Join(temp, "sandboxless")
	require.NoError(t, os.WriteFile(sandboxless,
		[]byte("#!/bin/sh\necho '[1:1:FATAL:zygote_host_impl_linux.cc(128)] No usable sandbox! see "+
			"https://chromium.example/' >&2\nexit 133\n"), 0o755))
	driver.path = sandboxless
	_, err = driver.Launch(t.Context(), browser.Spec{ID: "sandboxless"})
	require.ErrorIs(t, err, browser.ErrNoSandbox)
	require.ErrorContains(t, err, "user namespaces", "what the operator can do")
	entries, err := os.ReadDir(below)
	require.NoError(t, err)
	require.Empty(t, entries)

	driver.path = filepath.Join(temp, "gone")
	_, err = driver.Launch(t.Context(), browser.Spec{ID: "gone"})
	require.ErrorIs(t, err, os.ErrNotExist)
	entries, err = os.ReadDir(below)
	require.NoError(t, err)
	require.Empty(t, entries)
}

func TestAMissingBrowserIsNoDriver(t *testing.T) {
	_, err := New(Options{Path: "/no/such/browser"})
	require.ErrorIs(t, err, browser.ErrNoChromium)
}

func TestALaunchGivesUpWithItsContext(t *testing.T) {
	temp := openTempDir(t)
	script := filepath.Join(temp, "silent")
	require.NoError(t, os.WriteFile(script, []byte("#!/bin/sh\nexec sleep 600\n"), 0o755))
	below := filepath.Join(temp, "below")
	require.NoError(t, os.Mkdir(below, 0o755))
	driver, err := New(Options{Path: script, TempDir: below})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	_, err = driver.Launch(ctx, browser.Spec{ID: "silent"})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Less(t, time.Since(began), 5*time.Second, "no patience for what never started")
	entries, err := os.ReadDir(below)
	require.NoError(t, err)
	require.Empty(t, entries)
}

// serverEnv makes a run of the test binary a server that launches a browser, has
// another one ready, and waits to be killed.
const serverEnv = "BROWSER_TEST_SERVER"

// runServer is the whole of that server.
func runServer(temp string) {
	driver, err := New(Options{TempDir: temp})
	if err != nil {
		panic(err)
	}
	key, err := lockbox.NewKey()
	if err != nil {
		panic(err)
	}
	b, err := driver.Launch(context.Background(), browser.Spec{
		ID:      "server",
		Profile: &browser.Profile{Dir: filepath.Join(temp, "closed", "profile"), Key: key},
	})
	if err != nil {
		panic(err)
	}
	ready, err := driver.Prepare(context.Background())
	if err != nil {
		panic(err)
	}
	fmt.Println(b.(*instance).proc.pid(), ready.(*instance).proc.pid())
	select {}
}

func TestNothingOutlivesAKilledServer(t *testing.T) {
	temp := openTempDir(t)
	require.NoError(t, os.Mkdir(filepath.Join(temp, "closed"), 0o700))
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serverEnv+"="+temp)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	var pids []int
	for _, text := range strings.Fields(line) {
		pid, err := strconv.Atoi(text)
		require.NoError(t, err)
		require.NotEmpty(t, group(t, pid), "the browser runs")
		pids = append(pids, pid)
	}
	require.Len(t, pids, 2)
	// One stands still, as for a save of its profile.
	require.NoError(t, syscall.Kill(-pids[0], syscall.SIGSTOP))
	require.Eventually(t, func() bool { return standStill(pids[0]) }, 5*time.Second, time.Millisecond)

	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	for _, pid := range pids {
		require.Eventually(t, func() bool { return len(group(t, pid)) == 0 }, 5*time.Second, 5*time.Millisecond,
			"the browser ends with its server")
	}

	left, err := filepath.Glob(filepath.Join(temp, "bctrl-*"))
	require.NoError(t, err)
	require.Len(t, left, 2, "its folders are what a killed server cannot remove")
	_, err = New(Options{TempDir: temp})
	require.NoError(t, err)
	left, err = filepath.Glob(filepath.Join(temp, "bctrl-*"))
	require.NoError(t, err)
	require.Empty(t, left, "the next server removes them")
	saved, err := os.Stat(filepath.Join(temp, "closed", "profile", "1"))
	require.NoError(t, err, "and saves its profile, without its key")
	require.Greater(t, saved.Size(), int64(10_000))
}

// proportional returns the memory of processes in bytes, shared pages divided
// among those who share them.
func proportional(b *testing.B, pids map[int]string) (total int) {
	b.Helper()
	for pid := range pids {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			continue // ended meanwhile
		}
		for line := range strings.Lines(string(raw)) {
			if value, ok := strings.CutPrefix(line, "Pss:"); ok {
				kib, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")))
				if err != nil {
					b.Fatal(err)
				}
				total += kib << 10
			}
		}
	}
	return total
}

// BenchmarkLaunch measures from nothing to an answering browser, and what that
// browser takes.
func BenchmarkLaunch(b *testing.B) {
	driver, err := New(Options{})
	if err != nil {
		b.Fatal(err)
	}
	var first time.Duration
	memory := 0
	for b.Loop() {
		launched, err := driver.Launch(b.Context(), browser.Spec{ID: "bench"})
		if err != nil {
			b.Fatal(err)
		}
		began := time.Now()
		if _, err := launched.Page(b.Context()); err != nil {
			b.Fatal(err)
		}
		first += time.Since(began)
		b.StopTimer()
		memory += proportional(b, group(b, launched.(*instance).proc.pid()))
		if err := launched.Stop(context.Background()); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(first.Milliseconds())/float64(b.N), "ms-to-page/op")
	b.ReportMetric(float64(memory)/float64(b.N)/(1<<20), "MiB/browser")
}
