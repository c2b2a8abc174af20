package agent

import (
	"cmp"
	"context"
	"time"

	"github.com/bctrl-go/bctrl"
)

// Options say what to do.
type Options struct {
	Instruction string
	// Model is a model's id; empty is the Chat's default.
	Model string
	// MaxSteps bounds how often the model is asked; zero is [DefaultMaxSteps].
	MaxSteps int
	// Timeout bounds the task; zero is [DefaultTimeout].
	Timeout time.Duration
	Vision  bctrl.VisionMode
	Cache   bctrl.CacheMode
}

func (o Options) settings() (settings, error) {
	args := bctrl.ActArgs{Instruction: o.Instruction, MaxSteps: o.MaxSteps, Vision: o.Vision, Cache: o.Cache}
	if err := args.Validate(); err != nil {
		return settings{}, err
	}
	s := settings{
		verb:    bctrl.CallAct,
		cache:   o.Cache,
		task:    o.Instruction,
		model:   o.Model,
		budget:  bctrl.Budget{MaxSteps: o.MaxSteps},
		timeout: o.Timeout,
		vision:  o.Vision,
	}
	s.complete()
	return s, checkTimeout(o.Timeout)
}

// Act carries out a task. The result says what was done. Beside an error too, it says
// what was done until then, unless the options are wrong.
//
// A task that ends because of a limit, or because the model goes round in
// circles, is not an error: its result has Success false and says so. Errors
// are the context's, those of package model, and a browser or vault that
// fails.
func Act(ctx context.Context, deps Deps, opts Options) (*bctrl.ActResult, error) {
	s, err := opts.settings()
	if err != nil {
		return nil, err
	}
	r := newRun(deps, s)
	err = r.carryOut(ctx, r.work)
	return r.actResult(), err
}

func (r *run) actResult() *bctrl.ActResult {
	return &bctrl.ActResult{
		Success:   r.result.Success,
		Message:   r.result.Message,
		Actions:   r.result.Actions,
		Downloads: r.result.Files,
		URL:       r.result.URL,
		Usage:     r.result.Usage,
		Models:    r.result.Models,
		Limit:     r.result.Limit,
		FromCache: r.result.FromCache,
		Healed:    r.result.Healed,
	}
}

// Agent carries out a task with a plan, until it is done or a budget ends it: the
// result's Limit then says which. A zero timeout is [DefaultTimeout]. As with [Act],
// the result stands beside an error too.
func Agent(ctx context.Context, deps Deps, args bctrl.AgentArgs, timeout time.Duration) (*bctrl.AgentResult, error) {
	s, err := agentSettings(args)
	if err != nil {
		return nil, err
	}
	return runAgent(ctx, deps, s, timeout)
}

// BrowserUse is [Agent] with the options of browser-use.
func BrowserUse(
	ctx context.Context, deps Deps, args bctrl.BrowserUseArgs, timeout time.Duration,
) (*bctrl.AgentResult, error) {
	s, err := browserUseSettings(args)
	if err != nil {
		return nil, err
	}
	return runAgent(ctx, deps, s, timeout)
}

func runAgent(ctx context.Context, deps Deps, s settings, timeout time.Duration) (*bctrl.AgentResult, error) {
	if err := checkTimeout(timeout); err != nil {
		return nil, err
	}
	s.timeout = cmp.Or(timeout, s.timeout)
	r := newRun(deps, s)
	err := r.carryOut(ctx, r.work)
	return &r.result, err
}
