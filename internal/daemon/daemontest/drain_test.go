package daemontest

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/daemon"
)

// TestADrainedNodeStopsWhenItsRuntimesHaveEnded drains one node by way of another.
func TestADrainedNodeStopsWhenItsRuntimesHaveEnded(t *testing.T) {
	c := NewCluster(t, 2)
	ctx := t.Context()
	drained, other := c.Nodes[0], c.Nodes[1]
	rt := launch(t, drained, "last")

	n, err := other.Client.Nodes.Drain(ctx, drained.ID())
	require.NoError(t, err)
	require.Equal(t, bctrl.NodeDraining, n.State)
	_, err = other.Client.Nodes.Drain(ctx, "00000000-0000-7000-8000-000000000000")
	require.ErrorIs(t, err, bctrl.ErrNotFound)
	require.Eventually(t, drained.Node().Draining, time.Minute, 5*time.Millisecond)
	require.Len(t, drained.Browsers.Running(), 1, "it goes on with what it has")
	nodes, err := other.Client.Nodes.List(ctx)
	require.NoError(t, err)
	require.Len(t, nodes, 2)
	require.True(t, nodes[0].Leads)
	require.True(t, nodes[1].Self)
	require.Eventually(t, func() bool {
		nodes, err = other.Client.Nodes.List(ctx)
		return err == nil && nodes[0].Room == 0
	}, time.Minute, 5*time.Millisecond, "it has no room")

	require.NoError(t, rt.Stop(ctx))
	require.NoError(t, <-drained.ended, "it stops by itself")
	drained.ended <- nil // for Stop
	drained.Stop()
	nodes, err = other.Client.Nodes.List(ctx)
	require.NoError(t, err)
	require.Len(t, nodes, 1)
	require.Eventually(t, other.Node().Leads, time.Minute, 5*time.Millisecond)
}

