package runtimes

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/agent"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/server/calls"
	"github.com/bctrl-go/bctrl/internal/server/web"
)

func checkAct(field string, a bctrl.ActArgs) error {
	switch {
	case strings.TrimSpace(a.Instruction) == "":
		return web.Invalid("executions.invalid_instruction", field+".instruction", "the instruction is empty")
	case len(a.Instruction) > agent.MaxInstruction:
		return web.Invalid("executions.invalid_instruction", field+".instruction", "the instruction is too long")
	case a.MaxSteps < 0 || a.MaxSteps > agent.MaxMaxSteps:
		return web.Invalid("executions.invalid_steps", field+".maxSteps", "maxSteps is out of range")
	}
	return nil
}

// act has an agent work on the runtime's page, for the 30 minutes at most that a step
// may have.
func (s *Service) act(
	ctx context.Context, x *execution, a bctrl.ActArgs, report func(string),
) (*bctrl.ActResult, error) {
	return agent.Act(ctx, agent.Deps{
		Model: &askedModel{
			s:      s,
			x:      x,
			ofStep: calls.ModelChoice{Provider: a.Provider, Model: a.Model, Credential: a.Credential},
			ofLaunch: calls.ModelChoice{
				Provider:   x.rt.Launch.Provider,
				Model:      x.rt.Launch.Model,
				Credential: x.rt.Launch.Credential,
			},
		},
		Page: func(ctx context.Context) (browser.Page, error) {
			page, err := x.live.browser.Page(ctx)
			return recordedPage{page, s, x}, err
		},
		Logins:    logins{s, x},
		Downloads: x.live.newestDownloads,
		Secrets:   x.live.secrets,
		Prices:    s.prices,
		Progress:  func(_, _ int, _, message string) { report(message) },
	}, agent.Options{Instruction: a.Instruction, MaxSteps: a.MaxSteps, Timeout: maxStepTimeout})
}

// recordedPage is the page of an execution. That it refuses a login, which does not
// belong there, is recorded.
type recordedPage struct {
	browser.Page
	s *Service
	x *execution
}

// Fill implements [browser.Page].
func (p recordedPage) Fill(ctx context.Context, ref browser.Ref, fill browser.Fill) error {
	err := p.Page.Fill(ctx, ref, fill)
	if refusal, ok := errors.AsType[*bctrl.Error](err); ok && refusal.Status == http.StatusForbidden {
		return p.s.recordRefusal(ctx, p.x, bctrl.UseVault, fill.Key, refusal)
	}
	return err
}
