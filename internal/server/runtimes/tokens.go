package runtimes

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/token"
	"github.com/bctrl-go/bctrl/internal/wire"
)

func (s *Service) tokenRoutes() []web.Route {
	return web.On(
		web.AnyNode(),
		web.Endpoint("POST /v1/workspaces/{id}/runtimes/{alias}/tokens", access.TokenWrite, s.mintToken),
		web.Endpoint("DELETE /v1/tokens/{id}", access.TokenWrite, s.revokeToken),
		web.Endpoint("POST /v1/workspaces/{id}/runtimes/{alias}/explain", access.RuntimeRead, s.explainAction),
		web.Endpoint("GET /v1/self", access.SelfRead, s.getSelf),
	)
}

// How long a token lives, where its request does not say, and how long it may.
const (
	defaultTokenTTL = time.Hour
	minTokenTTL     = time.Second
	maxTokenTTL     = 7 * 24 * time.Hour
)

func (s *Service) mintToken(
	ctx context.Context, rq *web.Request, in wire.TokenCreate[bctrl.Mounts],
) (out wire.NewToken, err error) {
	rt, ws, err := s.authorizedRuntime(ctx, rq)
	if err != nil {
		return out, err
	}
	ttl := defaultTokenTTL
	if in.TTLMs != 0 {
		ttl = time.Duration(in.TTLMs) * time.Millisecond
		if in.TTLMs < minTokenTTL.Milliseconds() || in.TTLMs > maxTokenTTL.Milliseconds() {
			return out, web.Invalid("tokens.invalid_ttl", "ttlMs", "a token lives from 1 second to 7 days")
		}
	}
	if in.RuntimeID != "" && in.RuntimeID != rt.ID {
		return out, web.ErrNotActive // a later runtime has the alias
	}
	var mounts bctrl.Mounts
	if in.Mounts != nil {
		mounts = *in.Mounts
	}
	if _, err := web.RuntimeOf(rt, ws).Narrow(mounts); err != nil {
		return out, err
	}
	if err := checkLevel(mounts, anyCredential(ctx, s.DB.Read(), rq.Caller.Org)); err != nil {
		return out, err
	}
	now := store.Now()
	row := store.RuntimeToken{
		ID:        web.NewID(),
		RuntimeID: rt.ID,
		CreatedAt: now,
		ExpiresAt: now.Add(ttl),
	}
	text, err := s.newTokenText(ctx, rq.Caller.Org, row, mounts)
	if err != nil {
		return out, err
	}
	return web.Change(ctx, rq, func(tx *store.Tx, ev *audit.Event) (wire.NewToken, error) {
		ev.Object, ev.Workspace, ev.Group, ev.Runtime = row.ID, ws.ID, rt.Group, rt.ID
		now, err := tx.Runtime(ctx, rq.Caller.Org, rt.ID)
		if errors.Is(err, store.ErrNotFound) || err == nil && !now.Live {
			return wire.NewToken{}, web.ErrNotActive
		}
		if err != nil {
			return wire.NewToken{}, err
		}
		made := wire.NewToken{Token: wire.NewValue(text), ID: row.ID, ExpiresAt: row.ExpiresAt}
		return made, tx.InsertRuntimeToken(ctx, rq.Caller.Org, row)
	})
}

// newTokenText makes the text of a token that narrows its runtime by mounts. Mounts
// with which it would exceed 4096 bytes are refused.
func (s *Service) newTokenText(
	ctx context.Context, org string, row store.RuntimeToken, mounts bctrl.Mounts,
) (string, error) {
	root, err := s.TokenKey.Get(ctx)
	if err != nil {
		return "", err
	}
	var head token.Head
	for id, into := range map[string]*uuid.UUID{
		row.ID: &head.ID, org: &head.Organization, row.RuntimeID: &head.Runtime,
	} {
		if *into, err = uuid.Parse(id); err != nil {
			return "", err
		}
	}
	text, err := web.EncodeAnswer(mounts)
	if err != nil {
		return "", err
	}
	t, err := token.New(root, head, row.ExpiresAt, text)
	if errors.Is(err, token.ErrTooLong) {
		return "", web.WithHint(
			web.Invalid("tokens.too_long", "mounts", "the token would exceed 4096 bytes"),
			"name prefixes instead of keys, or narrow the runtime when it is launched",
		)
	}
	if err != nil {
		return "", err
	}
	return t.Text(), nil
}

func (s *Service) revokeToken(ctx context.Context, rq *web.Request, _ web.None) (wire.Token, error) {
	id, err := rq.Path("id", web.ValidUUID)
	if err != nil {
		return wire.Token{}, err
	}
	if err := rq.Authorize(id); err != nil {
		return wire.Token{}, err
	}
	return web.ChangeRules(ctx, rq, func(tx *store.Tx, ev *audit.Event) (wire.Token, error) {
		t, err := tx.RuntimeToken(ctx, rq.Caller.Org, id)
		if errors.Is(err, store.ErrNotFound) {
			return wire.Token{}, web.NotFound("tokens.not_found", "there is no such token")
		}
		if err != nil {
			return wire.Token{}, err
		}
		ev.Runtime = t.RuntimeID
		if t.RevokedAt.IsZero() {
			t.RevokedAt = store.Now()
		}
		out := wire.Token{
			ID:        t.ID,
			RuntimeID: t.RuntimeID,
			CreatedAt: t.CreatedAt,
			ExpiresAt: t.ExpiresAt,
			RevokedAt: &t.RevokedAt,
		}
		return out, tx.RevokeRuntimeToken(ctx, rq.Caller.Org, id, t.RevokedAt)
	})
}

// SweepTokens removes the rows of tokens that expired a day ago, 1000 in a transaction,
// so that other writes need not wait long. Its errors are of the store.
func (s *Service) SweepTokens(ctx context.Context) error {
	for {
		var n int64
		err := s.DB.Write(ctx, func(tx *store.Tx) (err error) {
			n, err = tx.DeleteRuntimeTokensBefore(ctx, time.Now().Add(-24*time.Hour), 1000)
			return err
		})
		if err != nil || n < 1000 {
			return err
		}
	}
}
