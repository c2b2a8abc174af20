package bctrl

import (
	"context"
	"encoding/json"
	"net/http"
)

// Stagehand is a runtime's agent. See [Runtime.Stagehand].
type Stagehand struct{ rt *Runtime }

// Act has the agent do what the instruction says, in words: "Log in to
// Salesforce and export Q1 pipeline". The model never sees a secret: it names a
// vault key, and the server fills it where the key's origins allow.
//
// The instruction is a string, or an [Observed] that [Stagehand.Observe] returned:
// that is done without asking a model, and is refused with the code "page.changed"
// where the page is another by now. Anything else is refused with
// "executions.invalid_instruction", before a request is sent.
//
// Act returns when the agent is done; Success is its own verdict. An error
// means that it could not work: no model, a limit, a browser that is gone. The result
// beside it is what was done until then; nil is nothing.
// Mounts in the options that widen the runtime's are [ErrWidening], and a credential
// that they do not permit is [ErrOutsideMount], refused before a request is sent.
//
// Access: runtime.execute
func (s *Stagehand) Act(ctx context.Context, instruction any, opts ...ActCallOption) (*ActResult, error) {
	a := collect(opts, ActCallOption.applyAct)
	step, err := s.rt.actStep(instruction, a.options)
	if err != nil {
		return nil, err
	}
	return step1[ActResult](ctx, s.rt, step, a.calls)
}

// ActAsync starts what [Stagehand.Act] waits for. [OperationInfo.Act] reads
// the result.
//
// Access: runtime.execute
func (s *Stagehand) ActAsync(ctx context.Context, instruction any, opts ...ActCallOption) (*Operation, error) {
	a := collect(opts, ActCallOption.applyAct)
	step, err := s.rt.actStep(instruction, a.options)
	if err != nil {
		return nil, err
	}
	return s.rt.start(ctx, step, a.calls)
}

// Observe asks what can be done on the page for an instruction, such as "the button
// that exports the pipeline", and does nothing. The likeliest is the first;
// [Stagehand.Act] does one without asking a model again. None is no error.
//
// Access: runtime.execute
func (s *Stagehand) Observe(ctx context.Context, instruction string, opts ...ObserveCallOption) ([]Observed, error) {
	o := collect(opts, ObserveCallOption.applyObserve)
	step, err := s.rt.observeStep(instruction, o.options)
	if err != nil {
		return nil, err
	}
	result, err := step1[ObserveResult](ctx, s.rt, step, o.calls)
	if err != nil {
		return nil, err
	}
	return result.Observed, nil
}

// ObserveAsync starts what [Stagehand.Observe] waits for. [OperationInfo.Observe]
// reads the result.
//
// Access: runtime.execute
func (s *Stagehand) ObserveAsync(
	ctx context.Context, instruction string, opts ...ObserveCallOption,
) (*Operation, error) {
	o := collect(opts, ObserveCallOption.applyObserve)
	step, err := s.rt.observeStep(instruction, o.options)
	if err != nil {
		return nil, err
	}
	return s.rt.start(ctx, step, o.calls)
}

// Extract reads data from the page, the whole of it, as JSON that validates against
// the schema in the options. A model that answers otherwise is told why, twice at
// most; then the code is "extract.invalid_answer". Truncated in the result says that
// the page holds more than was read.
//
// Package extract has Into, which makes the schema from a Go type and decodes into it.
//
// Access: runtime.execute
func (s *Stagehand) Extract(
	ctx context.Context, instruction string, opts ...ExtractCallOption,
) (*ExtractResult, error) {
	o := collect(opts, ExtractCallOption.applyExtract)
	step, err := s.rt.extractStep(instruction, o.options)
	if err != nil {
		return nil, err
	}
	return step1[ExtractResult](ctx, s.rt, step, o.calls)
}

// ExtractAsync starts what [Stagehand.Extract] waits for. [OperationInfo.Extract]
// reads the result.
//
// Access: runtime.execute
func (s *Stagehand) ExtractAsync(
	ctx context.Context, instruction string, opts ...ExtractCallOption,
) (*Operation, error) {
	o := collect(opts, ExtractCallOption.applyExtract)
	step, err := s.rt.extractStep(instruction, o.options)
	if err != nil {
		return nil, err
	}
	return s.rt.start(ctx, step, o.calls)
}

