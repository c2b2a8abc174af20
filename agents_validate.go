package bctrl

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/bctrl-go/bctrl/internal/names"
	"github.com/bctrl-go/bctrl/internal/origin"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// The bounds of what an agent is asked, beside those of package wire. The server has them
// checked by the same Validate; it also compiles schemas, and knows the agent's tools and
// the public suffixes.
const (
	maxModelName      = 200      // bytes
	maxSchema         = 64 << 10 // bytes: it is part of each question
	maxCandidates     = 50
	maxPageTokens     = 1_000_000
	maxStepFailures   = 100
	maxStepMillis     = 3_600_000
	maxInitialActions = 20
	maxListed         = 1000 // hosts, logins
)

// Validate returns what is wrong with the arguments, an [*Error] that names the
// field, or nil.
func (a ActArgs) Validate() error {
	if a.Observed != nil {
		if a.Instruction != "" {
			return invalidArg("executions.invalid_observed", "observed",
				"there is an instruction beside what was observed").hinted("give one of the two")
		}
		if err := a.Observed.validate(); err != nil {
			return err
		}
	} else if err := validText("executions.invalid_instruction", "instruction", a.Instruction); err != nil {
		return err
	}
	return firstError(
		validSteps(a.MaxSteps),
		ModelChoice{a.Provider, a.Model, a.Credential}.validate(""),
		a.Vision.validate(),
		a.Cache.validate(),
	)
}

// validate refuses what [Stagehand.Observe] cannot have returned.
func (o *Observed) validate() error {
	for _, part := range []struct{ field, text string }{
		{"method", o.Method}, {"handle", o.Handle}, {"element.role", o.Element.Role},
	} {
		if part.text == "" {
			return invalidArg("executions.invalid_observed", "observed."+part.field,
				"nothing that was observed is without it").hinted("give Act what Observe returned, as it is")
		}
	}
	return nil
}

// Validate returns what is wrong with the arguments, an [*Error] that names the
// field, or nil.
func (a ObserveArgs) Validate() error {
	return firstError(
		validText("executions.invalid_instruction", "instruction", a.Instruction),
		a.ModelChoice.validate(""),
		validBetween("agent.invalid_max_candidates", "maxCandidates", int64(a.MaxCandidates), maxCandidates),
		a.Vision.validate(),
	)
}

// Validate returns what is wrong with the arguments, an [*Error] that names the
// field, or nil. That the schema is one is for the server to say: here it has to be a
// JSON object.
func (a ExtractArgs) Validate() error {
	return firstError(
		validText("executions.invalid_instruction", "instruction", a.Instruction),
		validSchema("schema", a.Schema),
		a.ModelChoice.validate(""),
		validBetween("agent.invalid_max_page_tokens", "maxPageTokens", int64(a.MaxPageTokens), maxPageTokens),
		a.Vision.validate(),
	)
}

// Validate returns what is wrong with the arguments, an [*Error] that names the
// field, or nil.
func (a AgentArgs) Validate() error {
	return firstError(
		validText("agent.invalid_task", "task", a.Task),
		validSystem("system", a.System),
		validSchema("output", a.Output),
		a.ModelChoice.validate(""),
		a.Look.validateNamed("look"),
		a.Budget.validate(),
		a.Vision.validate(),
		a.Cache.validate(),
	)
}

// Validate returns what is wrong with the arguments, an [*Error] that names the
// field, or nil. Which tools the agent has is for the server to say.
func (a BrowserUseArgs) Validate() error {
	return firstError(
		validText("agent.invalid_task", "task", a.Task),
		validSystem("extendSystemMessage", a.ExtendSystemMessage),
		validSchema("output", a.Output),
		a.ModelChoice.validate(""),
		a.PageExtraction.validateNamed("pageExtraction"),
		a.Budget.validate(),
		validBetween("agent.invalid_max_actions", "maxActionsPerStep", int64(a.MaxActionsPerStep), wire.MaxStepActions),
		validBetween("agent.invalid_max_failures", "maxFailures", int64(a.MaxFailures), maxStepFailures),
		validBetween("agent.invalid_step_timeout", "stepTimeoutMs", a.StepTimeoutMs, maxStepMillis),
		a.Vision.validate(),
		validInitial(a.InitialActions),
		validHosts(a.AllowedHosts),
		validLogins(a.Logins),
	)
}

func invalidArg(code, field, message string) *Error {
	return refusal(http.StatusBadRequest, code, field, message)
}

// firstError returns the first error, or nil.
func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// validText refuses an instruction or a task of no words, and one that is too long.
func validText(code, field, text string) error {
	switch {
	case strings.TrimSpace(text) == "":
		return invalidArg(code, field, "the "+field+" is empty").hinted("say in words what to do")
	case len(text) > wire.MaxInstruction:
		return invalidArg(code, field, fmt.Sprintf("the %s is longer than %d bytes", field, wire.MaxInstruction))
	}
	return nil
}

func validSystem(field, text string) error {
	if len(text) > wire.MaxInstruction {
		return invalidArg("agent.invalid_system", field,
			fmt.Sprintf("%s is longer than %d bytes", field, wire.MaxInstruction))
	}
	return nil
}

