package vault

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// LoginUse is one use of a vault entry: whose it is, of what, and as what it is
// recorded.
type LoginUse struct {
	// Grant holds that its caller may use the entry. It is decided about once
	// more in the transaction that records the use.
	Grant *web.Grant
	Key   string
	// Event is what is recorded, but for the entry's own id and version. The
	// entry is one of its organization.
	Event audit.Event
	// Begun is called once the use is on record, before anything is decrypted.
	Begun func()
}

// OpenedLogin is a vault entry in use.
type OpenedLogin struct {
	Login
	Secrets Secrets
}

// UseLogin finds the entry that a use is of, records that it is used, and only
// then decrypts it and hands it to do.
func (s *Service) UseLogin(ctx context.Context, u LoginUse, do func(OpenedLogin) error) error {
	org := u.Event.Org
	var e store.VaultEntry
	find := func(tx *store.Tx) (audit.Event, error) {
		err := s.StillPermitted(ctx, tx.Queries, u.Grant)
		if err != nil {
			return audit.Event{}, err
		}
		e, err = Find(ctx, tx.Queries, org, u.Key, "")
		ev := u.Event
		ev.UID, ev.Version = e.UID, e.Version
		return ev, err
	}
	return s.UseFound(ctx, find, func() error {
		u.Begun()
		opened, err := s.openVaultEntry(org, e)
		if err != nil {
			return err
		}
		return do(opened)
	})
}

// Find finds the entry that has a key. Where uid is given, another
// entry that has the key now is none.
func Find(ctx context.Context, q store.Queries, org, key, uid string) (store.VaultEntry, error) {
	e, err := q.VaultEntry(ctx, org, key)
	if errors.Is(err, store.ErrNotFound) || err == nil && uid != "" && e.UID != uid {
		err = errNoKey()
	}
	return e, err
}

// openVaultEntry decrypts the one entry in use.
func (s *Service) openVaultEntry(org string, e store.VaultEntry) (opened OpenedLogin, err error) {
	plain, err := s.Keys.Open(vaultRecord(org, e), e.Sealed)
	if err != nil {
		return opened, web.Unopened(err, "vault.tampered")
	}
	defer clear(plain)
	opened.Entry = e
	return opened, errors.Join(json.Unmarshal(e.Meta, &opened.Meta), json.Unmarshal(plain, &opened.Secrets))
}

func (s *Service) getVault(ctx context.Context, rq *web.Request, _ web.None) (out wire.VaultCredential, err error) {
	err = s.useLoginOfPath(ctx, rq, func(l OpenedLogin) error {
		out = wire.VaultCredential{
			Username:       l.Meta.Username,
			Password:       l.Secrets.Password,
			TOTP:           l.Secrets.TOTP,
			Origins:        l.Meta.Origins,
			OriginPatterns: l.Meta.OriginPatterns,
			Label:          l.Meta.Label,
			Notes:          l.Secrets.Notes,
			Fill:           string(l.Meta.Fill),
		}
		if rq.Caller.Runtime != nil {
			out.TOTP = wire.Value{} // a runtime gets codes, never the seed
		}
		return nil
	})
	return out, err
}

func (s *Service) vaultTOTP(ctx context.Context, rq *web.Request, _ web.None) (out wire.TOTPCode, err error) {
	err = s.useLoginOfPath(ctx, rq, func(l OpenedLogin) (err error) {
		out, err = l.Secrets.codeAt(time.Now())
		return err
	})
	return out, err
}

// useLoginOfPath authorises and uses the entry that the path names.
func (s *Service) useLoginOfPath(ctx context.Context, rq *web.Request, do func(OpenedLogin) error) error {
	key, err := rq.Path("key", bctrl.ValidVaultKey)
	if err != nil {
		return err
	}
	if err := rq.Authorize(key); err != nil {
		return err
	}
	return s.UseLogin(ctx, LoginUse{
		Grant: &rq.Granted,
		Key:   key,
		Event: rq.Event(),
		Begun: rq.MarkRecorded,
	}, do)
}

// Field is one field of a login as it is filled into a page: its one-time code
// in place of the seed.
func (l OpenedLogin) Field(name string) (bctrl.Secret, error) {
	var value bctrl.Secret
	switch name {
	case "username":
		value = bctrl.NewSecret(l.Meta.Username)
	case "password":
		value = bctrl.NewSecret(l.Secrets.Password.Reveal())
	case "totp":
		code, err := l.Secrets.codeAt(time.Now())
		return bctrl.NewSecret(code.Code.Reveal()), err
	}
	if value.IsZero() {
		return value, web.NotFound("vault.no_field", "this vault key has no such field")
	}
	return value, nil
}
