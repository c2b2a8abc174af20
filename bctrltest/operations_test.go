package bctrltest_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest"
	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
)

// silentSite has a page whose link, and whose address /silent, lead to what the site
// never answers.
type silentSite struct {
	*httptest.Server
	// asked has a value for each request that stays without an answer.
	asked chan struct{}
}

func newSilentSite(t *testing.T) *silentSite {
	t.Helper()
	s := &silentSite{asked: make(chan struct{}, 10)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, `<title>Here</title><a href="/silent">Go on</a>`)
	})
	mux.HandleFunc("GET /silent", func(_ http.ResponseWriter, r *http.Request) {
		s.asked <- struct{}{}
		<-r.Context().Done()
	})
	s.Server = httptest.NewServer(mux)
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

// TestACancelledOperationEndsWhileItsPageLoads: the site never answers, so nothing but the
// cancelling can have ended it. The page can be used at once, and the result has what was
// done until then.
func TestACancelledOperationEndsWhileItsPageLoads(t *testing.T) {
	site := newSilentSite(t)
	srv, rt := openRuntime(t, func(turn modeltest.Turn) modeltest.Call {
		switch {
		case turn.Task == "open":
			return modeltest.Navigate(site.URL + "/silent")
		case len(turn.Calls) == 0:
			return modeltest.Navigate(site.URL)
		}
		return modeltest.Click(turn.Find("link", "go on"))
	})
	ctx := t.Context()
	ws, err := srv.Client().Workspaces.Get(ctx, rt.Info.WorkspaceID)
	require.NoError(t, err)
	step := func(s bctrl.Step, err error) bctrl.Step {
		require.NoError(t, err)
		return s
	}
	for _, c := range []struct {
		why  string
		step bctrl.Step
		done []string
	}{
		{"a page that is opened", step(bctrl.GotoStep(bctrl.GotoArgs{URL: site.URL + "/silent"})), []string{}},
		{"a page that an agent opens", step(bctrl.AgentStep(bctrl.AgentArgs{Task: "open"})), []string{}},
		{"a page that an action leads to", step(bctrl.AgentStep(bctrl.AgentArgs{Task: "go on"})), []string{"navigate"}},
	} {
		op, err := ws.ExecuteAsync(ctx, bctrl.Execution{Runtime: rt.Alias, Steps: []bctrl.Step{c.step}})
		require.NoError(t, err)
		<-site.asked
		begun := time.Now()
		_, err = op.Cancel(ctx)
		require.NoError(t, err)
		info, err := op.Wait(ctx)
		t.Logf("%s: %s after the cancelling", c.why, time.Since(begun).Round(time.Millisecond))
		require.Error(t, err)
		require.Equal(t, bctrl.OperationCancelled, info.Status, c.why)
		done := []string{}
		if result, _ := info.Agent(); result != nil {
			for _, a := range result.Actions {
				done = append(done, a.Kind)
			}
		}
		require.Equal(t, c.done, done[:min(len(done), len(c.done))], "%s: what was done is kept", c.why)
		page, err := rt.Page.Goto(ctx, site.URL)
		require.NoError(t, err, c.why)
		require.Equal(t, "Here", page.Title)
	}
}

// TestTheSameKeyIsTheSameOperation also after its end: it is begun once, however often it
// is asked for.
func TestTheSameKeyIsTheSameOperation(t *testing.T) {
	asked, goOn := make(chan struct{}, 10), make(chan struct{})
	srv := bctrltest.New(t, bctrltest.WithModel(func(modeltest.Turn) modeltest.Call {
		asked <- struct{}{}
		<-goOn
		return modeltest.Done(true, "done")
	}))
	client, ctx := srv.Client(), t.Context()
	_, err := client.AICredentials.Create(ctx, srv.ModelCredential("model"))
	require.NoError(t, err)
	ws, err := client.Workspaces.Create(ctx, bctrl.WorkspaceCreate{Name: "w", Mounts: bctrl.Mounts{
		AI: &bctrl.AIMount{Allow: []string{"model"}}}})
	require.NoError(t, err)
	rt, err := ws.Runtimes.Browser("r").Stagehand(ctx, bctrl.Launch{})
	require.NoError(t, err)
	begin := func(task, key string) (*bctrl.Operation, error) {
		return rt.Stagehand.AgentAsync(ctx, task, bctrl.WithIdempotencyKey(key))
	}
	first, err := begin("work", "monday")
	require.NoError(t, err)
	<-asked
	running, err := begin("work", "monday")
	require.NoError(t, err)
	require.Equal(t, first.ID, running.ID, "while it runs")
	_, err = begin("something else", "monday")
	require.ErrorContains(t, err, "idempotency", "a key is of one request")
	close(goOn)
	_, err = first.Wait(ctx)
	require.NoError(t, err)
	ended, err := begin("work", "monday")
	require.NoError(t, err)
	require.Equal(t, first.ID, ended.ID, "after its end")
	info, err := ended.Wait(ctx)
	require.NoError(t, err)
	result, err := info.Agent()
	require.NoError(t, err)
	require.True(t, result.Success, "with its result")
	require.Empty(t, asked, "the model was asked once")

	another, err := begin("work", "tuesday")
	require.NoError(t, err)
	require.NotEqual(t, first.ID, another.ID)
	_, err = another.Wait(ctx)
	require.NoError(t, err)
	var all []string
	for op, err := range client.Operations.List(ctx, bctrl.OperationFilter{Call: bctrl.CallAgent, RuntimeID: rt.ID}) {
		require.NoError(t, err)
		all = append(all, op.ID)
	}
	require.Equal(t, []string{another.ID, first.ID}, all)
}

// TestAFileThatMayNotBeReadIsRecordedWhereItLies has a model ask for a file that no page has
// delivered. A path alone would name another namespace by its first part.
func TestAFileThatMayNotBeReadIsRecordedWhereItLies(t *testing.T) {
	srv := bctrltest.New(t, bctrltest.WithModel(func(turn modeltest.Turn) modeltest.Call {
		if len(turn.Calls) == 0 {
			return modeltest.ReadFile("private/plan.txt", 1)
		}
		return modeltest.Done(true, "done")
	}))
	client, ctx := srv.Client(), t.Context()
	_, err := client.AICredentials.Create(ctx, srv.ModelCredential("model"))
	require.NoError(t, err)
	ws, err := client.Workspaces.Create(ctx, bctrl.WorkspaceCreate{Name: "desk", Mounts: bctrl.Mounts{
		AI: &bctrl.AIMount{Allow: []string{"model"}}}})
	require.NoError(t, err)
	rt, err := ws.Runtimes.Browser("r").Stagehand(ctx, bctrl.Launch{})
	require.NoError(t, err)
	_, err = rt.Stagehand.Agent(ctx, "read")
	require.NoError(t, err)
	require.Equal(t, []string{"storage.get desk/private/plan.txt: agent.file_not_delivered"}, refusals(t, srv, rt.ID))
}
