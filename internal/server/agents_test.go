package server

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/browser"
)

// agentWorld is a runtime whose page is a login form, and two scripted models: the credential
// "mine" is of the one, "look" of the other.
type agentWorld struct {
	*lowering
	mine, look *modeltest.Model
	// fills are the logins that were filled.
	fills chan browser.Fill
}

func newAgentWorld(t *testing.T, script modeltest.Script) *agentWorld {
	t.Helper()
	return newAgentWorldWith(t, script)
}

// newAgentWorldWith is newAgentWorld on a server with another configuration.
func newAgentWorldWith(t *testing.T, script modeltest.Script, change ...func(*Config)) *agentWorld {
	t.Helper()
	w := &agentWorld{fills: make(chan browser.Fill, 1)}
	serve := func(m **modeltest.Model) string {
		model, err := modeltest.New(modeltest.Config{Key: bctrl.NewSecret(canaryAPIKey), Script: script})
		require.NoError(t, err)
		*m = model
		srv := httptest.NewServer(model)
		t.Cleanup(srv.Close)
		return srv.URL + "/v1"
	}
	w.lowering = newLoweringWith(t, serve(&w.mine), func(h *harness) browser.Driver {
		return loginDriver{h.browsers, w.fills}
	}, change...)
	body := openAI("look")
	body["baseUrl"] = serve(&w.look)
	w.ok("POST", []string{"ai-credentials"}, body, nil)
	w.to(w.both())
	w.ok("POST", []string{"workspaces", w.ws.ID, "runtimes", "r", "stop"}, nil, nil)
	w.launchAgain()
	return w
}

// Type takes any text.
func (loginPage) Type(context.Context, browser.Ref, string) error { return nil }

// both are mounts with both models.
func (w *agentWorld) both() object {
	m := w.mounts("s")
	m["ai"] = object{"allow": []string{"mine", "look"}, "defaults": object{"openai": "mine"}}
	return m
}

// execute runs one step.
func (w *agentWorld) execute(call string, args object, more ...object) answer {
	w.Helper()
	step := object{"call": call, "args": args}
	for _, m := range more {
		for k, v := range m {
			step[k] = v
		}
	}
	return w.do("POST", []string{"workspaces", w.ws.ID, "execute"}, nil, object{"runtime": "r", "steps": []object{step}})
}

// resultOf decodes the result of the only step, which has to have worked.
func resultOf[T any](w *agentWorld, got answer) (out T) {
	w.Helper()
	step := stepOf(w, got)
	require.Nil(w, step.Error, "%s", got.Body)
	require.NoError(w, json.Unmarshal(step.Result, &out))
	return out
}

func stepOf(w *agentWorld, got answer) bctrl.StepResult {
	w.Helper()
	var result bctrl.ExecutionResult
	require.Equal(w, http.StatusOK, got.Status, "%s", got.Body)
	require.NoError(w, json.Unmarshal(got.Body, &result))
	require.Len(w, result.Steps, 1)
	return result.Steps[0]
}

// scripted chooses the model that both providers have.
func scripted() object { return object{"model": modeltest.DefaultModel} }

func joined(args object, more ...object) object {
	out := object{}
	for _, m := range append([]object{args}, more...) {
		for k, v := range m {
			out[k] = v
		}
	}
	return out
}

// answerTools answers what the tools of a question ask for.
func answerTools(turn modeltest.Turn) modeltest.Call {
	switch {
	case slices.Contains(turn.Tools, "candidates"):
		box := turn.Find("textbox", "password")
		return modeltest.Candidates(modeltest.Candidate{Ref: box.Ref, Method: "type", Arguments: []string{"hello"},
			Description: "the password", Confidence: 0.9})
	case slices.Contains(turn.Tools, "extracted"):
		return modeltest.Extracted(map[string]any{"total": 3})
	case slices.Contains(turn.Tools, "extract") && len(turn.Calls) == 0:
		return modeltest.Extract("the total")
	}
	if len(turn.Calls) > 0 && strings.Contains(turn.Task, "output") {
		return modeltest.DoneWith(true, "done", map[string]any{"total": 3})
	}
	return modeltest.Done(true, "done")
}

