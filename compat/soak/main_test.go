package soak

import (
	"context"
	"math/rand/v2"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bctrl-go/bctrl/internal/store/pgtest"
)

// Variables that say what is played, and which.
const (
	soakVariable = "BCTRL_SOAK"
	seedVariable = "BCTRL_SOAK_SEED"
)

// full reports whether the long run was asked for.
func full() bool { return os.Getenv(soakVariable) == "full" }

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(pgtest.Main{M: m}, goleak.IgnoreTopFunction("os/signal.loop"),
		// Of Toxiproxy, where a toxic is taken from a connection that just ends.
		goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2/toxics.(*ToxicStub).Run"),
		goleak.IgnoreTopFunction("github.com/Shopify/toxiproxy/v2/stream.(*ChanWriter).Write"))
}

// untilInterrupted is the context of a test, which an interrupt ends too: the test then fails, and
// ends what it has started.
func untilInterrupted(t *testing.T) context.Context {
	t.Helper()
	ctx, stop := signal.NotifyContext(t.Context(), os.Interrupt, syscall.SIGTERM)
	t.Cleanup(stop)
	return ctx
}

// seeded draws what a test does. The seed is printed, and may be given.
func seeded(t *testing.T) (seed uint64, r *rand.Rand) {
	t.Helper()
	seed = rand.Uint64()
	if text := os.Getenv(seedVariable); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("seed: %s=%d", seedVariable, seed)
	return seed, rand.New(rand.NewPCG(seed, 0))
}
