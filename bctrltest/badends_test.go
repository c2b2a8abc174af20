package bctrltest_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

// end is something that ends a call in the middle, while its model is asked.
type end struct {
	why string
	// async says in which of the two forms a call can meet it; both where it is nil.
	async *bool
	// cause ends the call. Op is nil of a call that is waited for; cancel ends its context.
	cause func(t *testing.T, w *badWorld, op *bctrl.Operation, cancel context.CancelFunc)
	// code and status are what comes of it; no code is the context's own error.
	code   string
	status bctrl.OperationStatus
	// mend makes the runtime, or another in its place, usable again.
	mend func(t *testing.T, w *badWorld)
}

func ends() []end {
	relaunch := func(t *testing.T, w *badWorld) {
		t.Helper()
		require.Eventually(t, func() bool {
			return w.rt.Refresh(t.Context()) == nil && w.rt.Status != bctrl.RuntimeActive
		}, 20*time.Second, 10*time.Millisecond)
		w.launch(t)
	}
	nothing := func(*testing.T, *badWorld) {}
	allow := func(t *testing.T, w *badWorld, ids ...string) {
		t.Helper()
		mounts := w.ws.Mounts
		mounts.AI = &bctrl.AIMount{Allow: append([]string{}, ids...)}
		require.NoError(t, w.ws.Update(t.Context(), bctrl.WorkspaceUpdate{Mounts: &mounts}))
	}
	return []end{
		{"a cancelled context", new(false), func(_ *testing.T, _ *badWorld, _ *bctrl.Operation, cancel context.CancelFunc) {
			cancel()
		}, "", "", nothing},
		{"a cancelled operation", new(true), func(t *testing.T, _ *badWorld, op *bctrl.Operation, _ context.CancelFunc) {
			_, err := op.Cancel(t.Context())
			require.NoError(t, err)
		}, "executions.cancelled", bctrl.OperationCancelled, nothing},
		{"a credential that is taken away", nil, func(t *testing.T, w *badWorld, _ *bctrl.Operation, _ context.CancelFunc) {
			allow(t, w)
		}, "ai.outside_mount", bctrl.OperationFailed, func(t *testing.T, w *badWorld) { allow(t, w, "m") }},
		{"a stopped runtime", nil, func(t *testing.T, w *badWorld, _ *bctrl.Operation, _ context.CancelFunc) {
			require.NoError(t, w.rt.Stop(t.Context()))
		}, "runtimes.ended", bctrl.OperationFailed, relaunch},
		{"a killed browser", nil, func(t *testing.T, _ *badWorld, _ *bctrl.Operation, _ context.CancelFunc) {
			killBrowser(t)
		}, "runtimes.ended", bctrl.OperationFailed, relaunch},
	}
}

// TestWhatEndsACallInTheMiddleKeepsWhatWasDone ends each verb, waited for and not, while
// its model is asked. A task has done one thing by then.
func TestWhatEndsACallInTheMiddleKeepsWhatWasDone(t *testing.T) {
	dir := temporary(t)
	w := newBadWorld(t, savesFirst, nil)
	for i, e := range ends() {
		for j, v := range everyVerb() {
			async := (i+j)%2 == 1
			if e.async != nil {
				async = *e.async
			}
			why := e.why + ": " + v.name
			w.open(t, "/")
			e.requireEnds(t, w, v, async, why)
			e.mend(t, w)
		}
		requireNoAgentRuns(t, e.why)
		w.requireWorks(t, e.why)
	}
	require.NoError(t, w.rt.Stop(t.Context()))
	requireNothingLeft(t, dir)
}

// requireEnds begins a call, ends it once its model has been asked for what it never
// answers, and holds its end to what it has to be.
func (e end) requireEnds(t *testing.T, w *badWorld, v verb, async bool, why string) {
	t.Helper()
	asked := make(chan struct{}, 1)
	answer := func(rw http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		neverAnswers(rw, r)
	}
	if v.acts {
		answer = w.afterTheFirstAnswer(answer)
	}
	w.answering(answer)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var got outcome
	var err error
	ended := make(chan struct{})
	var op *bctrl.Operation
	if async {
		op, err = v.start(ctx, w.rt, "save", time.Minute)
		require.NoError(t, err, why)
		close(ended)
	} else {
		go func() {
			defer close(ended)
			got, err = v.do(ctx, w.rt, "save", time.Minute)
		}()
	}
	select {
	case <-asked:
	case <-time.After(2 * time.Minute):
		require.Fail(t, "the model was not asked", why)
	}
	e.cause(t, w, op, cancel)
	<-ended
	if async {
		info, _ := op.Wait(ctx) // its error is in the operation
		require.NotNil(t, info, why)
		require.Equal(t, e.status, info.Status, why)
		got, err = v.read(info)
	}
	if e.code == "" {
		require.ErrorIs(t, err, context.Canceled, why)
		return // who has left is told nothing
	}
	require.Equal(t, e.code, codeOf(err), why)
	if v.acts && async {
		require.Len(t, got.actions, 1, "%s: %+v", why, got)
		require.Equal(t, "click", got.actions[0].Kind, why)
		require.Empty(t, got.actions[0].Error, why)
	}
}
