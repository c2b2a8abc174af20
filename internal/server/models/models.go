package models

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/model"
	"github.com/bctrl-go/bctrl/internal/names"
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

func (s *Service) Routes() []web.Route {
	return []web.Route{
		web.Endpoint("POST /v1/ai-credentials", access.AIWrite, s.createAICredential),
		web.Endpoint("GET /v1/ai-credentials", access.AIRead, s.listAICredentials, "limit", "cursor"),
		web.Endpoint("GET /v1/ai-credentials/{id}", access.AIRead, s.getAICredential),
		web.Endpoint("PATCH /v1/ai-credentials/{id}", access.AIWrite, s.updateAICredential),
	}
}

// Meta is the part of a credential that may be read. It is stored in clear,
// and the seal covers it: a base URL that was edited in the database receives
// no key.
type Meta struct {
	Provider     bctrl.AIProvider `json:"provider"`
	Label        string           `json:"label,omitempty"`
	BaseURL      string           `json:"baseUrl,omitempty"`
	DefaultModel string           `json:"defaultModel,omitempty"`
	Enabled      bool             `json:"enabled"`
}

// Address is where the provider is reached, by its public address too.
func (m Meta) Address() string { return model.BaseURL(m.Provider, m.BaseURL) }

// UnprovenMeta reads what a row says of itself, before its seal has proved it.
func UnprovenMeta(c store.AICredential) (meta Meta, err error) {
	if json.Unmarshal(c.Meta, &meta) != nil {
		return meta, web.Tampered("ai.tampered")
	}
	return meta, nil
}

func ErrNoCredential() *bctrl.Error {
	return web.NotFound("ai.not_found", "there is no such AI credential")
}

func ValidID(id string) error {
	if err := names.CredentialID(id); err != nil {
		return web.Invalid("ai.invalid_id", "id", "not a credential id: "+err.Error())
	}
	return nil
}

func (s *Service) createAICredential(
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
	if err := s.checkAICredential(meta, in.APIKey); err != nil {
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
	if err := s.sealAICredential(rq.Caller.Org, &c, meta, in.APIKey); err != nil {
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
		return describeAICredential(c, meta), err
	})
}

func (s *Service) sealAICredential(org string, c *store.AICredential, meta Meta, key wire.Value) (err error) {
	if c.Meta, err = json.Marshal(meta); err != nil {
		return err
	}
	c.Sealed, err = s.Keys.Seal(aiCredentialRecord(org, *c), []byte(key.Reveal()))
	return err
}

// aiCredentialRecord binds the id and all that may be read of a credential to
// its seal, in an encoding of its own that [seal.Record] says to keep.
func aiCredentialRecord(org string, c store.AICredential) seal.Record {
	return seal.Record{
		Kind:    "ai_credential",
		UID:     c.UID,
		Scope:   org,
		Version: c.Version,
		Meta:    append([]byte(c.ID+"\n"), c.Meta...),
	}
}

// Open decrypts a credential, which proves what may be read of it
// too.
func (s *Service) Open(org string, c store.AICredential) (meta Meta, key wire.Value, err error) {
	plain, err := s.Keys.Open(aiCredentialRecord(org, c), c.Sealed)
	if err != nil {
		return meta, key, web.Unopened(err, "ai.tampered")
	}
	defer clear(plain)
	return meta, wire.NewValue(string(plain)), json.Unmarshal(c.Meta, &meta)
}

// readAICredential describes a credential once its seal has proved it.
func (s *Service) readAICredential(org string, c store.AICredential) (bctrl.AICredential, error) {
	meta, _, err := s.Open(org, c)
	return describeAICredential(c, meta), err
}

func describeAICredential(c store.AICredential, meta Meta) bctrl.AICredential {
	return bctrl.AICredential{
		ID:           c.ID,
		Provider:     meta.Provider,
		Label:        meta.Label,
		BaseURL:      meta.BaseURL,
		DefaultModel: meta.DefaultModel,
		Enabled:      meta.Enabled,
		CreatedAt:    c.CreatedAt,
		UpdatedAt:    c.UpdatedAt,
	}
}

func (s *Service) getAICredential(ctx context.Context, rq *web.Request, _ web.None) (bctrl.AICredential, error) {
	c, err := s.findAICredential(ctx, rq)
	if err != nil {
		return bctrl.AICredential{}, err
	}
	return s.readAICredential(rq.Caller.Org, c)
}

// findAICredential authorises and finds the credential that the path names.
func (s *Service) findAICredential(ctx context.Context, rq *web.Request) (store.AICredential, error) {
	id, err := rq.Path("id", ValidID)
	if err != nil {
		return store.AICredential{}, err
	}
	if err := rq.Authorize(id); err != nil {
		return store.AICredential{}, err
	}
	return s.Find(ctx, s.DB.Read(), rq.Caller, id)
}

// Find finds the credential that an id means to the caller.
func (s *Service) Find(
	ctx context.Context, q store.Queries, c access.Caller, id string,
) (store.AICredential, error) {
	pins, err := pinsOf(ctx, q, c)
	if err != nil {
		return store.AICredential{}, err
	}
	return meantAICredential(ctx, q, c.Org, id, pins)
}

