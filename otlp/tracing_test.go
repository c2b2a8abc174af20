package otlp

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	traces "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
	"github.com/bctrl-go/bctrl/internal/trace"
)

// traceparent adds the header of a caller's own trace to a client's requests.
type traceparent struct{ of string }

func (p traceparent) RoundTrip(rq *http.Request) (*http.Response, error) {
	rq = rq.Clone(rq.Context())
	rq.Header.Set("Traceparent", p.of)
	rq.Header.Set("Tracestate", "canary=1")
	return http.DefaultTransport.RoundTrip(rq)
}

// TestACollectorIsToldWhatARequestDidAndNoValue has an agent work with a model, a login and secrets, and looks
// through every byte that the collector was sent.
func TestACollectorIsToldWhatARequestDidAndNoValue(t *testing.T) {
	to := collect(t)
	t.Setenv("OTEL_SERVICE_NAME", "bctrl-test")
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
	s := serve(t)
	canary := "canary" + strings.ToLower(rand.Text())
	says := func(modeltest.Turn) modeltest.Call { return modeltest.Done(true, canary) }
	model, err := modeltest.New(modeltest.Config{Key: bctrl.NewSecret(canary), Script: says})
	require.NoError(t, err)
	provider := httptest.NewServer(model)
	t.Cleanup(provider.Close)

	const caller = "0af7651916cd43dd8448eb211c80319c"
	hc := &http.Client{Transport: traceparent{"00-" + caller + "-b7ad6b7169203331-01"}}
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	c, err := bctrl.New(bctrl.WithBaseURL(s.url), bctrl.WithAPIKey(s.key), bctrl.WithHTTPClient(hc),
		bctrl.WithMaxRetries(0))
	require.NoError(t, err)
	ctx := t.Context()
	_, err = c.AICredentials.Create(ctx, bctrl.AICredentialCreate{ID: canary, Provider: bctrl.OpenAI, Label: canary,
		APIKey: bctrl.NewSecret(canary), BaseURL: provider.URL + "/v1", DefaultModel: modeltest.DefaultModel})
	require.NoError(t, err)
	_, err = c.Vault.Set(ctx, canary+"/login", bctrl.VaultCredential{Username: canary, Password: bctrl.NewSecret(canary),
		Origins: []string{"https://" + canary + ".example"}})
	require.NoError(t, err)
	_, err = c.Vault.Get(ctx, canary+"/none")
	require.Error(t, err)
	_, err = c.Secrets.Create(ctx, bctrl.SecretCreate{Name: canary, Value: bctrl.NewSecret(canary), Scope: bctrl.Global()})
	require.NoError(t, err)
	ws, err := c.Workspaces.Create(ctx, bctrl.WorkspaceCreate{Name: canary, Mounts: bctrl.Mounts{
		AI:    &bctrl.AIMount{Allow: []string{canary}},
		Vault: &bctrl.VaultMount{Allow: []string{canary + "/"}},
	}})
	require.NoError(t, err)
	rt, err := ws.Runtimes.Browser(canary).Stagehand(ctx, bctrl.Launch{})
	require.NoError(t, err)
	done, err := rt.Stagehand.Agent(ctx, canary, bctrl.AgentOptions{})
	require.NoError(t, err)
	require.True(t, done.Success)
	refused, err := http.Get(s.url + "/v1/vault/" + canary + "?" + canary + "=" + canary)
	require.NoError(t, err)
	require.NoError(t, refused.Body.Close())
	s.stop() // sends what is left

	all := to.all(t)
	require.False(t, bytes.Contains(to.raw.Bytes(), []byte(canary)), "a value was sent")
	require.False(t, bytes.Contains(to.raw.Bytes(), []byte("canary")), "a tracestate was sent on")
	require.False(t, bytes.Contains(to.raw.Bytes(), []byte(s.key.Expose())))
	require.True(t, bytes.Contains(to.raw.Bytes(), []byte("bctrl-test")))
	byID := map[string]*traces.Span{}
	for _, one := range all {
		byID[string(one.GetSpanId())] = one
	}
	for name, above := range map[string]string{
		string(trace.Launch):    "POST /v1/workspaces/{id}/runtimes",
		string(trace.Step):      "POST /v1/workspaces/{id}/execute",
		string(trace.AgentStep): string(trace.Step),
		string(trace.Call):      string(trace.AgentStep),
	} {
		one := find(t, all, name)
		require.Equal(t, above, byID[string(one.GetParentSpanId())].GetName(), name)
		require.Equal(t, caller, fmt.Sprintf("%x", one.GetTraceId()), name)
		require.Less(t, one.GetStartTimeUnixNano(), one.GetEndTimeUnixNano(), name)
	}
	find(t, all, string(trace.Write))
	missing := find(t, all, "GET /v1/vault/{key}")
	require.NotEmpty(t, text(missing, trace.ErrorCode))
	require.Equal(t, "b7ad6b7169203331", fmt.Sprintf("%x", missing.GetParentSpanId()))
	require.Equal(t, traces.Status_STATUS_CODE_UNSET, missing.GetStatus().GetCode(),
		"a refusal is no error of the server's")
	require.Equal(t, "openai", text(find(t, all, string(trace.Call)), trace.Provider))
	require.NotContains(t, s.log.String(), "spans were not sent")
}

