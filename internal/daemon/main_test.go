package daemon

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain lets the test binary be a server of its own process, where a test
// starts it as one.
func TestMain(m *testing.M) {
	if dir := os.Getenv(serveVariable); dir != "" {
		os.Exit(serveUntilTold(dir))
	}
	goleak.VerifyTestMain(m)
}
