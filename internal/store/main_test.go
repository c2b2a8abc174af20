package store

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/bctrl-go/bctrl/internal/store/pgtest"
)

// The test binary writes to a store where asWriter names its file, until it is killed.
func TestMain(m *testing.M) {
	if path := os.Getenv(asWriter); path != "" {
		writeUntilKilled(path)
		return
	}
	goleak.VerifyTestMain(pgtest.Main{M: m})
}
