package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
	"github.com/bctrl-go/bctrl/internal/blob"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// typesThenDone types three texts, one at a time, and says that it is done.
func typesThenDone(turn modeltest.Turn) modeltest.Call {
	if n := len(turn.Calls); n < 3 {
		return modeltest.Type(turn.Find("textbox", "password"), "text "+strconv.Itoa(n+1))
	}
	return modeltest.Done(true, "typed")
}

// run runs steps as an operation, to its end.
func (w *agentWorld) run(steps ...object) bctrl.OperationInfo {
	w.Helper()
	return w.outcome(w.start(steps...))
}

func (w *agentWorld) start(steps ...object) (op bctrl.OperationInfo) {
	w.Helper()
	w.ok("POST", []string{"workspaces", w.ws.ID, "execute"}, object{"runtime": "r", "async": true, "steps": steps}, &op)
	return op
}

func agentOn(task string, more ...object) object {
	return object{"call": "stagehand.agent", "args": joined(joined(object{"task": task}, scripted()), more...)}
}

func transcriptOf(op bctrl.OperationInfo) []string {
	return []string{"operations", op.ID, "transcript"}
}

// steps are the whole transcript of an operation.
func (w *agentWorld) steps(op bctrl.OperationInfo) (all []bctrl.TranscriptStep) {
	w.Helper()
	for query := (url.Values{"limit": {"2"}}); ; {
		got := w.do("GET", transcriptOf(op), query, nil)
		require.Equal(w, http.StatusOK, got.Status, "%s", got.Body)
		var page struct {
			Steps      []bctrl.TranscriptStep
			NextCursor string
		}
		require.NoError(w, json.Unmarshal(got.Body, &page))
		require.LessOrEqual(w, len(page.Steps), 2)
		if all = append(all, page.Steps...); page.NextCursor == "" {
			return all
		}
		query.Set("cursor", page.NextCursor)
	}
}

func TestATranscriptHasEachStepOfAnOperationsAgents(t *testing.T) {
	w := newAgentWorld(t, typesThenDone)
	op := w.run(object{"call": "page.goto", "args": object{"url": "https://crm.example.com/login"}}, agentOn("type"))
	require.Equal(t, bctrl.OperationSucceeded, op.Status, "%+v", op.Error)
	require.Equal(t, []bctrl.Call{bctrl.CallGoto, bctrl.CallAgent}, op.Calls)
	require.NotNil(t, op.Transcript)
	require.Equal(t, "s", op.Transcript.Namespace)

	steps := w.steps(op)
	require.Len(t, steps, op.Transcript.Steps)
	require.GreaterOrEqual(t, len(steps), 4, "the page that was opened, and each that was typed")
	var kinds []string
	for i, s := range steps {
		require.Equal(t, i+1, s.Number)
		require.Equal(t, op.Calls[s.CallIndex], s.Call)
		for _, a := range s.Actions {
			kinds = append(kinds, a.Kind)
		}
	}
	require.Equal(t, []string{"navigate", "type", "type", "type"}, kinds)
	require.Equal(t, &bctrl.ElementDescription{Role: "textbox", Name: "Password"}, steps[1].Actions[0].Element)

	var puts int
	for _, e := range w.log(bctrl.AuditFilter{Action: string(bctrl.PutStorage)}) {
		if e.Execution == op.ID {
			puts++
		}
	}
	pictures := len(steps) - 1 // no page was seen before the first was opened
	require.Equal(t, len(steps)+pictures, puts, "each file is on record as the operation's")
}

