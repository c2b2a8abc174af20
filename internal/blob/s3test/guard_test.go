package s3test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// killed has the process start a server in a folder and be killed, as tests are that run out of time.
const killed = "S3TEST_KILLED_IN"

func TestMain(m *testing.M) {
	if dir := os.Getenv(killed); dir != "" {
		s, err := Open(context.Background(), dir)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Print(s.process.Pid)
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	goleak.VerifyTestMain(m)
}

func TestNoServerOutlivesTestsThatAreKilled(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), killed+"="+t.TempDir())
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, os.Stderr
	var exit *exec.ExitError
	require.ErrorAs(t, cmd.Run(), &exit)
	require.Regexp(t, `^[0-9]+$`, said.String())
	require.Eventually(t, func() bool {
		stat, err := os.ReadFile(filepath.Join("/proc", said.String(), "stat"))
		return err != nil || strings.Contains(string(stat), ") Z ")
	}, 30*time.Second, 10*time.Millisecond)
}

func TestAServerThatIsClosedLeavesNoGuard(t *testing.T) {
	Start(t) // goleak and the test's folder would tell
}
