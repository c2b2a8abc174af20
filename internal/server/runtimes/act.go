package runtimes

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/agent"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/model"
	"github.com/bctrl-go/bctrl/internal/server/calls"
	"github.com/bctrl-go/bctrl/internal/server/vault"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// maxLogins is how many logins an agent is told of; it may name others.
const maxLogins = 50

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

// act lets an agent work on the runtime's page.
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
		Progress:  func(_, _ int, _, message string) { report(message) },
	}, agent.Options{Instruction: a.Instruction, MaxSteps: a.MaxSteps, Timeout: maxStepTimeout})
}

// askedModel is the model that the mounts select. Each question is decided
// against the mounts as they are now, and recorded before it is sent.
type askedModel struct {
	s                *Service
	x                *execution
	ofStep, ofLaunch calls.ModelChoice

	// chat is kept while the choice stays the same: it learns what its
	// provider takes.
	chat   model.Chat
	chosen calls.ChosenModel
	// asking is what the question that is asked was granted.
	granted *web.Grant
}

// Complete implements [model.Chat]. The question ends when it is no longer
// permitted to be asked.
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

// askableAs is that a model which was chosen may be asked with the credential
// that was chosen.
func (s *Service) askableAs(chosen calls.ChosenModel) web.Condition {
	return func(ctx context.Context, q store.Queries, c access.Caller) error {
		now, err := s.models.FindUsable(ctx, q, c, chosen.Credential.ID)
		if err == nil && now.UID != chosen.Credential.UID {
			err = web.OutsideMount(bctrl.UseAI) // another has the id
		}
		return err
	}
}

func (a *askedModel) ask(ctx context.Context, req model.Request, chosen calls.ChosenModel) (*model.Response, error) {
	if a.chat == nil || a.chosen.Model != chosen.Model || a.chosen.Credential.UID != chosen.Credential.UID ||
		a.chosen.Credential.Version != chosen.Credential.Version {
		id := chosen.Credential.ID
		chat, err := a.s.calls.OpenModel(chosen, calls.Asker{
			Caller: func(ctx context.Context) (access.Caller, error) { return a.s.currentCaller(ctx, a.x) },
			Grant:  func() *web.Grant { return a.granted },
			Event:  func() audit.Event { return a.x.event(bctrl.UseAI, id) },
		})
		if err != nil {
			return nil, err
		}
		a.chat, a.chosen = chat, chosen
	}
	return a.chat.Complete(ctx, req)
}

// logins are the vault entries that an execution may fill. Each use is decided
// against the mounts as they are now, and recorded before it is decrypted.
type logins struct {
	s *Service
	x *execution
}

func (l logins) List(ctx context.Context) ([]agent.LoginInfo, error) {
	caller, err := l.s.currentCaller(ctx, l.x)
	if err != nil {
		return nil, err
	}
	found, err := l.s.vault.UsableLogins(ctx, caller, maxLogins)
	if err != nil {
		return nil, err
	}
	var list []agent.LoginInfo
	for _, one := range found {
		list = append(list, agent.LoginInfo{
			Key:         one.Entry.Key,
			HasUsername: one.Meta.Username != "",
			HasPassword: !one.Meta.NoPassword,
			HasTOTP:     one.Entry.HasTOTP,
			Origins:     append(one.Meta.Origins, one.Meta.OriginPatterns...),
		})
	}
	return list, nil
}

// Use opens one field of an entry for the browser to fill.
func (l logins) Use(ctx context.Context, key, field string) (fill browser.Fill, err error) {
	if err := bctrl.ValidVaultKey(key); err != nil {
		return fill, err
	}
	granted, err := l.grantUse(ctx, key)
	if err != nil {
		return fill, err
	}
	err = l.open(ctx, granted, key, func(opened vault.OpenedLogin) error {
		uid := opened.Entry.UID
		granted.Require(func(ctx context.Context, q store.Queries, c access.Caller) error {
			_, err := vault.Find(ctx, q, c.Org, key, uid)
			return err
		})
		fill = browser.Fill{
			Key:            key,
			Field:          field,
			Origins:        opened.Meta.Origins,
			Patterns:       opened.Meta.OriginPatterns,
			Direct:         opened.Meta.Fill == bctrl.FillDirect,
			StillPermitted: func(ctx context.Context) error { return l.stillPermitted(ctx, granted, key) },
			Report:         func(ctx context.Context, what *bctrl.Error) { l.recordAfterFill(ctx, key, what) },
		}
		if field == "totp" {
			fill.Fresh = func(ctx context.Context) (bctrl.Secret, error) { return l.freshCode(ctx, granted, key) }
		}
		if fill.Value, err = opened.Field(field); field == "totp" && err == nil && fill.Direct {
			fill.Value, err = opened.Secrets.LastingCode(ctx) // it is sent as it is
		}
		return err
	})
	return fill, err
}

