package soak

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/blob/s3test"
	"github.com/bctrl-go/bctrl/internal/store/pgtest"
)

// machines are what would be machines of their own.
type machines struct {
	t        *testing.T
	ctx      context.Context
	dir      string
	program  string
	starter  starter
	database *pgtest.Cluster
	bucket   *s3test.Server
	provider *provider
	network  *network
	nodes    []*node
	rows     *sql.DB // the database, as an operator looks at it
	journal  *journal
	plain    *http.Transport // for requests that are not the SDK's
	// slowestEnd is the longest that the processes of a node took to end after it.
	slowestEnd time.Duration
	// key is the organization's, which the first node has made; nil before.
	key atomic.Pointer[bctrl.Secret]
}

// node is a place at which a server runs, again and again.
type node struct {
	*machines
	i                int
	public, internal string // its addresses
	// toDatabase, toBucket and toNode are the ways that it takes, and the one to it from the others.
	toDatabase, toBucket, toNode *way
	client                       *bctrl.Client
	// program is changed by whoever starts the node, and by nobody else.
	program string

	mu      sync.Mutex
	process *process
}

const (
	nodesOfAll = 3
	// startTime is how long a node may take to be ready, on a machine that has other things to do.
	startTime = 90 * time.Second
	// stopTime is how long a node may take to stop: 10 seconds are for requests.
	stopTime = 60 * time.Second
)

// newMachines starts everything but the nodes.
func newMachines(t *testing.T, ctx context.Context, program string) *machines {
	t.Helper()
	m := &machines{t: t, ctx: ctx, program: program, starter: newStarter(), journal: newJournal(), network: newNetwork()}
	m.plain = &http.Transport{MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute}
	t.Cleanup(m.plain.CloseIdleConnections)
	var err error
	m.dir, err = os.MkdirTemp("", "bctrl-soak-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(m.dir)) })
	t.Cleanup(m.starter.close)
	port, err := freePort()
	require.NoError(t, err)
	m.database, err = pgtest.NewAtPort(true, port)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.database.Close()) })
	at, err := m.database.Create("bctrl")
	require.NoError(t, err)
	m.rows, err = sql.Open("pgx", at)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.rows.Close()) })
	folder := filepath.Join(m.dir, "s3")
	require.NoError(t, os.Mkdir(folder, 0o700))
	m.bucket, err = s3test.Open(context.WithoutCancel(ctx), folder)
	require.NoError(t, err)
	t.Cleanup(m.bucket.Close)
	_, err = m.bucket.MakeBucket("files")
	require.NoError(t, err)
	m.provider = newProvider(t)
	for i := range nodesOfAll {
		m.nodes = append(m.nodes, m.newNode(i, port))
	}
	return m
}

func (m *machines) newNode(i, databasePort int) *node {
	t := m.t
	t.Helper()
	n := &node{machines: m, i: i, program: m.program}
	ports := [2]int{}
	for j := range ports {
		var err error
		ports[j], err = freePort()
		require.NoError(t, err)
	}
	n.public, n.internal = local(ports[0]), local(ports[1])
	for _, w := range []struct {
		way     **way
		name    string
		address string
	}{
		{&n.toDatabase, "to the database", local(databasePort)},
		{&n.toBucket, "to the bucket", strings.TrimPrefix(m.bucket.Endpoint, "http://")},
		{&n.toNode, "from the others", n.internal},
	} {
		var err error
		*w.way, err = m.network.to(fmt.Sprintf("node %d's way %s", i+1, w.name), w.address)
		require.NoError(t, err)
		t.Cleanup((*w.way).close)
	}
	temporary := filepath.Join(m.dir, "tmp"+strconv.Itoa(i+1))
	require.NoError(t, os.Mkdir(temporary, 0o777))
	require.NoError(t, os.Chmod(temporary, 0o777)) // browsers run as another user
	require.NoError(t, os.Chmod(m.dir, 0o755))
	t.Cleanup(func() {
		if p := n.running(); p != nil {
			p.stop(stopTime)
		}
	})
	return n
}

