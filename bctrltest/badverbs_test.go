package bctrltest_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest"
	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
)

// outcome is what a call of any verb came to.
type outcome struct {
	success bool
	actions []bctrl.ActAction
	limit   bctrl.Limit
	message string
}

// verb is one of an agent's calls, in the form that waits and in the one that does not.
type verb struct {
	name string
	// acts says that it works on a task, and does not only look.
	acts  bool
	do    func(ctx context.Context, rt *bctrl.Runtime, text string, timeout time.Duration) (outcome, error)
	start func(ctx context.Context, rt *bctrl.Runtime, text string, timeout time.Duration) (*bctrl.Operation, error)
	read  func(info *bctrl.OperationInfo) (outcome, error)
}

func ofAct(r *bctrl.ActResult, err error) (outcome, error) {
	if r == nil {
		return outcome{}, err
	}
	return outcome{r.Success, r.Actions, r.Limit, r.Message}, err
}

func ofAgent(r *bctrl.AgentResult, err error) (outcome, error) {
	if r == nil {
		return outcome{}, err
	}
	return outcome{r.Success, r.Actions, r.Limit, r.Message}, err
}

// ofQuestion is the outcome of a verb that only looks.
func ofQuestion[T any](_ T, err error) (outcome, error) { return outcome{success: err == nil}, err }

func everyVerb() []verb {
	type (
		rt = *bctrl.Runtime
		op = *bctrl.Operation
	)
	return []verb{
		{"act", true, func(ctx context.Context, r rt, text string, d time.Duration) (outcome, error) {
			return ofAct(r.Stagehand.Act(ctx, text, bctrl.ActOptions{Timeout: d}))
		}, func(ctx context.Context, r rt, text string, d time.Duration) (op, error) {
			return r.Stagehand.ActAsync(ctx, text, bctrl.ActOptions{Timeout: d})
		}, func(i *bctrl.OperationInfo) (outcome, error) { return ofAct(i.Act()) }},
		{"observe", false, func(ctx context.Context, r rt, text string, d time.Duration) (outcome, error) {
			return ofQuestion(r.Stagehand.Observe(ctx, text, bctrl.ObserveOptions{Timeout: d}))
		}, func(ctx context.Context, r rt, text string, d time.Duration) (op, error) {
			return r.Stagehand.ObserveAsync(ctx, text, bctrl.ObserveOptions{Timeout: d})
		}, func(i *bctrl.OperationInfo) (outcome, error) { return ofQuestion(i.Observe()) }},
		{"extract", false, func(ctx context.Context, r rt, text string, d time.Duration) (outcome, error) {
			return ofQuestion(r.Stagehand.Extract(ctx, text, bctrl.ExtractOptions{Timeout: d}))
		}, func(ctx context.Context, r rt, text string, d time.Duration) (op, error) {
			return r.Stagehand.ExtractAsync(ctx, text, bctrl.ExtractOptions{Timeout: d})
		}, func(i *bctrl.OperationInfo) (outcome, error) { return ofQuestion(i.Extract()) }},
		{"agent", true, func(ctx context.Context, r rt, text string, d time.Duration) (outcome, error) {
			return ofAgent(r.Stagehand.Agent(ctx, text, bctrl.AgentOptions{Timeout: d}))
		}, func(ctx context.Context, r rt, text string, d time.Duration) (op, error) {
			return r.Stagehand.AgentAsync(ctx, text, bctrl.AgentOptions{Timeout: d})
		}, func(i *bctrl.OperationInfo) (outcome, error) { return ofAgent(i.Agent()) }},
		{"browserUse", true, func(ctx context.Context, r rt, text string, d time.Duration) (outcome, error) {
			return ofAgent(r.BrowserUse.Agent(ctx, text, bctrl.BrowserUseOptions{Timeout: d, MaxFailures: 2}))
		}, func(ctx context.Context, r rt, text string, d time.Duration) (op, error) {
			return r.BrowserUse.AgentAsync(ctx, text, bctrl.BrowserUseOptions{Timeout: d, MaxFailures: 2})
		}, func(i *bctrl.OperationInfo) (outcome, error) { return ofAgent(i.Agent()) }},
	}
}

// run waits for a call, as its verb does or for its operation.
func (v verb) run(ctx context.Context, rt *bctrl.Runtime, async bool, text string, d time.Duration) (outcome, error) {
	if !async {
		return v.do(ctx, rt, text, d)
	}
	op, err := v.start(ctx, rt, text, d)
	if err != nil {
		return outcome{}, err
	}
	info, _ := op.Wait(ctx) // its error is in the operation
	if info == nil {
		return outcome{}, context.Cause(ctx)
	}
	return v.read(info)
}

// badWorld is a runtime at a page with one button, and a model that may be made to
// answer badly.
type badWorld struct {
	*bctrltest.Server
	ws   *bctrl.Workspace
	rt   *bctrl.Runtime
	site string
	// good is the model as its script says.
	good *modeltest.Model
	// underway counts the questions that the model has not answered.
	underway atomic.Int32

	mu sync.Mutex
	// bad answers in place of the model; nil where it answers itself.
	bad http.HandlerFunc
}

