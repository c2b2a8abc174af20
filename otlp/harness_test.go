package otlp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	traces "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/daemon"
)

// receiver takes spans as a collector does.
type receiver struct {
	mu    sync.Mutex
	spans []*traces.ResourceSpans
	// raw is all that came, with its headers.
	raw bytes.Buffer
	bad []string
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, rq *http.Request) {
	body, err := io.ReadAll(rq.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	var got collector.ExportTraceServiceRequest
	switch {
	case err != nil || rq.URL.Path != "/v1/traces" || rq.Header.Get("Content-Type") != "application/x-protobuf":
		r.bad = append(r.bad, rq.Method+" "+rq.URL.Path+" "+rq.Header.Get("Content-Type"))
	case proto.Unmarshal(body, &got) != nil:
		r.bad = append(r.bad, "what came is no request")
	}
	r.raw.Write(body)
	_ = rq.Header.Write(&r.raw)
	r.spans = append(r.spans, got.GetResourceSpans()...)
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// all are the spans that came.
func (r *receiver) all(t *testing.T) (all []*traces.Span) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	require.Empty(t, r.bad)
	for _, of := range r.spans {
		for _, scope := range of.GetScopeSpans() {
			all = append(all, scope.GetSpans()...)
		}
	}
	return all
}

// served is a server that tells its spans.
type served struct {
	*bctrl.Client
	t    *testing.T
	key  bctrl.Secret
	url  string
	log  *bytes.Buffer // read once it has ended
	stop func()
}

// serve starts a server with what the environment says of spans.
func serve(t *testing.T) *served {
	t.Helper()
	s := &served{t: t, log: &bytes.Buffer{}}
	log := slog.New(slog.NewTextHandler(s.log, nil))
	tracer, stop, err := Start(t.Context(), log)
	require.NoError(t, err)
	dir := t.TempDir()
	d, err := daemon.Open(t.Context(), daemon.Config{
		DataDir:  filepath.Join(dir, "data"),
		KeyFile:  filepath.Join(dir, "key"),
		Browsers: &browser.Fake{},
		Allow:    []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Tracer:   tracer,
		Log:      log,
	})
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- d.Serve(ctx, l) }()
	s.key, s.url = d.FirstKey, "http://"+l.Addr().String()
	s.stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, errors.Join(<-done, d.Close()))
		ended, give := context.WithCancel(context.WithoutCancel(t.Context()))
		defer give()
		stop(ended)
	})
	t.Cleanup(s.stop)
	s.Client, err = bctrl.New(bctrl.WithBaseURL(s.url), bctrl.WithAPIKey(s.key))
	require.NoError(t, err)
	t.Cleanup(s.CloseIdleConnections)
	return s
}

// collect has the environment send spans to a receiver.
func collect(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{}
	srv := httptest.NewServer(r)
	t.Cleanup(srv.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", srv.URL)
	return r
}
