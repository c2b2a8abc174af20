//go:build unix

package chromium

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/bctrl-go/bctrl/internal/browser"
)

const (
	// displayTimeout is how long the server of a display may take to start.
	displayTimeout = 10 * time.Second
	// windowFrame is room for what a browser's window has around a page, in pixels.
	windowFrame = 200
)

// display is an X server for the window of one browser. It listens on no port, and lets
// in who knows its cookie: other users of the machine can reach its socket.
type display struct {
	proc   *xvfb
	name   string // ":7"
	cookie string // the path of its Xauthority file
}

// startDisplay starts a display that is large enough for the viewport of a browser.
func startDisplay(ctx context.Context, path string, d dirs, user account, width, height int) (*display, error) {
	cookie := filepath.Join(d.home, "xauthority")
	if err := writeCookie(cookie, user); err != nil {
		return nil, fmt.Errorf("make the display's cookie: %w", err)
	}
	proc, err := startXvfb(path, []string{
		"-displayfd", "3", "-auth", cookie, "-nolisten", "tcp", "-noreset",
		"-screen", "0", strconv.Itoa(width+windowFrame) + "x" + strconv.Itoa(height+windowFrame) + "x24",
	}, environmentOf(d), d.temp, user)
	if err != nil {
		return nil, err
	}
	number, err := proc.number(ctx)
	if err != nil {
		return nil, errors.Join(err, proc.stop())
	}
	return &display{proc: proc, name: ":" + number, cookie: cookie}, nil
}

// environment tells a browser where its window goes.
func (d *display) environment() []string {
	return []string{"DISPLAY=" + d.name, "XAUTHORITY=" + d.cookie}
}

func (d *display) stop() error { return d.proc.stop() }

// writeCookie makes an Xauthority file with a new cookie for any display: a family of
// 65535 is FamilyWild (Xauth(3)).
func writeCookie(path string, user account) error {
	const method = "MIT-MAGIC-COOKIE-1"
	cookie := make([]byte, 16)
	if _, err := rand.Read(cookie); err != nil {
		return err
	}
	var b bytes.Buffer
	for _, part := range []any{uint16(0xffff), uint16(0), uint16(0), uint16(len(method)), []byte(method),
		uint16(len(cookie)), cookie} {
		if err := binary.Write(&b, binary.BigEndian, part); err != nil {
			return err
		}
	}
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		return err
	}
	return user.give(path)
}

// xvfb is the process of a display.
type xvfb struct {
	cmd    *exec.Cmd
	told   *os.File // it writes the number of its display here
	exited chan struct{}
}

func startXvfb(path string, args, env []string, dir string, user account) (*xvfb, error) {
	told, childTells, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make the display's pipe: %w", err)
	}
	x := &xvfb{told: told, exited: make(chan struct{})}
	x.cmd = exec.Command(path, args...) //nolint:noctx // stop ends it
	x.cmd.Env, x.cmd.Dir = env, dir
	x.cmd.ExtraFiles = []*os.File{childTells} // descriptor 3
	x.cmd.SysProcAttr = processAttributes(user)
	err = startLocked(x.cmd, func(error) { close(x.exited) })
	_ = childTells.Close()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the display: %w", err), told.Close())
	}
	return x, nil
}

// number waits until the display is ready, and returns its number.
func (x *xvfb) number(ctx context.Context) (string, error) {
	deadline := time.Now().Add(displayTimeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	_ = x.told.SetReadDeadline(deadline) // a pipe has one
	line, err := bufio.NewReader(x.told).ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("%w: the display did not start: %w", browser.ErrNoDisplay, err)
	}
	return strings.TrimSpace(line), nil
}

func (x *xvfb) stop() error {
	// It removes its socket and its lock when it is asked to end.
	_ = syscall.Kill(-x.cmd.Process.Pid, syscall.SIGTERM)
	select {
	case <-x.exited:
	case <-time.After(exitTimeout):
		_ = syscall.Kill(-x.cmd.Process.Pid, syscall.SIGKILL)
		<-x.exited
	}
	return x.told.Close()
}