// FindUsable finds the credential that an id means to the caller and decides, by
// the rules as q has them, whether a model may be asked with it.
func (s *Service) FindUsable(
	ctx context.Context, q store.Queries, c access.Caller, id string,
) (store.AICredential, error) {
	decide := func() (store.AICredential, error) { return s.askableBy(ctx, q, c, id) }
	return web.ReadUntilUnchanged(decide, func() (same bool, err error) {
		before := c
		c, err = s.UnderCeiling(ctx, q, c)
		return web.SameCeiling(before, c), err
	})
}

// askableBy is [Service.FindUsable] for a caller under the mounts that it comes with.
func (s *Service) askableBy(
	ctx context.Context, q store.Queries, c access.Caller, id string,
) (found store.AICredential, err error) {
	if !access.Decide(c, access.Action{Verb: bctrl.UseAI, Object: id}) {
		return found, web.OutsideMount(bctrl.UseAI)
	}
	if found, err = s.Find(ctx, q, c, id); err != nil || c.Runtime == nil {
		return found, err
	}
	// What the row says is proved when it is opened.
	meta, err := UnprovenMeta(found)
	if err == nil && !meta.Enabled {
		err = ErrDisabled(id)
	}
	return found, err
}

// pinsOf says which credentials the ids in a runtime's mounts mean; nil for an
// organization key, whose ids mean what has them now.
func pinsOf(ctx context.Context, q store.Queries, c access.Caller) (map[string]string, error) {
	if c.Runtime == nil {
		return nil, nil
	}
	list, err := q.MountPins(ctx, c.Org, c.Runtime.WorkspaceID)
	pins := make(map[string]string, len(list))
	for _, p := range list {
		pins[p.CredentialID] = p.CredentialUID
	}
	return pins, err
}

// meantAICredential finds the credential that an id means. A mount means the
// credential that had the id when it was mounted: another that got the id
// since is none of it.
func meantAICredential(
	ctx context.Context, q store.Queries, org, id string, pins map[string]string,
) (store.AICredential, error) {
	c, err := q.AICredential(ctx, org, id)
	if errors.Is(err, store.ErrNotFound) || err == nil && pins != nil && pins[id] != c.UID {
		return store.AICredential{}, ErrNoCredential()
	}
	return c, err
}

// listAICredentials lists by id. A runtime caller sees those that it may use.
func (s *Service) listAICredentials(ctx context.Context, rq *web.Request, _ web.None) (any, error) {
	limit, after, err := rq.Page()
	if err != nil {
		return nil, err
	}
	rq.MarkDecided("") // by filtering
	var rows []store.AICredential
	if rq.Caller.Runtime == nil {
		rows, err = s.DB.Read().AICredentials(ctx, rq.Caller.Org, after, limit+1)
	} else {
		rows, err = s.ListUsable(ctx, rq.Caller, after, limit+1)
	}
	if err != nil {
		return nil, err
	}
	rows, next := web.PageOf(rows, limit, func(c store.AICredential) string { return c.ID })
	list := wire.List[bctrl.AICredential]{Plural: wire.AICredentials, NextCursor: next}
	for _, c := range rows {
		item, err := s.readAICredential(rq.Caller.Org, c)
		if err != nil {
			return nil, err
		}
		list.Items = append(list.Items, item)
	}
	return list, nil
}

// ListUsable lists, by id, the credentials that a runtime may use. It
// costs what the runtime may see and not what else is stored.
func (s *Service) ListUsable(
	ctx context.Context, c access.Caller, after string, limit int,
) ([]store.AICredential, error) {
	pins, err := pinsOf(ctx, s.DB.Read(), c)
	if err != nil {
		return nil, err
	}
	var usable []store.AICredential
	for _, id := range AllowedIDs(c) {
		if id <= after {
			continue
		}
		found, err := meantAICredential(ctx, s.DB.Read(), c.Org, id, pins)
		if web.AsError(err).Status == http.StatusNotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		if usable = append(usable, found); len(usable) == limit {
			break
		}
	}
	return usable, nil
}

// AllowedIDs are the ids that every level of the caller's chain
// permits, in order.
func AllowedIDs(c access.Caller) []string {
	mount := c.Runtime.Chain.Effective().AI
	if mount == nil {
		return nil
	}
	ids := slices.DeleteFunc(slices.Clone(mount.Allow), func(id string) bool {
		return !access.Decide(c, access.Action{Verb: bctrl.UseAI, Object: id})
	})
	slices.Sort(ids)
	return slices.Compact(ids)
}

func (s *Service) updateAICredential(
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
		if err := s.checkAICredential(meta, key); err != nil {
			return out, err
		}
		if in.APIKey.IsZero() && !key.IsZero() && !sameOrigin(from.Address(), meta.Address()) {
			return out, errKeyElsewhere()
		}
		c.Version++
		c.UpdatedAt = store.Now()
		if err := s.sealAICredential(rq.Caller.Org, &c, meta, key); err != nil {
			return out, err
		}
		ev.UID, ev.Version = c.UID, c.Version
		return describeAICredential(c, meta), tx.UpdateAICredential(ctx, rq.Caller.Org, c)
	})
}

// Remove deletes the credential that the path names, once unbind has
// removed in the same transaction what is bound to its id.
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

func ErrDisabled(id string) *bctrl.Error {
	return web.WithHint(
		web.Conflict("ai.disabled", "the AI credential "+id+" is disabled"),
		"enable it, or choose another",
	)
}