// validSchema refuses what cannot be a JSON Schema; none is right.
func validSchema(field string, schema json.RawMessage) error {
	const code = "agent.invalid_schema"
	text := bytes.TrimSpace(schema)
	switch {
	case len(text) == 0:
		return nil
	case len(text) > maxSchema:
		return invalidArg(code, field, fmt.Sprintf("the schema is longer than %d bytes", maxSchema))
	case text[0] != '{' || !json.Valid(text):
		return invalidArg(code, field, "this is no JSON Schema: it is not a JSON object").
			hinted(`a schema looks like {"type":"object","properties":{"name":{"type":"string"}}}`)
	}
	return nil
}

func validSteps(n int) error {
	return validBetween("executions.invalid_steps", "maxSteps", int64(n), wire.MaxAgentSteps)
}

// validBetween refuses a number outside 1 to most; zero is the default.
func validBetween(code, field string, n, most int64) error {
	if n < 0 || n > most {
		return invalidArg(code, field, fmt.Sprintf("%s is not between 1 and %d", field, most)).
			hinted("zero, or leaving it out, is the default")
	}
	return nil
}

func (b Budget) validate() error {
	switch {
	case b.MaxTokens < 0:
		return invalidArg("agent.invalid_max_tokens", "maxTokens", "maxTokens is negative").hinted("zero is no bound")
	case !(b.MaxCost >= 0): // also what is no number
		return invalidArg("agent.invalid_max_cost", "maxCostUsd", "the cost is no number of dollars").
			hinted("zero is no bound")
	}
	return validSteps(b.MaxSteps)
}

func (v VisionMode) validate() error {
	if v == "" || v == VisionAuto || v == VisionOn || v == VisionOff {
		return nil
	}
	return invalidArg("agent.invalid_vision", "vision", "vision is not auto, on or off")
}

// Validate returns what is wrong with the arguments, an [*Error] that names the field, or
// nil. Which addresses can be opened is for the server to say.
func (a GotoArgs) Validate() error {
	switch a.WaitUntil {
	case "", WaitLoad, WaitDOMContentLoaded, WaitCommit, WaitNetworkIdle:
		return nil
	}
	return invalidArg("executions.invalid_wait_until", "waitUntil",
		"waitUntil is not load, domcontentloaded, commit or networkidle").
		hinted("leave it out: then a page that never finishes holds nobody")
}

func (c CacheMode) validate() error {
	if c == "" || c == CacheOff || c == CacheAuto {
		return nil
	}
	return invalidArg("agent.invalid_cache", "cache", "cache is not off or auto")
}

// validateNamed refuses a choice that a field of that name holds; nil is right.
func (m *ModelChoice) validateNamed(field string) error {
	if m == nil {
		return nil
	}
	return m.validate(field + ".")
}

// validate refuses what can name no provider, model or credential. Field is put before
// the names of the fields.
func (m ModelChoice) validate(field string) error {
	if m.Credential != "" {
		if err := names.CredentialID(m.Credential); err != nil {
			return invalidArg("ai.invalid_id", field+"credential", "this is no id of an AI credential: "+err.Error())
		}
	}
	if len(m.Model) > maxModelName || hasControl(m.Model) {
		return invalidArg("agent.invalid_model", field+"model",
			fmt.Sprintf("this is no name of a model: it is longer than %d bytes or holds a control character", maxModelName))
	}
	switch m.Provider {
	case "", OpenAI, Anthropic, Google, OpenAICompatible:
		return nil
	}
	return invalidArg("ai.unknown_provider", field+"provider",
		"the provider is none of openai, anthropic, google and openai-compatible")
}

func validInitial(actions []AgentAction) error {
	const field = "initialActions"
	if len(actions) > maxInitialActions {
		return invalidArg("agent.invalid_initial_actions", field,
			fmt.Sprintf("there are more than %d initial actions", maxInitialActions))
	}
	for i, a := range actions {
		at := field + "[" + strconv.Itoa(i) + "]"
		if a.Tool == "" {
			return invalidArg("agent.unknown_tool", at+".tool", "there is no tool")
		}
		if text := bytes.TrimSpace(a.Arguments); len(text) > 0 && (text[0] != '{' || !json.Valid(text)) {
			return invalidArg("agent.invalid_arguments", at+".arguments", "the arguments are not a JSON object")
		}
	}
	return nil
}

func validHosts(patterns []string) error {
	if len(patterns) > maxListed {
		return invalidArg("agent.invalid_host", "allowedHosts", fmt.Sprintf("there are more than %d hosts", maxListed))
	}
	for i, p := range patterns {
		if _, err := origin.ParseAllowedHost(p, nil); err != nil {
			return invalidArg("agent.invalid_host", "allowedHosts["+strconv.Itoa(i)+"]", "not a host pattern: "+err.Error()).
				hinted("example.com is one host, *.example.com all below it, * every host; no scheme, port or path. " +
					"Of addresses only 127.0.0.1 and [::1] are hosts; they and localhost may have a port")
		}
	}
	return nil
}

func validLogins(keys []string) error {
	if len(keys) > maxListed {
		return invalidArg("agent.invalid_logins", "logins", fmt.Sprintf("there are more than %d logins", maxListed))
	}
	for i, key := range keys {
		if err := names.VaultKey(key); err != nil {
			return invalidArg("vault.invalid_key", "logins["+strconv.Itoa(i)+"]", "not a vault key: "+err.Error())
		}
	}
	return nil
}
