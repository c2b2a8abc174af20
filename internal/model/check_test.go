package model

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

func TestCheckCallsTheProvider(t *testing.T) {
	const list = `{"object":"list","data":[{"id":"m-1"},{"id":"models/gemini"}]}`
	for _, c := range []struct {
		why    string
		model  string
		status int
		body   string
		one    int // status of GET /models/{id}
		ok     bool
		says   string
		calls  int
	}{
		{"the key works", "", 200, list, 0, true, "the provider accepts the key and offers 2 models", 1},
		{"the model is listed", "m-1", 200, list, 0, true, "the provider accepts the key and offers 2 models", 1},
		{"Google's prefix", "gemini", 200, list, 0, true, "the provider accepts the key and offers 2 models", 1},
		{"an alias", "org/m:latest", 200, list, 200, true, "the provider accepts the key and offers 2 models", 2},
		{"an unknown model", "m-9", 200, list, 404, false,
			"the provider accepts the key but does not know the default model", 2},
		{"a wrong key", "", 401, `{"error":{"message":"` + canaryKey + `","code":"invalid_api_key"}}`, 0, false,
			"the provider answered 401 invalid_api_key: it refuses the API key", 1},
		{"a wrong path", "", 404, "", 0, false, "the provider answered 404: no such model or address", 1},
		{"a failing provider is not asked twice", "", 500, "", 0, false, "the provider answered 500", 1},
		{"not a provider", "", 200, "<html>" + canaryKey, 0, false,
			"the provider's answer cannot be used: it is not JSON of the expected form", 1},
		{"another JSON", "", 200, "{}", 0, false, "the provider's answer cannot be used: it is not a list of models", 1},
	} {
		for _, p := range providers {
			f := serve(t, func(n int, w http.ResponseWriter, _ *http.Request) {
				if n == 1 {
					w.WriteHeader(c.one)
					_, _ = io.WriteString(w, `{"id":"x"}`)
					return
				}
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			})
			cfg := f.config(p)
			cfg.Model = c.model
			got := Check(t.Context(), f.broker, cfg)
			require.Equal(t, c.ok, got.OK, "%s: %s", c.why, got.Message)
			require.Equal(t, c.says, got.Message, c.why)
			require.Equal(t, p, got.Provider)
			require.Equal(t, c.ok, got.Code == "", "a failure has a code")
			require.Equal(t, last(c.status, c.one), got.Status, c.why)
			require.Positive(t, got.Latency)
			require.WithinDuration(t, time.Now(), got.CheckedAt, time.Minute)
			require.Len(t, f.paths, c.calls)
			require.Equal(t, "GET /v1/models", f.paths[0])
		}
	}
}

// last is the status of the second request where there was one.
func last(first, second int) int {
	if second != 0 {
		return second
	}
	return first
}

func TestCheckSaysThatNobodyListens(t *testing.T) {
	f := serve(t, says(200, ""))
	cfg := f.config(bctrl.OpenAICompatible)
	cfg.BaseURL = "http://127.0.0.1:1/v1"
	got := Check(t.Context(), f.broker, cfg)
	require.False(t, got.OK)
	require.Equal(t, "provider unreachable: connection refused", got.Message)
	require.Equal(t, "model.unreachable", got.Code)
	require.Zero(t, got.Status)

	cfg.BaseURL = "http://169.254.169.254/v1"
	require.Equal(t, "provider address refused by the egress policy", Check(t.Context(), f.broker, cfg).Message)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Equal(t, "the check was cancelled before the provider answered",
		Check(ctx, f.broker, f.config(bctrl.OpenAI)).Message)
}
