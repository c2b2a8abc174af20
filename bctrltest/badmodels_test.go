package bctrltest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/sample"
)

// says answers with a message in OpenAI's shape.
func says(message map[string]any) http.HandlerFunc {
	message["role"] = "assistant"
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"choices": []any{map[string]any{"message": message, "finish_reason": "stop"}},
		})
	}
}

// callsTool answers with a call of a tool.
func callsTool(name, arguments string) http.HandlerFunc {
	return says(map[string]any{"tool_calls": []any{map[string]any{"id": "c1", "type": "function",
		"function": map[string]any{"name": name, "arguments": arguments}}}})
}

func answers(status int, mediaType, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", mediaType)
		if status == http.StatusTooManyRequests {
			w.Header().Set("Retry-After", "1")
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// afterTheRequest waits for the end of the caller, which the server notices only once the
// request has been read.
func afterTheRequest(r *http.Request) <-chan struct{} {
	_, _ = io.Copy(io.Discard, r.Body)
	return r.Context().Done()
}

// neverAnswers keeps its caller waiting.
func neverAnswers(_ http.ResponseWriter, r *http.Request) { <-afterTheRequest(r) }

// slowlyForEver sends white space, which an answer may begin with, and never an answer.
func slowlyForEver(w http.ResponseWriter, r *http.Request) {
	left, tick := afterTheRequest(r), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	w.Header().Set("Content-Type", "application/json")
	for {
		select {
		case <-left:
			return
		case <-tick.C:
			_, _ = io.WriteString(w, " ")
			_ = http.NewResponseController(w).Flush()
		}
	}
}

// cutsOff closes the connection in the middle of its answer.
func cutsOff(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "1000")
	_, _ = io.WriteString(w, `{"choices":[`)
	panic(http.ErrAbortHandler)
}

// badModel is a way to answer badly, and what comes of it.
type badModel struct {
	why    string
	answer http.HandlerFunc
	// question is the code that a verb that looks fails with. A task fails with the code
	// task, or where that is empty is ended by a limit and says told.
	question, task, told string
	limit                bctrl.Limit
	// slow says that the time of the call ends it.
	slow bool
}

func badModels(elsewhere string) []badModel {
	const megabyte = 1 << 20
	notTaken := func(why, told string, answer http.HandlerFunc) badModel {
		return badModel{why: why, answer: answer, question: "invalid_answer", told: told, limit: bctrl.LimitFailures}
	}
	notRead := func(why, code string, answer http.HandlerFunc) badModel {
		return badModel{why: why, answer: answer, question: code, told: code, limit: bctrl.LimitFailures}
	}
	fails := func(why, code string, answer http.HandlerFunc) badModel {
		return badModel{why: why, answer: answer, question: code, task: code}
	}
	never := func(why string, answer http.HandlerFunc) badModel {
		return badModel{why: why, answer: answer, question: "executions.timed_out", limit: bctrl.LimitTime, slow: true}
	}
	return []badModel{
		notTaken("nonsense", "agent.no_call", says(map[string]any{"content": "Colourless green ideas sleep furiously."})),
		notTaken("a tool that there is not", "there is no such tool", callsTool("shell", `{}`)),
		notTaken("arguments that are no JSON", "not done", callsTool("click", `{"ref":`)),
		notTaken("arguments of 500 kB", "the arguments are longer", callsTool("click",
			`{"ref":"`+strings.Repeat("x", megabyte/2)+`"}`)),
		notRead("HTML", "model.bad_answer", answers(http.StatusOK, "text/html", "<h1>Please sign in</h1>")),
		notRead("nothing", "model.bad_answer", answers(http.StatusOK, "application/json", "")),
		notRead("no message", "model.empty_answer", answers(http.StatusOK, "application/json", `{"choices":[]}`)),
		notRead("more than 1 MB", "model.answer_too_long", says(map[string]any{"content": strings.Repeat("x", megabyte)})),
		fails("a failure", "model.unavailable", answers(http.StatusInternalServerError, "text/plain", "oops")),
		fails("too many requests", "model.rate_limited", answers(http.StatusTooManyRequests, "application/json", `{}`)),
		fails("another address", "model.redirected", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere, http.StatusTemporaryRedirect)
		}),
		fails("half an answer", "model.unreachable", cutsOff),
		never("never", neverAnswers),
		never("a byte at a time, for ever", slowlyForEver),
	}
}

