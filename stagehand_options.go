package bctrl

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"
)

// calling is what the options of one call amount to: O are the verb's own.
type calling[O any] struct {
	options O
	calls   []CallOption
}

// collect applies options in order; of two that are the verb's own the later counts.
func collect[O, Option any](opts []Option, apply func(Option, *calling[O])) (c calling[O]) {
	for _, o := range opts {
		apply(o, &c)
	}
	return c
}

func (o callOption) applyAct(c *calling[ActOptions])               { c.calls = append(c.calls, o) }
func (o callOption) applyObserve(c *calling[ObserveOptions])       { c.calls = append(c.calls, o) }
func (o callOption) applyExtract(c *calling[ExtractOptions])       { c.calls = append(c.calls, o) }
func (o callOption) applyAgent(c *calling[AgentOptions])           { c.calls = append(c.calls, o) }
func (o callOption) applyGoto(c *calling[GotoOptions])             { c.calls = append(c.calls, o) }
func (o callOption) applyBrowserUse(c *calling[BrowserUseOptions]) { c.calls = append(c.calls, o) }
func (o callOption) applyUpdates(c *calling[UpdatesOptions])       { c.calls = append(c.calls, o) }

// ActCallOption changes one [Stagehand.Act]: [ActOptions] or a [CallOption].
type ActCallOption interface{ applyAct(*calling[ActOptions]) }

// ActOptions choose the model of an [Stagehand.Act] and bound it.
type ActOptions struct {
	// Provider, Model and Credential choose the model. What is empty comes from
	// the runtime's [Launch], then from the mounts' defaults.
	Provider   AIProvider
	Model      string
	Credential string
	// MaxSteps bounds how often the model is asked; zero is the server's
	// default, 25.
	MaxSteps int
	// Cache is [CacheOff] when empty.
	Cache CacheMode
	// Vision is [VisionAuto] when empty.
	Vision VisionMode
	// Timeout ends the call on the server; zero is its default, 5 minutes.
	Timeout time.Duration
	// Mounts lower the runtime's for this call; nil inherits them.
	Mounts *Mounts
}

func (o ActOptions) applyAct(c *calling[ActOptions]) { c.options = o }

func (rt *Runtime) actStep(instruction any, o ActOptions) (Step, error) {
	args := ActArgs{
		Provider:   o.Provider,
		Model:      o.Model,
		Credential: o.Credential,
		MaxSteps:   o.MaxSteps,
		Vision:     o.Vision,
		Cache:      o.Cache,
	}
	switch v := instruction.(type) {
	case string:
		args.Instruction = v
	case Observed:
		args.Observed = &v
	default:
		return Step{}, invalidArg("executions.invalid_instruction", "args.instruction",
			"the instruction is neither a string nor an Observed").
			hinted("give Act words, or one of those that Observe returned")
	}
	step, err := ActStep(args)
	return rt.permittedStep(step, err, bounds{o.Timeout, o.Mounts}, uses{"args.credential": o.Credential}, nil)
}

// ObserveCallOption changes one [Stagehand.Observe]: [ObserveOptions] or a
// [CallOption].
type ObserveCallOption interface {
	applyObserve(*calling[ObserveOptions])
}

// ObserveOptions choose the model of an [Stagehand.Observe] and bound it.
type ObserveOptions struct {
	// Provider, Model and Credential choose the model, as in [ActOptions].
	Provider   AIProvider
	Model      string
	Credential string
	// MaxCandidates bounds the answer, 1 to 50; zero is 10.
	MaxCandidates int
	// Vision is [VisionAuto] when empty.
	Vision VisionMode
	// Timeout ends the call on the server; zero is its default, 2 minutes.
	Timeout time.Duration
	// Mounts lower the runtime's for this call; nil inherits them.
	Mounts *Mounts
}

func (o ObserveOptions) applyObserve(c *calling[ObserveOptions]) { c.options = o }

func (rt *Runtime) observeStep(instruction string, o ObserveOptions) (Step, error) {
	step, err := ObserveStep(ObserveArgs{
		Instruction:   instruction,
		ModelChoice:   ModelChoice{o.Provider, o.Model, o.Credential},
		MaxCandidates: o.MaxCandidates,
		Vision:        o.Vision,
	})
	return rt.permittedStep(step, err, bounds{o.Timeout, o.Mounts}, uses{"args.credential": o.Credential}, nil)
}

// ExtractCallOption changes one [Stagehand.Extract]: [ExtractOptions] or a
// [CallOption].
type ExtractCallOption interface {
	applyExtract(*calling[ExtractOptions])
}

// ExtractOptions say what an [Stagehand.Extract] returns, choose its model and bound it.
type ExtractOptions struct {
	// Schema is a JSON Schema, of draft 2020-12 unless it says otherwise. Empty is an
	// object with a string "extraction".
	Schema json.RawMessage
	// Provider, Model and Credential choose the model, as in [ActOptions].
	Provider   AIProvider
	Model      string
	Credential string
	// MaxPageTokens bounds how much of the page is read, about; zero is 60,000.
	MaxPageTokens int
	// Vision is [VisionAuto] when empty.
	Vision VisionMode
	// Timeout ends the call on the server; zero is its default, 2 minutes.
	Timeout time.Duration
	// Mounts lower the runtime's for this call; nil inherits them.
	Mounts *Mounts
}

