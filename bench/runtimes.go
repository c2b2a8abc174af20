package main

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
)

// fourSteps are those of BrowserArena, in order: a browser is asked for, a client
// connects, opens a page, and gives the browser back.
var fourSteps = []string{"create", "connect", "goto", "release"}

const (
	cold = "cold"
	warm = "warm"
	// peer launches the same Chromium itself, from the same process.
	peer = "playwright-core"
)

//go:embed runtimes.mjs
var runtimesClient []byte

// benchServer is a server as runtimes.mjs reaches it.
type benchServer struct {
	URL       string `json:"url"`
	Key       string `json:"key"`
	Workspace string `json:"workspace"`
}

// runtimes measures the life of a browser by playwright-core: of a runtime without and
// with browsers kept ready, and of one that playwright-core starts itself.
func (p plan) runtimes(ctx context.Context, w io.Writer, program string) (err error) {
	if !p.only.MatchString("runtimes") {
		return nil
	}
	site, err := serveBlank()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, site.Close()) }()
	servers := map[string]benchServer{}
	for name, flags := range map[string][]string{cold: nil, warm: {"--warm", "2"}} {
		h := home{
			program: program,
			dir:     filepath.Join(p.dir, "runtimes-"+name),
			flags:   append([]string{"--allow-address", "127.0.0.0/8"}, flags...),
		}
		if err := os.Mkdir(h.dir, 0o700); err != nil {
			return err
		}
		server, err := h.start(ctx)
		if err != nil {
			return err
		}
		defer server.stop()
		c, err := newClient(server.url, server.key)
		if err != nil {
			return err
		}
		defer c.CloseIdleConnections()
		ws, err := c.Workspaces.Create(ctx, bctrl.WorkspaceCreate{Name: "bench"})
		if err != nil {
			return err
		}
		servers[name] = benchServer{URL: server.url, Key: server.key, Workspace: ws.ID}
	}
	took, err := p.playwright(ctx, site.Addr().String(), servers)
	if err != nil {
		return fmt.Errorf("runtimes: %w", err)
	}
	t := newTable(w, fmt.Sprintf("A browser by playwright-core: milliseconds in the median of %d, and over "+
		"playwright-core that launches Chromium itself", len(took[peer])), "", cold, "ratio", warm, "ratio", peer)
	defer t.end()
	for _, step := range append(fourSteps, "together") {
		base := medianOf(took[peer], step)
		row := []string{step}
		for _, name := range []string{cold, warm} {
			ms := medianOf(took[name], step)
			row = append(row, fmt.Sprintf("%.1f", ms), ratio(ms/max(base, 0.01)))
		}
		t.row(append(row, fmt.Sprintf("%.1f", base))...)
	}
	return nil
}

// stepTimes is how long each step of a browser took, in milliseconds.
type stepTimes map[string]float64

func medianOf(rounds []stepTimes, step string) float64 {
	var all []float64
	for _, r := range rounds {
		if step == "together" {
			sum := 0.0
			for _, ms := range r {
				sum += ms
			}
			all = append(all, sum)
			continue
		}
		all = append(all, r[step])
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// playwright runs the client, and returns what its rounds took, by what they were
// done with.
func (p plan) playwright(ctx context.Context, site string, servers map[string]benchServer) (
	map[string][]stepTimes, error,
) {
	chromium, err := browser.Locate("")
	if err != nil {
		return nil, err
	}
	modules, err := filepath.Abs(filepath.Join("..", "compat", "js", "package.json"))
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(modules), "node_modules")); err != nil {
		return nil, errors.New("playwright-core is not there: run scripts/install-sdks")
	}
	plan, err := json.Marshal(map[string]any{
		"site": "http://" + site, "rounds": p.rounds * max(p.ready, 1), "program": chromium, "servers": servers,
	})
	if err != nil {
		return nil, err
	}
	script := filepath.Join(p.dir, "runtimes.mjs")
	if err := os.WriteFile(script, runtimesClient, 0o600); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "node", script)
	cmd.Env = append(os.Environ(), "BENCH_MODULES="+modules, "BENCH_PLAN="+string(plan))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("running playwright-core: %w", err)
	}
	took := map[string][]stepTimes{}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var round map[string]stepTimes
		if err := json.Unmarshal(lines.Bytes(), &round); err != nil {
			return nil, fmt.Errorf("reading what playwright-core printed: %w", err)
		}
		for name, steps := range round {
			took[name] = append(took[name], steps)
		}
	}
	if len(took[peer]) == 0 {
		return nil, errors.New("playwright-core did no round")
	}
	return took, nil
}

// serveBlank serves the page that is opened.
func serveBlank() (net.Listener, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	srv := &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = io.WriteString(w, "<title>bench</title><p>A page")
		}),
	}
	go func() { _ = srv.Serve(l) }() // until the listener is closed
	return l, nil
}
