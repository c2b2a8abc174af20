package bctrl

import (
	"context"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/strictjson"
)

// agentAnswer is what the server of these tests answers to every execution.
const agentAnswer = `{"mode":"fail-fast","steps":[{"call":"c","durationMs":12,"result":{"observed":[],"data":[1.50],
	"message":"done","limit":"tokens","models":[]}}]}`

// agents is a runtime whose executions are answered so, and what was asked of it.
func agents(t *testing.T) (*Runtime, func() string) {
	t.Helper()
	f := crmServer(map[string]string{"POST /v1/workspaces/ws-1/execute": agentAnswer})
	_, rt := crm(t, f)
	before := len(f.requests())
	return rt, func() string {
		asked := f.requests()[before:]
		before += len(asked)
		if len(asked) == 0 {
			return ""
		}
		require.Len(t, asked, 1)
		require.Equal(t, "rt-1", asked[0].header.Get("BCTRL-Runtime"))
		return asked[0].body
	}
}

func TestEachVerbSendsItsOptions(t *testing.T) {
	rt, asked := agents(t)
	lower := &Mounts{Vault: &VaultMount{Allow: []string{"prod/crm/sf"}}}
	schema := json.RawMessage(`{"type":"object"}`)
	look := &ModelChoice{Model: "small", Credential: "openai-prod"}
	button := Observed{
		Description: "exports",
		Element:     ElementDescription{Role: "button", Name: "Export", Surroundings: []string{`form "Deals"`}, Index: 1},
		Method:      "click",
		Handle:      "h1.e2.aa",
	}
	for _, c := range []struct {
		why  string
		call func(ctx context.Context) error
		want string
	}{
		{"nothing but words", func(ctx context.Context) error { return failing(rt.Stagehand.Act(ctx, "Log in")) },
			`{"call":"stagehand.act","args":{"instruction":"Log in"}}`},
		{"what was observed", func(ctx context.Context) error {
			return failing(rt.Stagehand.Act(ctx, button, ActOptions{Timeout: time.Second}))
		}, `{"call":"stagehand.act","timeoutMs":1000,"args":{"observed":{"description":"exports","method":"click",
			"element":{"role":"button","name":"Export","surroundings":["form \"Deals\""],"index":1},"handle":"h1.e2.aa"}}}`},
		{"from the cache", func(ctx context.Context) error {
			return failing(rt.Stagehand.Act(ctx, "Log in", ActOptions{Cache: CacheAuto, Vision: VisionOff}))
		}, `{"call":"stagehand.act","args":{"instruction":"Log in","cache":"auto","vision":"off"}}`},
		{"observing", func(ctx context.Context) error {
			return failing(rt.Stagehand.Observe(ctx, "exports", ObserveOptions{
				Provider:      OpenAI,
				Model:         "m",
				Credential:    "openai-prod",
				MaxCandidates: 3,
				Vision:        VisionOn,
				Timeout:       time.Minute,
				Mounts:        lower,
			}))
		}, `{"call":"stagehand.observe","timeoutMs":60000,"mounts":{"vault":{"allow":["prod/crm/sf"]}},
			"args":{"instruction":"exports","provider":"openai","model":"m","credential":"openai-prod","maxCandidates":3,
			"vision":"on"}}`},
		{"extracting", func(ctx context.Context) error {
			return failing(rt.Stagehand.Extract(ctx, "deals", ExtractOptions{
				Schema:        schema,
				Model:         "m",
				MaxPageTokens: 9000,
				Vision:        VisionAuto,
				Timeout:       time.Minute,
				Mounts:        lower,
			}))
		}, `{"call":"stagehand.extract","timeoutMs":60000,"mounts":{"vault":{"allow":["prod/crm/sf"]}},
			"args":{"instruction":"deals","schema":{"type":"object"},"model":"m","maxPageTokens":9000,"vision":"auto"}}`},
		{"a task", func(ctx context.Context) error {
			return failing(rt.Stagehand.Agent(ctx, "remind", AgentOptions{
				MaxSteps:   9,
				MaxTokens:  1000,
				MaxCost:    0.25,
				Timeout:    time.Minute,
				System:     "Be brief.",
				Output:     schema,
				Provider:   OpenAI,
				Model:      "m",
				Credential: "openai-prod",
				Look:       look,
				Vision:     VisionOff,
				Cache:      CacheOff,
				Mounts:     lower,
			}))
		}, `{"call":"stagehand.agent","timeoutMs":60000,"mounts":{"vault":{"allow":["prod/crm/sf"]}},
			"args":{"task":"remind","system":"Be brief.","output":{"type":"object"},"provider":"openai","model":"m",
			"credential":"openai-prod","look":{"model":"small","credential":"openai-prod"},"maxSteps":9,"maxTokens":1000,
			"maxCostUsd":0.25,"vision":"off","cache":"off"}}`},
		{"a task as of browser-use", func(ctx context.Context) error {
			return failing(rt.BrowserUse.Agent(ctx, "remind", BrowserUseOptions{
				Model:               "m",
				PageExtraction:      look,
				MaxSteps:            9,
				MaxTokens:           1000,
				MaxCost:             0.25,
				MaxActionsPerStep:   3,
				MaxFailures:         2,
				StepTimeout:         20 * time.Second,
				Timeout:             time.Minute,
				Vision:              VisionOn,
				Planning:            true,
				InitialActions:      []AgentAction{{Tool: "navigate", Arguments: []byte(`{"url":"https://a.test"}`)}},
				ExtendSystemMessage: "Be brief.",
				AllowedHosts:        []string{"*.crm.test", "localhost"},
				Output:              schema,
				Logins:              []string{"prod/crm/sf"},
				Mounts:              lower,
			}))
		}, `{"call":"browserUse.agent","timeoutMs":60000,"mounts":{"vault":{"allow":["prod/crm/sf"]}},
			"args":{"task":"remind","extendSystemMessage":"Be brief.","output":{"type":"object"},"model":"m",
			"pageExtraction":{"model":"small","credential":"openai-prod"},"maxSteps":9,"maxTokens":1000,"maxCostUsd":0.25,
			"maxActionsPerStep":3,"maxFailures":2,"stepTimeoutMs":20000,"vision":"on","planning":true,
			"initialActions":[{"tool":"navigate","arguments":{"url":"https://a.test"}}],
			"allowedHosts":["*.crm.test","localhost"],"logins":["prod/crm/sf"]}}`},
		{"nowhere and with no login, which is not everywhere and with all", func(ctx context.Context) error {
			return failing(rt.BrowserUse.Agent(ctx, "x", BrowserUseOptions{AllowedHosts: []string{}, Logins: []string{}}))
		}, `{"call":"browserUse.agent","args":{"task":"x","allowedHosts":[],"logins":[]}}`},
		{"a step's time that is almost none", func(ctx context.Context) error {
			return failing(rt.BrowserUse.Agent(ctx, "x", BrowserUseOptions{StepTimeout: time.Microsecond}))
		}, `{"call":"browserUse.agent","args":{"task":"x","stepTimeoutMs":1}}`},
	} {
		require.NoError(t, c.call(t.Context()), c.why)
		require.JSONEq(t, `{"runtime":"crm","steps":[`+c.want+`]}`, asked(), c.why)
	}
}