// TestABadModelEndsACallWithItsCodeAndWhatWasDone has each verb, waited for and not, meet
// each way in which a model can be of no use, or a fifth of them. A task has done one thing before.
func TestABadModelEndsACallWithItsCodeAndWhatWasDone(t *testing.T) {
	var redirected atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { redirected.Add(1) }))
	t.Cleanup(elsewhere.Close)
	dir := temporary(t)
	all, worlds := sample.Of(t, 8, badModels(elsewhere.URL)), 4 // at once: most of a row is waiting
	t.Run("worlds", func(t *testing.T) {
		for i := range worlds {
			t.Run(strconv.Itoa(i), func(t *testing.T) {
				t.Parallel()
				w := newBadWorld(t, savesFirst, nil)
				for n, bad := range everyNth(all, i, worlds) {
					bad.requireEndsEveryVerb(t, w, n)
				}
				require.NoError(t, w.rt.Stop(t.Context()))
			})
		}
	})
	require.Zero(t, redirected.Load(), "the key goes to no other address")
	requireNoAgentRuns(t, "at the end")
	requireNothingLeft(t, dir)
}

// requireEndsEveryVerb has each verb meet the model; its two forms take turns, from row to
// row too.
func (bad badModel) requireEndsEveryVerb(t *testing.T, w *badWorld, row int) {
	t.Helper()
	for i, v := range everyVerb() {
		async := (row+i)%2 == 1
		why := bad.why + ": " + v.name + map[bool]string{true: "Async"}[async]
		w.open(t, "/")
		bad.requireEnds(t, w, v, async, why)
	}
	w.requireWorks(t, bad.why)
}

// requireEnds runs a call with the model, and holds its end to what it has to be.
func (bad badModel) requireEnds(t *testing.T, w *badWorld, v verb, async bool, why string) {
	t.Helper()
	got, err := bad.run(t, w, v, async)
	if !v.acts {
		code := bad.question
		if code == "invalid_answer" {
			code = v.name + "." + code
		}
		require.Equal(t, code, codeOf(err), why)
		return
	}
	require.Len(t, got.actions, 1, "%s: %+v, %v", why, got, err)
	require.Equal(t, "click", got.actions[0].Kind, why)
	require.Empty(t, got.actions[0].Error, why)
	require.False(t, got.success, why)
	switch {
	case v.name == "act" && bad.slow:
		require.Equal(t, "executions.timed_out", codeOf(err), why)
	case bad.task != "":
		require.Equal(t, bad.task, codeOf(err), why)
	default:
		require.NoError(t, err, why)
		require.Equal(t, bad.limit, got.limit, "%s: %+v", why, got)
		require.Contains(t, got.message, bad.told, why)
	}
}

// run runs a call. One that only its time ends gets more of it until that was enough for
// the first action to be done.
func (bad badModel) run(t *testing.T, w *badWorld, v verb, async bool) (got outcome, err error) {
	t.Helper()
	answer := func() http.HandlerFunc { return bad.answer }
	if v.acts {
		answer = func() http.HandlerFunc { return w.afterTheFirstAnswer(bad.answer) }
	}
	w.answering(answer())
	if !bad.slow {
		return v.run(t.Context(), w.rt, async, "save", time.Minute)
	}
	for timeout := 2 * time.Second; timeout < time.Minute; timeout *= 2 {
		w.answering(answer())
		got, err = v.run(t.Context(), w.rt, async, "save", timeout)
		if !v.acts || len(got.actions) > 0 && got.actions[0].Error == "" {
			break
		}
	}
	return got, err
}

// afterTheFirstAnswer answers once as the script says, then badly.
func (w *badWorld) afterTheFirstAnswer(bad http.HandlerFunc) http.HandlerFunc {
	var asked atomic.Int32
	return func(rw http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 1 {
			w.good.ServeHTTP(rw, r)
			return
		}
		bad(rw, r)
	}
}
