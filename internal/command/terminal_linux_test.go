package command

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
)

// screen is a terminal with somebody at it.
type screen struct {
	t *testing.T
	// hand is where keys are typed and the screen is seen, device what the
	// command has.
	hand, device *os.File
	shown        bytes.Buffer
	cmd          *exec.Cmd
}

// sitting starts the real command at a terminal.
func (d *desk) sitting(args ...string) *screen {
	d.t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	require.NoError(d.t, err)
	require.NoError(d.t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	require.NoError(d.t, err)
	device, err := os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0)
	require.NoError(d.t, err)
	s := &screen{
		t:      d.t,
		hand:   os.NewFile(uintptr(fd), "terminal"),
		device: device,
		cmd:    exec.Command(os.Args[0], args...),
	}
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = device, device, device
	s.cmd.Env = append(os.Environ(), asRealCommand+"=1", "TERM=xterm")
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	require.NoError(d.t, s.cmd.Start())
	d.t.Cleanup(func() {
		if s.cmd.ProcessState == nil {
			_ = s.cmd.Process.Kill()
			_ = s.cmd.Wait()
		}
		s.hand.Close()
		s.device.Close()
	})
	return s
}

// sees waits until a text is shown, and forgets what was shown up to it.
func (s *screen) sees(text string) {
	s.t.Helper()
	buf := make([]byte, 4096)
	for !strings.Contains(s.shown.String(), text) {
		require.NoError(s.t, s.hand.SetReadDeadline(time.Now().Add(30*time.Second)))
		n, err := s.hand.Read(buf)
		s.shown.Write(buf[:n])
		require.NoError(s.t, err, "waiting for %q, shown: %q", text, s.shown.String())
	}
	s.shown.Next(strings.Index(s.shown.String(), text) + len(text))
}

func (s *screen) types(keys string) {
	s.t.Helper()
	_, err := s.hand.WriteString(keys)
	require.NoError(s.t, err)
}

// ctrlC is what a terminal makes an interrupt of.
const ctrlC = "\x03"

// mode waits until a flag of the terminal is as wanted.
func (s *screen) mode(flag uint32, set bool) {
	s.t.Helper()
	require.Eventually(s.t, func() bool {
		state, err := unix.IoctlGetTermios(int(s.device.Fd()), unix.TCGETS)
		return err == nil && (state.Lflag&flag != 0) == set
	}, 30*time.Second, time.Millisecond)
}

// ends waits for the command and returns its exit code and all that was not
// seen yet.
func (s *screen) ends() (code int, rest string) {
	s.t.Helper()
	_ = s.cmd.Wait()
	buf := make([]byte, 4096)
	for {
		require.NoError(s.t, s.hand.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
		n, err := s.hand.Read(buf)
		s.shown.Write(buf[:n])
		if err != nil {
			return s.cmd.ProcessState.ExitCode(), s.shown.String()
		}
	}
}

func TestAPasswordIsAskedForAndNotShown(t *testing.T) {
	d := at(t)
	s := d.sitting("vault", "set", "a/b", "--username", "bot", "--totp")
	s.sees("Password: ")
	s.types("hunter2\r" + seed + "\r") // ahead of the second prompt
	s.sees("TOTP seed: ")
	code, rest := s.ends()
	require.Zero(t, code, rest)
	require.NotContains(t, rest, "hunter2")
	require.NotContains(t, rest, seed)
	got, err := d.client.Vault.Get(t.Context(), "a/b")
	require.NoError(t, err)
	require.True(t, got.Password.Equal(bctrl.NewSecret("hunter2")))
	require.True(t, got.TOTP.Equal(bctrl.NewSecret(seed)))
}

func TestAScopedSecretIsAskedForAndNotShown(t *testing.T) {
	d := at(t)
	s := d.sitting("secrets", "create", "--name", "KEY", "--scope", "global")
	s.sees("Value: ")
	s.types("hunter2\r")
	code, rest := s.ends()
	require.Zero(t, code, rest)
	require.NotContains(t, rest, "hunter2")
	require.Contains(t, rest, "Rotated:")
}

// TestANewPassphraseIsTypedTwiceWhereNoServerRuns, since a mistake in it would lose the data.
func TestANewPassphraseIsTypedTwiceWhereNoServerRuns(t *testing.T) {
	where := newPlace(t)
	where.args = []string{"--key-source", "passphrase"}
	srv := where.start(t, passphraseVariable+"="+onePassphrase)
	srv.terminate()
	run := where.commands(t, srv, srv.firstKey)
	rotate := func(again string) (code int, rest string) {
		s := (&desk{t: t}).sitting("rotate-master")
		s.sees("Passphrase: ")
		s.types(onePassphrase + "\r" + otherPassphrase + "\r" + again + "\r")
		s.sees("Same again: ")
		return s.ends()
	}
	code, rest := rotate(otherPassphrase + "!")
	require.Equal(t, exitUsage, code, rest)
	require.Contains(t, rest, "the two are not the same")
	code, rest = rotate(otherPassphrase)
	require.Zero(t, code, rest)
	require.NotContains(t, rest, "Warning")
	require.Contains(t, run(otherPassphrase+"\n", "audit", "verify").good(t), "whole")
}

func TestCtrlCEndsAPromptAndBringsTheEchoBack(t *testing.T) {
	d := at(t)
	s := d.sitting("ai", "add", "openai", "--provider", "openai")
	s.sees("API key: ")
	s.mode(unix.ECHO, false)
	s.types("sk-half" + ctrlC)
	code, rest := s.ends()
	require.Equal(t, exitInterrupted, code, rest)
	require.Contains(t, rest, "interrupted")
	require.NotContains(t, rest, "sk-half")
	s.mode(unix.ECHO, true)
	require.Empty(t, d.do("ai", "list"))
}

func TestCtrlCInAShellEndsTheActionAlone(t *testing.T) {
	d := furnished(t)
	s := d.sitting("runtime", "shell", "sales/crm")
	s.sees("crm> ")
	s.types("goto https://www.example.com/\r")
	s.sees("Page:  https://www.example.com/")
	s.sees("crm> ")
	s.types("nonsense\r")
	s.sees("nonsense is no action")
	s.sees("crm> ")

	d.srv.Delay(time.Hour)
	s.types("act take your time\r")
	s.mode(unix.ISIG, true) // the prompt is left: the action runs
	s.types(ctrlC)
	s.sees("interrupted")
	s.sees("crm> ")
	d.srv.Delay(0)
	s.types("vault\r")
	s.sees("prod/crm/salesforce")
	s.sees("crm> ")
	s.mode(unix.ISIG, false)
	s.types("exit\r")
	code, rest := s.ends()
	require.Zero(t, code, rest)
	s.mode(unix.ECHO|unix.ISIG, true)
}

// TestCtrlCLeavesNoHalfADownload ends a download whose second half never
// comes.
func TestCtrlCLeavesNoHalfADownload(t *testing.T) {
	d := at(t)
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "2000000")
		_, _ = w.Write(make([]byte, 1000000))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	t.Cleanup(slow.Close)
	t.Setenv("BCTRL_BASE_URL", slow.URL)
	s := d.sitting("storage", "cp", "sales:big.bin", ".")
	s.sees("big.bin")
	s.sees("%") // the bar
	require.Eventually(t, func() bool {
		parts, err := filepath.Glob(".bctrl-*.part")
		if err != nil || len(parts) != 1 {
			return false
		}
		info, err := os.Stat(parts[0])
		return err == nil && info.Size() == 1000000
	}, 30*time.Second, time.Millisecond, "half of it is here")
	s.types(ctrlC)
	code, rest := s.ends()
	require.Equal(t, exitInterrupted, code, rest)
	left, err := os.ReadDir(".")
	require.NoError(t, err)
	require.Empty(t, left, "neither the file nor a part of it")
}

