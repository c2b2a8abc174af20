package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// started is how long a command took, from its start to its end.
type started struct {
	name  string
	make  func(i int) *exec.Cmd
	times []time.Duration
}

func (s *started) median() time.Duration {
	slices.Sort(s.times)
	return s.times[len(s.times)/2]
}

// commands compares the start of the command line with that of the smallest
// program of Go, and a command that asks a server with curl that asks it the same.
func (p plan) commands(ctx context.Context, w io.Writer, program string) (err error) {
	if !p.only.MatchString("start") {
		return nil
	}
	least, err := p.leastProgram(ctx)
	if err != nil {
		return err
	}
	h := home{program: program, dir: filepath.Join(p.dir, "commands")}
	if err := os.Mkdir(h.dir, 0o700); err != nil {
		return err
	}
	server, err := h.start(ctx)
	if err != nil {
		return err
	}
	defer server.stop()
	create := func(i int) *exec.Cmd {
		cmd := exec.CommandContext(ctx, program, "secrets", "create", "--scope", "global", "--name", fmt.Sprint("OURS_", i))
		cmd.Stdin = strings.NewReader("value")
		cmd.Env = append(os.Environ(), "BCTRL_BASE_URL="+server.url, "BCTRL_API_KEY="+server.key)
		return cmd
	}
	curl := func(i int) *exec.Cmd {
		body := fmt.Sprintf(`{"name":"CURL_%d","value":"value","scope":{"type":"global"}}`, i)
		return exec.CommandContext(ctx, "curl", "--silent", "--fail", "--header", "Authorization: Bearer "+server.key,
			"--header", "Content-Type: application/json", "--data", body, server.url+"/v1/secrets")
	}
	copied := filepath.Join(p.dir, "copied")
	if err := copyProgram(copied, program); err != nil {
		return err
	}
	alone := func(name string, args ...string) func(int) *exec.Cmd {
		return func(int) *exec.Cmd { return exec.CommandContext(ctx, name, args...) }
	}
	t := newTable(w, "Start and end of a command: microseconds in the median, and over the other", "",
		"ours", "other", "ratio")
	defer t.end()
	for _, pair := range [][2]*started{
		{{name: "bctrl --version", make: alone(program, "--version")},
			{name: "a program that does nothing", make: alone(least)}},
		{{name: "bctrl --version", make: alone(program, "--version")},
			{name: "a copy of it", make: alone(copied, "--version")}},
		{{name: "bctrl secrets create", make: create}, {name: "curl", make: curl}},
	} {
		if err := p.inTurns(pair); err != nil {
			return err
		}
		ours, other := pair[0].median(), pair[1].median()
		t.row(pair[0].name+" / "+pair[1].name, micros(ours), micros(other), ratio(float64(ours)/float64(other)))
	}
	return nil
}

// inTurns runs two commands one after the other, so that a machine that slows
// down slows both.
func (p plan) inTurns(pair [2]*started) error {
	for i := range max(p.ready, 1) * p.rounds {
		for _, s := range pair {
			cmd := s.make(i)
			began := time.Now()
			if err := cmd.Run(); err != nil {
				return fmt.Errorf("running %s: %w", s.name, err)
			}
			s.times = append(s.times, time.Since(began))
		}
	}
	return nil
}

// copyProgram writes a program in one go. A program whose file is in the kernel's cache as the linker left it
// takes longer to start: see README.md.
func copyProgram(to, from string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, content, 0o700) //nolint:gosec // it is to be run
}

// leastProgram builds a program of Go that does nothing.
func (p plan) leastProgram(ctx context.Context) (program string, err error) {
	dir := filepath.Join(p.dir, "least")
	source := filepath.Join(dir, "main.go")
	if err := errors.Join(os.Mkdir(dir, 0o700),
		os.WriteFile(source, []byte("package main\n\nfunc main() {}\n"), 0o600)); err != nil {
		return "", err
	}
	program = filepath.Join(dir, "least")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", program, source).CombinedOutput(); err != nil {
		return "", fmt.Errorf("building a program that does nothing: %w: %s", err, out)
	}
	return program, nil
}