func TestEachVerbOfAnAgentRunsAsAStep(t *testing.T) {
	w := newAgentWorld(t, answerTools)
	named := scripted()
	w.ok("POST", []string{"workspaces", w.ws.ID, "execute"}, object{"runtime": "r", "steps": []object{
		{"call": "page.goto", "args": object{"url": "https://crm.example.com/login"}}}}, nil)

	observed := resultOf[bctrl.ObserveResult](w, w.execute("stagehand.observe", joined(object{"instruction": "x"}, named)))
	require.Len(t, observed.Observed, 1)
	require.Equal(t, "type", observed.Observed[0].Method)
	require.Equal(t, 1, observed.Usage.Calls)
	require.Equal(t, "mine", observed.Models[0].Credential)

	asked := len(w.mine.Requests())
	did := resultOf[bctrl.ActResult](w, w.execute("stagehand.act", object{"observed": observed.Observed[0]}))
	require.True(t, did.Success, "%+v", did)
	require.Equal(t, "type", did.Actions[0].Kind)
	require.Zero(t, did.Usage.Calls)
	require.Len(t, w.mine.Requests(), asked, "no model was asked")

	read := resultOf[bctrl.ExtractResult](w, w.execute("stagehand.extract", joined(named, object{"instruction": "x",
		"schema": object{"type": "object", "properties": object{"total": object{"type": "integer"}}}})))
	require.JSONEq(t, `{"total":3}`, string(read.Data))

	for call, look := range map[string]string{"stagehand.agent": "look", "browserUse.agent": "pageExtraction"} {
		before := len(w.look.Requests())
		result := resultOf[bctrl.AgentResult](w, w.execute(call, joined(named, object{"task": "say it as output",
			"output": object{"type": "object"}, look: object{"model": modeltest.DefaultModel, "credential": "look"}})))
		require.True(t, result.Success, "%s: %+v", call, result)
		require.JSONEq(t, `{"total":3}`, string(result.Output), call)
		require.Greater(t, len(w.look.Requests()), before, "%s: the cheap model reads the page", call)
		require.Len(t, result.Models, 2, call)
	}
}

// TestAModelThatLooksIsAskedUnderTheSameDecisions lowers the workspace below the
// credential that looks: the one that plans is told, and nothing is sent to the other.
func TestAModelThatLooksIsAskedUnderTheSameDecisions(t *testing.T) {
	w := newAgentWorld(t, answerTools)
	w.to(w.mounts("s"))
	got := w.execute("stagehand.agent", object{"task": "x", "model": modeltest.DefaultModel,
		"look": object{"model": modeltest.DefaultModel, "credential": "look"}})
	require.Empty(t, w.look.Requests())
	require.NotEmpty(t, w.mine.Requests())
	step := stepOf(w, got)
	if step.Error != nil {
		require.Equal(t, "ai.outside_mount", step.Error.Code)
	}
}

func TestALoginThatIsListedOutsideTheMountsIsRefusedAndRecorded(t *testing.T) {
	w := newAgentWorld(t, answerTools)
	step := stepOf(w, w.execute("browserUse.agent", object{"task": "x", "logins": []string{"prod/crm", "other/crm"}}))
	require.Equal(t, "vault.outside_mount", step.Error.Code)
	require.Empty(t, w.mine.Requests(), "nothing was asked")
	require.True(t, slices.ContainsFunc(w.events(), func(e audit.Event) bool {
		return e.Decision == audit.Denied && e.Object == "other/crm" && e.Execution != ""
	}))
}

