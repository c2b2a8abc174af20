package server

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// slowDriver starts browsers whose pages load until they may not any more.
type slowDriver struct {
	browser.Driver
	loading chan string
}

type slowBrowser struct {
	browser.Browser
	loading chan string
}

type slowPage struct {
	browser.Page
	loading chan string
}

func (d slowDriver) Launch(ctx context.Context, spec browser.Spec) (browser.Browser, error) {
	b, err := d.Driver.Launch(ctx, spec)
	return slowBrowser{b, d.loading}, err
}

func (b slowBrowser) Page(ctx context.Context) (browser.Page, error) {
	p, err := b.Browser.Page(ctx)
	return slowPage{p, b.loading}, err
}

func (p slowPage) Goto(ctx context.Context, url string, _ bctrl.WaitUntil) error {
	p.loading <- url
	<-ctx.Done()
	return ctx.Err()
}

// slow makes a workspace with a runtime whose pages never load, and returns
// the addresses that are asked for.
func (h *harness) slow() (store.Workspace, bctrl.RuntimeInfo, <-chan string) {
	h.Helper()
	loading := make(chan string, 10)
	h.startWith(slowDriver{h.browsers, loading})
	ws := h.made("sales", object{})
	return ws, h.launch(ws, "crm", nil), loading
}

// visits is an execution of visits, one a step.
func visits(addresses ...string) object {
	var steps []object
	for _, a := range addresses {
		steps = append(steps, object{"call": "page.goto", "args": object{"url": "https://" + a}})
	}
	return object{"runtime": "crm", "steps": steps}
}

// begin starts an execution as an operation.
func (h *harness) begin(ws store.Workspace, execution object) (op bctrl.OperationInfo) {
	h.Helper()
	execution["async"] = true
	h.ok("POST", []string{"workspaces", ws.ID, "execute"}, execution, &op)
	return op
}

// outcome waits for an operation's end.
func (h *harness) outcome(op bctrl.OperationInfo) bctrl.OperationInfo {
	h.Helper()
	var waited wire.Waited[bctrl.OperationInfo]
	h.ok("POST", []string{"operations", op.ID, "wait"}, object{"timeoutMs": 60000}, &waited)
	require.Equal(h, wire.WaitCompleted, waited.WaitStatus)
	var now bctrl.OperationInfo
	h.ok("GET", []string{"operations", op.ID}, nil, &now)
	require.Equal(h, waited.Operation, now)
	return now
}

func TestACancelledOperationEndsAndStaysCancelled(t *testing.T) {
	h := newHarness(t)
	ws, _, loading := h.slow()
	op := h.begin(ws, visits("a.example", "b.example"))
	require.Equal(t, "https://a.example", <-loading)
	var waited wire.Waited[bctrl.OperationInfo]
	h.ok("POST", []string{"operations", op.ID, "wait"}, object{"timeoutMs": 1}, &waited)
	require.Equal(t, wire.WaitTimeout, waited.WaitStatus)
	require.Equal(t, bctrl.OperationRunning, waited.Operation.Status)
	require.Positive(t, waited.RetryAfterMs, "who hardly waits is not asked to come at once")
	require.LessOrEqual(t, waited.RetryAfterMs, int64(250))
	h.ok("POST", []string{"operations", op.ID, "wait"}, object{"timeoutMs": 250}, &waited)
	require.Zero(t, waited.RetryAfterMs, "who has waited long enough is")
	require.Equal(t, bctrl.OperationProgress{Step: 1, TotalSteps: 2, CurrentCall: bctrl.CallGoto},
		waited.Operation.Progress)
	for _, ms := range tooLong(60000) {
		refused(t, h.do("POST", []string{"operations", op.ID, "wait"}, nil, object{"timeoutMs": ms}), 400,
			"operations.timeout", "too long")
	}

	cancel := []string{"operations", op.ID, "cancel"}
	h.ok("POST", cancel, nil, nil)
	end := h.outcome(op)
	require.Equal(t, bctrl.OperationCancelled, end.Status)
	require.Equal(t, "executions.cancelled", end.Error.Code)
	require.Len(t, end.Result.Steps, 1, "the second never began")
	require.Empty(t, loading)
	var again bctrl.OperationInfo
	h.ok("POST", cancel, nil, &again)
	require.Equal(t, end, again, "cancelling what has ended changes nothing")

	var recorded []string
	for _, e := range h.events() {
		if e.Action == "runtime.execute" {
			recorded = append(recorded, string(e.Kind)+" "+e.Execution+e.Outcome)
		}
	}
	require.Equal(t, []string{"intent " + op.ID, "outcome executions.cancelled"}, recorded)
}

func TestOneExecutionAtATimeHasThePage(t *testing.T) {
	h := newHarness(t)
	ws, _, loading := h.slow()
	first, second := h.begin(ws, visits("a.example")), h.begin(ws, visits("b.example"))
	one := <-loading
	require.Empty(t, loading, "the other waits")
	if one == "https://b.example" {
		first, second = second, first
	}
	h.ok("POST", []string{"operations", first.ID, "cancel"}, nil, nil)
	require.NotEqual(t, one, <-loading)
	h.ok("POST", []string{"operations", second.ID, "cancel"}, nil, nil)
	require.Equal(t, bctrl.OperationCancelled, h.outcome(second).Status)
}