func TestATranscriptIsReadByWhoMayReadTheOperationAndTheFiles(t *testing.T) {
	w := newAgentWorld(t, typesThenDone)
	op := w.run(agentOn("type"))
	require.NotNil(t, op.Transcript)
	refused(t, w.do("GET", transcriptOf(op), nil, nil, as(w.rt, `{"storage": {"access": "none"}}`)...),
		http.StatusForbidden, "storage.outside_mount", "the operation's own runtime, without storage")
	require.Equal(t, http.StatusOK, w.do("GET", transcriptOf(op), nil, nil, as(w.rt)...).Status)
	other := w.launchBeside()
	refused(t, w.do("GET", transcriptOf(op), nil, nil, as(other)...), http.StatusForbidden, "operation.outside_mount",
		"another runtime with the same storage")
	for _, id := range []string{op.ID, web.NewID()} {
		refused(t, w.do("POST", []string{"operations", id, "replay"}, nil,
			object{"workspaceId": w.ws.ID, "runtime": "beside"}, as(other)...), http.StatusForbidden,
			"operation.outside_mount", "another's operation and none are refused alike")
	}
	w.to(w.mounts("elsewhere"))
	refused(t, w.do("GET", transcriptOf(op), nil, nil, as(w.rt)...), http.StatusForbidden, "storage.outside_mount",
		"the mounts of now have other storage")
	require.Equal(t, http.StatusOK, w.do("GET", transcriptOf(op), nil, nil).Status, "an organization's key")
}

// launchBeside launches another runtime in the workspace.
func (w *agentWorld) launchBeside() (rt bctrl.RuntimeInfo) {
	w.Helper()
	w.ok("POST", []string{"workspaces", w.ws.ID, "runtimes"},
		object{"alias": "beside", "kind": "browser", "driver": "stagehand", "launch": object{}}, &rt)
	return rt
}

func TestWithoutStorageATaskIsDoneAndHasNoTranscript(t *testing.T) {
	w := newAgentWorld(t, typesThenDone)
	m := w.both()
	m["storage"] = object{"access": "none"}
	w.to(m)
	op := w.run(agentOn("type"))
	require.Equal(t, bctrl.OperationSucceeded, op.Status, "%+v", op.Error)
	require.Nil(t, op.Transcript)
	refused(t, w.do("GET", transcriptOf(op), nil, nil), http.StatusNotFound, "operations.no_transcript", "there is none")
	require.Empty(t, w.log(bctrl.AuditFilter{Decision: "deny"}), "nobody tried to put a file")
}

func TestLoweringInTheMiddleCutsTheTranscriptAndNotTheTask(t *testing.T) {
	var w *agentWorld
	w = newAgentWorld(t, func(turn modeltest.Turn) modeltest.Call {
		if len(turn.Calls) == 2 {
			m := w.both()
			m["storage"] = object{"access": "none"}
			w.to(m)
		}
		return typesThenDone(turn)
	})
	op := w.run(agentOn("type"))
	require.Equal(t, bctrl.OperationSucceeded, op.Status, "%+v", op.Error)
	require.True(t, op.Transcript.Cut)
	require.Len(t, w.steps(op), 2, "what was written before")
	w.to(w.both())
	refused(t, w.do("POST", []string{"operations", op.ID, "replay"}, nil, object{"workspaceId": w.ws.ID, "runtime": "r"}),
		http.StatusConflict, "operations.transcript_cut", "half a task is not done again")
}

func TestATranscriptThatWasChangedIsRefused(t *testing.T) {
	w := newAgentWorld(t, typesThenDone)
	first := "operations/%/0001.json"
	for _, c := range []struct {
		why    string
		change func(path, content string)
	}{
		{"a step was overwritten by who may put files", func(path, content string) {
			w.stored("s", path, strings.ReplaceAll(content, "text 1", "text 9"), as(w.rt)...)
		}},
		{"a step was overwritten with another", func(path, _ string) {
			w.stored("s", path, w.content(strings.ReplaceAll(path, "0001", "0002")))
		}},
		{"a step is no JSON", func(path, _ string) { w.stored("s", path, "{") }},
		{"a step was deleted", func(path, _ string) { w.delete(file("s", path)...) }},
	} {
		op := w.run(agentOn("type"))
		path := strings.ReplaceAll(first, "%", op.ID)
		c.change(path, w.content(path))
		refused(t, w.do("GET", transcriptOf(op), nil, nil), http.StatusConflict, "operations.transcript_changed", c.why)
		refused(t, w.do("POST", []string{"operations", op.ID, "replay"}, nil,
			object{"workspaceId": w.ws.ID, "runtime": "r"}), http.StatusConflict, "operations.transcript_changed", c.why)
	}
	op := w.run(agentOn("type"))
	w.stored("s", "operations/"+op.ID+"/0099.json", "{}")
	require.Len(t, w.steps(op), op.Transcript.Steps, "a foreign file is no step")
}

