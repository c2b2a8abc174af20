package bctrl

import (
	"context"
	"encoding/json"
	"time"
)

// BrowserUse is a runtime's agent for those who know the library browser-use: the same
// agent as [Stagehand.Agent], under the same mounts and checks, with that library's
// options. See [Runtime.BrowserUse].
type BrowserUse struct{ rt *Runtime }

// BrowserUseCallOption changes one [BrowserUse.Agent]: [BrowserUseOptions] or a
// [CallOption].
type BrowserUseCallOption interface {
	applyBrowserUse(*calling[BrowserUseOptions])
}

// BrowserUseOptions choose the models of a [BrowserUse.Agent], bound it and say how it
// works. They have the names of the library's options, in Go's form.
type BrowserUseOptions struct {
	// Provider, Model and Credential choose the model that plans. What is empty comes
	// from the runtime's [Launch], then from the mounts' defaults.
	Provider   AIProvider
	Model      string
	Credential string
	// PageExtraction chooses a cheaper model for looking at pages and for extracting
	// (page_extraction_llm); nil is the one that plans.
	PageExtraction *ModelChoice
	// MaxSteps bounds how often the model is asked, 1 to 200; zero is the server's
	// default, 25.
	MaxSteps int
	// MaxTokens and MaxCost, in US dollars, bound all questions together; zero is no
	// bound. See [Budget].
	MaxTokens int64
	MaxCost   float64
	// MaxActionsPerStep bounds what one answer of the model sets off, 1 to 20; zero is 5.
	MaxActionsPerStep int
	// MaxFailures ends the call after so many failed steps in a row, 1 to 100; zero is 5.
	MaxFailures int
	// StepTimeout bounds one step, the model's time included, to an hour at most; zero
	// is 3 minutes.
	StepTimeout time.Duration
	// Timeout ends the call on the server, after half an hour at most; zero is that.
	Timeout time.Duration
	// Vision is [VisionAuto] when empty (use_vision).
	Vision VisionMode
	// Planning has the model keep a plan that it sees again at each step
	// (enable_planning).
	Planning bool
	// InitialActions are done before the model is asked.
	InitialActions []AgentAction
	// ExtendSystemMessage is added to what the agent is told beside the task.
	ExtendSystemMessage string
	// AllowedHosts bound where the agent may go and stay (allowed_domains): "*",
	// "*.example.com" for all hosts below, "example.com" for that one. For tests of what
	// runs on the server's machine there are "localhost", "127.0.0.1" and "[::1]", with a
	// port ("localhost:8080") or all of them; no other address is one. Nil is everywhere;
	// an empty, non-nil list is nowhere. What was refused for it is in the result's
	// actions and in the audit log, with the code "agent.host_not_allowed".
	AllowedHosts []string
	// Output is a JSON Schema for [AgentResult.Output] (output_model_schema); empty is
	// none.
	Output json.RawMessage
	// Logins are the vault keys that may be filled, where the library takes
	// sensitive_data: the model sees their names alone. One that the mounts do not
	// permit is [ErrOutsideMount], with the key as its witness, refused before a request
	// is sent. Nil is all that the mounts permit; an empty, non-nil list is none.
	Logins []string
	// Mounts lower the runtime's for this call; nil inherits them.
	Mounts *Mounts
}

func (o BrowserUseOptions) applyBrowserUse(c *calling[BrowserUseOptions]) { c.options = o }

// Agent works on a task of many steps, as [Stagehand.Agent] does.
//
// Access: runtime.execute
func (b *BrowserUse) Agent(ctx context.Context, task string, opts ...BrowserUseCallOption) (*AgentResult, error) {
	o := collect(opts, BrowserUseCallOption.applyBrowserUse)
	step, err := b.rt.browserUseStep(task, o.options)
	if err != nil {
		return nil, err
	}
	return step1[AgentResult](ctx, b.rt, step, o.calls)
}

// AgentAsync starts what [BrowserUse.Agent] waits for. [OperationInfo.Agent] reads the
// result.
//
// Access: runtime.execute
func (b *BrowserUse) AgentAsync(ctx context.Context, task string, opts ...BrowserUseCallOption) (*Operation, error) {
	o := collect(opts, BrowserUseCallOption.applyBrowserUse)
	step, err := b.rt.browserUseStep(task, o.options)
	if err != nil {
		return nil, err
	}
	return b.rt.start(ctx, step, o.calls)
}

func (rt *Runtime) browserUseStep(task string, o BrowserUseOptions) (Step, error) {
	args := BrowserUseArgs{
		Task:                task,
		ExtendSystemMessage: o.ExtendSystemMessage,
		Output:              o.Output,
		ModelChoice:         ModelChoice{o.Provider, o.Model, o.Credential},
		PageExtraction:      o.PageExtraction,
		Budget:              Budget{o.MaxSteps, o.MaxTokens, o.MaxCost},
		MaxActionsPerStep:   o.MaxActionsPerStep,
		MaxFailures:         o.MaxFailures,
		StepTimeoutMs:       millisOrMore(o.StepTimeout),
		Vision:              o.Vision,
		Planning:            o.Planning,
		InitialActions:      o.InitialActions,
		AllowedHosts:        o.AllowedHosts,
		Logins:              o.Logins,
	}
	step, err := BrowserUseStep(args)
	return rt.permittedStep(step, err, bounds{timeout: o.Timeout, mounts: o.Mounts}, uses{
		"args.credential":                args.Credential,
		"args.pageExtraction.credential": args.PageExtraction.credential(),
	}, args.Logins)
}