func failing[T any](_ T, err error) error { return err }

func TestWhatNoServerWouldTakeIsRefusedBeforeAnyRequest(t *testing.T) {
	rt, asked := agents(t)
	long := strings.Repeat("x", 16<<10+1)
	act := func(instruction any, o ActOptions) func() error {
		return func() error { return failing(rt.Stagehand.Act(t.Context(), instruction, o)) }
	}
	observe := func(instruction string, o ObserveOptions) func() error {
		return func() error { return failing(rt.Stagehand.Observe(t.Context(), instruction, o)) }
	}
	extract := func(instruction string, o ExtractOptions) func() error {
		return func() error { return failing(rt.Stagehand.ExtractAsync(t.Context(), instruction, o)) }
	}
	agent := func(task string, o AgentOptions) func() error {
		return func() error { return failing(rt.Stagehand.AgentAsync(t.Context(), task, o)) }
	}
	browse := func(task string, o BrowserUseOptions) func() error {
		return func() error { return failing(rt.BrowserUse.Agent(t.Context(), task, o)) }
	}
	for _, c := range []struct {
		why, code, field string
		call             func() error
	}{
		{"a number", "executions.invalid_instruction", "args.instruction", act(7, ActOptions{})},
		{"nil", "executions.invalid_instruction", "args.instruction", act(nil, ActOptions{})},
		{"a pointer", "executions.invalid_instruction", "args.instruction", act(&Observed{}, ActOptions{})},
		{"no words", "executions.invalid_instruction", "args.instruction", act(" \n", ActOptions{})},
		{"too many words", "executions.invalid_instruction", "args.instruction", act(long, ActOptions{})},
		{"observed nothing", "executions.invalid_observed", "args.observed.method", act(Observed{}, ActOptions{})},
		{"observed no element", "executions.invalid_observed", "args.observed.element.role",
			act(Observed{Method: "click", Handle: "h"}, ActOptions{})},
		{"steps", "executions.invalid_steps", "args.maxSteps", act("x", ActOptions{MaxSteps: 201})},
		{"fewer than no steps", "executions.invalid_steps", "args.maxSteps", agent("x", AgentOptions{MaxSteps: -1})},
		{"vision", "agent.invalid_vision", "args.vision", act("x", ActOptions{Vision: "sharp"})},
		{"cache", "agent.invalid_cache", "args.cache", agent("x", AgentOptions{Cache: "canary"})},
		{"a provider", "ai.unknown_provider", "args.provider", act("x", ActOptions{Provider: "canary"})},
		{"a credential's id", "ai.invalid_id", "args.credential", observe("x", ObserveOptions{Credential: "a b"})},
		{"a model's name", "agent.invalid_model", "args.model", extract("x", ExtractOptions{Model: "a\nb"})},
		{"the other model's name", "agent.invalid_model", "args.look.model",
			agent("x", AgentOptions{Look: &ModelChoice{Model: long}})},
		{"the other provider", "ai.unknown_provider", "args.pageExtraction.provider",
			browse("x", BrowserUseOptions{PageExtraction: &ModelChoice{Provider: "canary"}})},
		{"candidates", "agent.invalid_max_candidates", "args.maxCandidates",
			observe("x", ObserveOptions{MaxCandidates: 51})},
		{"observe nothing", "executions.invalid_instruction", "args.instruction", observe("", ObserveOptions{})},
		{"extract nothing", "executions.invalid_instruction", "args.instruction", extract("", ExtractOptions{})},
		{"a page's tokens", "agent.invalid_max_page_tokens", "args.maxPageTokens",
			extract("x", ExtractOptions{MaxPageTokens: -1})},
		{"a schema that is a list", "agent.invalid_schema", "args.schema",
			extract("x", ExtractOptions{Schema: []byte(`[]`)})},
		{"a schema that is text", "agent.invalid_schema", "args.schema",
			extract("x", ExtractOptions{Schema: []byte(`"a"`)})},
		{"half of a schema", "agent.invalid_schema", "args.schema", extract("x", ExtractOptions{Schema: []byte(`{`)})},
		{"half of an output", "agent.invalid_schema", "args.output", browse("x", BrowserUseOptions{Output: []byte(`{"a`)})},
		{"half of a tool's arguments", "agent.invalid_arguments", "args.initialActions[0].arguments",
			browse("x", BrowserUseOptions{InitialActions: []AgentAction{{Tool: "back", Arguments: []byte(`{`)}}})},
		{"a cost that is no number", "agent.invalid_max_cost", "args.maxCostUsd",
			agent("x", AgentOptions{MaxCost: math.NaN()})},
		{"a huge schema", "agent.invalid_schema", "args.output",
			agent("x", AgentOptions{Output: []byte(`{"$comment":"` + strings.Repeat("x", 64<<10) + `"}`)})},
		{"no task", "agent.invalid_task", "args.task", agent("\t", AgentOptions{})},
		{"no task", "agent.invalid_task", "args.task", browse("", BrowserUseOptions{})},
		{"a long task", "agent.invalid_task", "args.task", browse(long, BrowserUseOptions{})},
		{"a long system message", "agent.invalid_system", "args.system", agent("x", AgentOptions{System: long})},
		{"a long system message", "agent.invalid_system", "args.extendSystemMessage",
			browse("x", BrowserUseOptions{ExtendSystemMessage: long})},
		{"tokens", "agent.invalid_max_tokens", "args.maxTokens", agent("x", AgentOptions{MaxTokens: -1})},
		{"a cost below nothing", "agent.invalid_max_cost", "args.maxCostUsd",
			browse("x", BrowserUseOptions{MaxCost: -0.01})},
		{"actions", "agent.invalid_max_actions", "args.maxActionsPerStep",
			browse("x", BrowserUseOptions{MaxActionsPerStep: 21})},
		{"failures", "agent.invalid_max_failures", "args.maxFailures", browse("x", BrowserUseOptions{MaxFailures: 101})},
		{"a step's time", "agent.invalid_step_timeout", "args.stepTimeoutMs",
			browse("x", BrowserUseOptions{StepTimeout: 2 * time.Hour})},
		{"no tool", "agent.unknown_tool", "args.initialActions[1].tool",
			browse("x", BrowserUseOptions{InitialActions: []AgentAction{{Tool: "back"}, {}}})},
		{"a tool's arguments", "agent.invalid_arguments", "args.initialActions[0].arguments",
			browse("x", BrowserUseOptions{InitialActions: []AgentAction{{Tool: "back", Arguments: []byte(`[]`)}}})},
		{"many first actions", "agent.invalid_initial_actions", "args.initialActions",
			browse("x", BrowserUseOptions{InitialActions: make([]AgentAction, 21)})},
		{"an address for a host", "agent.invalid_host", "args.allowedHosts[1]",
			browse("x", BrowserUseOptions{AllowedHosts: []string{"*", "https://canary.test"}})},
		{"an address of a network", "agent.invalid_host", "args.allowedHosts[3]",
			browse("x", BrowserUseOptions{AllowedHosts: []string{"localhost", "127.0.0.1:8080", "[::1]", "10.0.0.1"}})},
		{"many hosts", "agent.invalid_host", "args.allowedHosts",
			browse("x", BrowserUseOptions{AllowedHosts: make([]string, 1001)})},
		{"no key of a login", "vault.invalid_key", "args.logins[0]",
			browse("x", BrowserUseOptions{Logins: []string{"/canary"}})},
		{"many logins", "agent.invalid_logins", "args.logins",
			browse("x", BrowserUseOptions{Logins: make([]string, 1001)})},
		{"a negative time", "executions.timeout", "steps[0].timeoutMs", act("x", ActOptions{Timeout: -1})},
		{"a long time", "executions.timeout", "steps[0].timeoutMs", extract("x", ExtractOptions{Timeout: time.Hour})},
	} {
		err := c.call()
		var e *Error
		require.ErrorAs(t, err, &e, c.why)
		require.Equal(t, c.code, e.Code, c.why)
		require.Equal(t, c.field, e.Field, c.why)
		require.ErrorIs(t, err, ErrInvalid, c.why)
		require.NotContains(t, err.Error(), "canary", c.why)
		require.Empty(t, asked(), c.why)
	}
}

