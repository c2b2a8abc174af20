package soak

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// starter starts processes on a thread that stays until close: the system ends a process whose
// starter's thread ends, which is how none is left behind where the tests themselves are killed.
type starter chan func()

func newStarter() starter {
	s := make(starter)
	go func() {
		runtime.LockOSThread()
		for start := range s {
			start()
		}
	}()
	return s
}

func (s starter) start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error, 1)
	s <- func() { started <- cmd.Start() }
	return <-started
}

func (s starter) close() { close(s) }

// process is a node that runs, with the processes that it has started.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
	err   error // how it ended, once it has
}

// run starts a program, whose lines say is called with.
func (s starter) run(cmd *exec.Cmd, say func(string)) (*process, error) {
	said, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = w, w
	err = s.start(cmd)
	_ = w.Close() // the program has it
	if err != nil {
		_ = said.Close()
		return nil, err
	}
	p := &process{cmd: cmd, ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		p.err = cmd.Wait()
	}()
	go func() {
		defer said.Close()
		for lines := bufio.NewReader(said); ; {
			text, err := lines.ReadString('\n')
			if text = strings.TrimSpace(text); text != "" {
				say(text)
			}
			if err != nil {
				return
			}
		}
	}()
	return p, nil
}

func (p *process) signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

func (p *process) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// kill ends the process without a word.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.ended
}

// stop has the process end by itself, in so much time.
func (p *process) stop(in time.Duration) (inTime bool) {
	p.signal(syscall.SIGCONT)
	p.signal(syscall.SIGTERM)
	late := time.NewTimer(in)
	defer late.Stop()
	select {
	case <-p.ended:
		return true
	case <-late.C:
		p.kill()
		return false
	}
}

// running is a process of the machine, told from another that has its number later.
type running struct {
	pid   int
	since string
}

// descendants are the processes that a process has started, and theirs.
func descendants(pid int) (all []running) {
	children := map[int][]running{}
	for _, p := range everything() {
		children[p.parent] = append(children[p.parent], p.running)
	}
	for next := []int{pid}; len(next) > 0; next = next[1:] {
		for _, c := range children[next[0]] {
			all = append(all, c)
			next = append(next, c.pid)
		}
	}
	return all
}

type listed struct {
	running
	parent int
}

func everything() (all []listed) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil // no such pattern is wrong
	}
	for _, path := range stats {
		if p, ok := readStat(path); ok {
			all = append(all, p)
		}
	}
	return all
}

// readStat reads a file of proc(5). A process that has ended and waits to be asked for is none.
func readStat(path string) (p listed, ok bool) {
	text, err := os.ReadFile(path)
	_, after, found := strings.Cut(string(text), ") ")
	fields := strings.Fields(after)
	if err != nil || !found || len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return p, false
	}
	pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
	if err != nil {
		return p, false
	}
	parent, err := strconv.Atoi(fields[1])
	return listed{running{pid, fields[19]}, parent}, err == nil
}

// alive are those of some processes that still run.
func alive(of []running) []running {
	return slices.DeleteFunc(slices.Clone(of), func(r running) bool {
		p, ok := readStat(filepath.Join("/proc", strconv.Itoa(r.pid), "stat"))
		return !ok || p.since != r.since
	})
}

// describe says what processes are: the kinds of a browser's.
func describe(all []running) string {
	var kinds []string
	for _, r := range all {
		args, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(r.pid), "cmdline"))
		kind := "of no kind"
		if err == nil {
			for arg := range strings.SplitSeq(string(args), "\x00") {
				if is, found := strings.CutPrefix(arg, "--type="); found {
					kind = is
				}
			}
		}
		kinds = append(kinds, fmt.Sprintf("%d %s", r.pid, kind))
	}
	return strings.Join(kinds, ", ")
}

// withText are the processes of the machine whose command line has a text, such as the folder of
// a test.
func withText(text string) (found []string) {
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return nil // no such pattern is wrong
	}
	for _, path := range lines {
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		args, err := io.ReadAll(f)
		_ = f.Close()
		if err == nil && strings.Contains(string(args), text) {
			name, _, _ := strings.Cut(string(args), "\x00")
			found = append(found, filepath.Base(filepath.Dir(path))+" "+name)
		}
	}
	return found
}