// Agent works on a task of many steps: it plans, acts, looks again and recovers, until
// it is done or its budget is. A budget that ended it is no error: Limit in the result
// says which bound it was, and the rest what was done until then. What it may use, and
// what a result beside an error is, is as in [Stagehand.Act].
//
// Access: runtime.execute
func (s *Stagehand) Agent(ctx context.Context, task string, opts ...AgentCallOption) (*AgentResult, error) {
	o := collect(opts, AgentCallOption.applyAgent)
	step, err := s.rt.agentStep(task, o.options)
	if err != nil {
		return nil, err
	}
	return step1[AgentResult](ctx, s.rt, step, o.calls)
}

// AgentAsync starts what [Stagehand.Agent] waits for. [OperationInfo.Agent] reads the
// result.
//
// Access: runtime.execute
func (s *Stagehand) AgentAsync(ctx context.Context, task string, opts ...AgentCallOption) (*Operation, error) {
	o := collect(opts, AgentCallOption.applyAgent)
	step, err := s.rt.agentStep(task, o.options)
	if err != nil {
		return nil, err
	}
	return s.rt.start(ctx, step, o.calls)
}

// BrowserPage is the page of a runtime's browser. See [Runtime.Page].
type BrowserPage struct{ rt *Runtime }

// Goto opens an address and waits for the page, as [GotoOptions] say. Only http and https
// are accepted, and only addresses that the server lets pages reach: any other
// fails with the code "page.address_refused", also at the end of a redirect. A page that
// takes too long is "page.load_timeout": what there is of it can be used.
//
// Nobody answers dialogs meanwhile: they are answered with no, and whether the page of
// before is left with yes.
//
// Access: runtime.execute
func (p *BrowserPage) Goto(ctx context.Context, url string, opts ...GotoCallOption) (*GotoResult, error) {
	o := collect(opts, GotoCallOption.applyGoto)
	step, err := GotoStep(GotoArgs{URL: url, WaitUntil: o.options.WaitUntil})
	if err != nil {
		return nil, err
	}
	mounts, err := below(p.rt.limits.mounts(), o.options.Mounts)
	if err != nil {
		return nil, err
	}
	if err := mounts.refuseVisit(url); err != nil {
		return nil, err
	}
	step.Timeout, step.Mounts = o.options.Timeout, o.options.Mounts
	return step1[GotoResult](ctx, p.rt, step, o.calls)
}

// Screenshot takes a picture of the page into the mounted storage namespace.
// Fields that were filled from the vault are masked.
//
// Access: runtime.execute
func (p *BrowserPage) Screenshot(ctx context.Context, args ScreenshotArgs, opts ...CallOption) (*StorageObject, error) {
	if p.rt.Storage.Namespace() == "" {
		return nil, outside(PutStorage, "the mounts permit no storage to put the picture in",
			"mount storage at the workspace, and do not drop it at the runtime")
	}
	step, err := ScreenshotStep(args)
	if err != nil {
		return nil, err
	}
	return step1[StorageObject](ctx, p.rt, step, opts)
}

func (rt *Runtime) executor() *executor {
	return &executor{
		via:         rt.via,
		workspaceID: rt.workspaceID,
		ceiling:     rt.limits.mounts(),
		as:          rt.limits,
	}
}

// start runs one step without waiting for it.
func (rt *Runtime) start(ctx context.Context, step Step, opts []CallOption) (*Operation, error) {
	return rt.executor().start(ctx, Execution{Runtime: rt.Alias, Steps: []Step{step}}, opts)
}

// step1 runs one step and decodes its result.
func step1[T any](ctx context.Context, rt *Runtime, step Step, opts []CallOption) (*T, error) {
	result, err := rt.executor().run(ctx, Execution{Runtime: rt.Alias, Steps: []Step{step}}, opts)
	if err != nil {
		return nil, err
	}
	return stepResult[T](result)
}

// stepResult decodes the result of an execution's only step. Beside an error it is what
// was done until then.
func stepResult[T any](result *ExecutionResult) (*T, error) {
	err := result.Err()
	var out T
	switch {
	case len(result.Steps) == 1 && json.Unmarshal(result.Steps[0].Result, &out) == nil:
		return &out, err
	case err != nil:
		return nil, err
	}
	return nil, &Error{Status: http.StatusBadGateway, Code: "transport.bad_answer",
		Message: "the answer does not hold the result of the step"}
}
