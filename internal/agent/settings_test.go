package agent_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/agent"
)

func TestArgumentsOfAgentsAreChecked(t *testing.T) {
	b := func(edit func(*bctrl.BrowserUseArgs)) error {
		a := bctrl.BrowserUseArgs{Task: "x"}
		edit(&a)
		_, err := agent.BrowserUse(t.Context(), agent.Deps{}, a, 0)
		require.Equal(t, err, agent.CheckBrowserUse(a))
		return err
	}
	a := func(edit func(*bctrl.AgentArgs)) error {
		args := task("x")
		edit(&args)
		_, err := agent.Agent(t.Context(), agent.Deps{}, args, 0)
		require.Equal(t, err, agent.CheckAgent(args))
		return err
	}
	initial := func(tool, args string) error {
		return b(func(a *bctrl.BrowserUseArgs) {
			a.InitialActions = []bctrl.AgentAction{{Tool: "press", Arguments: json.RawMessage(`{"key":"a"}`)},
				{Tool: tool, Arguments: json.RawMessage(args)}}
		})
	}
	for _, c := range []struct {
		why, code, field string
		err              error
	}{
		{"no task", "agent.invalid_task", "task", a(func(a *bctrl.AgentArgs) { a.Task = " \n" })},
		{"a long one", "agent.invalid_task", "task",
			b(func(a *bctrl.BrowserUseArgs) { a.Task = strings.Repeat("x", 20_000) })},
		{"a long system text", "agent.invalid_system", "system",
			a(func(a *bctrl.AgentArgs) { a.System = strings.Repeat("x", 20_000) })},
		{"a long system message", "agent.invalid_system", "extendSystemMessage",
			b(func(a *bctrl.BrowserUseArgs) { a.ExtendSystemMessage = strings.Repeat("x", 20_000) })},
		{"no schema", "agent.invalid_schema", "output", a(func(a *bctrl.AgentArgs) { a.Output = json.RawMessage(`[1]`) })},
		{"a schema of another document", "agent.invalid_schema", "output",
			b(func(a *bctrl.BrowserUseArgs) { a.Output = json.RawMessage(`{"$ref":"https://example.com/s.json"}`) })},
		{"an unknown cache", "agent.invalid_cache", "cache", a(func(a *bctrl.AgentArgs) { a.Cache = "always" })},
		{"unknown vision", "agent.invalid_vision", "vision", a(func(a *bctrl.AgentArgs) { a.Vision = "x" })},
		{"steps below 0", "executions.invalid_steps", "maxSteps", a(func(a *bctrl.AgentArgs) { a.MaxSteps = -1 })},
		{"many steps", "executions.invalid_steps", "maxSteps", a(func(a *bctrl.AgentArgs) { a.MaxSteps = 201 })},
		{"tokens below 0", "agent.invalid_max_tokens", "maxTokens", a(func(a *bctrl.AgentArgs) { a.MaxTokens = -1 })},
		{"a cost below 0", "agent.invalid_max_cost", "maxCostUsd", a(func(a *bctrl.AgentArgs) { a.MaxCost = -0.1 })},
		{"many actions", "agent.invalid_max_actions", "maxActionsPerStep",
			b(func(a *bctrl.BrowserUseArgs) { a.MaxActionsPerStep = 21 })},
		{"many failures", "agent.invalid_max_failures", "maxFailures",
			b(func(a *bctrl.BrowserUseArgs) { a.MaxFailures = 101 })},
		{"a step of a day", "agent.invalid_step_timeout", "stepTimeoutMs",
			b(func(a *bctrl.BrowserUseArgs) { a.StepTimeoutMs = 86_400_000 })},
		{"an address for a host", "agent.invalid_host", "allowedHosts[1]",
			b(func(a *bctrl.BrowserUseArgs) { a.AllowedHosts = []string{"example.com", "https://example.com"} })},
		{"a pattern inside", "agent.invalid_host", "allowedHosts[0]",
			b(func(a *bctrl.BrowserUseArgs) { a.AllowedHosts = []string{"a.*.com"} })},
		{"no host", "agent.invalid_host", "allowedHosts[0]",
			b(func(a *bctrl.BrowserUseArgs) { a.AllowedHosts = []string{""} })},
		{"an address of a network", "agent.invalid_host", "allowedHosts[1]",
			b(func(a *bctrl.BrowserUseArgs) { a.AllowedHosts = []string{"127.0.0.1:8080", "10.0.0.1"} })},
		{"no vault key", "vault.invalid_key", "logins[0]", b(func(a *bctrl.BrowserUseArgs) { a.Logins = []string{"/x"} })},
		{"an unknown tool", "agent.unknown_tool", "initialActions[1].tool", initial("shell", `{}`)},
		{"the end", "agent.unknown_tool", "initialActions[1].tool", initial("done", `{"success":true,"message":""}`)},
		{"wrong arguments", "agent.invalid_arguments", "initialActions[1].arguments", initial("click", `{"selector":"a"}`)},
		{"no arguments", "agent.invalid_arguments", "initialActions[1].arguments", initial("click", ``)},
		{"many actions to begin with", "agent.invalid_initial_actions", "initialActions", b(func(a *bctrl.BrowserUseArgs) {
			a.InitialActions = make([]bctrl.AgentAction, 21)
		})},
	} {
		var refusal *bctrl.Error
		require.ErrorAs(t, c.err, &refusal, c.why)
		require.Equal(t, c.code, refusal.Code, c.why)
		require.Equal(t, c.field, refusal.Field, c.why)
		require.ErrorIs(t, c.err, bctrl.ErrInvalid, c.why)
	}
	_, err := agent.Agent(t.Context(), agent.Deps{}, task("x"), -1)
	require.ErrorIs(t, err, bctrl.ErrInvalid)
}
