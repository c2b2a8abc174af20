package server

import (
	"context"
	"errors"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

func (s *Server) subaccountRoutes() []web.Route {
	return []web.Route{
		web.Endpoint("POST /v1/subaccounts", access.SubaccountWrite, s.createSubaccount),
		web.Endpoint("GET /v1/subaccounts", access.SubaccountRead, s.listSubaccounts, "limit", "cursor"),
		web.Endpoint("DELETE /v1/subaccounts/{id}", access.SubaccountWrite, s.deleteSubaccount, "force"),
	}
}

func (s *Server) createSubaccount(
	ctx context.Context, rq *web.Request, in wire.SubaccountCreate,
) (bctrl.Subaccount, error) {
	if err := rq.Authorize(""); err != nil {
		return bctrl.Subaccount{}, err
	}
	if err := validOrganizationName(in.Name); err != nil {
		return bctrl.Subaccount{}, err
	}
	return web.Change(ctx, rq, func(tx *store.Tx, ev *audit.Event) (bctrl.Subaccount, error) {
		nested, err := tx.IsSubaccount(ctx, rq.Caller.Org)
		if err != nil {
			return bctrl.Subaccount{}, err
		}
		if nested {
			return bctrl.Subaccount{}, web.Forbidden("subaccounts.nested", "a subaccount has no subaccounts")
		}
		org := store.Organization{
			ID:        web.NewID(),
			Name:      in.Name,
			Parent:    rq.Caller.Org,
			CreatedAt: store.Now(),
		}
		ev.Object = org.ID
		err = tx.InsertOrganization(ctx, org)
		if errors.Is(err, store.ErrExists) {
			err = web.Conflict("subaccounts.exists", "there is a subaccount with this name")
		}
		return describeSubaccount(org), err
	})
}

func describeSubaccount(o store.Organization) bctrl.Subaccount {
	return bctrl.Subaccount{ID: o.ID, Name: o.Name, CreatedAt: o.CreatedAt}
}

func (s *Server) listSubaccounts(
	ctx context.Context, rq *web.Request, _ web.None,
) (wire.List[bctrl.Subaccount], error) {
	return web.Listing[store.Organization, bctrl.Subaccount]{
		Plural: wire.Subaccounts,
		Rows: func(after string, limit int) ([]store.Organization, error) {
			return s.DB.Read().Subaccounts(ctx, rq.Caller.Org, after, limit)
		},
		Cursor:   func(o store.Organization) string { return o.ID },
		Describe: web.WithoutError(describeSubaccount),
	}.Page(rq)
}

// deleteSubaccount closes a subaccount, ends what runs in it, and removes what it
// holds. After a crash in between, the next server goes on with it.
func (s *Server) deleteSubaccount(ctx context.Context, rq *web.Request, _ web.None) (web.None, error) {
	id, err := rq.Path("id", web.ValidUUID)
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
	of := store.RuleChange{Org: id}
	_, err = web.ChangeRulesOf(ctx, rq, of, func(tx *store.Tx, _ *audit.Event) (web.None, error) {
		if _, err := tx.Subaccount(ctx, rq.Caller.Org, id); errors.Is(err, store.ErrNotFound) {
			return web.None{}, web.NotFound("subaccounts.not_found", "there is no such subaccount")
		} else if err != nil {
			return web.None{}, err
		}
		holds, err := tx.HoldsData(ctx, id)
		if err != nil {
			return web.None{}, err
		}
		if holds && !force {
			return web.None{}, web.WithHint(
				web.Conflict("subaccounts.not_empty", "the subaccount holds data"),
				"delete what it holds first, or all of it with force=true",
			)
		}
		return web.None{}, closeSubaccount(ctx, tx, rq.Caller.Org, id, rq.Event())
	})
	if err != nil {
		return web.None{}, err
	}
	ctx = context.WithoutCancel(ctx) // it goes on also when the caller leaves
	if err := s.runtimes.StopOrganization(ctx, id); err != nil {
		return web.None{}, err
	}
	if err := s.runtimes.AwaitStopped(ctx, id); err != nil { // on the other nodes
		return web.None{}, err
	}
	return web.None{}, s.emptyOrganization(ctx, id, rq.Event())
}

// closeSubaccount revokes the keys of a subaccount and closes it, so that nobody can
// act in it. It records each key as ev; the caller records the subaccount.
func closeSubaccount(ctx context.Context, tx *store.Tx, parent, id string, ev audit.Event) error {
	ev.Outcome = audit.OK
	for after := ""; ; after = ev.Object {
		keys, err := tx.APIKeys(ctx, id, after, 1000)
		if err != nil {
			return err
		}
		if len(keys) == 0 {
			return tx.CloseOrganization(ctx, parent, id)
		}
		for _, k := range keys {
			ev.Object = k.ID
			if err := tx.RevokeAPIKey(ctx, id, k.ID, store.Now()); err != nil {
				return err
			}
			if err := audit.Append(tx, ev); err != nil {
				return err
			}
		}
	}
}

// emptyClosedSubaccounts goes on with the subaccounts that a server before this one, or a
// node that is gone, was deleting.
func (s *Server) emptyClosedSubaccounts(ctx context.Context) error {
	closed, err := s.DB.Read().ClosedOrganizations(ctx)
	if err != nil {
		return err
	}
	for _, o := range closed {
		if live, err := s.DB.Read().HasLiveRuntimes(ctx, o.ID); err != nil {
			return err
		} else if live {
			continue // they end on another node
		}
		ev := web.ServerEvent(string(access.SubaccountWrite), o.ID)
		ev.Org = o.Parent
		if err := s.emptyOrganization(ctx, o.ID, ev); err != nil {
			return err
		}
	}
	return nil
}
