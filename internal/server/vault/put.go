package vault

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

func (s *Service) put(ctx context.Context, rq *web.Request, in wire.VaultCredential) (bctrl.VaultEntry, error) {
	key, err := rq.Path("key", bctrl.ValidVaultKey)
	if err != nil {
		return bctrl.VaultEntry{}, err
	}
	if err := rq.Authorize(key); err != nil {
		return bctrl.VaultEntry{}, err
	}
	meta, err := checkLogin(&in)
	if err != nil {
		return bctrl.VaultEntry{}, err
	}
	return web.Change(ctx, rq, func(tx *store.Tx, ev *audit.Event) (bctrl.VaultEntry, error) {
		e, err := s.writeEntry(ctx, tx, rq.Caller.Org, key, meta, in)
		ev.UID, ev.Version = e.UID, e.Version
		return describe(e, meta), err
	})
}

func (s *Service) writeEntry(
	ctx context.Context, tx *store.Tx, org, key string, meta Meta, in wire.VaultCredential,
) (store.VaultEntry, error) {
	folded := strings.ToLower(key)
	e, err := tx.VaultEntryFolded(ctx, org, folded)
	isNew := errors.Is(err, store.ErrNotFound)
	now := store.Now()
	switch {
	case isNew:
		e = store.VaultEntry{UID: web.NewID(), Key: key, CreatedAt: now}
	case err != nil:
		return e, err
	case e.Key != key:
		return e, web.Conflict("vault.key_case_conflict", "there is a key that differs only in case")
	}
	e.Version, e.UpdatedAt, e.HasTOTP = e.Version+1, now, !in.TOTP.IsZero()
	if e.Meta, err = json.Marshal(meta); err != nil {
		return e, err
	}
	plain, err := json.Marshal(secrets{Password: in.Password, TOTP: in.TOTP, Notes: in.Notes})
	if err != nil {
		return e, err
	}
	defer clear(plain)
	if e.Sealed, err = s.Keys.Seal(sealRecord(org, e), plain); err != nil {
		return e, err
	}
	if isNew {
		return e, tx.InsertVaultEntry(ctx, org, folded, e)
	}
	return e, tx.UpdateVaultEntry(ctx, org, e)
}

// sealRecord binds an entry's key and everything listed of it to its seal, in an
// encoding of its own that [seal.Record] says to keep.
func sealRecord(org string, e store.VaultEntry) seal.Record {
	bound := append([]byte(e.Key+"\n"), e.Meta...)
	if e.HasTOTP {
		bound = append(bound, "\ntotp"...)
	}
	return seal.Record{
		Kind:    "vault",
		UID:     e.UID,
		Scope:   org,
		Version: e.Version,
		Meta:    bound,
	}
}

func (s *Service) remove(ctx context.Context, rq *web.Request, _ web.None) (web.None, error) {
	key, err := rq.Path("key", bctrl.ValidVaultKey)
	if err != nil {
		return web.None{}, err
	}
	if err := rq.Authorize(key); err != nil {
		return web.None{}, err
	}
	return web.Change(ctx, rq, func(tx *store.Tx, ev *audit.Event) (web.None, error) {
		e, err := Find(ctx, tx.Queries, rq.Caller.Org, key, "")
		if err != nil {
			return web.None{}, err
		}
		ev.UID, ev.Version = e.UID, e.Version
		return web.None{}, tx.DeleteVaultEntry(ctx, rq.Caller.Org, e.UID)
	})
}
