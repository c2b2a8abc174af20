package server

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/metrics"
)

// TestMetricsCountWhatCallersDoAndNameNothingOfTheirs: whoever reads them has no key.
func TestMetricsCountWhatCallersDoAndNameNothingOfTheirs(t *testing.T) {
	m := metrics.New()
	c := newCallers(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTeapot)
	}, func(cfg *Config) {
		cfg.Meter = m
		cfg.Store.Observe(m.Committed)
	})
	_, err := c.client.Capabilities.Invoke(t.Context(), things())
	require.NoError(t, err)
	c.setLogin("canary/key")
	ws := c.workspace("canary", bctrl.Mounts{})
	rt := c.launch(ws, "canary", nil)
	token := c.mint(ws.ID, rt.Alias, object{})
	require.Equal(t, http.StatusForbidden, c.with(token, "GET", []string{"vault", "canary/key"}, nil).Status)

	rec := httptest.NewRecorder()
	m.Handler().ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	text := rec.Body.String()
	for _, line := range []string{
		`bctrl_http_request_duration_seconds_count{method="GET",route="/v1/vault/{key}",status="403"} 1`,
		`bctrl_provider_call_duration_seconds_count{provider="other",status="418"} 1`,
		`bctrl_decisions_total{action="capability.invoke",decision="allow"} 1`,
		`bctrl_decisions_total{action="vault.readRaw",decision="deny"} 1`,
	} {
		require.True(t, strings.Contains(text, line+"\n"), line)
	}
	require.NotContains(t, text, "canary")
}
