package chromium

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/browser/browsertest"
	"github.com/bctrl-go/bctrl/internal/egress"
)

const (
	// visitEnv makes a run of the test binary a server that launches a browser, visits
	// the address that it holds, and goes on until its input ends.
	visitEnv = "BROWSER_TEST_VISIT"
	// noPtraceEnv makes that server one without CAP_SYS_PTRACE, as root is in a container.
	noPtraceEnv = "BROWSER_TEST_NO_PTRACE"
)

// runVisit is the whole of that server. It prints where its proxy is.
func runVisit(address string) {
	if os.Getenv(noPtraceEnv) != "" {
		runtime.LockOSThread() // what is dropped is the thread's, which becomes the program
		err := unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_SYS_PTRACE, 0, 0, 0)
		if err == nil {
			err = os.Unsetenv(noPtraceEnv)
		}
		if err == nil {
			err = syscall.Exec("/proc/self/exe", os.Args, os.Environ())
		}
		panic(err)
	}
	driver, err := New(Options{})
	if err != nil {
		panic(err)
	}
	ready, err := driver.Prepare(context.Background()) // as one that was kept ready
	if err != nil {
		panic(err)
	}
	ready.Assign(browser.Spec{Egress: browsertest.Loopback()})
	b := ready.(*instance)
	if _, err := newOwner(b.proc.pid(), b.user); err != nil {
		panic(err)
	}
	page, err := b.Page(context.Background())
	if err == nil {
		err = page.Goto(context.Background(), address, "")
	}
	if err != nil {
		panic(err)
	}
	fmt.Println(b.proxy.URL())
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := b.Stop(context.Background()); err != nil {
		panic(err)
	}
	os.Exit(0)
}

// visitAs starts that server as a user, and returns where its browser's proxy is.
func visitAs(t *testing.T, address string, user *syscall.Credential, env ...string) (proxy string) {
	t.Helper()
	dir := openTempDir(t) // the user may not reach the folder that the tests were built in
	program := filepath.Join(dir, "server")
	text, err := os.ReadFile("/proc/self/exe")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(program, text, 0o755))
	cmd := exec.Command(program)
	cmd.Dir, cmd.Stderr = "/", os.Stderr
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=/", visitEnv + "=" + address}, env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: user}
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		require.NoError(t, in.Close())
		require.NoError(t, cmd.Wait())
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err, "it visited the site")
	return strings.TrimSpace(line)
}

// asks is a program that asks the proxy at a port for a site, and prints what it is told.
// It joins a process group first, where it is given one.
const asks = `use IO::Socket::INET; alarm 10;
if ($ARGV[2]) { setpgrp(0, $ARGV[2]) or die "$!"; }
my $s = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$ARGV[0]") or die "$!";
syswrite $s, $ARGV[1]; 1 while sysread($s, my $got, 4096) && print $got;`

// requireNothingFor asks a browser's proxy as other programs of this machine. These are of
// the process groups whose ids are given too, as who shares the server's session can be.
func requireNothingFor(t *testing.T, proxy, site string, groups ...int) {
	t.Helper()
	at, err := url.Parse(proxy)
	require.NoError(t, err)
	users := map[string]*syscall.Credential{"the server's user": nil}
	if os.Getuid() == 0 {
		users["the browsers' user"] = &syscall.Credential{Uid: 65534, Gid: 65534}
		users["somebody else"] = &syscall.Credential{Uid: 12345, Gid: 12345}
	}
	host := strings.TrimPrefix(site, "http://")
	for who, user := range users {
		for _, request := range []string{
			"GET " + site + "/other HTTP/1.1\r\nHost: " + host + "\r\n\r\n",
			"CONNECT " + host + " HTTP/1.1\r\nHost: " + host + "\r\n\r\nGET /other HTTP/1.1\r\nHost: " + host + "\r\n\r\n",
		} {
			for _, pgid := range append(groups, 0) { // 0: it stays in its own
				cmd := exec.Command("perl", "-e", asks, at.Port(), request, strconv.Itoa(pgid))
				cmd.Dir = "/"
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: user}
				told, err := cmd.CombinedOutput()
				require.NoError(t, err, "%s: %s", who, told)
				require.Empty(t, string(told), "%s is told nothing, not even that it is a proxy", who)
			}
		}
	}
}

