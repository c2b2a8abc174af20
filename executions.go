package bctrl

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/bctrl-go/bctrl/internal/wire"
)

// Call names what a step does.
type Call string

// The calls of a step.
const (
	CallAct        Call = "stagehand.act"
	CallObserve    Call = "stagehand.observe"
	CallExtract    Call = "stagehand.extract"
	CallAgent      Call = "stagehand.agent"
	CallBrowserUse Call = "browserUse.agent"
	CallReplay     Call = "agent.replay"
	CallGoto       Call = "page.goto"
	CallScreenshot Call = "page.screenshot"
	CallPDF        Call = "page.pdf"
	CallFill       Call = "page.fill"
	CallPages      Call = "pages"
)

// ExecutionMode says what happens when a step fails.
type ExecutionMode string

// FailFast ends the execution with the first step that fails. The default.
const FailFast ExecutionMode = "fail-fast"

// Execution is a series of steps on one runtime.
type Execution struct {
	// Runtime is the alias of a live runtime.
	Runtime string
	// Steps run in order, 1 to 100 of them.
	Steps []Step
	// Mode is [FailFast] when empty.
	Mode ExecutionMode
	// Mounts lower the runtime's for this execution; nil inherits them.
	Mounts *Mounts
}

// Step is one call on a runtime.
type Step struct {
	Call Call
	// Args are the call's arguments as JSON: [ActArgs] of [CallAct], [ObserveArgs],
	// [ExtractArgs], [AgentArgs], [BrowserUseArgs], [ReplayArgs], [GotoArgs],
	// [ScreenshotArgs], [PDFOptions], [FillArgs] or [PagesArgs].
	Args json.RawMessage
	// Timeout ends the step; zero is the server's default for the call.
	Timeout time.Duration
	// Mounts lower the execution's for this step; nil inherits them.
	Mounts *Mounts
}

// ActArgs are the arguments of [CallAct].
type ActArgs struct {
	// Instruction is what to do, in words. It or Observed is given.
	Instruction string `json:"instruction,omitempty"`
	// Observed is something to do that [CallObserve] has found: no model is asked.
	Observed *Observed `json:"observed,omitempty"`
	// Provider, Model and Credential choose the model; a call's own
	// choice comes first, then the launch's.
	Provider   AIProvider `json:"provider,omitempty"`
	Model      string     `json:"model,omitempty"`
	Credential string     `json:"credential,omitempty"`
	// MaxSteps bounds how often the model is asked; zero is the server's
	// default, 25.
	MaxSteps int        `json:"maxSteps,omitempty"`
	Vision   VisionMode `json:"vision,omitempty"`
	Cache    CacheMode  `json:"cache,omitempty"`
}

// GotoArgs are the arguments of [CallGoto].
type GotoArgs struct {
	// URL is http or https.
	URL string `json:"url"`
	// WaitUntil is how far the page has to be; empty is the server's default.
	WaitUntil WaitUntil `json:"waitUntil,omitempty"`
}

// WaitUntil says how far a page has to be for a navigation to be over.
type WaitUntil string

// What a navigation can wait for. Empty waits until the page has loaded, but of one whose
// document is there no longer than five seconds: one picture that never comes holds nobody.
const (
	// WaitLoad waits until everything has loaded, pictures and frames included.
	WaitLoad WaitUntil = "load"
	// WaitDOMContentLoaded waits until the document is there and its scripts have run.
	WaitDOMContentLoaded WaitUntil = "domcontentloaded"
	// WaitCommit waits until the site has answered with a document.
	WaitCommit WaitUntil = "commit"
	// WaitNetworkIdle waits until the page has asked for nothing for half a second.
	WaitNetworkIdle WaitUntil = "networkidle"
)

// ScreenshotArgs are the arguments of [CallScreenshot].
type ScreenshotArgs struct {
	// FullPage takes the whole page instead of the viewport.
	FullPage bool `json:"fullPage,omitempty"`
	// Path is where the PNG goes in the mounted namespace; empty lets the
	// server choose a name below "screenshots/".
	Path string `json:"path,omitempty"`
}

// ExecutionResult is what an execution did.
type ExecutionResult struct {
	Mode ExecutionMode `json:"mode"`
	// Steps that ran, in order. The last one may have failed.
	Steps []StepResult `json:"steps"`
}

// StepResult is what one step did.
type StepResult struct {
	Call Call `json:"call"`
	// Result is the call's result as JSON: [ActResult], [ObserveResult],
	// [ExtractResult], [AgentResult] of both agents and of a replay, [GotoResult], [FillResult],
	// [PagesResult], [PDFResult], or [StorageObject] for a screenshot. Beside an Error it is
	// what was done until then; nil is nothing.
	Result json.RawMessage `json:"result,omitempty"`
	// Error says why the step failed.
	Error *Error `json:"error,omitempty"`
	// Duration is how long the step took, to the millisecond.
	Duration time.Duration `json:"-"`
}

// ActResult is what the agent did.
type ActResult struct {
	// Success is the model's own verdict on its work.
	Success bool   `json:"success"`
	Message string `json:"message"`
	// Actions that were done, in order.
	Actions []ActAction `json:"actions"`
	// Downloads are the files that landed in storage during the call.
	Downloads []StorageObject `json:"downloads"`
	// URL of the page at the end, without query and fragment.
	URL string `json:"url"`
	// Usage is what the models of Models were asked, together; its Calls are zero
	// where everything was done without one.
	Usage  Usage        `json:"usage"`
	Models []ModelUsage `json:"models"`
	// Limit is the bound that ended the call; empty where none did.
	Limit Limit `json:"limit,omitempty"`
	// FromCache reports that actions of an earlier call were done again, Healed how
	// many of them the model had to find anew.
	FromCache bool `json:"fromCache,omitempty"`
	Healed    int  `json:"healed,omitempty"`
}

