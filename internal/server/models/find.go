package models

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// Find finds the credential that an id means to the caller, or fails with
// [ErrNoCredential]. To a runtime it means the one that had the id when it was
// mounted. It decides nothing: the caller's right was decided before.
func (s *Service) Find(
	ctx context.Context, q store.Queries, c access.Caller, id string,
) (store.AICredential, error) {
	pins, err := pinsOf(ctx, q, c)
	if err != nil {
		return store.AICredential{}, err
	}
	return findMeant(ctx, q, c.Org, id, pins)
}

// findByPath authorises and finds the credential that the path names.
func (s *Service) findByPath(ctx context.Context, rq *web.Request) (store.AICredential, error) {
	id, err := rq.Path("id", ValidID)
	if err != nil {
		return store.AICredential{}, err
	}
	if err := rq.Authorize(id); err != nil {
		return store.AICredential{}, err
	}
	return s.Find(ctx, s.DB.Read(), rq.Caller, id)
}

// FindUsable finds the credential that an id means to the caller and decides, by
// the rules as q has them, whether a model may be asked with it: the mounts permit
// ai.use of it, and to a runtime it is enabled. It fails with ai.outside_mount,
// [ErrNoCredential] or [ErrDisabled].
func (s *Service) FindUsable(
	ctx context.Context, q store.Queries, c access.Caller, id string,
) (store.AICredential, error) {
	decide := func() (store.AICredential, error) { return s.findUsableAs(ctx, q, c, id) }
	return web.ReadUntilUnchanged(decide, func() (same bool, err error) {
		before := c
		c, err = s.UnderCeiling(ctx, q, c)
		return web.SameCeiling(before, c), err
	})
}

// findUsableAs is [Service.FindUsable] for a caller under the mounts that it comes
// with.
func (s *Service) findUsableAs(
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

// pinsOf returns the uids of the credentials that the ids in a runtime's mounts
// mean; nil for an organization key, whose ids mean what has them now.
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

// findMeant finds the credential that an id means. A mount means the
// credential that had the id when it was mounted: another that got the id
// since is none of it.
func findMeant(
	ctx context.Context, q store.Queries, org, id string, pins map[string]string,
) (store.AICredential, error) {
	c, err := q.AICredential(ctx, org, id)
	if errors.Is(err, store.ErrNotFound) || err == nil && pins != nil && pins[id] != c.UID {
		return store.AICredential{}, ErrNoCredential()
	}
	return c, err
}

// ListUsable lists the credentials that a runtime may use, disabled ones too: in
// order of their ids, those after an id, at most limit. It costs what the runtime
// may see and not what else is stored. The caller must be a runtime.
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
		found, err := findMeant(ctx, s.DB.Read(), c.Org, id, pins)
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

// AllowedIDs are the ids that every level of a runtime caller's chain permits, in
// order and each once. There need not be a credential with each.
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

// ErrDisabled is the answer to a call with a credential that is switched off. The
// caller may use the credential, so the id tells it nothing.
func ErrDisabled(id string) *bctrl.Error {
	return web.WithHint(
		web.Conflict("ai.disabled", "the AI credential "+id+" is disabled"),
		"enable it, or choose another",
	)
}
