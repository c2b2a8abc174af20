package runtimes

import (
	"context"
	"errors"
	"sync"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/agent"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/server/vault"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// maxLogins is how many logins an agent is told of. It may use others, by their keys.
const maxLogins = 50

// logins implements [agent.Logins]: it gives an execution the vault entries that its
// mounts permit. Each use is decided by the mounts as they are then, and recorded
// before anything is opened.
type logins struct {
	s *Service
	x *execution
}

// fillLogin fills a login for a caller that acts on the page itself.
func (s *Service) fillLogin(
	ctx context.Context, x *execution, a bctrl.FillArgs, report func(string),
) (*bctrl.FillResult, error) {
	return agent.FillFields(ctx, s.agentDeps(x, bctrl.ModelChoice{}, nil, report), a)
}

// List implements [agent.Logins].
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

// Use opens one field of an entry for the browser to fill. When the page sends it, the
// browser asks once more whether it is still permitted.
func (l logins) Use(ctx context.Context, key, field string) (fill browser.Fill, err error) {
	if err := bctrl.ValidVaultKey(key); err != nil {
		return fill, err
	}
	granted, err := l.grantUse(ctx, key)
	if err != nil {
		return fill, err
	}
	var denied lastRefusal
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
			StillPermitted: func(ctx context.Context) error { return l.stillPermitted(ctx, granted, key, &denied) },
			Report:         func(ctx context.Context, what *bctrl.Error) { l.recordAfterFill(ctx, key, what) },
		}
		if field == "totp" {
			fill.Fresh = func(ctx context.Context) (bctrl.Secret, error) { return l.freshCode(ctx, granted, key, &denied) }
		}
		if fill.Value, err = opened.Field(field); field == "totp" && err == nil && fill.Direct {
			fill.Value, err = opened.LastingCode(ctx) // no later one takes its place
		}
		return err
	})
	return fill, err
}

// grantUse decides whether an entry may be used, by the mounts as they are now. Where
// it may not, that is recorded.
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

// open has the vault open an entry for do, and record that the execution used it.
func (l logins) open(ctx context.Context, g *web.Grant, key string, do func(vault.OpenedLogin) error) error {
	return l.s.vault.UseLogin(ctx, vault.LoginUse{
		Grant: g,
		Key:   key,
		Event: l.x.event(bctrl.UseVault, key),
		Begun: func() {},
	}, do)
}

// freshCode makes a one-time code when the page sends one: the period of the one that
// was filled may be over by then.
func (l logins) freshCode(
	ctx context.Context, g *web.Grant, key string, denied *lastRefusal,
) (code bctrl.Secret, err error) {
	if err := l.stillPermitted(ctx, g, key, denied); err != nil {
		return code, err
	}
	err = l.open(ctx, g, key, func(opened vault.OpenedLogin) (err error) {
		code, err = opened.LastingCode(ctx)
		return err
	})
	if err == nil {
		l.x.live.secrets.Add(code)
	}
	return code, err
}

// recordAfterFill records what the browser refused of a page after a login was filled:
// to send it where it may not go, or to send something else in its place.
func (l logins) recordAfterFill(ctx context.Context, key string, what *bctrl.Error) {
	if err := l.s.recordRefusal(ctx, l.x, bctrl.UseVault, key, what); err != error(what) {
		l.s.Log.Error("what became of a filled login was not recorded", "requestId", l.x.requestID, "error", err)
	}
}

// stillPermitted decides once more about a login, when the page sends it. Where it may
// no longer be used, that is recorded, but not again for each time that the page sends it.
func (l logins) stillPermitted(ctx context.Context, g *web.Grant, key string, denied *lastRefusal) error {
	err := l.s.StillPermittedNow(ctx, g)
	refusal, ok := errors.AsType[*bctrl.Error](err)
	if !ok || !errors.Is(err, bctrl.ErrOutsideMount) && !errors.Is(err, bctrl.ErrNotFound) {
		denied.isAnother("")
		return err
	}
	if denied.isAnother(refusal.Code) {
		return l.s.recordRefusal(ctx, l.x, bctrl.UseVault, key, refusal)
	}
	return err
}

// lastRefusal is how something was decided that a page has decided as often as it likes.
type lastRefusal struct {
	mu   sync.Mutex
	code string
}

// isAnother reports whether a decision, by the code of its refusal or "", is another than
// the one before.
func (r *lastRefusal) isAnother(code string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.code
	r.code = code
	return code != was
}