// content is what a file of "s" holds.
func (w *agentWorld) content(path string) string {
	w.Helper()
	got := w.do("GET", file("s", path), nil, nil)
	require.Equal(w, http.StatusOK, got.Status, "%s", got.Body)
	return string(got.Body)
}

func TestSecretsAreMaskedInATranscript(t *testing.T) {
	const password = `can"ary <pass> 7531`
	w := newAgentWorld(t, func(turn modeltest.Turn) modeltest.Call {
		switch box := turn.Find("textbox", "password"); len(turn.Calls) {
		case 0:
			return modeltest.FillLogin("prod/other", modeltest.Element{}, box)
		case 1:
			return modeltest.Type(box, "my "+password)
		}
		return modeltest.Done(true, "said "+password)
	})
	w.ok("PUT", []string{"vault", "prod/other"}, object{"username": "bot", "password": password,
		"origins": []string{"https://crm.example.com"}}, nil)
	op := w.run(agentOn("log in"))
	require.NotNil(t, op.Transcript)
	got := w.do("GET", transcriptOf(op), nil, nil)
	require.Equal(t, http.StatusOK, got.Status)
	for _, spelled := range []string{"7531", "ary"} {
		require.False(t, strings.Contains(string(got.Body), spelled), "the value is in the transcript")
	}
	require.Contains(t, string(got.Body), `"vaultKey":"prod/other"`)
}

// fullDisk refuses to keep what is written.
type fullDisk struct {
	blob.Store
	full bool
}

var errDisk = errors.New("input/output error")

func (d *fullDisk) Put(ctx context.Context, r io.Reader, limit int64) (blob.Blob, error) {
	if d.full {
		return blob.Blob{}, errDisk
	}
	return d.Store.Put(ctx, r, limit)
}

func TestATaskEndsWithTheFirstStepThatCannotBeWritten(t *testing.T) {
	disk := &fullDisk{}
	w := newAgentWorldWith(t, typesThenDone, func(cfg *Config) { disk.Store, cfg.Blobs = cfg.Blobs, disk })
	disk.full = true
	op := w.run(agentOn("type"))
	require.Equal(t, bctrl.OperationFailed, op.Status)
	require.Equal(t, "operations.not_recorded", op.Error.Code)
	result, err := op.Agent()
	require.Error(t, err)
	require.Len(t, result.Actions, 1, "what was done is told, and nothing more is done")
}

func TestAnOperationsRowHasWhatWasDoneBeforeItsEnd(t *testing.T) {
	third, goOn := make(chan struct{}), make(chan struct{})
	w := newAgentWorld(t, func(turn modeltest.Turn) modeltest.Call {
		if len(turn.Calls) == 2 {
			close(third)
			<-goOn
		}
		return typesThenDone(turn)
	})
	op := w.start(agentOn("type"))
	<-third
	row, err := w.db.Read().Operation(t.Context(), w.org(), op.ID)
	require.NoError(t, err)
	soFar, err := row.Agent()
	require.Equal(t, "operations.no_result", web.AsError(err).Code, "it has not ended")
	require.Len(t, soFar.Actions, 2)
	require.Equal(t, 2, row.Transcript.Steps)

	require.NoError(t, w.server.runtimes.EndAbandoned(t.Context()), "as the next server after a crash")
	row, err = w.db.Read().Operation(t.Context(), w.org(), op.ID)
	require.NoError(t, err)
	require.Equal(t, bctrl.OperationInterrupted, row.Status)
	soFar, err = row.Agent()
	require.Equal(t, "operations.interrupted", web.AsError(err).Code)
	require.Len(t, soFar.Actions, 2)
	require.Equal(t, "operations.interrupted", row.Result.Steps[0].Error.Code)
	close(goOn)
	w.ok("POST", []string{"operations", op.ID, "wait"}, object{"timeoutMs": 60000}, nil)
}