func TestAnOperationThatWaitsForThePageCanBeCancelled(t *testing.T) {
	h := newHarness(t)
	ws, _, loading := h.slow()
	h.begin(ws, visits("a.example"))
	<-loading
	waits := h.begin(ws, visits("b.example"))
	h.ok("POST", []string{"operations", waits.ID, "cancel"}, nil, nil)
	end := h.outcome(waits)
	require.Equal(t, bctrl.OperationCancelled, end.Status)
	require.Nil(t, end.Result, "no step ran")
}

func TestAStepThatTakesTooLongTimesOut(t *testing.T) {
	h := newHarness(t)
	ws, _, _ := h.slow()
	execution := visits("a.example", "b.example")
	execution["steps"].([]object)[0]["timeoutMs"] = 1
	end := h.outcome(h.begin(ws, execution))
	require.Equal(t, bctrl.OperationTimedOut, end.Status)
	require.Equal(t, "executions.timed_out", end.Error.Code)
	require.Len(t, end.Result.Steps, 1)
}

func TestAnOperationEndsWithItsRuntime(t *testing.T) {
	for _, c := range []struct {
		end func(*harness, store.Workspace, bctrl.RuntimeInfo)
		why string
	}{
		{func(h *harness, ws store.Workspace, _ bctrl.RuntimeInfo) {
			h.ok("POST", []string{"workspaces", ws.ID, "runtimes", "crm", "stop"}, nil, nil)
		}, "stopped"},
		{func(h *harness, _ store.Workspace, rt bctrl.RuntimeInfo) { require.True(h, h.browsers.Crash(rt.ID)) }, "crashed"},
	} {
		h := newHarness(t)
		ws, rt, loading := h.slow()
		op := h.begin(ws, visits("a.example"))
		<-loading
		c.end(h, ws, rt)
		end := h.outcome(op)
		require.Equal(t, bctrl.OperationFailed, end.Status, c.why)
		require.Equal(t, "runtimes.ended", end.Error.Code, c.why)
	}
}

func TestWhatAServerLeavesRunningIsInterrupted(t *testing.T) {
	h := newHarness(t)
	ws, rt, loading := h.slow()
	op := h.begin(ws, visits("a.example"))
	<-loading
	require.NoError(t, h.server.runtimes.EndAbandoned(t.Context()), "as the next server after a crash")
	row, err := h.db.Read().Operation(t.Context(), h.org(), op.ID)
	require.NoError(t, err)
	require.Equal(t, bctrl.OperationInterrupted, row.Status, "a status of its own: it did not fail")
	require.Equal(t, "operations.interrupted", row.Error.Code)
	ended, err := h.db.Read().Runtime(t.Context(), h.org(), rt.ID)
	require.NoError(t, err)
	require.Equal(t, bctrl.RuntimeFailed, ended.Status)
	require.False(t, ended.Live)
}

func TestAnOperationThatIsCancelledAsItBeginsEnds(t *testing.T) {
	h := newHarness(t)
	ws, _, loading := h.slow()
	org := h.org()
	var watching sync.WaitGroup
	defer watching.Wait()
	over := make(chan struct{})
	defer close(over)
	watching.Go(func() {
		cancelled := map[string]bool{}
		for {
			select {
			case <-over:
				return
			case <-loading: // of one that was cancelled a moment later
			default:
			}
			list, err := h.db.Read().UnfinishedOperations(context.WithoutCancel(t.Context()), org, ws.ID)
			if err != nil {
				t.Error(err)
				return
			}
			for _, op := range list {
				if !cancelled[op.ID] {
					cancelled[op.ID] = true
					h.do("POST", []string{"operations", op.ID, "cancel"}, nil, nil)
				}
			}
		}
	})
	for range 50 {
		op := h.begin(ws, visits("a.example"))
		var waited wire.Waited[bctrl.OperationInfo]
		h.ok("POST", []string{"operations", op.ID, "wait"}, object{"timeoutMs": 10000}, &waited)
		require.Equal(t, bctrl.OperationCancelled, waited.Operation.Status)
	}
}

func TestAnExecutionWhoseCallerLeftIsNotRunTwice(t *testing.T) {
	h := newHarness(t)
	ws, _, loading := h.slow()
	execution := visits("a.example")
	ctx, leave := context.WithCancel(t.Context())
	done := make(chan answer, 1)
	path := []string{"workspaces", ws.ID, "execute"}
	body, err := json.Marshal(execution)
	require.NoError(t, err)
	go func() {
		req := httptest.NewRequestWithContext(ctx, "POST", target(path, nil), bytes.NewReader(body))
		req.Header = http.Header{"Authorization": {"Bearer " + h.key}, "Content-Type": {"application/json"},
			"Idempotency-Key": {"one"}}
		rec := httptest.NewRecorder()
		h.server.ServeHTTP(rec, req)
		done <- answer{Status: rec.Code, Body: rec.Body.Bytes()}
	}()
	<-loading
	leave()
	refused(t, <-done, http.StatusUnprocessableEntity, "executions.cancelled", "nobody reads it, but it is kept")
	again := h.do("POST", path, nil, execution, "Idempotency-Key", "one")
	refused(t, again, http.StatusUnprocessableEntity, "executions.cancelled", "the first answer")
	require.Empty(t, loading)
}
