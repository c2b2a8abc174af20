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
	org := rq.Caller.Org
	guessed, guess, err := s.guess(org, key, meta, in)
	if err != nil {
		return bctrl.VaultEntry{}, err
	}
	var e store.VaultEntry
	out, err := web.Change(ctx, rq, func(tx *store.Tx, ev *audit.Event) (out bctrl.VaultEntry, err error) {
		replaced := false
		if e = guessed; guess {
			replaced, err = tx.ReplaceVaultEntry(ctx, org, e)
		}
		if err == nil && !replaced {
			e, err = s.writeEntry(ctx, tx, org, key, meta, in)
		}
		ev.UID, ev.Version = e.UID, e.Version
		return describe(e, meta), err
	})
	if err == nil {
		s.newest.note(org, e)
	}
	return out, err
}

// guess is what a set makes of the version that was written last, where one is remembered: sealed
// beside the writer, who then has nothing to read.
func (s *Service) guess(
	org, key string, meta Meta, in wire.VaultCredential,
) (e store.VaultEntry, known bool, err error) {
	before, known := s.newest.of(org, key)
	if known {
		e, err = s.follow(org, before, meta, in)
	}
	return e, known, err
}

// writeEntry writes an entry after whatever is stored.
func (s *Service) writeEntry(
	ctx context.Context, tx *store.Tx, org, key string, meta Meta, in wire.VaultCredential,
) (store.VaultEntry, error) {
	folded := strings.ToLower(key)
	before, err := tx.VaultEntryFolded(ctx, org, folded)
	isNew := errors.Is(err, store.ErrNotFound)
	switch {
	case isNew:
		before = store.VaultEntry{Key: key}
	case err != nil:
		return before, err
	case before.Key != key:
		return before, web.Conflict("vault.key_case_conflict", "there is a key that differs only in case")
	}
	e, err := s.follow(org, before, meta, in)
	if err != nil {
		return e, err
	}
	if isNew {
		return e, tx.InsertVaultEntry(ctx, org, folded, e)
	}
	return e, tx.UpdateVaultEntry(ctx, org, e)
}

// follow is the version of an entry that comes after another, sealed. Before the first there is
// one of which only the key is known.
func (s *Service) follow(
	org string, before store.VaultEntry, meta Meta, in wire.VaultCredential,
) (e store.VaultEntry, err error) {
	now := store.Now()
	e = store.VaultEntry{
		UID:       before.UID,
		Key:       before.Key,
		Version:   before.Version + 1,
		HasTOTP:   !in.TOTP.IsZero(),
		CreatedAt: before.CreatedAt,
		UpdatedAt: now,
	}
	if before.Version == 0 {
		e.UID, e.CreatedAt = web.NewID(), now
	}
	if e.Meta, err = json.Marshal(meta); err != nil {
		return e, err
	}
	plain, err := json.Marshal(secrets{Password: in.Password, TOTP: in.TOTP, Notes: in.Notes})
	if err != nil {
		return e, err
	}
	defer clear(plain)
	e.Sealed, err = s.Keys.Seal(sealRecord(org, e), plain)
	return e, err
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
