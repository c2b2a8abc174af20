package ending

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// asExample has this program be an example, which prints until it is to end and
// then clears away the file of this name.
const asExample = "BCTRL_TEST_EXAMPLE_FILE"

func TestMain(m *testing.M) {
	if name := os.Getenv(asExample); name != "" {
		ctx, stop := Context()
		breakPipe()
		for ctx.Err() == nil {
			fmt.Println("It runs.")
		}
		stop()
		fmt.Println("It ends.") // as the demo may, which stops at once so that a second Ctrl-C does not wait
		err := os.Remove(name)
		if err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// breakPipe writes where nobody reads, as to a browser that was killed: no reason to end.
func breakPipe() {
	r, w, err := os.Pipe()
	if err == nil {
		_ = r.Close()
		_, err = w.WriteString("x")
		_ = w.Close()
	}
	if !errors.Is(err, syscall.EPIPE) {
		os.Exit(1)
	}
}

func TestAnExampleClearsAwayHoweverItIsEnded(t *testing.T) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP) // so that examples do not inherit that it is ignored, as below nohup
	defer signal.Stop(hangup)
	for _, tc := range []struct {
		why string
		end func(*os.Process, *os.File) error
	}{
		{"Ctrl-C", func(p *os.Process, _ *os.File) error { return p.Signal(os.Interrupt) }},
		{"kill", func(p *os.Process, _ *os.File) error { return p.Signal(syscall.SIGTERM) }},
		{"the terminal is closed", func(p *os.Process, _ *os.File) error { return p.Signal(syscall.SIGHUP) }},
		{"its reader has read enough", func(_ *os.Process, printed *os.File) error { return printed.Close() }},
	} {
		t.Run(tc.why, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "left")
			require.NoError(t, os.WriteFile(name, nil, 0o600))
			program, err := os.Executable()
			require.NoError(t, err)
			printed, w, err := os.Pipe()
			require.NoError(t, err)
			example := exec.CommandContext(t.Context(), program)
			example.Env, example.Stdout = append(os.Environ(), asExample+"="+name), w
			require.NoError(t, errors.Join(example.Start(), w.Close()))
			lines := bufio.NewReader(printed)
			for range 10_000 {
				_, err = lines.ReadString('\n')
				require.NoError(t, err, "it runs until it is ended")
			}
			require.NoError(t, tc.end(example.Process, printed))
			for err == nil { // the pipe must not be full when it is to end
				_, err = lines.ReadString('\n')
			}
			require.NoError(t, example.Wait())
			require.NoFileExists(t, name)
			_ = printed.Close() // closed by one of the cases
		})
	}
}

// TestEveryExampleThatStartsSomethingEndsSo: files is given a server, and narrow needs none.
func TestEveryExampleThatStartsSomethingEndsSo(t *testing.T) {
	programs, err := filepath.Glob("../../*/main.go")
	require.NoError(t, err)
	require.Greater(t, len(programs), 8)
	for _, program := range programs {
		source, err := os.ReadFile(program)
		require.NoError(t, err)
		switch name := filepath.Base(filepath.Dir(program)); name {
		case "files", "narrow":
		default:
			require.True(t, strings.Contains(string(source), "ending.Context()"), name)
		}
	}
}