// find returns the first span of a name.
func find(t *testing.T, all []*traces.Span, name string) *traces.Span {
	t.Helper()
	var names []string
	for _, one := range all {
		if one.GetName() == name {
			return one
		}
		names = append(names, one.GetName())
	}
	t.Fatalf("no span %q among %q", name, names)
	return nil
}

// text is what a span tells under a key.
func text(s *traces.Span, key trace.Key) string {
	for _, kv := range s.GetAttributes() {
		if kv.GetKey() == string(key) {
			return kv.GetValue().GetStringValue()
		}
	}
	return ""
}

// TestACollectorThatDoesNotAnswerHoldsUpNobody: one that refuses connections, and one that takes a request and
// never answers. The queue has room for few spans, so that most are dropped.
func TestACollectorThatDoesNotAnswerHoldsUpNobody(t *testing.T) {
	const (
		requests, queue, batch = 300, 16, 8
		// unlessDropped is how many exports must have begun where every request waited for room in the queue:
		// all spans but those that still wait have been sent. One lasts a second, so few begin else.
		unlessDropped = (requests - queue - batch) / batch
	)
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, dead.Close())
	held := make(chan struct{})
	var begun atomic.Int64
	hanging := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		begun.Add(1)
		<-held
	}))
	t.Cleanup(hanging.Close)
	t.Cleanup(func() { close(held) })
	for _, tc := range []struct{ why, at string }{
		{"nobody listens", "http://" + dead.Addr().String()},
		{"it never answers", hanging.URL},
	} {
		t.Run(tc.why, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", tc.at+"/canary-key")
			t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=canary-key")
			t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1000")
			t.Setenv("OTEL_BSP_MAX_QUEUE_SIZE", strconv.Itoa(queue))
			t.Setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", strconv.Itoa(batch))
			t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
			t.Setenv("OTEL_BSP_EXPORT_TIMEOUT", "1000")
			s := serve(t)
			start := time.Now()
			for range requests {
				_, err := s.Self(t.Context())
				require.NoError(t, err)
			}
			exports := begun.Load() // none of them where nobody listens, and each ends at once
			t.Logf("%d requests in %v, meanwhile %d exports", requests, time.Since(start), exports)
			require.Less(t, exports, int64(unlessDropped), "the requests have waited for the collector")
			s.stop()
			require.Contains(t, s.log.String(), "spans were not sent to the collector")
			require.NotContains(t, s.log.String(), "canary-key")
		})
	}
}

func TestTheEnvironmentDecidesWhetherSpansAreTold(t *testing.T) {
	quiet := slog.New(slog.DiscardHandler)
	for _, tc := range []struct {
		name, value, refused string
	}{
		{"OTEL_SDK_DISABLED", "true", ""},
		{"OTEL_TRACES_EXPORTER", "none", ""},
		{"OTEL_TRACES_EXPORTER", "zipkin", "OTEL_TRACES_EXPORTER"},
		{"OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "http/protobuf"},
		{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", "http/protobuf"},
	} {
		t.Run(tc.name+"="+tc.value, func(t *testing.T) {
			t.Setenv(tc.name, tc.value)
			tracer, stop, err := Start(t.Context(), quiet)
			if tc.refused != "" {
				require.NotContains(t, err.Error(), tc.value)
				require.ErrorContains(t, err, tc.refused)
				return
			}
			require.NoError(t, err)
			require.Nil(t, tracer)
			stop(context.WithoutCancel(t.Context()))
		})
	}
}
