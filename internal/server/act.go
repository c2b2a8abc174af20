package server

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/agent"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/model"
	"github.com/bctrl-go/bctrl/internal/store"
)

// maxLogins is how many logins an agent is told of; it may name others.
const maxLogins = 50

func checkAct(field string, a bctrl.ActArgs) error {
	switch {
	case strings.TrimSpace(a.Instruction) == "":
		return invalid("executions.invalid_instruction", field+".instruction", "the instruction is empty")
	case len(a.Instruction) > agent.MaxInstruction:
		return invalid("executions.invalid_instruction", field+".instruction", "the instruction is too long")
	case a.MaxSteps < 0 || a.MaxSteps > agent.MaxMaxSteps:
		return invalid("executions.invalid_steps", field+".maxSteps", "maxSteps is out of range")
	}
	return nil
}

// act lets an agent work on the runtime's page.
func (s *Server) act(ctx context.Context, x *execution, a bctrl.ActArgs, report func(string)) (*bctrl.ActResult, error) {
	return agent.Act(ctx, agent.Deps{
		Model: &askedModel{
			s: s, x: x,
			call:   modelChoice{a.Provider, a.Model, a.Credential},
			launch: modelChoice{x.rt.Launch.Provider, x.rt.Launch.Model, x.rt.Launch.Credential},
		},
		Page: func(ctx context.Context) (browser.Page, error) {
			page, err := x.member.browser.Page(ctx)
			return recordedPage{page, s, x}, err
		},
		Logins: logins{s, x}, Downloads: x.member.landed, Secrets: x.member.secrets,
		Progress: func(_, _ int, _, message string) { report(message) },
	}, agent.Options{Instruction: a.Instruction, MaxSteps: a.MaxSteps, Timeout: maxStepTimeout})
}

// askedModel is the model that the mounts select. Each question is decided
// against the mounts as they are now, and recorded before it is sent.
type askedModel struct {
	s            *Server
	x            *execution
	call, launch modelChoice

	// chat is kept while the choice stays the same: it learns what its
	// provider takes.
	chat   model.Chat
	chosen chosenModel
	// asking is what the question that is asked was granted.
	asking *grant
}

// Complete implements [model.Chat]. The question ends when it is no longer
// permitted to be asked.
func (a *askedModel) Complete(ctx context.Context, req model.Request) (answer *model.Response, err error) {
	var chosen chosenModel
	choose := func(ctx context.Context) (e entry, err error) {
		caller, err := a.s.callerOf(ctx, a.x)
		if err != nil {
			return e, err
		}
		if chosen, err = a.s.chooseModel(ctx, caller, a.call, a.launch); err != nil {
			return e, err
		}
		a.asking = &grant{caller: caller}
		a.asking.require(a.s.askableAs(chosen))
		return a.s.entry(a.asking), nil
	}
	err = a.s.underway.during(ctx, choose, func(ctx context.Context) (err error) {
		answer, err = a.ask(ctx, req, chosen)
		return err
	})
	return answer, err
}

// askableAs is that a model which was chosen may be asked with the credential
// that was chosen.
func (s *Server) askableAs(chosen chosenModel) condition {
	return func(ctx context.Context, q store.Queries, c access.Caller) error {
		now, err := s.askable(ctx, q, c, chosen.credential.ID)
		if err == nil && now.UID != chosen.credential.UID {
			err = outsideMount(bctrl.UseAI) // another has the id
		}
		return err
	}
}