// TestABrowsersProxyServesItsBrowserAlone asks it as other programs of this machine, in
// the ways that servers run: as root, as root in a container, as a user of its own.
func TestABrowsersProxyServesItsBrowserAlone(t *testing.T) {
	t.Parallel()
	var visits, others atomic.Int64
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/other" {
			others.Add(1)
		}
		if r.URL.Path == "/" && r.Header.Get("X-Launch") != "" {
			visits.Add(1)
		}
		_, _ = io.WriteString(w, "<title>site</title>")
	}))
	t.Cleanup(site.Close)
	t.Cleanup(func() {
		if n := others.Load(); n > 0 {
			t.Errorf("somebody else reached the site %d times", n)
		}
	})

	t.Run("this process", func(t *testing.T) {
		t.Parallel()
		b := launch(t, browser.Spec{ID: "owner", Egress: browsertest.Loopback(), Route: egress.Route{
			Headers: []egress.Header{{
				Of: func(string) bool { return true }, Name: "X-Launch", IsSecret: true,
				Value: func(context.Context, string) (string, error) { return "of the launch", nil },
			}},
		}})
		page, err := b.Page(t.Context())
		require.NoError(t, err)
		requireNothingFor(t, b.proxy.URL(), site.URL, b.proc.pid())
		require.NoError(t, page.Goto(t.Context(), site.URL, ""))
		require.NotZero(t, visits.Load(), "the browser has the launch's header with it")
		requireNothingFor(t, b.proxy.URL(), site.URL)
	})
	if os.Getuid() != 0 {
		return // the process above is a server as one user alone runs it
	}
	t.Run("root in a container", func(t *testing.T) {
		t.Parallel()
		requireNothingFor(t, visitAs(t, site.URL, nil, noPtraceEnv+"=1"), site.URL)
	})
	t.Run("a user", func(t *testing.T) {
		t.Parallel()
		requireNothingFor(t, visitAs(t, site.URL, &syscall.Credential{Uid: 65534, Gid: 65534}), site.URL)
	})
}

func TestALaunchWithSecretsNeedsToKnowWhoseConnectionsAre(t *testing.T) {
	b := &instance{user: account{uid: 1}, proc: &process{cmd: exec.Command("/proc")}}
	b.proc.cmd.Process = &os.Process{Pid: 1 << 30} // there is none
	proxy, err := egress.NewProxy(egress.Route{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, proxy.Close()) })
	b.proxy = proxy
	require.ErrorIs(t, b.serveProxy(egress.Route{Headers: []egress.Header{{IsSecret: true}}}), browser.ErrNoOwner)
	login := func(context.Context) (string, string, error) { return "", "", nil }
	require.ErrorIs(t, b.serveProxy(egress.Route{Upstream: &egress.Upstream{Login: login}}), browser.ErrNoOwner)
	require.NoError(t, b.serveProxy(egress.Route{Headers: []egress.Header{{}}, Upstream: &egress.Upstream{}}))
}