func TestWhatTheMountsDoNotPermitIsRefusedWithAWitnessBeforeAnyRequest(t *testing.T) {
	rt, asked := agents(t)
	lower := &Mounts{Vault: &VaultMount{Allow: []string{"prod/crm/"}}, AI: &AIMount{Allow: []string{}}}
	narrowed, err := rt.Narrow(*lower)
	require.NoError(t, err)
	for _, c := range []struct {
		why, code, field, witness string
		err                       error
	}{
		{"a credential of another", "ai.outside_mount", "args.credential", "openai-mine",
			failing(rt.Stagehand.Observe(t.Context(), "x", ObserveOptions{Credential: "openai-mine"}))},
		{"the cheap model's", "ai.outside_mount", "args.look.credential", "openai-mine",
			failing(rt.Stagehand.Agent(t.Context(), "x", AgentOptions{Look: &ModelChoice{Credential: "openai-mine"}}))},
		{"one that the call's own mounts drop", "ai.outside_mount", "args.credential", "openai-prod",
			failing(rt.Stagehand.Act(t.Context(), "x", ActOptions{Credential: "openai-prod", Mounts: lower}))},
		{"one that the handle has dropped", "ai.outside_mount", "args.credential", "openai-prod",
			failing(narrowed.Stagehand.Extract(t.Context(), "x", ExtractOptions{Credential: "openai-prod"}))},
		{"a login", "vault.outside_mount", "args.logins[1]", "prod/hr/payroll",
			failing(rt.BrowserUse.Agent(t.Context(), "x",
				BrowserUseOptions{Logins: []string{"prod/crm/sf", "prod/hr/payroll"}}))},
		{"a login that the handle has dropped", "vault.outside_mount", "args.logins[0]", "prod/email/sf",
			failing(narrowed.BrowserUse.AgentAsync(t.Context(), "x", BrowserUseOptions{Logins: []string{"prod/email/sf"}}))},
	} {
		var e *Error
		require.ErrorAs(t, c.err, &e, c.why)
		require.ErrorIs(t, c.err, ErrOutsideMount, c.why)
		require.Equal(t, []string{c.code, c.field, c.witness}, []string{e.Code, e.Field, e.Witness}, c.why)
		require.Contains(t, e.Hint, "the missing right is", c.why)
	}
	wider := &Mounts{Vault: &VaultMount{Allow: []string{"/"}}}
	err = failing(rt.Stagehand.Agent(t.Context(), "x", AgentOptions{Mounts: wider}))
	require.ErrorIs(t, err, ErrWidening)
	require.Empty(t, asked())
}

