package daemontest

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/daemon"
)

// logText is what servers have written to their logs.
type logText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logText) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

// TestNodesLiveByTheDatabasesClockAndSayThatTheirsIsAnother has the database's be ten minutes ahead of
// that of two nodes, which is more than their leases last.
func TestNodesLiveByTheDatabasesClockAndSayThatTheirsIsAnother(t *testing.T) {
	c := NewCluster(t, 0)
	c.Exec("CREATE SCHEMA ahead")
	c.Exec("CREATE FUNCTION ahead.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS " +
		"$$ SELECT pg_catalog.clock_timestamp() + interval '10 minutes' $$")
	c.Database += "&search_path=public,ahead,pg_catalog"
	var log logText
	for range 2 {
		c.Start(func(cfg *daemon.Config) { cfg.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	}
	ctx, a, b := t.Context(), c.Nodes[0], c.Nodes[1]
	idA, idB := a.ID(), b.ID()
	require.Eventually(t, func() bool { return log.count("ahead=-10m0s") == 2 }, time.Minute, look, "each says so")

	ws, err := a.Client.Workspaces.Create(ctx, bctrl.WorkspaceCreate{Name: "w"})
	require.NoError(t, err)
	rt, err := ws.Runtimes.Browser("r").Stagehand(ctx, bctrl.Launch{})
	require.NoError(t, err)
	token, err := rt.Token(ctx, bctrl.TokenRequest{TTL: time.Minute})
	require.NoError(t, err)
	_, err = a.Client.Storage("w").Upload(ctx, "f.txt", strings.NewReader("what is in it"))
	require.NoError(t, err)
	link, err := a.Client.Storage("w").DownloadURL(ctx, "f.txt", time.Minute)
	require.NoError(t, err)

	onB, err := bctrl.New(bctrl.WithBaseURL(b.URL), bctrl.WithAPIKey(token))
	require.NoError(t, err)
	t.Cleanup(onB.CloseIdleConnections)
	self, err := onB.Self(ctx)
	require.NoError(t, err)
	require.Equal(t, rt.ID, self.Runtime.ID)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.URL+strings.TrimPrefix(link, a.URL), nil)
	require.NoError(t, err)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	res, err := transport.RoundTrip(req)
	require.NoError(t, err)
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, "what is in it", string(got))

	nodes, err := b.Client.Nodes.List(ctx)
	require.NoError(t, err)
	require.Len(t, nodes, 2)
	require.Equal(t, idA, a.ID(), "it has not lost its lease")
	require.Equal(t, idB, b.ID(), "nor has the other")
}
