package metrics

import (
	"errors"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/store"
)

// shown is what Prometheus reads.
func shown(t *testing.T, m *Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	require.Equal(t, "text/plain; version=0.0.4; charset=utf-8", w.Header().Get("Content-Type"))
	return w.Body.String()
}

func TestWhatHappensIsCounted(t *testing.T) {
	m := New()
	m.Answered("GET", "/v1/secrets/{id}", 200, time.Millisecond)
	m.Answered("GET", "/v1/secrets/{id}", 200, time.Millisecond)
	m.ProviderAnswered("openai", 0, time.Second)
	m.Committed(store.Commit{Took: time.Millisecond, Writes: 3, Decisions: []store.Decision{
		{Action: "vault.use"}, {Action: "vault.use", Denied: true},
	}})
	m.Committed(store.Commit{Err: errors.New("the disk is full"), Writes: 5, Decisions: []store.Decision{
		{Action: "vault.use"},
	}})
	got := shown(t, m)
	for _, line := range []string{
		`bctrl_http_request_duration_seconds_count{method="GET",route="/v1/secrets/{id}",status="200"} 2`,
		`bctrl_provider_call_duration_seconds_count{provider="openai",status="0"} 1`,
		`bctrl_store_commit_duration_seconds_count 1`,
		`bctrl_store_commit_failures_total 1`,
		`bctrl_store_writes_total 3`,
		`bctrl_decisions_total{action="vault.use",decision="allow"} 1`,
		`bctrl_decisions_total{action="vault.use",decision="deny"} 1`,
	} {
		require.Contains(t, got, line+"\n")
	}
}

func TestAWatchedNumberIsThatOfTheMoment(t *testing.T) {
	m, live := New(), 1
	m.Watch("bctrl_runtimes", func() int { return live })
	require.Contains(t, shown(t, m), "bctrl_runtimes 1\n")
	live = 2
	require.Contains(t, shown(t, m), "bctrl_runtimes 2\n")
	require.Panics(t, func() { m.Watch("bctrl_runtimes", func() int { return 0 }) }, "two of one name")
}

func TestWhatHappensAtOnceIsCountedOnce(t *testing.T) {
	m := New()
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { m.Answered("GET", "/v1/secrets", 200, time.Millisecond) })
		all.Go(func() { m.ProviderAnswered("openai", 200, time.Millisecond) })
	}
	all.Wait()
	got := shown(t, m)
	for _, line := range []string{
		`bctrl_http_request_duration_seconds_count{method="GET",route="/v1/secrets",status="200"} 50`,
		`bctrl_provider_call_duration_seconds_count{provider="openai",status="200"} 50`,
	} {
		require.Contains(t, got, line+"\n")
	}
}

func TestServersCountByThemselves(t *testing.T) {
	one, other := New(), New()
	one.Answered("GET", "/v1/secrets", 200, time.Millisecond)
	require.NotContains(t, shown(t, other), "bctrl_http_request")
}

// BenchmarkAnswered is what each request pays for being counted.
func BenchmarkAnswered(b *testing.B) {
	m := New()
	b.ReportAllocs()
	for b.Loop() {
		m.Answered("POST", "/v1/capabilities/{id}/invoke", 200, time.Millisecond)
	}
}