// grantUse decides whether an entry may be used, by the mounts as they are now.
// That they do not permit it is recorded as a refusal.
func (l logins) grantUse(ctx context.Context, key string) (*web.Grant, error) {
	caller, err := l.s.currentCaller(ctx, l.x)
	if err != nil {
		return nil, err
	}
	g := &web.Grant{Caller: caller}
	g.Require(l.s.CheckUnlocked)
	if !g.Decide(&caller, access.Action{Verb: bctrl.UseVault, Object: key}) {
		return nil, l.s.recordOutsideMount(ctx, l.x, bctrl.UseVault, key)
	}
	return g, nil
}

// open has an entry opened for the execution, and recorded as used by it.
func (l logins) open(ctx context.Context, g *web.Grant, key string, do func(vault.OpenedLogin) error) error {
	return l.s.vault.UseLogin(ctx, vault.LoginUse{
		Grant: g,
		Key:   key,
		Event: l.x.event(bctrl.UseVault, key),
		Begun: func() {},
	}, do)
}

// freshCode makes the one-time code that a page sends, when it sends it: the
// one that was filled may be of a period that is over.
func (l logins) freshCode(ctx context.Context, g *web.Grant, key string) (code bctrl.Secret, err error) {
	if err := l.stillPermitted(ctx, g, key); err != nil {
		return code, err
	}
	err = l.open(ctx, g, key, func(opened vault.OpenedLogin) (err error) {
		code, err = opened.Secrets.LastingCode(ctx)
		return err
	})
	if err == nil {
		l.x.live.secrets.Add(code)
	}
	return code, err
}

// recordAfterFill records what became of a login after it was filled: a page that sends
// it where it may not go, or without its value.
func (l logins) recordAfterFill(ctx context.Context, key string, what *bctrl.Error) {
	if err := l.s.recordRefusal(ctx, l.x, bctrl.UseVault, key, what); err != error(what) {
		l.s.Log.Error("what became of a filled login was not recorded", "requestId", l.x.requestID, "error", err)
	}
}

// stillPermitted decides once more about a login that was filled, when the page
// sends it.
func (l logins) stillPermitted(ctx context.Context, g *web.Grant, key string) error {
	err := l.s.StillPermittedNow(ctx, g)
	if refusal, ok := errors.AsType[*bctrl.Error](err); ok &&
		(errors.Is(err, bctrl.ErrOutsideMount) || errors.Is(err, bctrl.ErrNotFound)) {
		return l.s.recordRefusal(ctx, l.x, bctrl.UseVault, key, refusal)
	}
	return err
}

// recordOutsideMount records that the mounts did not permit something inside an execution,
// and returns the refusal.
func (s *Service) recordOutsideMount(ctx context.Context, x *execution, verb bctrl.Verb, object string) error {
	refusal := web.OutsideMount(verb)
	return s.recordRefusal(ctx, x, verb, object, refusal)
}

// recordRefusal records that something inside an execution was refused, and
// returns the refusal.
func (s *Service) recordRefusal(
	ctx context.Context, x *execution, verb bctrl.Verb, object string, refusal *bctrl.Error,
) error {
	ev := x.event(verb, object)
	ev.Decision, ev.Outcome, ev.Status = audit.Denied, refusal.Code, refusal.Status
	if err := s.Audit.Record(context.WithoutCancel(ctx), ev); err != nil {
		return err
	}
	return refusal
}

// recordedPage is the page of an execution. A login that it does not take,
// because it does not belong there, is a refusal like any other.
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