func (a *askedModel) ask(ctx context.Context, req model.Request, chosen chosenModel) (*model.Response, error) {
	if a.chat == nil || a.chosen.model != chosen.model || a.chosen.credential.UID != chosen.credential.UID ||
		a.chosen.credential.Version != chosen.credential.Version {
		id := chosen.credential.ID
		chat, err := a.s.openModel(chosen, &modelCalls{
			s:      a.s,
			id:     id,
			caller: func(ctx context.Context) (access.Caller, error) { return a.s.callerOf(ctx, a.x) },
			grant:  func() *grant { return a.asking },
			event:  func() audit.Event { return a.x.event(bctrl.UseAI, id) },
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
	s *Server
	x *execution
}

func (l logins) List(ctx context.Context) ([]agent.LoginInfo, error) {
	caller, err := l.s.callerOf(ctx, l.x)
	if err != nil {
		return nil, err
	}
	rows, err := gather(keyRanges(caller, "/"), store.VaultRange{Limit: maxLogins}, caller, entryKey,
		func(r store.VaultRange) ([]store.VaultEntry, error) {
			return l.s.db.Read().VaultEntries(ctx, l.x.org, r)
		})
	if err != nil {
		return nil, err
	}
	var list []agent.LoginInfo
	for _, e := range rows {
		meta, err := parseVaultMeta(e)
		if err != nil {
			return nil, err
		}
		list = append(list, agent.LoginInfo{
			Key: e.Key, HasUsername: meta.Username != "", HasPassword: !meta.NoPassword, HasTOTP: e.HasTOTP,
			Origins: append(meta.Origins, meta.OriginPatterns...),
		})
	}
	return list, nil
}

// Use opens one field of an entry for the browser to fill.
func (l logins) Use(ctx context.Context, key, field string) (fill browser.Fill, err error) {
	if err := bctrl.ValidVaultKey(key); err != nil {
		return fill, err
	}
	err = l.open(ctx, key, "", func(uid string, meta vaultMeta, secrets vaultSecrets) error {
		fill = browser.Fill{
			Key: key, Field: field, Origins: meta.Origins, Patterns: meta.OriginPatterns, Direct: meta.Fill == bctrl.FillDirect,
			Still:  func(ctx context.Context) error { return l.still(ctx, key, uid) },
			Report: func(ctx context.Context, what *bctrl.Error) { l.report(ctx, key, what) },
		}
		if field == "totp" {
			fill.Fresh = func(ctx context.Context) (bctrl.Secret, error) { return l.freshCode(ctx, key, uid) }
		}
		if fill.Value, err = loginField(field, meta, secrets); field == "totp" && err == nil && fill.Direct {
			fill.Value, err = lastingCode(ctx, secrets) // it is sent as it is
		}
		return err
	})
	return fill, err
}

// open decides about an entry against the mounts as they are now, records the
// use, and hands out what the entry holds. Where uid is given the entry must
// still be that one.
func (l logins) open(
	ctx context.Context, key, uid string, use func(uid string, meta vaultMeta, secrets vaultSecrets) error,
) error {
	s, x := l.s, l.x
	caller, err := s.callerOf(ctx, x)
	if err != nil {
		return err
	}
	action := access.Action{Verb: bctrl.UseVault, Object: key}
	if !access.Decide(caller, action) {
		return s.refuse(ctx, x, bctrl.UseVault, key)
	}
	var e store.VaultEntry
	find := func(tx *store.Tx) (audit.Event, error) {
		now, err := s.underCeiling(ctx, tx.Queries, caller)
		if err != nil {
			return audit.Event{}, err
		}
		if !access.Decide(now, action) {
			return audit.Event{}, outsideMount(bctrl.UseVault) // since this moment
		}
		e, err = tx.VaultEntry(ctx, x.org, key)
		if errors.Is(err, store.ErrNotFound) || err == nil && uid != "" && e.UID != uid {
			err = errNoVaultKey()
		}
		ev := x.event(bctrl.UseVault, key)
		ev.UID, ev.Version = e.UID, e.Version
		return ev, err
	}
	return s.useIn(ctx, find, func() error {
		meta, secrets, err := s.openVaultEntry(x.org, e)
		if err != nil {
			return err
		}
		return use(e.UID, meta, secrets)
	})
}

// codeMargin is how long a one-time code must still be good for when it leaves:
// less, and it may have been replaced when it arrives.
const codeMargin = 2 * time.Second

// freshCode makes the one-time code that a page sends, when it sends it: the
// one that was filled may be of a period that is over. In the last moments of a
// period it waits for the next.
func (l logins) freshCode(ctx context.Context, key, uid string) (code bctrl.Secret, err error) {
	err = l.open(ctx, key, uid, func(_ string, _ vaultMeta, secrets vaultSecrets) (err error) {
		code, err = lastingCode(ctx, secrets)
		return err
	})
	if err == nil {
		l.x.member.secrets.Add(code)
	}
	return code, err
}

// lastingCode returns a code that is good for codeMargin at least.
func lastingCode(ctx context.Context, secrets vaultSecrets) (bctrl.Secret, error) {
	for {
		now := time.Now()
		code, err := codeNow(secrets, now)
		if err != nil {
			return bctrl.Secret{}, err
		}
		left := code.ExpiresAt.Sub(now)
		if left >= codeMargin {
			return bctrl.NewSecret(code.Code.Reveal()), nil
		}
		next := time.NewTimer(left)
		select {
		case <-next.C:
		case <-ctx.Done():
			next.Stop()
			return bctrl.Secret{}, ctx.Err()
		}
	}
}

// report records what became of a login after it was filled: a page that sends
// it where it may not go, or without its value.
func (l logins) report(ctx context.Context, key string, what *bctrl.Error) {
	if err := l.s.recordRefusal(ctx, l.x, bctrl.UseVault, key, what); err != error(what) {
		l.s.log.Error("what became of a filled login was not recorded", "requestId", l.x.requestID, "error", err)
	}
}

// still decides again about a login that was filled, when the page sends it.
func (l logins) still(ctx context.Context, key, uid string) error {
	caller, err := l.s.callerOf(ctx, l.x)
	if err != nil {
		return err
	}
	if !access.Decide(caller, access.Action{Verb: bctrl.UseVault, Object: key}) {
		return l.s.refuse(ctx, l.x, bctrl.UseVault, key)
	}
	now, err := l.s.db.Read().VaultEntry(ctx, l.x.org, key)
	if errors.Is(err, store.ErrNotFound) || err == nil && now.UID != uid {
		return l.s.recordRefusal(ctx, l.x, bctrl.UseVault, key, errNoVaultKey())
	}
	return err
}

func loginField(field string, meta vaultMeta, secrets vaultSecrets) (bctrl.Secret, error) {
	var value bctrl.Secret
	switch field {
	case "username":
		value = bctrl.NewSecret(meta.Username)
	case "password":
		value = bctrl.NewSecret(secrets.Password.Reveal())
	case "totp":
		code, err := codeNow(secrets, time.Now())
		return bctrl.NewSecret(code.Code.Reveal()), err
	}
	if value.IsZero() {
		return value, notFound("vault.no_field", "this vault key has no such field")
	}
	return value, nil
}

// refuse records that the mounts did not permit something inside an execution,
// and returns the refusal.
func (s *Server) refuse(ctx context.Context, x *execution, verb bctrl.Verb, object string) error {
	refusal := outsideMount(verb)
	return s.recordRefusal(ctx, x, verb, object, refusal)
}

// recordRefusal records that something inside an execution was refused, and
// returns the refusal.
func (s *Server) recordRefusal(ctx context.Context, x *execution, verb bctrl.Verb, object string, refusal *bctrl.Error) error {
	ev := x.event(verb, object)
	ev.Decision, ev.Outcome, ev.Status = audit.Denied, refusal.Code, refusal.Status
	if err := s.audit.Record(context.WithoutCancel(ctx), ev); err != nil {
		return err
	}
	return refusal
}

// recordedPage is the page of an execution. A login that it does not take,
// because it does not belong there, is a refusal like any other.
type recordedPage struct {
	browser.Page
	s *Server
	x *execution
}

// Fill implements [browser.Page].
func (p recordedPage) Fill(ctx context.Context, ref browser.Ref, fill browser.Fill) error {
	err := p.Page.Fill(ctx, ref, fill)
	var refusal *bctrl.Error
	if errors.As(err, &refusal) && refusal.Status == http.StatusForbidden {
		return p.s.recordRefusal(ctx, p.x, bctrl.UseVault, fill.Key, refusal)
	}
	return err
}
