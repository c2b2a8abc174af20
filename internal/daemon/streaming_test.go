package daemon

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/metrics"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
)

const (
	gib = 1 << 30
	// mostHeld is what a client or a server may hold while a file streams
	// through it.
	mostHeld = 32 << 20
)

// TestStreamsStayStreams uploads and downloads 1 GiB with the SDK against a
// server in a process of its own. Neither holds more than 32 MiB at any time.
func TestStreamsStayStreams(t *testing.T) {
	server := startServer(t)
	client, err := bctrl.New(bctrl.WithAPIKey(bctrl.NewSecret(server.key)), bctrl.WithBaseURL("http://"+server.addr))
	require.NoError(t, err)
	files := client.Storage("large")
	held := watchMemory()

	start := time.Now()
	object, err := files.Upload(t.Context(), "one.bin", newPattern(gib), bctrl.WithSize(gib),
		bctrl.WithContentType("application/x-pattern"))
	require.NoError(t, err)
	require.EqualValues(t, gib, object.SizeBytes)
	up := time.Since(start)

	start = time.Now()
	r, err := files.Open(t.Context(), "one.bin")
	require.NoError(t, err)
	n, err := io.Copy(io.Discard, r) // the reader checks the SHA-256 itself
	require.NoError(t, err)
	require.NoError(t, r.Close())
	require.EqualValues(t, gib, n)
	down := time.Since(start)

	client.CloseIdleConnections()
	mine, theirs := held(), server.stop()
	t.Logf("1 GiB up in %v, down in %v; the client held %d MiB, the server %d MiB", up.Round(time.Millisecond),
		down.Round(time.Millisecond), mine>>20, theirs>>20)
	require.Less(t, mine, uint64(mostHeld), "the client")
	require.Less(t, theirs, uint64(mostHeld), "the server")
}

// pattern is a stream of random blocks that repeat, cheap to make.
type pattern struct {
	left  int
	block [64 << 10]byte
}

func newPattern(size int) *pattern {
	p := &pattern{left: size}
	_, _ = rand.Read(p.block[:]) // never fails, by its contract
	return p
}

func (p *pattern) Read(b []byte) (int, error) {
	if p.left == 0 {
		return 0, io.EOF
	}
	at := p.left % len(p.block)
	n := copy(b[:min(len(b), p.left)], p.block[at:])
	p.left -= n
	return n, nil
}

// watchMemory samples what the Go runtime has from the system and has not
// given back. The returned func ends that and gives the most there was.
func watchMemory() (most func() uint64) {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	end := make(chan struct{})
	var peak uint64
	var work sync.WaitGroup
	work.Go(func() {
		ticker := time.NewTicker(2 * time.Millisecond)
		defer ticker.Stop()
		for {
			metrics.Read(samples)
			peak = max(peak, samples[0].Value.Uint64()-samples[1].Value.Uint64())
			select {
			case <-ticker.C:
			case <-end:
				return
			}
		}
	})
	return func() uint64 {
		close(end)
		work.Wait()
		return peak
	}
}

// serveVariable names the directory in which a child process is to serve.
const serveVariable = "BCTRL_TEST_SERVE"

// child is a server in a process of its own.
type child struct {
	addr, key string
	// stop ends it and returns the most memory it held.
	stop func() uint64
}

func startServer(t *testing.T) child {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), serveVariable+"="+t.TempDir())
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	stdout := bufio.NewReader(out)
	var c child
	_, err = fmt.Fscanln(stdout, &c.addr, &c.key)
	require.NoError(t, err)
	c.stop = func() (peak uint64) {
		require.NoError(t, stdin.Close())
		_, err := fmt.Fscanln(stdout, &peak)
		require.NoError(t, err)
		require.NoError(t, cmd.Wait())
		return peak
	}
	return c
}

// serveUntilTold serves until its standard input ends, then prints the most
// memory it held.
func serveUntilTold(dir string) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	d, err := Open(ctx, Config{
		DataDir:  filepath.Join(dir, "data"),
		KeyFile:  filepath.Join(dir, "kek"),
		Browsers: &browser.Fake{},
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	held := watchMemory()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // until the parent closes it, or dies
		cancel()
	}()
	fmt.Println(l.Addr(), d.FirstKey.Expose())
	err = d.Serve(ctx, l)
	fmt.Println(held())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := d.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
