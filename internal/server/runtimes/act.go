package runtimes

import (
	"cmp"
	"context"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/agent"
	"github.com/bctrl-go/bctrl/internal/server/calls"
)

// agentDeps are what an execution's agent works with: the model of choice, and look
// for single pages, which is that model where it is nil. The mounts decide about each
// use of one of them, as they are then.
func (s *Service) agentDeps(
	x *execution, choice bctrl.ModelChoice, look *bctrl.ModelChoice, report func(string),
) agent.Deps {
	deps := agent.Deps{
		Model:  s.askedBy(x, choice),
		Page:   s.agentPages(x),
		Logins: logins{s, x},
		Refused: func(ctx context.Context, verb bctrl.Verb, object string, refusal *bctrl.Error) error {
			return s.recordRefusal(ctx, x, verb, s.refusedObject(ctx, x, verb, object), refusal)
		},
		Files:     storedFiles{s, x},
		Downloads: x.live.newestDownloads,
		Secrets:   x.live.secrets,
		Prices:    s.prices,
		Cache:     actionCache{s, x},
		Progress: func(_, _ int, _, message string) {
			report(message)
			x.live.mark("action", message)
		},
		Record:   func(ctx context.Context, r agent.Record) error { return s.record(ctx, x, r) },
		Pictured: func() bool { return x.recorder != nil && !x.recorder.over },
	}
	if look != nil {
		deps.Look = s.askedBy(x, completedBy(*look, choice))
	}
	return deps
}

// askedBy is the model that an execution's step chooses.
func (s *Service) askedBy(x *execution, choice bctrl.ModelChoice) *askedModel {
	return &askedModel{
		s:      s,
		x:      x,
		ofStep: calls.ModelChoice{Provider: choice.Provider, Model: choice.Model, Credential: choice.Credential},
		ofLaunch: calls.ModelChoice{
			Provider:   x.rt.Launch.Provider,
			Model:      x.rt.Launch.Model,
			Credential: x.rt.Launch.Credential,
		},
	}
}

// completedBy is a choice whose provider and credential are the call's where it names
// none, and its model too where it names nothing at all.
func completedBy(look, call bctrl.ModelChoice) bctrl.ModelChoice {
	if look.Provider == "" && look.Credential == "" {
		look.Provider, look.Credential = call.Provider, call.Credential
		look.Model = cmp.Or(look.Model, call.Model)
	}
	return look
}

// act has an agent work on the runtime's page, for the time of its step, or do what was
// observed there.
func (s *Service) act(
	ctx context.Context, x *execution, a bctrl.ActArgs, report func(string),
) (*bctrl.ActResult, error) {
	choice := bctrl.ModelChoice{Provider: a.Provider, Model: a.Model, Credential: a.Credential}
	deps := s.agentDeps(x, choice, nil, report)
	if a.Observed != nil {
		return agent.ActOn(ctx, deps, *a.Observed)
	}
	return agent.Act(ctx, deps, agent.Options{
		Instruction: a.Instruction,
		MaxSteps:    a.MaxSteps,
		Timeout:     maxStepTimeout, // the step's own ends it before
		Vision:      a.Vision,
		Cache:       a.Cache,
	})
}

func (s *Service) observe(
	ctx context.Context, x *execution, a bctrl.ObserveArgs, report func(string),
) (*bctrl.ObserveResult, error) {
	return agent.Observe(ctx, s.agentDeps(x, a.ModelChoice, nil, report), a)
}

func (s *Service) extract(
	ctx context.Context, x *execution, a bctrl.ExtractArgs, report func(string),
) (*bctrl.ExtractResult, error) {
	return agent.Extract(ctx, s.agentDeps(x, a.ModelChoice, nil, report), a)
}

// agentFor returns what carries out a task within a time, which then is in its result
// as the limit that ended it.
func (s *Service) agentFor(timeout time.Duration) doing[bctrl.AgentArgs, bctrl.AgentResult] {
	return func(ctx context.Context, x *execution, a bctrl.AgentArgs, report func(string)) (*bctrl.AgentResult, error) {
		return agent.Agent(ctx, s.agentDeps(x, a.ModelChoice, a.Look, report), a, timeout)
	}
}

// browserUseFor is [Service.agentFor] with the options of browser-use. Logins that are
// listed and that the mounts do not permit are refused before anything is done.
func (s *Service) browserUseFor(timeout time.Duration) doing[bctrl.BrowserUseArgs, bctrl.AgentResult] {
	return func(
		ctx context.Context, x *execution, a bctrl.BrowserUseArgs, report func(string),
	) (*bctrl.AgentResult, error) {
		for _, key := range a.Logins {
			if _, err := (logins{s, x}).grantUse(ctx, key); err != nil {
				return nil, err
			}
		}
		return agent.BrowserUse(ctx, s.agentDeps(x, a.ModelChoice, a.PageExtraction, report), a, timeout)
	}
}