func (o ExtractOptions) applyExtract(c *calling[ExtractOptions]) { c.options = o }

func (rt *Runtime) extractStep(instruction string, o ExtractOptions) (Step, error) {
	step, err := ExtractStep(ExtractArgs{
		Instruction:   instruction,
		Schema:        o.Schema,
		ModelChoice:   ModelChoice{o.Provider, o.Model, o.Credential},
		MaxPageTokens: o.MaxPageTokens,
		Vision:        o.Vision,
	})
	return rt.permittedStep(step, err, bounds{o.Timeout, o.Mounts}, uses{"args.credential": o.Credential}, nil)
}

// AgentCallOption changes one [Stagehand.Agent]: [AgentOptions] or a [CallOption].
type AgentCallOption interface{ applyAgent(*calling[AgentOptions]) }

// AgentOptions choose the models of a [Stagehand.Agent] and bound it.
type AgentOptions struct {
	// MaxSteps bounds how often the model is asked what to do next, 1 to 200; zero is
	// the server's default, 25.
	MaxSteps int
	// MaxTokens and MaxCost, in US dollars, bound all questions together; zero is no
	// bound. See [Budget].
	MaxTokens int64
	MaxCost   float64
	// Timeout ends the call on the server, after half an hour at most; zero is that.
	Timeout time.Duration
	// System is added to what the agent is told beside the task.
	System string
	// Output is a JSON Schema for [AgentResult.Output]; empty is none.
	Output json.RawMessage
	// Provider, Model and Credential choose the model that plans, as in [ActOptions].
	Provider   AIProvider
	Model      string
	Credential string
	// Look chooses a cheaper model for looking at pages and for extracting; nil is the
	// one that plans.
	Look *ModelChoice
	// Vision is [VisionAuto] when empty, Cache [CacheOff].
	Vision VisionMode
	Cache  CacheMode
	// Mounts lower the runtime's for this call; nil inherits them.
	Mounts *Mounts
}

func (o AgentOptions) applyAgent(c *calling[AgentOptions]) { c.options = o }

func (rt *Runtime) agentStep(task string, o AgentOptions) (Step, error) {
	step, err := AgentStep(AgentArgs{
		Task:        task,
		System:      o.System,
		Output:      o.Output,
		ModelChoice: ModelChoice{o.Provider, o.Model, o.Credential},
		Look:        o.Look,
		Budget:      Budget{o.MaxSteps, o.MaxTokens, o.MaxCost},
		Vision:      o.Vision,
		Cache:       o.Cache,
	})
	return rt.permittedStep(step, err, bounds{o.Timeout, o.Mounts}, uses{
		"args.credential":      o.Credential,
		"args.look.credential": o.Look.credential(),
	}, nil)
}

// GotoCallOption changes one [BrowserPage.Goto]: [GotoOptions] or a [CallOption].
type GotoCallOption interface{ applyGoto(*calling[GotoOptions]) }

// GotoOptions say what a [BrowserPage.Goto] waits for, and bound it.
type GotoOptions struct {
	// WaitUntil is how far the page has to be. Empty waits until it has loaded, but of
	// one whose document is there no longer than five seconds.
	WaitUntil WaitUntil
	// Timeout ends the call on the server; zero is its default, 30 seconds.
	Timeout time.Duration
	// Mounts lower the runtime's for this call; nil inherits them.
	Mounts *Mounts
}

func (o GotoOptions) applyGoto(c *calling[GotoOptions]) { c.options = o }

// credential is the credential that a choice names; nil names none.
func (m *ModelChoice) credential() string {
	if m == nil {
		return ""
	}
	return m.Credential
}

// bounds are what a step may take: a time, and mounts below the runtime's.
type bounds struct {
	timeout time.Duration
	mounts  *Mounts
}

// uses are the AI credentials that a step names, each by the field that names it.
type uses map[string]string

// permittedStep bounds a step, and refuses one that names a credential or a login that
// the mounts of this handle, lowered by those of the call, do not permit. Its error is
// the one of making the step, where there is one.
func (rt *Runtime) permittedStep(step Step, err error, b bounds, credentials uses, logins []string) (Step, error) {
	if err != nil {
		return Step{}, err
	}
	mounts, err := below(rt.limits.mounts(), b.mounts)
	if err != nil {
		return Step{}, err
	}
	for _, field := range slices.Sorted(maps.Keys(credentials)) {
		if id := credentials[field]; id != "" && !mounts.AllowsCredential(id) {
			return Step{}, outside(UseAI, "the mounts do not permit this AI credential",
				"add its id to ai.allow of the workspace, and of the runtime if it narrows").witnessed(field, id)
		}
	}
	for i, key := range logins {
		if !mounts.AllowsVaultKey(key) {
			return Step{}, outside(UseVault, "the mounts do not permit this key",
				"add it to vault.allow of the workspace, and of the runtime if it narrows").
				witnessed("args.logins["+strconv.Itoa(i)+"]", key)
		}
	}
	step.Timeout, step.Mounts = b.timeout, b.mounts
	return step, nil
}

// witnessed names the field that asks for what the mounts do not permit, and what that
// is: the name of a credential or a login, which is no secret.
func (e *Error) witnessed(field, witness string) *Error {
	e.Field, e.Witness = field, witness
	return e
}
