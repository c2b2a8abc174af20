package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/blob/s3test"
	"github.com/bctrl-go/bctrl/internal/store/pgtest"
)

// machines are what would be machines of their own: a database, a bucket, a web site,
// and the nodes.
type machines struct {
	dir      string
	database *pgtest.Cluster
	bucket   *s3test.Server
	site     *httptest.Server
	nodes    []*node

	// key is the organization's, which the first node has made.
	key bctrl.Secret
	// page is an address of the site.
	page string
}

// node is a `bctrl serve` that runs.
type node struct {
	url   string
	cmd   *exec.Cmd
	ended chan struct{}

	mu  sync.Mutex
	log bytes.Buffer // what it has said, without its keys
	key bctrl.Secret
}

// startTime is how long a node may take to be ready.
const startTime = 30 * time.Second

// startMachines starts everything. What it returns is closed by the caller, whatever the
// error.
func startMachines(ctx context.Context, nodes int) (m *machines, err error) {
	m = &machines{}
	if m.dir, err = os.MkdirTemp("", "bctrl-cluster-"); err != nil {
		return m, err
	}
	m.site = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, "<!doctype html><title>Pipeline</title><h1>Pipeline</h1>")
	}))
	m.page = m.site.URL + "/"
	if m.database, err = pgtest.New(true); err != nil {
		return m, err
	}
	if _, err := m.database.Create("bctrl"); err != nil {
		return m, err
	}
	if m.bucket, err = s3test.Open(ctx, m.dir); err != nil {
		return m, err
	}
	if _, err := m.bucket.MakeBucket("files"); err != nil {
		return m, err
	}
	program := filepath.Join(m.dir, "bctrl")
	build := exec.CommandContext(ctx, "go", "build", "-o", program, "github.com/bctrl-go/bctrl/cmd/bctrl")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return m, fmt.Errorf("building bctrl: %w", err)
	}
	for i := range nodes {
		n, err := m.start(program, i)
		if err != nil {
			return m, err
		}
		m.nodes = append(m.nodes, n)
		if i == 0 { // it makes the key that the others have too
			if err := n.waitReady(ctx); err != nil {
				return m, err
			}
			m.key = n.firstKey()
		}
	}
	for _, n := range m.nodes {
		if err := n.waitReady(ctx); err != nil {
			return m, err
		}
	}
	return m, nil
}

// start starts a node with a data directory of its own, and the same key, database and
// bucket as the others.
func (m *machines) start(program string, i int) (*node, error) {
	public, err := freeAddress()
	if err != nil {
		return nil, err
	}
	internal, err := freeAddress()
	if err != nil {
		return nil, err
	}
	n := &node{url: "http://" + public, ended: make(chan struct{})}
	n.cmd = exec.Command(program, "serve", //nolint:noctx // ended by close, or killed
		"--address", public,
		"--node-address", internal,
		"--data-dir", filepath.Join(m.dir, fmt.Sprintf("node%d", i+1)),
		"--key-file", filepath.Join(m.dir, "key"),
		"--files", m.bucket.URL("files"),
		"--allow-address", "127.0.0.0/8", // the site is on this machine
	)
	n.cmd.Env = append(os.Environ(), "BCTRL_DATABASE="+m.database.URL("bctrl"))
	for name, value := range m.bucket.Environment() {
		n.cmd.Env = append(n.cmd.Env, name+"="+value)
	}
	said, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	n.cmd.Stdout, n.cmd.Stderr = w, w
	if err := errors.Join(n.cmd.Start(), w.Close()); err != nil {
		return nil, errors.Join(err, said.Close())
	}
	go func() {
		defer close(n.ended)
		n.listen(said)
		_ = n.cmd.Wait() // says that it was killed
	}()
	return n, nil
}

// listen reads what a node says until it ends, and keeps its first key apart.
func (n *node) listen(said io.ReadCloser) {
	defer said.Close()
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		n.mu.Lock()
		if _, key, is := strings.Cut(lines.Text(), "export BCTRL_API_KEY="); is {
			n.key = bctrl.NewSecret(key)
		} else {
			fmt.Fprintln(&n.log, lines.Text())
		}
		n.mu.Unlock()
	}
}

func (n *node) firstKey() bctrl.Secret {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.key
}

// waitReady waits until a node answers that it is.
func (n *node) waitReady(ctx context.Context) error {
	client := &http.Client{Timeout: time.Second}
	defer client.CloseIdleConnections()
	ctx, done := context.WithTimeout(ctx, startTime)
	defer done()
	for {
		rq, err := http.NewRequestWithContext(ctx, http.MethodGet, n.url+"/readyz", nil)
		if err != nil {
			return err
		}
		if resp, err := client.Do(rq); err == nil {
			if err := resp.Body.Close(); err == nil && resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-n.ended:
			return errors.New("a node ended at its start")
		case <-ctx.Done():
			return errors.New("a node is not ready in time")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// kill ends a node as a power failure would.
func (n *node) kill() {
	_ = n.cmd.Process.Kill()
	<-n.ended
}

// stop has a node end by itself.
func (n *node) stop() {
	_ = n.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-n.ended:
	case <-time.After(startTime):
		n.kill()
	}
}

// explain writes what the nodes have said.
func (m *machines) explain(w io.Writer) {
	for i, n := range m.nodes {
		n.mu.Lock()
		fmt.Fprintf(w, "\nNode %d said:\n%s", i+1, n.log.String())
		n.mu.Unlock()
	}
}

// close ends everything and removes its data.
func (m *machines) close() error {
	var stopping sync.WaitGroup
	for _, n := range m.nodes {
		stopping.Go(n.stop)
	}
	stopping.Wait()
	var errs []error
	if m.bucket != nil {
		m.bucket.Close()
	}
	if m.database != nil {
		errs = append(errs, m.database.Close(), pgtest.RemoveInitial())
	}
	if m.site != nil {
		m.site.Close()
	}
	return errors.Join(append(errs, os.RemoveAll(m.dir))...)
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("looking for a port: %w", err)
	}
	return l.Addr().String(), l.Close()
}