func TestATasksTimeEndsItWithWhatItDid(t *testing.T) {
	w := newAgentWorld(t, func(turn modeltest.Turn) modeltest.Call {
		if len(turn.Calls) == 0 {
			return modeltest.Plan("wait")
		}
		return modeltest.Wait(10)
	})
	result := resultOf[bctrl.AgentResult](w, w.execute("stagehand.agent",
		object{"task": "x", "model": modeltest.DefaultModel}, object{"timeoutMs": 300}))
	require.False(t, result.Success)
	require.Equal(t, bctrl.LimitTime, result.Limit)
}

func TestWrongArgumentsOfAgentsAreRefusedBeforeAnythingRuns(t *testing.T) {
	w := newAgentWorld(t, answerTools)
	const args = "steps[0].args"
	long := strings.Repeat("x", 16<<10+1)
	button := object{"role": "button", "name": "a"}
	observed := object{"description": "", "element": button, "method": "click", "handle": "h"}
	for _, c := range []struct {
		why, call   string
		args        object
		code, field string
	}{
		{"an unknown option", "stagehand.agent", object{"task": "x", "canary": 1}, "request.unknown_field", args + ".canary"},
		{"in another case", "browserUse.agent", object{"task": "x", "MaxSteps": 1}, "request.wrong_case_field",
			args + ".MaxSteps"},
		{"null", "stagehand.extract", object{"instruction": "x", "schema": nil}, "request.ambiguous_null", args + ".schema"},
		{"another type", "stagehand.observe", object{"instruction": 7}, "request.wrong_type", args + ".instruction"},
		{"no instruction", "stagehand.observe", object{}, "executions.invalid_instruction", args + ".instruction"},
		{"no task", "browserUse.agent", object{"task": " "}, "agent.invalid_task", args + ".task"},
		{"a long task", "stagehand.agent", object{"task": long}, "agent.invalid_task", args + ".task"},
		{"both an instruction and what was observed", "stagehand.act", object{"instruction": "x", "observed": observed},
			"executions.invalid_observed", args + ".observed"},
		{"a handle of nothing", "stagehand.act", object{"observed": observed}, "agent.invalid_observed",
			args + ".observed.handle"},
		{"a method of nothing", "stagehand.act", object{"observed": joined(observed, object{"method": "canary"})},
			"agent.invalid_observed", args + ".observed.method"},
		{"a schema that is no schema", "stagehand.extract", object{"instruction": "x", "schema": object{"type": "canary"}},
			"agent.invalid_schema", args + ".schema"},
		{"a schema that is a list", "stagehand.agent", object{"task": "x", "output": []int{1}}, "agent.invalid_schema",
			args + ".output"},
		{"steps", "stagehand.agent", object{"task": "x", "maxSteps": 201}, "executions.invalid_steps", args + ".maxSteps"},
		{"tokens", "stagehand.agent", object{"task": "x", "maxTokens": -1}, "agent.invalid_max_tokens", args + ".maxTokens"},
		{"a cost", "browserUse.agent", object{"task": "x", "maxCostUsd": -1}, "agent.invalid_max_cost", args + ".maxCostUsd"},
		{"vision", "stagehand.observe", object{"instruction": "x", "vision": "canary"}, "agent.invalid_vision",
			args + ".vision"},
		{"a cache", "stagehand.act", object{"instruction": "x", "cache": "canary"}, "agent.invalid_cache", args + ".cache"},
		{"a provider", "stagehand.agent", object{"task": "x", "look": object{"provider": "canary"}}, "ai.unknown_provider",
			args + ".look.provider"},
		{"a tool that there is not", "browserUse.agent", object{"task": "x", "initialActions": []object{{"tool": "canary"}}},
			"agent.unknown_tool", args + ".initialActions[0].tool"},
		{"a tool's arguments", "browserUse.agent",
			object{"task": "x", "initialActions": []object{{"tool": "navigate", "arguments": object{"canary": 1}}}},
			"agent.invalid_arguments", args + ".initialActions[0].arguments"},
		{"an address for a host", "browserUse.agent", object{"task": "x", "allowedHosts": []string{"https://canary.test"}},
			"agent.invalid_host", args + ".allowedHosts[0]"},
		{"an address of a network", "browserUse.agent", object{"task": "x", "allowedHosts": []string{"[::1]:80", "10.0.0.1"}},
			"agent.invalid_host", args + ".allowedHosts[1]"},
		{"everybody's domain", "browserUse.agent", object{"task": "x", "allowedHosts": []string{"a.test", "*.co.uk"}},
			"agent.invalid_host", args + ".allowedHosts[1]"},
		{"no key of a login", "browserUse.agent", object{"task": "x", "logins": []string{"/canary"}}, "vault.invalid_key",
			args + ".logins[0]"},
		{"a call that there is not", "stagehand.canary", object{}, "executions.unknown_call", "steps[0].call"},
	} {
		got := w.execute(c.call, c.args)
		refused(t, got, http.StatusBadRequest, c.code, c.why)
		var body struct {
			Details struct{ Problems []struct{ Field string } }
		}
		require.NoError(t, json.Unmarshal(got.Body, &body))
		require.NotEmpty(t, body.Details.Problems, "%s: %s", c.why, got.Body)
		require.Equal(t, c.field, body.Details.Problems[0].Field, c.why)
		if !strings.Contains(c.field, "canary") {
			require.NotContains(t, string(got.Body), "canary", c.why)
		}
	}
	for _, ms := range []int{-1, 1_800_001} {
		got := w.execute("stagehand.observe", object{"instruction": "x"}, object{"timeoutMs": ms})
		refused(t, got, http.StatusBadRequest, "executions.timeout", "a time")
	}
	require.Empty(t, w.mine.Requests())
}