func TestABudgetEndsAnOperationAsLimitedWithWhatWasDone(t *testing.T) {
	w := newAgentWorld(t, typesThenDone)
	op := w.run(agentOn("type", object{"maxSteps": 2}))
	require.Equal(t, bctrl.OperationLimited, op.Status)
	require.NoError(t, op.Err())
	result, err := op.Agent()
	require.NoError(t, err)
	require.Equal(t, bctrl.LimitSteps, result.Limit)
	require.Len(t, result.Actions, 2)
}

func TestOperationsAreListedByWhatIsAskedFor(t *testing.T) {
	w := newAgentWorld(t, typesThenDone)
	other := w.launchBeside()
	limited := w.run(agentOn("type", object{"maxSteps": 1}))
	done := w.run(object{"call": "stagehand.act", "args": joined(object{"instruction": "type"}, scripted())})
	var beside bctrl.OperationInfo
	w.ok("POST", []string{"workspaces", w.ws.ID, "execute"}, object{"runtime": "beside", "async": true,
		"steps": []object{{"call": "page.goto", "args": object{"url": "https://crm.example.com/login"}}}}, &beside)
	w.outcome(beside)
	client := w.sdk(straight)
	for _, c := range []struct {
		why  string
		f    bctrl.OperationFilter
		want []string
	}{
		{"all, the newest first", bctrl.OperationFilter{}, []string{beside.ID, done.ID, limited.ID}},
		{"of the workspace", bctrl.OperationFilter{WorkspaceID: w.ws.ID}, []string{beside.ID, done.ID, limited.ID}},
		{"of another workspace", bctrl.OperationFilter{WorkspaceID: web.NewID()}, nil},
		{"of a runtime", bctrl.OperationFilter{RuntimeID: other.ID}, []string{beside.ID}},
		{"of a runtime that is not in the workspace", bctrl.OperationFilter{RuntimeID: other.ID, WorkspaceID: other.ID}, nil},
		{"with a status", bctrl.OperationFilter{Status: bctrl.OperationLimited}, []string{limited.ID}},
		{"with a call", bctrl.OperationFilter{Call: bctrl.CallAct}, []string{done.ID}},
		{"with both", bctrl.OperationFilter{Call: bctrl.CallAct, Status: bctrl.OperationLimited}, nil},
	} {
		var got, paged []string
		for op, err := range client.Operations.List(t.Context(), c.f) {
			require.NoError(t, err, c.why)
			got = append(got, op.ID)
		}
		require.Equal(t, c.want, got, c.why)
		for p := (bctrl.PageOptions{Limit: 1}); ; {
			page, err := client.Operations.Page(t.Context(), c.f, p)
			require.NoError(t, err)
			for _, op := range page.Items {
				paged = append(paged, op.ID)
			}
			if p.Cursor = page.NextCursor; p.Cursor == "" {
				break
			}
		}
		require.Equal(t, c.want, paged, "%s, page by page", c.why)
	}
	own := w.do("GET", []string{"operations"}, nil, nil, as(other)...)
	require.Contains(t, string(own.Body), beside.ID)
	require.NotContains(t, string(own.Body), done.ID, "a runtime sees its own")
	refused(t, w.do("GET", []string{"operations"}, url.Values{"runtimeId": {w.rt.ID}}, nil, as(other)...),
		http.StatusForbidden, "operation.outside_mount", "another runtime's")
	for query, code := range map[string]string{
		"status=canary": "operations.unknown_status", "call=canary": "executions.unknown_call",
		"runtimeId=canary": "request.parameter", "workspaceId=canary": "request.parameter",
	} {
		q, err := url.ParseQuery(query)
		require.NoError(t, err)
		got := w.do("GET", []string{"operations"}, q, nil)
		refused(t, got, http.StatusBadRequest, code, query)
		require.NotContains(t, string(got.Body), "canary")
	}
}

