package server

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// TestAStopEndsCallsAfterTheirGraceAndBeginsNone has a provider that never answers to its end.
func TestAStopEndsCallsAfterTheirGraceAndBeginsNone(t *testing.T) {
	const grace = 300 * time.Millisecond
	c := newCallers(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}, func(cfg *Config) { cfg.CallGrace = grace })
	invoke := func() answer {
		return c.do("POST", []string{"capabilities", "acme/things", "invoke"}, nil,
			object{"method": "GET", "path": "/v1/things"})
	}
	got := make(chan answer, 1)
	go func() { got <- invoke() }()
	c.settled(func() bool { return c.hits.Load() == 1 }, "the provider is asked")
	stopped := time.Now()
	c.server.EndStreams()
	refused(t, invoke(), http.StatusServiceUnavailable, "server.stopping", "none begins")
	require.EqualValues(t, 1, c.hits.Load(), "nor is it sent")
	refused(t, <-got, http.StatusServiceUnavailable, "server.stopping", "")
	require.GreaterOrEqual(t, time.Since(stopped), grace)
	outcomes := map[string]int{}
	for _, e := range c.log(bctrl.AuditFilter{}) {
		outcomes[e.Outcome]++
	}
	require.Equal(t, 2, outcomes["server.stopping"], "of the call, and of the refusal")
}

// TestAStopIsHeldUpByNobodyWhoWaits for an operation, or for room.
func TestAStopIsHeldUpByNobodyWhoWaits(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.Capacity = Capacity{Runtimes: 1, QueueTime: time.Hour} })
	ws, _, loading := h.slow()
	op := h.begin(ws, visits("a.example"))
	<-loading
	launched, _ := h.askedToLaunch(ws, "second")
	h.queuedAt(ws, "second", 1)
	h.server.EndStreams()
	refused(t, <-launched, http.StatusServiceUnavailable, "server.stopping", "")
	var waited wire.Waited[bctrl.OperationInfo]
	h.ok("POST", []string{"operations", op.ID, "wait"}, object{"timeoutMs": 60_000}, &waited)
	require.Equal(t, wire.WaitTimeout, waited.WaitStatus)
	require.Positive(t, waited.RetryAfterMs, "it has hardly waited")

	require.NoError(t, h.server.runtimes.Close(t.Context()))
	end := h.outcome(op)
	require.Equal(t, bctrl.OperationInterrupted, end.Status)
	require.Equal(t, "operations.interrupted", end.Error.Code)
}