// TestTheContractDescribesEveryFieldOfTheCalls holds openapi.yaml to the Go types that
// calls take and give, field by field.
func TestTheContractDescribesEveryFieldOfTheCalls(t *testing.T) {
	text, err := os.ReadFile("openapi.yaml")
	require.NoError(t, err)
	var doc struct {
		Components struct {
			Schemas map[string]struct {
				Properties map[string]any `yaml:"properties"`
			} `yaml:"schemas"`
		} `yaml:"components"`
	}
	require.NoError(t, yaml.Unmarshal(text, &doc))
	for _, of := range []reflect.Type{
		reflect.TypeFor[bctrl.ActArgs](), reflect.TypeFor[bctrl.ObserveArgs](), reflect.TypeFor[bctrl.ExtractArgs](),
		reflect.TypeFor[bctrl.AgentArgs](), reflect.TypeFor[bctrl.BrowserUseArgs](), reflect.TypeFor[bctrl.GotoArgs](),
		reflect.TypeFor[bctrl.ScreenshotArgs](), reflect.TypeFor[bctrl.ModelChoice](), reflect.TypeFor[bctrl.Observed](),
		reflect.TypeFor[bctrl.ElementDescription](), reflect.TypeFor[bctrl.ActAction](), reflect.TypeFor[bctrl.ActResult](),
		reflect.TypeFor[bctrl.ObserveResult](), reflect.TypeFor[bctrl.ExtractResult](), reflect.TypeFor[bctrl.AgentResult](),
		reflect.TypeFor[bctrl.GotoResult](), reflect.TypeFor[bctrl.ModelUsage](), reflect.TypeFor[bctrl.FillArgs](),
		reflect.TypeFor[bctrl.FillResult](),
		reflect.TypeFor[bctrl.ReplayArgs](), reflect.TypeFor[bctrl.TranscriptStep](), reflect.TypeFor[bctrl.TranscriptInfo](),
	} {
		var described []string
		for name := range doc.Components.Schemas[of.Name()].Properties {
			described = append(described, name)
		}
		var fields []string
		for _, f := range reflect.VisibleFields(of) {
			if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
				fields = append(fields, name)
			}
		}
		require.ElementsMatch(t, fields, described, of.Name())
	}
}