func TestAListGoesOnBehindManyOperationsThatItIsNotAbout(t *testing.T) {
	h := newHarness(t)
	org := h.org()
	var wanted string
	h.write(func(tx *store.Tx) error {
		for i := range 6000 {
			op := bctrl.OperationInfo{
				ID:        web.NewID(),
				Status:    bctrl.OperationSucceeded,
				CreatedAt: store.Now(),
				UpdatedAt: store.Now(),
			}
			if i == 0 {
				op.Status, wanted = bctrl.OperationFailed, op.ID
			}
			if err := tx.InsertOperation(t.Context(), org, op); err != nil {
				return err
			}
		}
		return nil
	})
	client := h.sdk(straight)
	first, err := client.Operations.Page(t.Context(), bctrl.OperationFilter{Status: bctrl.OperationFailed},
		bctrl.PageOptions{})
	require.NoError(t, err)
	require.Empty(t, first.Items)
	require.NotEmpty(t, first.NextCursor, "one page looks at so many")
	var got []string
	for op, err := range client.Operations.List(t.Context(), bctrl.OperationFilter{Status: bctrl.OperationFailed}) {
		require.NoError(t, err)
		got = append(got, op.ID)
	}
	require.Equal(t, []string{wanted}, got)
}

func TestATranscriptIsDoneAgainWithoutAModel(t *testing.T) {
	w := newAgentWorld(t, func(turn modeltest.Turn) modeltest.Call {
		if len(turn.Calls) == 0 {
			return modeltest.FillLogin("prod/crm", modeltest.Element{}, turn.Find("textbox", "password"))
		}
		return modeltest.Done(true, "filled")
	})
	op := w.run(agentOn("log in"))
	require.Equal(t, bctrl.OperationSucceeded, op.Status, "%+v", op.Error)
	asked := len(w.mine.Requests())
	client := w.sdk(straight)
	ws, err := client.Workspaces.Get(t.Context(), w.ws.ID)
	require.NoError(t, err)
	rt, err := ws.Runtimes.Get(t.Context(), "r")
	require.NoError(t, err)
	handle, err := client.Operations.Get(t.Context(), op.ID)
	require.NoError(t, err)
	<-w.fills
	replay := func(in *bctrl.Runtime) (*bctrl.AgentResult, error) {
		again, err := handle.Replay(t.Context(), in)
		require.NoError(t, err)
		info, _ := again.Wait(t.Context())
		require.Equal(t, []bctrl.Call{bctrl.CallReplay}, info.Calls)
		return info.Agent()
	}
	result, err := replay(rt)
	require.NoError(t, err)
	require.True(t, result.Success)
	require.Equal(t, "prod/crm", result.Actions[0].VaultKey)
	<-w.fills
	require.Len(t, w.mine.Requests(), asked, "no model was asked")

	other, err := ws.Runtimes.Browser("other").Stagehand(t.Context(), bctrl.Launch{Mode: bctrl.ModeEphemeral})
	require.NoError(t, err)
	_, err = replay(other)
	require.NoError(t, err, "another runtime does it as well")
	<-w.fills
	lower, err := other.Narrow(bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: []string{}}})
	require.NoError(t, err)
	_, err = replay(lower)
	require.Error(t, err, "a handle that is lower permits no login")
	require.Empty(t, w.fills)

	m := w.both()
	m["vault"] = object{"allow": []string{"other/"}}
	w.to(m)
	_, err = replay(rt)
	require.Error(t, err, "the mounts of now do not permit the login")
	require.Empty(t, w.fills)
}
