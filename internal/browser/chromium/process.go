//go:build unix

package chromium

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/bctrl-go/bctrl/internal/browser"
)

const (
	// stderrKept is how much of the browser's last words errors may quote, in
	// bytes.
	stderrKept = 4 << 10
	// reapTimeout is how long killed processes may take to disappear.
	reapTimeout = 5 * time.Second
	// reapPause is how often a killed group is looked at.
	reapPause = 2 * time.Millisecond
)

// process is a browser process and its process group.
type process struct {
	cmd    *exec.Cmd
	stderr *stderrTail

	in  *os.File // what the browser says
	out *os.File // what it is told

	exited chan struct{} // closed when the leader is reaped
	err    error         // why it exited; valid after exited
}

// start runs the browser as user in a process group of its own.
//
// It dies with the server, however that dies: the kernel kills it when the
// thread that started it ends (hence a goroutine locked to its thread for as
// long as the browser lives, Go issue 27505), and where there is no such
// signal it exits when its pipe ends.
func start(path string, args, env []string, dir string, user account) (*process, error) {
	childIn, out, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make the browser's pipe: %w", err)
	}
	in, childOut, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make the browser's pipe: %w", err), childIn.Close(), out.Close())
	}

	p := &process{
		stderr: &stderrTail{},
		in:     in,
		out:    out,
		exited: make(chan struct{}),
	}
	p.cmd = exec.Command(path, args...) //nolint:noctx // Stop and kill end it, with all of its group
	p.cmd.Env = env
	p.cmd.Dir = dir
	p.cmd.Stderr = p.stderr
	p.cmd.ExtraFiles = []*os.File{childIn, childOut} // descriptors 3 and 4
	p.cmd.SysProcAttr = processAttributes(user)
	// A grandchild may hold stderr open after the browser is gone.
	p.cmd.WaitDelay = time.Second

	err = startLocked(p.cmd, func(err error) {
		p.err = err
		close(p.exited)
	})
	_, _ = childIn.Close(), childOut.Close() // the browser has its own
	if err != nil {
		_, _ = in.Close(), out.Close()
		return nil, fmt.Errorf("start the browser: %w", err)
	}
	return p, nil
}

// startLocked starts a program from a thread that lives as long as it: see start. It
// calls ended when the program has ended, with why.
func startLocked(cmd *exec.Cmd, ended func(error)) error {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		ended(cmd.Wait())
	}()
	return <-started
}

// pid is the process id of the browser and the id of its group.
func (p *process) pid() int { return p.cmd.Process.Pid }

// sendKill has every process of the group end; none left is no error.
func (p *process) sendKill() { _ = syscall.Kill(-p.pid(), syscall.SIGKILL) }

// kill ends every process of the group and waits until none is left.
func (p *process) kill(ctx context.Context) error {
	p.sendKill()
	select {
	case <-p.exited:
	case <-ctx.Done():
		return fmt.Errorf("wait for the killed browser: %w", ctx.Err())
	}
	deadline := time.NewTimer(reapTimeout)
	defer deadline.Stop()
	pause := time.NewTicker(reapPause)
	defer pause.Stop()
	for p.groupLives() {
		select {
		case <-pause.C:
		case <-deadline.C:
			return errors.New("a child of the browser does not end")
		case <-ctx.Done():
			return fmt.Errorf("wait for the browser's children: %w", ctx.Err())
		}
	}
	return nil
}

const (
	// stillTimeout is how long the processes of a group may take to stand still.
	stillTimeout = 5 * time.Second
	// stillPause is how often they are looked at meanwhile.
	stillPause = time.Millisecond
)

// pause has every process of the group stand still until resume, and waits until they
// do. A kill ends them all the same, and so does the end of this process: the kernel
// wakes a stopped group that nobody is left for.
func (p *process) pause() error {
	if err := syscall.Kill(-p.pid(), syscall.SIGSTOP); err != nil {
		return fmt.Errorf("hold the browser still: %w", err)
	}
	deadline := time.NewTimer(stillTimeout)
	defer deadline.Stop()
	look := time.NewTicker(stillPause)
	defer look.Stop()
	for !standStill(p.pid()) {
		select {
		case <-look.C:
		case <-deadline.C:
			return errors.New("the browser does not stand still")
		}
	}
	return nil
}

// resume lets the processes of the group go on.
func (p *process) resume() { _ = syscall.Kill(-p.pid(), syscall.SIGCONT) }

// groupLives reports whether the group has a process. Orphans that became
// children of this process, as in a container whose first process the server
// is, are reaped on the way.
func (p *process) groupLives() bool {
	for {
		pid, err := syscall.Wait4(-p.pid(), nil, syscall.WNOHANG, nil)
		if pid <= 0 || err != nil {
			break
		}
	}
	if errors.Is(syscall.Kill(-p.pid(), 0), syscall.ESRCH) {
		return false
	}
	return !onlyZombies(p.pid())
}

// failure describes the end of a browser that nobody stopped.
func (p *process) failure() error {
	text := p.stderr.String()
	if strings.Contains(text, "No usable sandbox") {
		return fmt.Errorf("the browser ended by itself: %w: %w", p.exitError(), browser.ErrNoSandbox)
	}
	return fmt.Errorf("the browser ended by itself: %w: %s", p.exitError(), cmp.Or(text, "it said nothing"))
}

func (p *process) exitError() error {
	if p.err != nil {
		return p.err
	}
	return errors.New("exit status 0")
}

// stderrTail keeps the end of what is written to it.
type stderrTail struct {
	mu   sync.Mutex
	text []byte
}

func (w *stderrTail) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, b...)
	if over := len(w.text) - stderrKept; over > 0 {
		w.text = append(w.text[:0], w.text[over:]...)
	}
	return len(b), nil
}

// String returns the last lines, on one line, without addresses: a URL may
// hold a token.
func (w *stderrTail) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var kept []string
	for line := range strings.Lines(string(w.text)) {
		words := strings.Fields(line)
		for i, word := range words {
			if strings.Contains(word, "://") {
				words[i] = "[address]"
			}
		}
		if len(words) > 0 {
			kept = append(kept, strings.Join(words, " "))
		}
	}
	return strings.Join(kept[max(0, len(kept)-5):], "; ")
}
