package server

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

func (s *Server) keyRoutes() []web.Route {
	return []web.Route{
		web.Endpoint("POST /v1/keys", access.KeyWrite, s.createKey),
		web.Endpoint("GET /v1/keys", access.KeyRead, s.listKeys, "limit", "cursor"),
		web.Endpoint("DELETE /v1/keys/{id}", access.KeyWrite, s.revokeKey),
	}
}

// newKey makes an organization key of 256 random bits, and the SHA-256 hash of its text
// that is stored in its place. A key that nobody can guess needs no slow hash.
func newKey() (key bctrl.Secret, hash []byte) {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails, by its contract
	text := web.KeyPrefix + base64.RawURLEncoding.EncodeToString(b[:])
	sum := sha256.Sum256([]byte(text))
	return bctrl.NewSecret(text), sum[:]
}

func (s *Server) createKey(ctx context.Context, rq *web.Request, in wire.KeyCreate) (wire.NewKey, error) {
	if err := rq.Authorize(""); err != nil {
		return wire.NewKey{}, err
	}
	return web.Change(ctx, rq, func(tx *store.Tx, ev *audit.Event) (wire.NewKey, error) {
		return addKey(ctx, tx, in.Label, ev)
	})
}

// addKey makes a key in the organization of ev, and makes it the object of ev.
func addKey(ctx context.Context, tx *store.Tx, label string, ev *audit.Event) (wire.NewKey, error) {
	if err := web.CheckLabel(label); err != nil {
		return wire.NewKey{}, err
	}
	text, hash := newKey()
	k := store.APIKey{
		ID:        web.NewID(),
		Org:       ev.Org,
		Label:     label,
		Hash:      hash,
		CreatedAt: store.Now(),
	}
	ev.Object = k.ID
	return wire.NewKey{
		ID:        k.ID,
		Label:     k.Label,
		CreatedAt: k.CreatedAt,
		Key:       wire.NewValue(text.Expose()),
	}, tx.InsertAPIKey(ctx, k)
}

func (s *Server) listKeys(ctx context.Context, rq *web.Request, _ web.None) (wire.List[wire.Key], error) {
	return web.Listing[store.APIKey, wire.Key]{
		Plural: wire.APIKeys,
		Rows: func(after string, limit int) ([]store.APIKey, error) {
			return s.DB.Read().APIKeys(ctx, rq.Caller.Org, after, limit)
		},
		Cursor:   func(k store.APIKey) string { return k.ID },
		Describe: web.WithoutError(describeKey),
	}.Page(rq)
}

func describeKey(k store.APIKey) wire.Key {
	out := wire.Key{ID: k.ID, Label: k.Label, CreatedAt: k.CreatedAt}
	if !k.RevokedAt.IsZero() {
		out.RevokedAt = &k.RevokedAt
	}
	return out
}

func (s *Server) revokeKey(ctx context.Context, rq *web.Request, _ web.None) (wire.Key, error) {
	id, err := rq.Path("id", web.ValidUUID)
	if err != nil {
		return wire.Key{}, err
	}
	if err := rq.Authorize(id); err != nil {
		return wire.Key{}, err
	}
	rq.LetFinish() // a key that revokes itself hears that it has
	return web.ChangeRules(ctx, rq, func(tx *store.Tx, ev *audit.Event) (wire.Key, error) {
		return endKey(ctx, tx, id, ev)
	})
}

// endKey revokes a key of the organization of ev, and makes it the object of ev. The
// last good one cannot be revoked, since nobody could make another through the
// server. In a subaccount it can: its parent may make one there.
func endKey(ctx context.Context, tx *store.Tx, id string, ev *audit.Event) (wire.Key, error) {
	ev.Object = id
	k, err := tx.APIKey(ctx, ev.Org, id)
	if errors.Is(err, store.ErrNotFound) {
		return wire.Key{}, web.NotFound("keys.not_found", "there is no such key")
	}
	if err != nil || !k.RevokedAt.IsZero() {
		return describeKey(k), err
	}
	good, err := tx.GoodAPIKeys(ctx, ev.Org)
	if err != nil {
		return wire.Key{}, err
	}
	subaccount, err := tx.IsSubaccount(ctx, ev.Org)
	if err != nil {
		return wire.Key{}, err
	}
	if good == 1 && !subaccount {
		return wire.Key{}, web.WithHint(
			web.Conflict("keys.last", "this is the last key that is good"),
			"make another one first",
		)
	}
	k.RevokedAt = store.Now()
	return describeKey(k), tx.RevokeAPIKey(ctx, ev.Org, id, k.RevokedAt)
}
