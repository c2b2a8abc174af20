package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/bctrl-go/bctrl"
)

// process is a server that runs beside this program.
type process struct {
	cmd    *exec.Cmd
	url    string
	key    string // printed on the first run
	stderr bytes.Buffer
}

func start(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd}
	return p, p.start(func(line string) bool {
		if key, ok := strings.CutPrefix(line, "export BCTRL_API_KEY="); ok {
			p.key = key
		}
		url, ok := strings.CutPrefix(line, "Listening on ")
		p.url = url
		return ok
	})
}

// startLimit is how long a process may take until it is ready.
const startLimit = time.Minute

// start waits for the line of the process's output that says that it is ready.
func (p *process) start(ready func(line string) bool) error {
	p.cmd.Stderr = &p.stderr
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	late := time.AfterFunc(startLimit, func() { _ = p.cmd.Process.Kill() })
	defer late.Stop()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if ready(strings.TrimSpace(lines.Text())) {
			go func() { _, _ = io.Copy(io.Discard, out) }() // until the process ends
			return nil
		}
	}
	return fmt.Errorf("%s did not start: %w: %s", p.cmd.Path, p.cmd.Wait(), p.stderr.String())
}

// serveAlone is what a process of its own does that is a server: it prints its address and
// ends with ctx.
func serveAlone(ctx context.Context, h http.Handler) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("Listening on http://" + l.Addr().String())
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { _ = srv.Close() })
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Wait() // it is asked to stop: how it does says nothing
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait() // which says that it was killed
}

// memory is what the process holds now and held at most, in MiB.
func (p *process) memory() (now, most float64, err error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid), "status"))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		kib, _ := strconv.ParseFloat(f[1], 64) // not a number in other lines
		switch f[0] {
		case "VmRSS:":
			now = kib / 1024
		case "VmHWM:":
			most = kib / 1024
		}
	}
	return now, most, nil
}

// cpu is the processor time that the process has used, to 10 ms.
func (p *process) cpu() (time.Duration, error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid), "stat"))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), ") ") // the name may hold anything
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0, errors.New("reading /proc: a line is too short")
	}
	user, err := strconv.ParseInt(f[11], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond, err
}

// ownCPU is the processor time that this process, the client, has used.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0 // never: the arguments are constants
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func startBare(ctx context.Context, dir string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	files := filepath.Join(dir, "bare")
	if err := os.Mkdir(files, 0o700); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self)
	cmd.Env = append(os.Environ(), serveBare+"="+files)
	return start(cmd)
}

// home is where a server under measurement keeps what it has.
type home struct {
	program, dir, profiles string
	// flags are further ones of `bctrl serve`.
	flags []string
}

func (h home) data() string { return filepath.Join(h.dir, "data") }
func (h home) key() string  { return filepath.Join(h.dir, "key") }

func (h home) start(ctx context.Context) (*process, error) {
	cmd := exec.CommandContext(ctx, h.program, append([]string{"serve", "--data-dir", h.data(), "--key-file", h.key(),
		"--address", "127.0.0.1:0"}, h.flags...)...)
	if h.profiles != "" {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		cmd = exec.CommandContext(ctx, self, h.dir)
		cmd.Env = append(os.Environ(), serveProfiled+"="+h.profiles)
	}
	return start(cmd)
}

// ready times the server from its start to its first answer, and returns the
// best and the median. What comes before each start is not timed.
func (h home) ready(ctx context.Context, times int, before func() error) (best, median time.Duration, err error) {
	var all []time.Duration
	for range max(times, 1) {
		if err := before(); err != nil {
			return 0, 0, err
		}
		began := time.Now()
		p, err := h.start(ctx)
		if err != nil {
			return 0, 0, err
		}
		err = answers(ctx, p.url)
		all = append(all, time.Since(began))
		p.stop()
		if err != nil {
			return 0, 0, err
		}
	}
	slices.Sort(all)
	return all[0], all[len(all)/2], nil
}

// killUnderLoad starts a server, and kills it while 64 callers set entries, which they do for so long.
func (h home) killUnderLoad(ctx context.Context, key string, load time.Duration) error {
	p, err := h.start(ctx)
	if err != nil {
		return err
	}
	loaded, done := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = fillVault(loaded, p.url, key, math.MaxInt32) // until it is over, which is an error
	}()
	defer func() {
		p.kill()
		done()
		<-ended
	}()
	select {
	case <-time.After(load):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func answers(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/readyz", nil)
	if err != nil {
		return err
	}
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		err = errors.New("it is not ready")
	}
	return errors.Join(err, resp.Body.Close())
}

func newClient(url, key string) (*bctrl.Client, error) {
	return bctrl.New(bctrl.WithBaseURL(url), bctrl.WithAPIKey(bctrl.NewSecret(key)), bctrl.WithMaxRetries(0))
}