func TestACopyShowsABarAtATerminalAlone(t *testing.T) {
	d := at(t)
	require.NoError(t, os.WriteFile("big.bin", make([]byte, 3<<20), 0o600))
	s := d.sitting("storage", "cp", "big.bin", "sales:")
	s.sees("big.bin")
	s.sees("%")
	code, rest := s.ends()
	require.Zero(t, code, rest)
	require.Contains(t, rest, "sales:big.bin")

	s = d.sitting("storage", "cp", "big.bin", "sales:", "--force", "--quiet")
	code, rest = s.ends()
	require.Zero(t, code, rest)
	require.NotContains(t, rest, "%")
	require.NotContains(t, d.run("", "storage", "cp", "sales:big.bin", "other.bin").stderr, "%")
}

func TestAnActShowsWhatItDoesAtATerminal(t *testing.T) {
	seen := make(chan struct{})
	d := atWith(t, func(turn modeltest.Turn) modeltest.Call {
		if len(turn.Calls) == 0 {
			return modeltest.Navigate("https://www.example.com/start")
		}
		<-seen
		return modeltest.Done(true, "As you said.")
	})
	d.furnish()
	s := d.sitting("runtime", "act", "sales/crm", "Look around")
	s.sees("navigate https://www.example.com/start") // while it works: the model waits for it
	close(seen)
	s.sees("Did:")
	code, rest := s.ends()
	require.Zero(t, code, rest)
}

func TestCtrlCEndsAnActOnTheServer(t *testing.T) {
	asked, left := make(chan struct{}), make(chan struct{})
	defer close(left)
	d := atWith(t, func(turn modeltest.Turn) modeltest.Call {
		if len(turn.Calls) == 0 {
			return modeltest.Navigate("https://www.example.com/start")
		}
		close(asked)
		<-left
		return modeltest.Done(true, "As you said.")
	})
	d.furnish()
	s := d.sitting("runtime", "act", "sales/crm", "Look around")
	s.sees("navigate https://www.example.com/start")
	<-asked
	s.types(ctrlC)
	code, rest := s.ends()
	require.Equal(t, exitInterrupted, code, rest)
	for e, err := range d.client.Audit.Events(t.Context(), bctrl.AuditFilter{Action: "runtime.execute"}) {
		require.NoError(t, err)
		op, err := d.client.Operations.Get(t.Context(), e.Execution)
		require.NoError(t, err)
		_, err = op.Wait(t.Context())
		require.ErrorIs(t, err, bctrl.ErrEnded)
	}
}
