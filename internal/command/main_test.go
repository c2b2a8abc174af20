package command

import (
	"fmt"
	"math"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/bctrl-go/bctrl/internal/store/pgtest"
)

// The test binary runs as the real command when asRealCommand is set, so that
// tests signal, kill and starve a process of its own. limitFiles bounds the
// size of any file it writes, in bytes: to the server a disk that is full.
const (
	asRealCommand = "BCTRL_TEST_REAL_COMMAND"
	limitFiles    = "BCTRL_TEST_LIMIT_FILES"
)

// tests are those of the package, which have the built command together.
type tests struct{ pgtest.Main }

// Run runs the tests.
func (m tests) Run() int {
	code := m.Main.Run()
	if builtProgram.dir == "" {
		return code
	}
	if err := os.RemoveAll(builtProgram.dir); err != nil {
		fmt.Println("removing the command:", err)
		return max(code, 1)
	}
	return code
}

func TestMain(m *testing.M) {
	if os.Getenv(asRealCommand) == "" {
		goleak.VerifyTestMain(tests{pgtest.Main{M: m}})
		return
	}
	if limit, err := strconv.ParseUint(os.Getenv(limitFiles), 10, 64); err == nil {
		signal.Ignore(syscall.SIGXFSZ) // the write fails instead, as on a full disk
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: math.MaxUint64}); err != nil {
			panic(err)
		}
	}
	Program{}.Main()
}
