package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
	"github.com/bctrl-go/bctrl/internal/trace"
)

// spans is a tracer that keeps what it is told.
type spans struct {
	mu  sync.Mutex
	all []*span
}

type span struct {
	of          *spans
	Name        string
	Kind        trace.Kind
	Above       int // the one above, from 1; 0 is none
	Parent      string
	Told        map[trace.Key]string
	Ended       int
	Code        string
	number      int
	traceparent string
}

type spanKey struct{}

func (s *spans) Start(
	ctx context.Context, name string, kind trace.Kind, parent string,
) (context.Context, trace.Recording) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := &span{of: s, Name: name, Kind: kind, Parent: parent, Told: map[trace.Key]string{}, number: len(s.all) + 1}
	if above, ok := ctx.Value(spanKey{}).(*span); ok {
		one.Above = above.number
	}
	one.traceparent = fmt.Sprintf("00-%032x-%016x-01", 1, one.number)
	s.all = append(s.all, one)
	return context.WithValue(ctx, spanKey{}, one), one
}

func (o *span) Text(key trace.Key, value string) {
	o.of.mu.Lock()
	defer o.of.mu.Unlock()
	o.Told[key] = value
}

func (o *span) Number(key trace.Key, value int) { o.Text(key, fmt.Sprint(value)) }

func (o *span) End(code string) {
	o.of.mu.Lock()
	defer o.of.mu.Unlock()
	o.Ended++
	o.Code = code
}

func (o *span) Traceparent() string { return o.traceparent }

// take returns the spans since the last time. Each has ended once.
func (s *spans) take(t *testing.T) []*span {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.all
	for _, one := range all {
		require.Equal(t, 1, one.Ended, one.Name)
	}
	s.all = nil
	return all
}

// named returns those of a name.
func named(all []*span, name string) (found []*span) {
	for _, one := range all {
		if one.Name == name {
			found = append(found, one)
		}
	}
	return found
}

// requireNothingOf fails where a span tells what is a caller's, or the organization's.
func requireNothingOf(t *testing.T, all []*span, words ...string) {
	t.Helper()
	text, err := json.Marshal(all)
	require.NoError(t, err)
	for _, word := range words {
		require.False(t, strings.Contains(string(text), word), word)
	}
}

func TestEveryPartOfARequestIsASpanWithinIt(t *testing.T) {
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	told := &spans{}
	c := newCallers(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTeapot)
	}, func(cfg *Config) { cfg.Tracer = told })
	c.setLogin("canary/key")
	told.take(t)

	got := c.do("GET", []string{"vault", "canary/none"}, map[string][]string{"reveal": {"canary"}}, nil,
		"Traceparent", parent, "X-Request-Id", "mine")
	require.GreaterOrEqual(t, got.Status, 400)
	all := told.take(t)
	requests := named(all, "GET /v1/vault/{key}")
	require.Len(t, requests, 1)
	require.Equal(t, trace.Server, requests[0].Kind)
	require.Equal(t, parent, requests[0].Parent)
	require.Equal(t, got.code(), requests[0].Code)
	require.Equal(t, map[trace.Key]string{
		trace.Method: "GET", trace.Route: "/v1/vault/{key}", trace.Status: fmt.Sprint(got.Status), trace.RequestID: "mine",
	}, requests[0].Told)
	requireNothingOf(t, all, "canary")

	_, err := c.client.Capabilities.Invoke(t.Context(), things())
	require.NoError(t, err)
	all = told.take(t)
	calls := named(all, string(trace.Call))
	require.Len(t, calls, 1)
	require.Equal(t, trace.Client, calls[0].Kind)
	require.Equal(t, map[trace.Key]string{trace.Provider: "other", trace.Status: "418"}, calls[0].Told,
		"the name of the provider is one that the organization gave")
	require.NotZero(t, calls[0].Above)
	require.NotEmpty(t, named(all, string(trace.Write)), "its intent")
	requireNothingOf(t, all, acmeHost, acmeKey, "acme")
}

// TestTheAuditLogSaysWhichTraceARequestIsIn of a caller's, with a tracer and without.
func TestTheAuditLogSaysWhichTraceARequestIsIn(t *testing.T) {
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	traceOf := func(h *harness, parent string) string {
		h.Helper()
		ws := h.made(strings.ReplaceAll(uuid.NewString(), "-", ""), object{})
		h.ok("DELETE", []string{"workspaces", ws.ID}, nil, nil, "Traceparent", parent)
		for e, err := range h.sdk(straight).Audit.Events(t.Context(), bctrl.AuditFilter{WorkspaceID: ws.ID}) {
			require.NoError(t, err)
			return e.TraceID // the newest
		}
		require.Fail(t, "the log has no event")
		return ""
	}
	h := newHarness(t)
	require.Equal(t, "0af7651916cd43dd8448eb211c80319c", traceOf(h, parent))
	require.Empty(t, traceOf(h, "canary"))
	h = newHarness(t, func(cfg *Config) { cfg.Tracer = &spans{} })
	require.Equal(t, fmt.Sprintf("%032x", 1), traceOf(h, "canary"), "that of the server's span")
}

func TestABadTraceparentIsAsNone(t *testing.T) {
	told := &spans{}
	h := newHarness(t, func(cfg *Config) { cfg.Tracer = told })
	h.ok("GET", []string{"self"}, nil, nil, "Traceparent", "canary", "Tracestate", "canary=1")
	all := told.take(t)
	require.Empty(t, named(all, "GET /v1/self")[0].Parent)
	requireNothingOf(t, all, "canary")
}

func TestWhatAnAgentDoesIsSpansWithinItsStep(t *testing.T) {
	told := &spans{}
	w := newAgentWorldWith(t, func(modeltest.Turn) modeltest.Call { return modeltest.Done(true, "canary") },
		func(cfg *Config) { cfg.Tracer = told })
	require.Len(t, named(told.take(t), string(trace.Launch)), 2)

	got := w.execute("stagehand.agent", joined(object{"task": "canary"}, scripted()))
	resultOf[bctrl.AgentResult](w, got)
	all := told.take(t)
	numbers := map[int]string{}
	for _, one := range all {
		numbers[one.number] = one.Name
	}
	for name, above := range map[trace.Name]string{
		trace.Step:      "POST /v1/workspaces/{id}/execute",
		trace.AgentStep: string(trace.Step),
		trace.Call:      string(trace.AgentStep),
	} {
		found := named(all, string(name))
		require.Len(t, found, 1, name)
		require.Equal(t, above, numbers[found[0].Above], name)
		require.Empty(t, found[0].Code, name)
	}
	require.Equal(t, "stagehand.agent", named(all, string(trace.Step))[0].Told[trace.StepCall])
	require.Equal(t, "openai", named(all, string(trace.Call))[0].Told[trace.Provider])
	requireNothingOf(t, all, "canary", canaryAPIKey, "mine", "s3cret")
}