func local(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// startAll starts all nodes. The first one makes the key that the others have too.
func (m *machines) startAll() {
	t := m.t
	t.Helper()
	for i, n := range m.nodes {
		require.NoError(t, n.start())
		if i == 0 {
			require.NoError(t, n.await(m.ctx))
			require.Eventually(t, func() bool { return m.key.Load() != nil }, startTime, 5*time.Millisecond,
				"the first node says its key")
		}
	}
	for _, n := range m.nodes {
		require.NoError(t, n.await(m.ctx), m.journal.last())
		n.client = m.clientOf(n, *m.key.Load())
	}
}

// clientOf is an SDK client of one node, which sends each call once.
func (m *machines) clientOf(n *node, key bctrl.Secret) *bctrl.Client {
	m.t.Helper()
	c, err := bctrl.New(bctrl.WithBaseURL("http://"+n.public), bctrl.WithAPIKey(key), bctrl.WithMaxRetries(0),
		bctrl.WithTimeout(callTime))
	require.NoError(m.t, err)
	m.t.Cleanup(c.CloseIdleConnections)
	return c
}

// arguments are those by which commands find the data of a node.
func (n *node) arguments(databaseAt string) []string {
	return []string{
		"--data-dir", n.data(), "--key-file", filepath.Join(n.dir, "key"), "--database", databaseAt,
	}
}

func (n *node) data() string { return filepath.Join(n.dir, "node"+strconv.Itoa(n.i+1)) }

func (n *node) temporary() string { return filepath.Join(n.dir, "tmp"+strconv.Itoa(n.i+1)) }

func (n *node) command(args ...string) *exec.Cmd {
	cmd := exec.Command(n.program, args...)
	cmd.Env = append(os.Environ(), "TMPDIR="+n.temporary())
	for name, value := range n.bucket.Environment() {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	return cmd
}

func (n *node) bucketBy(address string) string {
	return fmt.Sprintf("s3://files?endpoint=http://%s&region=%s", address, s3test.Region)
}

// start starts the server, and does not wait until it is ready.
func (n *node) start() error {
	at := "postgres://postgres@" + n.toDatabase.address() + "/bctrl?sslmode=disable"
	cmd := n.command(append([]string{
		"serve", "--address", n.public, "--node-address", n.internal, "--files", n.bucketBy(n.toBucket.address()),
		"--allow-address", "127.0.0.0/8", "--max-runtimes", "3",
	}, n.arguments(at)...)...)
	p, err := n.starter.run(cmd, n.hear)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.process = p
	return nil
}

// hear takes a line that the node says.
func (n *node) hear(text string) {
	if _, key, is := strings.Cut(text, "export BCTRL_API_KEY="); is {
		secret := bctrl.NewSecret(key)
		n.key.Store(&secret)
		return
	}
	n.journal.write("node %d: %s", n.i+1, text)
}

func (n *node) running() *process {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.process
}

// await waits until the node answers that it is ready. One that ended at its start, as when the
// database was away, is started again: whoever watches over a service does that.
func (n *node) await(ctx context.Context) error {
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	ctx, done := context.WithTimeout(ctx, startTime)
	defer done()
	for {
		if n.running().hasEnded() {
			n.journal.write("node %d has ended, and is started again", n.i+1)
			if err := n.start(); err != nil {
				return err
			}
		}
		rq, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.public+"/readyz", nil)
		if err != nil {
			return err
		}
		if resp, err := client.Do(rq); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				n.goBy()
				return nil
			}
		}
		if !pause(ctx, 50*time.Millisecond) {
			return fmt.Errorf("node %d is not ready in time: %w", n.i+1, ctx.Err())
		}
	}
}

// goBy has the other nodes reach this one by its way: the address in its row is that of the way.
// Rows of nodes are not proven, and what answers there has to have the cluster's key.
func (n *node) goBy() {
	if _, err := n.rows.ExecContext(n.ctx, "UPDATE nodes SET address = $1 WHERE address = $2 AND state <> 'ended'",
		n.toNode.address(), n.internal); err != nil {
		n.journal.write("node %d's address was not changed: %v", n.i+1, err)
	}
}

// kill kills the server, and waits until nothing runs that it had started.
func (n *node) kill(ctx context.Context) error {
	p := n.running()
	browsers := descendants(p.cmd.Process.Pid)
	p.kill()
	return n.gone(ctx, browsers)
}

// endTime is how long browsers may take to end when their server has, on a machine that has other
// things to do: they find that the process is gone that started them.
const endTime = time.Minute

// gone waits until processes have ended.
func (m *machines) gone(ctx context.Context, all []running) error {
	began := time.Now()
	ctx, done := context.WithTimeout(ctx, endTime)
	defer done()
	for {
		left := alive(all)
		if len(left) == 0 {
			m.slowestEnd = max(m.slowestEnd, time.Since(began))
			return nil
		}
		if !pause(ctx, 50*time.Millisecond) {
			return fmt.Errorf("%d of %d processes of a node did not end with it: %s", len(left), len(all), describe(left))
		}
	}
}

// pause waits, as the scenario has it, and reports whether ctx goes on.
func pause(ctx context.Context, long time.Duration) bool {
	timer := time.NewTimer(long)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// buildHere builds the program from this source, without the race detector, as users do.
func buildHere(t *testing.T) string {
	t.Helper()
	return buildFrom(t, filepath.Join("..", ".."))
}

func buildFrom(t *testing.T, source string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "bctrl")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-race=false", "-o", program, "./cmd/bctrl")
	cmd.Dir = source
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	return program
}

// suspend stops the server, and only it, as a machine that is suspended; resume has it go on.
func (n *node) suspend() { n.running().signal(syscall.SIGSTOP) }

func (n *node) resume() { n.running().signal(syscall.SIGCONT) }
