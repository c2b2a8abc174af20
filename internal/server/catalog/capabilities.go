package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/names"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

func (s *Service) capabilityRoutes() []web.Route {
	return []web.Route{
		web.Endpoint("DELETE /v1/capabilities/{id}", access.CapabilityWrite, s.deleteCapability),
		web.Endpoint("PUT /v1/capabilities/{id}/policy", access.CapabilityWrite, s.putCapabilityPolicy),
	}
}

// ErrNoCapability refuses an id under which the organization finds no capability.
func ErrNoCapability() *bctrl.Error {
	return web.NotFound("capabilities.not_found", "there is no such capability")
}

// errBuiltin refuses to change a capability of the registry.
func errBuiltin() *bctrl.Error {
	return web.WithHint(
		web.Conflict("capabilities.builtin", "the capability is one of the registry, which nobody changes"),
		"limit it with a policy, or make one with another name",
	)
}

// ValidCapabilityID refuses what cannot be the id of a capability.
func ValidCapabilityID(id string) error {
	if err := names.Capability(id); err != nil {
		return web.Invalid("capabilities.invalid_id", "id", "not a capability: "+err.Error())
	}
	return nil
}

// FindCapability describes a capability, of the registry or an organization's
// own, with its policy. Whether it is ready is left open. The registry's goes
// before one that is stored under the same id. It returns [ErrNoCapability] where
// there is none, and capabilities.tampered where a seal does not match. Whether
// the caller may know of it is decided before.
func (s *Service) FindCapability(ctx context.Context, q store.Queries, org, id string) (bctrl.Capability, error) {
	c, err := s.FindDefinition(ctx, q, org, id)
	if err != nil {
		return c, err
	}
	c.Policy, err = s.FindPolicy(ctx, q, org, id)
	return c, err
}

// FindDefinition describes a capability as [Service.FindCapability] does, without
// its policy: what it permits, not how much of it.
func (s *Service) FindDefinition(ctx context.Context, q store.Queries, org, id string) (bctrl.Capability, error) {
	if p, c, found := s.registry.Capability(id); found {
		return BuiltinCapability(p, c), nil
	}
	row, err := q.Capability(ctx, org, id)
	if errors.Is(err, store.ErrNotFound) {
		err = ErrNoCapability()
	}
	if err != nil {
		return bctrl.Capability{}, err
	}
	return s.VerifyCapability(org, row)
}

// StatusFunc says whether a call as a capability would find a credential, in the
// state that q sees. Package calls, which resolves calls, has one.
type StatusFunc func(ctx context.Context, q store.Queries, c bctrl.Capability) (bctrl.CapabilityStatus, error)

// StoreCapability answers the request to store an own capability under the id of
// its path: it authorises, checks, stores and records it, and describes it with
// its status in the state that the transaction leaves. One that is there is
// replaced, unless the request says If-None-Match: *.
func (s *Service) StoreCapability(
	ctx context.Context, rq *web.Request, in wire.CapabilityCreate, statusOf StatusFunc,
) (bctrl.Capability, error) {
	id, err := rq.Path("id", ValidCapabilityID)
	if err != nil {
		return bctrl.Capability{}, err
	}
	if err := rq.Authorize(id); err != nil {
		return bctrl.Capability{}, err
	}
	if _, _, builtin := s.registry.Capability(id); builtin {
		return bctrl.Capability{}, errBuiltin()
	}
	adds, err := onlyIfNew(rq)
	if err != nil {
		return bctrl.Capability{}, err
	}
	meta := capabilityMeta{
		Description: in.Description,
		Methods:     in.Methods,
		Paths:       in.Paths,
		Host:        in.Host,
		Credential:  in.Credential,
	}
	if err := s.checkCapability(id, meta); err != nil {
		return bctrl.Capability{}, err
	}
	return web.ChangeRules(ctx, rq, func(tx *store.Tx, _ *audit.Event) (bctrl.Capability, error) {
		row, err := tx.Capability(ctx, rq.Caller.Org, id)
		missing := errors.Is(err, store.ErrNotFound)
		switch {
		case missing:
			row = store.Capability{UID: web.NewID(), ID: id, CreatedAt: store.Now()}
		case err != nil:
			return bctrl.Capability{}, err
		case adds:
			return bctrl.Capability{}, web.Conflict("capabilities.exists", "there is a capability with this id")
		}
		row.Version++
		row.UpdatedAt = store.Now()
		if row.Meta, err = json.Marshal(meta); err != nil {
			return bctrl.Capability{}, err
		}
		if row.Sealed, err = s.Keys.Seal(capabilityRecord(rq.Caller.Org, row), nil); err != nil {
			return bctrl.Capability{}, err
		}
		if missing {
			err = tx.InsertCapability(ctx, rq.Caller.Org, row)
		} else {
			err = tx.UpdateCapability(ctx, rq.Caller.Org, row)
		}
		if err != nil {
			return bctrl.Capability{}, err
		}
		out := s.describeOwn(row, meta)
		if out.Status, err = statusOf(ctx, tx.Queries, out); err != nil {
			return out, err
		}
		out.Policy, err = s.FindPolicy(ctx, tx.Queries, rq.Caller.Org, id)
		return out, err
	})
}

// onlyIfNew reads the header If-None-Match, whose only value here is *: then nothing
// that is there is replaced.
func onlyIfNew(rq *web.Request) (bool, error) {
	switch strings.Join(rq.Header.Values("If-None-Match"), ",") {
	case "":
		return false, nil
	case "*":
		return true, nil
	}
	return false, web.Invalid("request.if_none_match", "If-None-Match", "If-None-Match must be *")
}

// deleteCapability deletes a capability of the organization's own, with its policy and
// what is bound to it.
func (s *Service) deleteCapability(ctx context.Context, rq *web.Request, _ web.None) (web.None, error) {
	id, err := rq.Path("id", ValidCapabilityID)
	if err != nil {
		return web.None{}, err
	}
	if err := rq.Authorize(id); err != nil {
		return web.None{}, err
	}
	if _, _, builtin := s.registry.Capability(id); builtin {
		return web.None{}, errBuiltin()
	}
	return web.ChangeRules(ctx, rq, func(tx *store.Tx, ev *audit.Event) (web.None, error) {
		row, err := tx.Capability(ctx, rq.Caller.Org, id)
		if errors.Is(err, store.ErrNotFound) {
			return web.None{}, ErrNoCapability()
		}
		if err != nil {
			return web.None{}, err
		}
		switch policy, err := tx.CapabilityPolicy(ctx, rq.Caller.Org, id); {
		case err == nil:
			if err := tx.DeleteCapabilityPolicy(ctx, rq.Caller.Org, policy.UID); err != nil {
				return web.None{}, err
			}
			if err := recordFurther(tx, *ev, id); err != nil {
				return web.None{}, err
			}
		case !errors.Is(err, store.ErrNotFound):
			return web.None{}, err
		}
		if err := s.deleteBindingsOf(ctx, tx, rq.Caller.Org, id, *ev); err != nil {
			return web.None{}, err
		}
		ev.Version = row.Version
		return web.None{}, tx.DeleteCapability(ctx, rq.Caller.Org, row.UID)
	})
}