// TestACallThatIsUnderwayOutlivesADrainedNode has a provider answer once the node is about to stop.
func TestACallThatIsUnderwayOutlivesADrainedNode(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost { // else the key is tried
			close(asked)
			<-answer
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"choices": []}`)
	}))
	t.Cleanup(provider.Close)
	c := NewCluster(t, 0)
	n := c.Start(func(cfg *daemon.Config) { cfg.Allow = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} })
	ctx := t.Context()
	_, err := n.Client.AICredentials.Create(ctx, bctrl.AICredentialCreate{
		ID: "model", Provider: bctrl.OpenAICompatible, APIKey: bctrl.NewSecret("key"), BaseURL: provider.URL + "/v1",
	})
	require.NoError(t, err)
	invoked := make(chan error, 1)
	go func() {
		got, err := n.Client.Capabilities.Invoke(ctx, bctrl.Invocation{
			Capability: "openai-compatible/chat-completions", Credential: "model",
			Body: map[string]any{"model": "small", "messages": []map[string]string{{"role": "user", "content": "?"}}},
		})
		if err == nil && got.Status != http.StatusOK {
			err = fmt.Errorf("status %d", got.Status)
		}
		invoked <- err
	}()
	<-asked
	_, err = n.Client.Nodes.Drain(ctx, n.ID())
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", strings.TrimPrefix(n.URL, "http://"))
		return err != nil || conn.Close() != nil
	}, time.Minute, 5*time.Millisecond, "it takes nothing new")
	close(answer)
	require.NoError(t, <-invoked)
	require.NoError(t, <-n.ended)
	n.ended <- nil // for Stop
}

// TestWhatWaitsOnADrainedNodeGoesOnElsewhere has its last caller be answered by way of it.
func TestWhatWaitsOnADrainedNodeGoesOnElsewhere(t *testing.T) {
	st := newStage(t, 2, func(cfg *daemon.Config) { cfg.MaxRuntimes, cfg.QueueTime = 1, time.Hour })
	ctx := t.Context()
	told := func(runtimes int) {
		require.Eventually(t, func() bool {
			nodes, err := st.Nodes[0].Node().Nodes(ctx)
			require.NoError(t, err)
			return len(nodes) == 2 && nodes[0].Runtimes+nodes[1].Runtimes == runtimes
		}, time.Minute, 5*time.Millisecond)
	}
	one := st.launch(0, "one", bctrl.Launch{})
	told(1)
	two := st.launch(0, "two", bctrl.Launch{})
	told(2)
	here, there := one, two
	if st.holder(one) != 0 {
		here, there = two, one
	}
	type launched struct {
		rt  *bctrl.Runtime
		err error
	}
	ws, answered := st.workspace(0), make(chan launched, 1)
	go func() {
		rt, err := ws.Runtimes.Browser("waits").Stagehand(ctx, bctrl.Launch{})
		answered <- launched{rt, err}
	}()
	id := ""
	require.Eventually(t, func() bool {
		rt, err := ws.Runtimes.Get(ctx, "waits")
		if err == nil && rt.Latest().Status == bctrl.RuntimeQueued {
			id = rt.Latest().ID
		}
		return id != ""
	}, time.Minute, 5*time.Millisecond)
	_, err := st.Nodes[1].Client.Nodes.Drain(ctx, st.Nodes[0].ID())
	require.NoError(t, err)
	require.Eventually(t, st.Nodes[0].Node().Draining, time.Minute, 5*time.Millisecond)
	require.NoError(t, there.Stop(ctx))
	got := <-answered
	require.NoError(t, got.err)
	require.Equal(t, id, got.rt.Latest().ID)
	require.Equal(t, 1, st.holder(got.rt))

	require.NoError(t, here.Stop(ctx))
	require.NoError(t, <-st.Nodes[0].ended, "it stops by itself")
	st.Nodes[0].ended <- nil // for Stop
	st.Nodes[0].Stop()
	rt := st.runtime(1, "waits")
	require.Equal(t, bctrl.RuntimeActive, rt.Latest().Status)
	require.NoError(t, rt.Stop(ctx))
}

// TestAServerThatStartsOverTheDataOfADeadOneEndsItAtOnce has the lease of a node last on as
// after a kill. The lock of the data directory tells that it is dead.
func TestAServerThatStartsOverTheDataOfADeadOneEndsItAtOnce(t *testing.T) {
	c := NewCluster(t, 1)
	ctx := t.Context()
	dead := c.Nodes[0]
	id := dead.ID()
	dead.Stop()
	c.Exec("UPDATE nodes SET state = 'serving', settled = FALSE, lease_until = 4102444800000 WHERE id = $1", id)
	next := dead.Again()
	require.NotEqual(t, id, next.ID())
	nodes, err := next.Client.Nodes.List(ctx)
	require.NoError(t, err)
	require.Len(t, nodes, 1)
	require.Equal(t, next.ID(), nodes[0].ID)
	require.Greater(t, nodes[0].Number, int64(1))
}

// TestAServerThatStartsOverACopyOfTheDataOfALivingOneLeavesThatAlone copies what says whose a
// data directory was.
func TestAServerThatStartsOverACopyOfTheDataOfALivingOneLeavesThatAlone(t *testing.T) {
	c := NewCluster(t, 2)
	lives, other := c.Nodes[0], c.Nodes[1]
	other.Stop()
	copied, err := os.ReadFile(filepath.Join(lives.Config.DataDir, "node"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(other.Config.DataDir, "node"), copied, 0o600))
	next := other.Again()
	nodes, err := next.Client.Nodes.List(t.Context())
	require.NoError(t, err)
	require.Len(t, nodes, 2)
	require.Contains(t, []string{nodes[0].ID, nodes[1].ID}, lives.ID())
}

// TestWhatAClusterIsMadeOfIsSaidAtTheStart refuses a node without it.
func TestWhatAClusterIsMadeOfIsSaidAtTheStart(t *testing.T) {
	c := NewCluster(t, 1)
	for _, tc := range []struct {
		why    string
		change func(*daemon.Config)
		says   string
	}{
		{"no database", func(cfg *daemon.Config) { cfg.Database = bctrl.Secret{} }, "--database-file"},
		{"no bucket", func(cfg *daemon.Config) { cfg.Files = nil }, "--files"},
		{"no address of this machine", func(cfg *daemon.Config) { cfg.NodeAddress = "0.0.0.0:0" }, "every interface"},
		{"no port", func(cfg *daemon.Config) { cfg.NodeAddress = "here" }, "host:port"},
		{"another key", func(cfg *daemon.Config) { cfg.KeyFile += "2" }, "key file"},
		{"a server alone beside the node", func(cfg *daemon.Config) { cfg.NodeAddress = "" }, "another server uses"},
	} {
		cfg := c.Nodes[0].Config
		cfg.DataDir = t.TempDir()
		tc.change(&cfg)
		_, err := daemon.Open(t.Context(), cfg)
		require.ErrorContains(t, err, tc.says, tc.why)
	}
}
