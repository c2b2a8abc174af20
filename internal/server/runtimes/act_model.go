package runtimes

import (
	"context"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/model"
	"github.com/bctrl-go/bctrl/internal/server/calls"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// askedModel implements [model.Chat] with the model that the mounts select. For each
// question it is chosen by the mounts as they are then, and the question is recorded
// before it is sent.
type askedModel struct {
	s                *Service
	x                *execution
	ofStep, ofLaunch calls.ModelChoice

	// chat asks the chosen model, and is kept while the choice stays the same: it has
	// learned which parameters its provider takes.
	chat   model.Chat
	chosen calls.ChosenModel
	// granted is what the present question was granted.
	granted *web.Grant
}

// Complete implements [model.Chat]. The question ends when it is no longer permitted.
func (a *askedModel) Complete(ctx context.Context, req model.Request) (answer *model.Response, err error) {
	var chosen calls.ChosenModel
	choose := func(ctx context.Context) (*web.Grant, error) {
		caller, err := a.s.currentCaller(ctx, a.x)
		if err != nil {
			return nil, err
		}
		if chosen, err = a.s.calls.ChooseModel(ctx, caller, a.ofStep, a.ofLaunch); err != nil {
			return nil, err
		}
		a.granted = &web.Grant{Caller: caller}
		a.granted.Require(a.s.askableAs(chosen))
		return a.granted, nil
	}
	err = a.s.WhileDecided(ctx, choose, func(ctx context.Context) (err error) {
		answer, err = a.ask(ctx, req, chosen)
		return err
	})
	return answer, err
}

// askableAs is the condition that the credential with which a model was chosen may be
// used, and is still the one with its id.
func (s *Service) askableAs(chosen calls.ChosenModel) web.Condition {
	return func(ctx context.Context, q store.Queries, c access.Caller) error {
		now, err := s.models.FindUsable(ctx, q, c, chosen.Credential.ID)
		if err == nil && now.UID != chosen.Credential.UID {
			err = web.OutsideMount(bctrl.UseAI)
		}
		return err
	}
}

// ask asks the chosen model one question.
func (a *askedModel) ask(ctx context.Context, req model.Request, chosen calls.ChosenModel) (*model.Response, error) {
	if err := a.open(chosen); err != nil {
		return nil, err
	}
	answer, err := a.chat.Complete(ctx, req)
	if err != nil {
		return nil, err
	}
	answer.Credential = chosen.Credential.ID
	return answer, nil
}

// Sees implements [model.Viewer], of the model that would be asked now.
func (a *askedModel) Sees(ctx context.Context, name string) bool {
	return a.openNow(ctx) && model.Sees(ctx, a.chat, name)
}

// Names implements [model.Namer], of the model that would be asked now.
func (a *askedModel) Names(ctx context.Context, name string) (bctrl.AIProvider, string, bool) {
	if !a.openNow(ctx) {
		return "", "", false
	}
	return model.NameOf(ctx, a.chat, name)
}

// openNow makes the model that would be asked now the one that is asked. Nothing is sent
// for it. It is false where none may be asked.
func (a *askedModel) openNow(ctx context.Context) bool {
	caller, err := a.s.currentCaller(ctx, a.x)
	if err != nil {
		return false
	}
	chosen, err := a.s.calls.ChooseModel(ctx, caller, a.ofStep, a.ofLaunch)
	return err == nil && a.open(chosen) == nil
}

// open makes the chosen model the one that is asked.
func (a *askedModel) open(chosen calls.ChosenModel) error {
	if a.chat != nil && a.chosen.Model == chosen.Model && a.chosen.Credential.UID == chosen.Credential.UID &&
		a.chosen.Credential.Version == chosen.Credential.Version {
		return nil
	}
	id := chosen.Credential.ID
	chat, err := a.s.calls.OpenModel(chosen, calls.Asker{
		Caller: func(ctx context.Context) (access.Caller, error) { return a.s.currentCaller(ctx, a.x) },
		Grant:  func() *web.Grant { return a.granted },
		Event:  func() audit.Event { return a.x.event(bctrl.UseAI, id) },
	})
	if err != nil {
		return err
	}
	a.chat, a.chosen = chat, chosen
	return nil
}
