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

// LoginUse is one use of a vault entry: by whom, of what, and how the audit log
// has it.
type LoginUse struct {
	// Grant is what its caller was permitted, the use of the entry among it. It is
	// decided about once more in the transaction that records the use.
	Grant *web.Grant
	// Key names the entry.
	Key string
	// Event is what is recorded, but for the entry's own id and version. The
	// entry is one of its organization.
	Event audit.Event
	// Begun is called once the use is on record, before anything is decrypted. It
	// may not be nil.
	Begun func()
}

// OpenedLogin is a vault entry in use, decrypted and proved by its seal.
type OpenedLogin struct {
	Login
	secrets secrets
}

// UseLogin finds the entry that a use is of, records that it is used, and only
// then decrypts it and hands it to do. How do ended is recorded too, and its
// error returned. A key that no entry has is vault.secret_not_found, an entry that
// its seal does not prove vault.tampered, and a grant that no longer holds what
// refuses it; of these only the second is a use on record.
func (s *Service) UseLogin(ctx context.Context, u LoginUse, do func(OpenedLogin) error) error {
	return s.useEntry(ctx, u, func(e store.VaultEntry, plain []byte) error {
		opened, err := openedLogin(e, plain)
		if err != nil {
			return err
		}
		return do(opened)
	})
}

// useEntry is [Service.UseLogin], but hands the sealed part to do as it was decrypted. Its bytes are
// cleared when do returns.
func (s *Service) useEntry(ctx context.Context, u LoginUse, do func(e store.VaultEntry, plain []byte) error) error {
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
		plain, err := s.Keys.Open(sealRecord(org, e), e.Sealed) // which proves its Meta too
		if err != nil {
			return web.Unopened(err, "vault.tampered")
		}
		defer clear(plain)
		return do(e, plain)
	})
}

// Find finds the entry that has a key, or fails with vault.secret_not_found. Where
// uid is given, another entry that has the key now is none. It decides nothing: the
// caller's right was decided before.
func Find(ctx context.Context, q store.Queries, org, key, uid string) (store.VaultEntry, error) {
	e, err := q.VaultEntry(ctx, org, key)
	if errors.Is(err, store.ErrNotFound) || err == nil && uid != "" && e.UID != uid {
		err = errNoKey()
	}
	return e, err
}

// openedLogin is an entry with what was sealed of it.
func openedLogin(e store.VaultEntry, plain []byte) (opened OpenedLogin, err error) {
	opened.Entry = e
	return opened, errors.Join(json.Unmarshal(e.Meta, &opened.Meta), json.Unmarshal(plain, &opened.secrets))
}

func (s *Service) read(ctx context.Context, rq *web.Request, _ web.None) (out encodedLogin, err error) {
	err = s.useEntryOfPath(ctx, rq, func(e store.VaultEntry, plain []byte) (err error) {
		out, err = encodeLogin(e, plain, rq.Caller.Runtime == nil) // a runtime gets codes, never the seed
		return err
	})
	return out, err
}

func (s *Service) readCode(ctx context.Context, rq *web.Request, _ web.None) (out wire.TOTPCode, err error) {
	err = s.useEntryOfPath(ctx, rq, func(e store.VaultEntry, plain []byte) error {
		l, err := openedLogin(e, plain)
		if err == nil {
			out, err = l.secrets.codeAt(time.Now())
		}
		return err
	})
	return out, err
}

// useEntryOfPath authorises and uses the entry that the path names.
func (s *Service) useEntryOfPath(
	ctx context.Context, rq *web.Request, do func(e store.VaultEntry, plain []byte) error,
) error {
	key, err := rq.Path("key", bctrl.ValidVaultKey)
	if err != nil {
		return err
	}
	if err := rq.Authorize(key); err != nil {
		return err
	}
	return s.useEntry(ctx, LoginUse{
		Grant: &rq.Granted,
		Key:   key,
		Event: rq.Event(),
		Begun: rq.MarkRecorded,
	}, do)
}

// Field returns a field of the login as it is filled into a page: username,
// password, or totp, which is the code of this moment and not the seed. A field
// that the login lacks is vault.no_field or vault.no_totp.
func (l OpenedLogin) Field(name string) (bctrl.Secret, error) {
	var value bctrl.Secret
	switch name {
	case "username":
		value = bctrl.NewSecret(l.Meta.Username)
	case "password":
		value = bctrl.NewSecret(l.secrets.Password.Reveal())
	case "totp":
		code, err := l.secrets.codeAt(time.Now())
		return bctrl.NewSecret(code.Code.Reveal()), err
	}
	if value.IsZero() {
		return value, web.NotFound("vault.no_field", "this vault key has no such field")
	}
	return value, nil
}
