package bctrl

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// Stagehand is a runtime's agent. See [Runtime.Stagehand].
type Stagehand struct{ rt *Runtime }

// ActCallOption changes one [Stagehand.Act]: [ActOptions] or a [CallOption].
type ActCallOption interface{ applyAct(*acting) }

type acting struct {
	ActOptions
	opts []CallOption
}

// ActOptions choose the model of an agent call and bound it.
type ActOptions struct {
	// Provider, Model and Credential choose the model. What is empty comes from
	// the runtime's [Launch], then from the mounts' defaults.
	Provider   AIProvider
	Model      string
	Credential string
	// MaxSteps bounds how often the model is asked; zero is the server's
	// default, 25.
	MaxSteps int
	// Timeout ends the call on the server; zero is its default.
	Timeout time.Duration
	// Mounts lower the runtime's for this call; nil inherits them.
	Mounts *Mounts
}

func (o ActOptions) applyAct(a *acting) { a.ActOptions = o }

// Act has the agent do what the instruction says, in words: "Log in to
// Salesforce and export Q1 pipeline". The model never sees a secret: it names a
// vault key, and the server fills it where the key's origins allow.
//
// Act returns when the agent is done; Success is its own verdict. An error
// means that it could not work: no model, a limit, a browser that is gone.
// Mounts in the options that widen the runtime's are [ErrWidening], refused
// before a request is sent.
//
// Access: runtime.execute
func (s *Stagehand) Act(ctx context.Context, instruction string, opts ...ActCallOption) (*ActResult, error) {
	step, calls, err := act(instruction, opts)
	if err != nil {
		return nil, err
	}
	return step1[ActResult](ctx, s.rt, step, calls)
}

// ActAsync starts what [Stagehand.Act] waits for. [OperationInfo.Act] reads
// the result.
//
// Access: runtime.execute
func (s *Stagehand) ActAsync(ctx context.Context, instruction string, opts ...ActCallOption) (*Operation, error) {
	step, calls, err := act(instruction, opts)
	if err != nil {
		return nil, err
	}
	return s.rt.executor().start(ctx, Execution{Runtime: s.rt.Alias, Steps: []Step{step}}, calls)
}

func act(instruction string, opts []ActCallOption) (Step, []CallOption, error) {
	var a acting
	for _, o := range opts {
		o.applyAct(&a)
	}
	step, err := ActStep(ActArgs{
		Instruction: instruction,
		Provider:    a.Provider,
		Model:       a.Model,
		Credential:  a.Credential,
		MaxSteps:    a.MaxSteps,
	})
	step.Timeout, step.Mounts = a.Timeout, a.Mounts
	return step, a.opts, err
}

// BrowserPage is the page of a runtime's browser. See [Runtime.Page].
type BrowserPage struct{ rt *Runtime }

// Goto opens an address and waits until it has loaded. Only http and https
// are accepted, and only addresses that the server lets pages reach: any other
// fails with the code "page.address_refused", also at the end of a redirect.
//
// Access: runtime.execute
func (p *BrowserPage) Goto(ctx context.Context, url string, opts ...CallOption) (*GotoResult, error) {
	step, err := GotoStep(GotoArgs{URL: url})
	if err != nil {
		return nil, err
	}
	return step1[GotoResult](ctx, p.rt, step, opts)
}

// Screenshot takes a picture of the page into the mounted storage namespace.
// Fields that were filled from the vault are masked.
//
// Access: runtime.execute
func (p *BrowserPage) Screenshot(ctx context.Context, args ScreenshotArgs, opts ...CallOption) (*StorageObject, error) {
	if !p.rt.limits.mounts.AllowsNamespace(p.rt.Storage.namespace) {
		return nil, outside(PutStorage, "the mounts permit no storage to put the picture in",
			"mount storage at the workspace, and do not drop it at the runtime")
	}
	step, err := ScreenshotStep(args)
	if err != nil {
		return nil, err
	}
	return step1[StorageObject](ctx, p.rt, step, opts)
}

// ActStep makes a step of [CallAct].
func ActStep(args ActArgs) (Step, error) { return stepOf(CallAct, args) }

// GotoStep makes a step of [CallGoto].
func GotoStep(args GotoArgs) (Step, error) { return stepOf(CallGoto, args) }

// ScreenshotStep makes a step of [CallScreenshot].
func ScreenshotStep(args ScreenshotArgs) (Step, error) { return stepOf(CallScreenshot, args) }

func stepOf[T any](call Call, args T) (Step, error) {
	text, err := encode("args", args)
	if err != nil {
		return Step{}, err
	}
	return Step{Call: call, Args: text}, nil
}

func (rt *Runtime) executor() *executor {
	return &executor{
		via:         rt.via,
		workspaceID: rt.Info.WorkspaceID,
		ceiling:     rt.limits.mounts,
		as:          rt.limits,
	}
}

// step1 runs one step and decodes its result.
func step1[T any](ctx context.Context, rt *Runtime, step Step, opts []CallOption) (*T, error) {
	result, err := rt.executor().run(ctx, Execution{Runtime: rt.Alias, Steps: []Step{step}}, opts)
	if err != nil {
		return nil, err
	}
	return stepResult[T](result)
}

// stepResult decodes the result of an execution's only step.
func stepResult[T any](result *ExecutionResult) (*T, error) {
	if err := result.Err(); err != nil {
		return nil, err
	}
	var out T
	if len(result.Steps) != 1 || json.Unmarshal(result.Steps[0].Result, &out) != nil {
		return nil, &Error{Status: http.StatusBadGateway, Code: "transport.bad_answer",
			Message: "the answer does not hold the result of the step"}
	}
	return &out, nil
}