// TestTheKernelTellsOfAConnectionWhoseItIs looks for the sockets of this process.
func TestTheKernelTellsOfAConnectionWhoseItIs(t *testing.T) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	at := listener.Addr().(*net.TCPAddr).AddrPort()
	conn, err := net.Dial("tcp", at.String())
	require.NoError(t, err)
	defer conn.Close()
	peer := conn.LocalAddr().(*net.TCPAddr).AddrPort()
	var stat unix.Stat_t
	raw, err := conn.(*net.TCPConn).SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(fd uintptr) { err = unix.Fstat(int(fd), &stat) }))
	require.NoError(t, err)

	own := account{uid: uint32(os.Getuid())}
	got, err := findSocket(peer, at)
	require.NoError(t, err)
	require.Equal(t, socket{own.uid, uint32(stat.Ino)}, got)
	_, err = findSocket(at, netip.AddrPortFrom(peer.Addr(), 1))
	require.ErrorIs(t, err, errNoSocket, "there is one that listens there, which is none to port 1")
	o := owner{pid: os.Getpid(), pgid: syscall.Getpgrp(), user: own}
	require.NoError(t, o.check(peer, at))
	require.NoError(t, o.check(peer, at), "by the process that was found before")
	require.ErrorIs(t, (&owner{pid: o.pid, pgid: 1 << 30, user: own}).check(peer, at), errNotOwn, "another group")
	another := &owner{pid: 1 << 30, pgid: o.pgid, user: own}
	require.ErrorIs(t, another.check(peer, at), errNotOwn, "of the group, and not of the browser")
	another = &owner{pid: o.pid, pgid: o.pgid, user: account{uid: own.uid + 1}}
	require.ErrorIs(t, another.check(peer, at), errNotOwn, "another user")
	require.Error(t, o.check(at, peer), "the other end is not open yet: nobody accepted it")
}

func FuzzParseSocket(f *testing.F) {
	peer, at := netip.MustParseAddrPort("127.0.0.1:40000"), netip.MustParseAddrPort("127.0.0.1:8080")
	native := binary.NativeEndian
	answer := func(kind uint16, data ...[]byte) []byte {
		body := bytes.Join(data, nil)
		b := native.AppendUint16(native.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body))), kind)
		return append(append(b, make([]byte, 10)...), body...)
	}
	ids := appendSocketID(nil, peer, at)
	f.Add(answer(diagByFamily, []byte{unix.AF_INET, 1, 0, 0}, ids, make([]byte, 24), []byte{1, 0, 0, 0, 2, 0, 0, 0}))
	f.Add(answer(diagByFamily, []byte{unix.AF_INET, 1, 0, 0}, ids, make([]byte, 23)))
	f.Add(answer(unix.NLMSG_ERROR, []byte{254, 255, 255, 255}))
	f.Add([]byte{1, 0, 0, 0})
	f.Fuzz(func(t *testing.T, told []byte) {
		s, err := parseSocket(told, peer, at)
		if err == nil {
			require.NotZero(t, s.inode)
			require.True(t, bytes.Contains(told, ids), "an answer about another connection")
		}
	})
}

// BenchmarkOwner measures what a connection of a browser costs before it is served.
func BenchmarkOwner(b *testing.B) {
	driver, err := New(Options{})
	if err != nil {
		b.Fatal(err)
	}
	launched, err := driver.Launch(b.Context(), browser.Spec{ID: "bench", Egress: browsertest.Loopback()})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = launched.Stop(context.Background()) }()
	site := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer site.Close()
	page, err := launched.Page(b.Context())
	if err == nil {
		err = page.Goto(b.Context(), site.URL, "")
	}
	if err != nil {
		b.Fatal(err)
	}
	in := launched.(*instance)
	at := netip.MustParseAddrPort(strings.TrimPrefix(in.proxy.URL(), "http://"))
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		b.Fatal(err)
	}
	var peer netip.AddrPort
	for line := range strings.Lines(string(table)) { // of one that the browser keeps
		var from, to, state string
		if _, err := fmt.Sscan(line, new(string), &from, &to, &state); err != nil || state != "01" {
			continue
		}
		_, port, _ := strings.Cut(from, ":")
		number, err := strconv.ParseUint(port, 16, 16)
		if err == nil && strings.HasSuffix(to, fmt.Sprintf(":%04X", at.Port())) {
			peer = netip.AddrPortFrom(at.Addr(), uint16(number))
		}
	}
	check, err := newOwner(in.proc.pid(), in.user)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := check(peer, at); err != nil {
			b.Fatal(err)
		}
	}
}
