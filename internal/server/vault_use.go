package server

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/totp"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// loginUse is one use of a vault entry: whose it is, of what, and as what it is
// recorded.
type loginUse struct {
	// grant holds that its caller may use the entry. It is decided about once
	// more in the transaction that records the use.
	grant *grant
	key   string
	// event is what is recorded, but for the entry's own id and version. The
	// entry is one of its organization.
	event audit.Event
	// begun is called once the use is on record, before anything is decrypted.
	begun func()
}

// openedLogin is a vault entry in use.
type openedLogin struct {
	login
	secrets vaultSecrets
}

// useLogin finds the entry that a use is of, records that it is used, and only
// then decrypts it and hands it to do.
func (s *Server) useLogin(ctx context.Context, u loginUse, do func(openedLogin) error) error {
	org := u.event.Org
	var e store.VaultEntry
	find := func(tx *store.Tx) (audit.Event, error) {
		err := s.stillPermitted(ctx, tx.Queries, u.grant)
		if err != nil {
			return audit.Event{}, err
		}
		e, err = findVaultEntry(ctx, tx.Queries, org, u.key, "")
		ev := u.event
		ev.UID, ev.Version = e.UID, e.Version
		return ev, err
	}
	return s.useIn(ctx, find, func() error {
		u.begun()
		opened, err := s.openVaultEntry(org, e)
		if err != nil {
			return err
		}
		return do(opened)
	})
}

// findVaultEntry finds the entry that has a key. Where uid is given, another
// entry that has the key now is none.
func findVaultEntry(ctx context.Context, q store.Queries, org, key, uid string) (store.VaultEntry, error) {
	e, err := q.VaultEntry(ctx, org, key)
	if errors.Is(err, store.ErrNotFound) || err == nil && uid != "" && e.UID != uid {
		err = errNoVaultKey()
	}
	return e, err
}

// openVaultEntry decrypts the one entry in use.
func (s *Server) openVaultEntry(org string, e store.VaultEntry) (opened openedLogin, err error) {
	plain, err := s.keys.Open(vaultRecord(org, e), e.Sealed)
	if err != nil {
		return opened, unopened(err, "vault.tampered")
	}
	defer clear(plain)
	opened.entry = e
	return opened, errors.Join(json.Unmarshal(e.Meta, &opened.meta), json.Unmarshal(plain, &opened.secrets))
}

func (s *Server) getVault(ctx context.Context, rq *request, _ none) (out wire.VaultCredential, err error) {
	err = s.useLoginOfPath(ctx, rq, func(l openedLogin) error {
		out = wire.VaultCredential{
			Username:       l.meta.Username,
			Password:       l.secrets.Password,
			TOTP:           l.secrets.TOTP,
			Origins:        l.meta.Origins,
			OriginPatterns: l.meta.OriginPatterns,
			Label:          l.meta.Label,
			Notes:          l.secrets.Notes,
			Fill:           string(l.meta.Fill),
		}
		if rq.caller.Runtime != nil {
			out.TOTP = wire.Value{} // a runtime gets codes, never the seed
		}
		return nil
	})
	return out, err
}

func (s *Server) vaultTOTP(ctx context.Context, rq *request, _ none) (out wire.TOTPCode, err error) {
	err = s.useLoginOfPath(ctx, rq, func(l openedLogin) (err error) {
		out, err = l.secrets.codeAt(time.Now())
		return err
	})
	return out, err
}

// useLoginOfPath authorises and uses the entry that the path names.
func (s *Server) useLoginOfPath(ctx context.Context, rq *request, do func(openedLogin) error) error {
	key, err := rq.path("key", bctrl.ValidVaultKey)
	if err != nil {
		return err
	}
	if err := s.authorize(rq, key); err != nil {
		return err
	}
	return s.useLogin(ctx, loginUse{
		grant: &rq.granted,
		key:   key,
		event: rq.event(),
		begun: func() { rq.recorded = true },
	}, do)
}

// field is one field of a login as it is filled into a page: its one-time code
// in place of the seed.
func (l openedLogin) field(name string) (bctrl.Secret, error) {
	var value bctrl.Secret
	switch name {
	case "username":
		value = bctrl.NewSecret(l.meta.Username)
	case "password":
		value = bctrl.NewSecret(l.secrets.Password.Reveal())
	case "totp":
		code, err := l.secrets.codeAt(time.Now())
		return bctrl.NewSecret(code.Code.Reveal()), err
	}
	if value.IsZero() {
		return value, notFound("vault.no_field", "this vault key has no such field")
	}
	return value, nil
}

// codeAt is the one-time code of a time.
func (v vaultSecrets) codeAt(now time.Time) (wire.TOTPCode, error) {
	if v.TOTP.IsZero() {
		return wire.TOTPCode{}, notFound("vault.no_totp", "this vault key has no TOTP seed")
	}
	seed, err := totp.Parse(bctrl.NewSecret(v.TOTP.Reveal()))
	if err != nil {
		return wire.TOTPCode{}, err
	}
	code, expires := seed.Code(now)
	return wire.TOTPCode{Code: wire.NewValue(code.Expose()), ExpiresAt: expires.UTC()}, nil
}

// codeMargin is how long a one-time code must still be good for when it leaves:
// less, and it may have been replaced when it arrives.
const codeMargin = 2 * time.Second

// lastingCode is a one-time code that is good for codeMargin at least. In the
// last moments of a period it waits for the next.
func (v vaultSecrets) lastingCode(ctx context.Context) (bctrl.Secret, error) {
	for {
		now := time.Now()
		code, err := v.codeAt(now)
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