func TestResultsOfAgentsKeepTheirNumbers(t *testing.T) {
	rt, _ := agents(t)
	result, err := rt.Stagehand.Extract(t.Context(), "x")
	require.NoError(t, err)
	require.Equal(t, `[1.50]`, string(result.Data))
}

func TestABudgetThatEndedAnOperationIsNoError(t *testing.T) {
	var info OperationInfo
	require.NoError(t, json.Unmarshal([]byte(`{"id":"op-1","status":"limited","result":`+agentAnswer+`}`), &info))
	require.NoError(t, info.Err())
	result, err := info.Agent()
	require.NoError(t, err)
	require.Equal(t, LimitTokens, result.Limit)
}

func TestWhatWasDoneUntilAFailureStandsBesideItsError(t *testing.T) {
	failed := strings.Replace(agentAnswer, `"result"`,
		`"error":{"error":"gone","code":"page.gone","reasonClass":"conflict"},"result"`, 1)
	f := crmServer(map[string]string{"POST /v1/workspaces/ws-1/execute": failed})
	_, rt := crm(t, f)
	result, err := rt.Stagehand.Agent(t.Context(), "x")
	require.ErrorIs(t, err, ErrConflict)
	require.Equal(t, "done", result.Message)

	info := OperationInfo{Status: OperationInterrupted}
	require.NoError(t, json.Unmarshal([]byte(failed), &info.Result))
	result, err = info.Agent()
	require.Error(t, err)
	require.Equal(t, "done", result.Message)
	info.Result = nil
	result, err = info.Agent()
	require.Error(t, err)
	require.Nil(t, result)
}

// TestArgumentsOfAgentsDecodeStrictly holds the arguments, some of whose fields are
// those of structs that they embed, to the one spelling that each has.
func TestArgumentsOfAgentsDecodeStrictly(t *testing.T) {
	strictly[ActArgs](t)
	strictly[ObserveArgs](t)
	strictly[ExtractArgs](t)
	strictly[AgentArgs](t)
	strictly[BrowserUseArgs](t)
}

func strictly[T any](t *testing.T) {
	t.Helper()
	want := filled[T]()
	text, err := json.Marshal(want)
	require.NoError(t, err)
	var got T
	require.NoError(t, strictjson.Unmarshal(text, &got))
	require.Equal(t, want, any(got))
	var fields map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(text, &fields))
	for name, value := range fields {
		for why, wrong := range map[string]string{
			"twice":           `{"` + name + `":` + string(value) + `,"` + name + `":` + string(value) + `}`,
			"in another case": `{"` + strings.ToUpper(name) + `":` + string(value) + `}`,
			"null":            `{"` + name + `":null}`,
			"unknown":         `{"` + name + `s":` + string(value) + `}`,
		} {
			require.Error(t, strictjson.Unmarshal([]byte(wrong), &got), "%s %s", name, why)
		}
	}
}