// savesFirst presses the button of the page, and is done with the next answer.
func savesFirst(turn modeltest.Turn) modeltest.Call {
	switch {
	case slices.Contains(turn.Tools, "extracted"):
		return modeltest.Extracted(map[string]any{"extraction": "Desk"})
	case slices.Contains(turn.Tools, "candidates"):
		return modeltest.Candidates()
	case len(turn.Calls) == 0:
		return modeltest.Click(turn.Find("button", "save"))
	}
	return modeltest.Done(true, "saved")
}

func newBadWorld(t *testing.T, script modeltest.Script, pages map[string]http.HandlerFunc,
	opts ...bctrltest.Option) *badWorld {
	t.Helper()
	w := &badWorld{}
	mux := http.NewServeMux()
	for path, page := range pages {
		mux.HandleFunc(path, page)
	}
	mux.HandleFunc("GET /{$}", servesHTML(`<title>Desk</title><h1>Desk</h1>
		<button onclick="document.title += ' saved'">Save</button>`))
	site := httptest.NewServer(mux)
	t.Cleanup(site.Close)
	w.site = site.URL
	key := bctrl.NewSecret("sk-bad")
	var err error
	w.good, err = modeltest.New(modeltest.Config{Key: key, Script: script})
	require.NoError(t, err)
	provider := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.underway.Add(1)
		defer w.underway.Add(-1)
		w.mu.Lock()
		bad := w.bad
		w.mu.Unlock()
		if bad == nil {
			bad = w.good.ServeHTTP
		}
		bad(rw, r)
	}))
	t.Cleanup(provider.Close)
	w.Server = bctrltest.New(t, append(opts, bctrltest.WithBrowser())...)
	client := w.Client(bctrl.WithTimeout(2*time.Minute), bctrl.WithMaxRetries(0))
	_, err = client.AICredentials.Create(t.Context(), bctrl.AICredentialCreate{ID: "m", Provider: bctrl.OpenAI,
		Label: "m", APIKey: key, BaseURL: provider.URL + "/v1", DefaultModel: modeltest.DefaultModel})
	require.NoError(t, err)
	w.ws, err = client.Workspaces.Create(t.Context(), bctrl.WorkspaceCreate{Name: "desk",
		Mounts: bctrl.Mounts{AI: &bctrl.AIMount{Allow: []string{"m"}}}})
	require.NoError(t, err)
	w.launch(t)
	return w
}

func servesHTML(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(text))
	}
}

func (w *badWorld) launch(t *testing.T) {
	t.Helper()
	rt, err := w.ws.Runtimes.Browser("desk").Stagehand(t.Context(), bctrl.Launch{})
	require.NoError(t, err)
	w.rt = rt
}

// answering has the model answer badly; nil is as its script says.
func (w *badWorld) answering(bad http.HandlerFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bad = bad
}

func (w *badWorld) open(t *testing.T, path string) {
	t.Helper()
	_, err := w.rt.Page.Goto(t.Context(), w.site+path)
	require.NoError(t, err)
}

// leave opens the site's first page in place of a bad one. A browser that has a thousand
// tabs or downloads to end first may take longer over it than an action may, on a busy
// machine; that it never gets there is what this refuses.
func (w *badWorld) leave(t *testing.T, why string) {
	t.Helper()
	var last error
	require.Eventually(t, func() bool {
		_, last = w.rt.Page.Goto(t.Context(), w.site+"/")
		return last == nil || codeOf(last) != "executions.timed_out"
	}, 2*time.Minute, 10*time.Millisecond, "%s: the page is never left", why)
	require.NoError(t, last, why)
}

// requireWorks has nothing of a call run on, and a task go well in the same runtime.
func (w *badWorld) requireWorks(t *testing.T, why string) {
	t.Helper()
	w.answering(nil)
	require.Eventually(t, func() bool { return w.underway.Load() == 0 }, 10*time.Second, 10*time.Millisecond,
		"%s: a question to the model goes on", why)
	w.leave(t, why)
	result, err := w.rt.Stagehand.Act(t.Context(), "save")
	require.NoError(t, err, why)
	require.True(t, result.Success, "%s: %+v", why, result)
	require.Equal(t, w.site+"/", result.URL, why)
}

// requireNoAgentRuns has every task of this process end soon.
func requireNoAgentRuns(t *testing.T, why string) {
	t.Helper()
	require.Eventually(t, func() bool { return !anAgentRuns() }, 10*time.Second, 10*time.Millisecond,
		"%s: an agent runs on", why)
}

// anAgentRuns reports whether a goroutine of this process is in the middle of a task.
func anAgentRuns() bool {
	stacks := make([]byte, 4<<20)
	text := string(stacks[:runtime.Stack(stacks, true)])
	return strings.Contains(text, "/internal/agent.(*run).") || strings.Contains(text, "runtimes.(*Service).runSteps(")
}