// ActAction is one thing the agent did on the page.
type ActAction struct {
	// Kind is "navigate", "back", "reload", "open_tab", "switch_tab", "close_tab", "click",
	// "hover", "drag", "click_at", "hover_at", "drag_at", "type", "select", "press",
	// "scroll", "upload", "answer_dialog", "wait", "wait_text", "download", "fill", "totp",
	// "http_login", or what only reads: "extract", "read_page", "look". "leave" is no action
	// of the agent's: a page was on its way to where the call does not allow.
	Kind string `json:"kind"`
	// Target describes the element or address. It never holds a secret.
	Target string `json:"target,omitempty"`
	// Element is the element that it was done to; nil where it was done to none.
	Element *ElementDescription `json:"element,omitempty"`
	// Arguments are those of the agent's tool without references to elements, secrets
	// masked, and what may be a credential in the query or fragment of an address: with
	// Kind and Element they say how to do it again.
	Arguments json.RawMessage `json:"arguments,omitempty"`
	// VaultKey is the key that was filled from.
	VaultKey string `json:"vaultKey,omitempty"`
	// Error says why the action failed; the agent went on.
	Error string `json:"error,omitempty"`
}

// Usage counts what a model was asked.
type Usage struct {
	Calls        int   `json:"calls"`
	InputTokens  int64 `json:"inputTokens"`
	OutputTokens int64 `json:"outputTokens"`
}

// GotoResult is where a navigation ended.
type GotoResult struct {
	URL   string `json:"url"`
	Title string `json:"title"`
}

// maxStepTimeout is the longest that a step may take.
const maxStepTimeout = 30 * time.Minute

const pathExecute = pathWorkspace + "/execute"

// Err returns why the execution ended early: the error of the first step that
// failed, or nil.
func (r *ExecutionResult) Err() error {
	for _, s := range r.Steps {
		if s.Error != nil {
			return s.Error
		}
	}
	return nil
}

// executor runs steps in a workspace, as the caller or as a runtime.
type executor struct {
	via         via
	workspaceID string
	ceiling     Mounts
	as          *limits
}

func (x *executor) run(ctx context.Context, e Execution, opts []CallOption) (*ExecutionResult, error) {
	var out ExecutionResult
	r, err := x.request(e, false, opts)
	if err != nil {
		return nil, err
	}
	r.out = &out
	return ptr(&out, x.via().call(ctx, r))
}

func (x *executor) start(ctx context.Context, e Execution, opts []CallOption) (*Operation, error) {
	var info OperationInfo
	r, err := x.request(e, true, opts)
	if err != nil {
		return nil, err
	}
	r.out = &info
	if err := x.via().call(ctx, r); err != nil {
		return nil, err
	}
	return newOperation(x.via, x.as, info), nil
}

// request checks the mounts of the execution and of its steps, each against
// the level above it.
func (x *executor) request(e Execution, async bool, opts []CallOption) (*request, error) {
	r := &request{
		method: http.MethodPost,
		path:   pathExecute,
		params: []string{x.workspaceID},
		as:     x.as,
		slow:   !async,
		opts:   opts,
	}
	in := wire.Execution[Mounts]{
		Runtime: e.Runtime,
		Mode:    string(e.Mode),
		Mounts:  e.Mounts,
		Async:   async,
	}
	level, err := below(x.ceiling, e.Mounts)
	for i, s := range e.Steps {
		if err == nil {
			_, err = below(level, s.Mounts)
			err = underField(element("steps", i), err)
		}
		if err == nil && s.Timeout != 0 && (s.Timeout < time.Millisecond || s.Timeout > maxStepTimeout) {
			err = invalidArg("executions.timeout", fmt.Sprintf("steps[%d].timeoutMs", i),
				"the step's timeout is not between a millisecond and half an hour").hinted("zero is the server's default")
		}
		in.Steps = append(in.Steps, wire.Step[Mounts]{
			Call:      string(s.Call),
			Args:      s.Args,
			TimeoutMs: millis(s.Timeout),
			Mounts:    s.Mounts,
		})
	}
	if err != nil {
		return nil, (&exchange{r: r}).fail(err)
	}
	r.in = in
	return r, nil
}

// below narrows a level by what the one under it declares, if anything.
func below(level Mounts, declared *Mounts) (Mounts, error) {
	if declared == nil {
		return level, nil
	}
	return level.Narrow(*declared)
}

// MarshalJSON writes Duration as durationMs.
func (s StepResult) MarshalJSON() ([]byte, error) {
	type plain StepResult
	return json.Marshal(struct {
		plain
		DurationMs int64 `json:"durationMs"`
	}{plain(s), millis(s.Duration)})
}

// UnmarshalJSON reads Duration from durationMs.
func (s *StepResult) UnmarshalJSON(data []byte) error {
	type plain StepResult
	var w struct {
		plain
		DurationMs int64 `json:"durationMs"`
	}
	if err := json.Unmarshal(data, &w); err != nil {
		return err
	}
	*s = StepResult(w.plain)
	s.Duration = fromMillis(w.DurationMs)
	return nil
}
