package models

import (
	"context"
	"errors"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

func (s *Service) create(
	ctx context.Context, rq *web.Request, in wire.AICredentialCreate,
) (bctrl.AICredential, error) {
	if err := ValidID(in.ID); err != nil {
		return bctrl.AICredential{}, err
	}
	if err := rq.Authorize(in.ID); err != nil {
		return bctrl.AICredential{}, err
	}
	meta := Meta{
		Provider:     bctrl.AIProvider(in.Provider),
		Label:        in.Label,
		BaseURL:      in.BaseURL,
		DefaultModel: in.DefaultModel,
		Enabled:      in.Enabled == nil || *in.Enabled,
	}
	if err := s.check(meta, in.APIKey); err != nil {
		return bctrl.AICredential{}, err
	}
	now := store.Now()
	c := store.AICredential{
		UID:       web.NewID(),
		ID:        in.ID,
		Version:   1,
		CreatedAt: now,
		UpdatedAt: now,
	}
	if err := s.seal(rq.Caller.Org, &c, meta, in.APIKey); err != nil {
		return bctrl.AICredential{}, err
	}
	return web.Change(ctx, rq, func(tx *store.Tx, ev *audit.Event) (bctrl.AICredential, error) {
		ev.UID, ev.Version = c.UID, c.Version
		switch _, err := tx.Credential(ctx, rq.Caller.Org, c.ID); {
		case err == nil:
			return bctrl.AICredential{}, web.Conflict("ai.exists", "there is a credential of the broker with this id")
		case !errors.Is(err, store.ErrNotFound):
			return bctrl.AICredential{}, err
		}
		err := tx.InsertAICredential(ctx, rq.Caller.Org, c)
		if errors.Is(err, store.ErrExists) {
			err = web.Conflict("ai.exists", "there is an AI credential with this id")
		}
		return describe(c, meta), err
	})
}

func (s *Service) update(
	ctx context.Context, rq *web.Request, in wire.AICredentialUpdate,
) (bctrl.AICredential, error) {
	id, err := rq.Path("id", ValidID)
	if err != nil {
		return bctrl.AICredential{}, err
	}
	if err := rq.Authorize(id); err != nil {
		return bctrl.AICredential{}, err
	}
	return web.ChangeRules(ctx, rq, func(tx *store.Tx, ev *audit.Event) (out bctrl.AICredential, err error) {
		c, err := tx.AICredential(ctx, rq.Caller.Org, id)
		if errors.Is(err, store.ErrNotFound) {
			return out, ErrNoCredential()
		}
		if err != nil {
			return out, err
		}
		// A row that was changed outside the server is not made good by sealing
		// it anew: it can only be deleted.
		meta, key, err := s.Open(rq.Caller.Org, c)
		if err != nil {
			return out, err
		}
		from := meta
		web.SetIfGiven(&meta.Label, in.Label)
		web.SetIfGiven(&meta.BaseURL, in.BaseURL)
		web.SetIfGiven(&meta.DefaultModel, in.DefaultModel)
		web.SetIfGiven(&meta.Enabled, in.Enabled)
		if !in.APIKey.IsZero() {
			key = in.APIKey
		}
		if err := s.check(meta, key); err != nil {
			return out, err
		}
		if in.APIKey.IsZero() && !key.IsZero() && !sameOrigin(from.Address(), meta.Address()) {
			return out, errKeyElsewhere()
		}
		c.Version++
		c.UpdatedAt = store.Now()
		if err := s.seal(rq.Caller.Org, &c, meta, key); err != nil {
			return out, err
		}
		ev.UID, ev.Version = c.UID, c.Version
		return describe(c, meta), tx.UpdateAICredential(ctx, rq.Caller.Org, c)
	})
}

// Remove answers the route that deletes the credential of its path, and decides
// about the right to. In the same transaction unbind first removes what is bound to
// the credential's id, which only an area above knows. A credential that workspaces
// mount is ai.mounted, unless the query has force=true.
func (s *Service) Remove(
	ctx context.Context, rq *web.Request, unbind func(context.Context, *store.Tx, string) error,
) (web.None, error) {
	id, err := rq.Path("id", ValidID)
	if err != nil {
		return web.None{}, err
	}
	if err := rq.Authorize(id); err != nil {
		return web.None{}, err
	}
	force, err := rq.Flag("force")
	if err != nil {
		return web.None{}, err
	}
	return web.ChangeRules(ctx, rq, func(tx *store.Tx, ev *audit.Event) (web.None, error) {
		c, err := tx.AICredential(ctx, rq.Caller.Org, id)
		if errors.Is(err, store.ErrNotFound) {
			return web.None{}, ErrNoCredential()
		}
		if err != nil {
			return web.None{}, err
		}
		ev.UID, ev.Version = c.UID, c.Version
		if !force {
			mounting, err := tx.WorkspacesMounting(ctx, rq.Caller.Org, c.UID)
			if err != nil {
				return web.None{}, err
			}
			if len(mounting) > 0 {
				return web.None{}, errMounted(mounting)
			}
		}
		if err := unbind(ctx, tx, c.ID); err != nil {
			return web.None{}, err
		}
		return web.None{}, tx.DeleteAICredential(ctx, rq.Caller.Org, c.UID)
	})
}

// errMounted names the workspaces that would lose the credential.
func errMounted(workspaces []string) *bctrl.Error {
	const shown = 10
	by := strings.Join(workspaces[:min(len(workspaces), shown)], ", ")
	if len(workspaces) > shown {
		by += " and others"
	}
	return web.WithHint(
		web.Conflict("ai.mounted", "workspaces mount this AI credential: "+by),
		"take it out of their ai mount first, or delete it with force=true",
	)
}
