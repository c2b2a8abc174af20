package catalog

import (
	"context"

	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// deleteCredentialRow deletes a credential, and what is bound to its id, so that
// another that gets the id later inherits nothing. Each has an event like ev.
func (s *Service) deleteCredentialRow(
	ctx context.Context, tx *store.Tx, org string, row store.Credential, ev audit.Event,
) error {
	if err := s.deleteBindingsOf(ctx, tx, org, row.ID, ev); err != nil {
		return err
	}
	if err := tx.DeleteCredential(ctx, org, row.UID); err != nil {
		return err
	}
	ev.Version = row.Version
	return recordFurther(tx, ev, row.ID)
}

// rowsAtOnce is how many rows are read at a time to be deleted.
const rowsAtOnce = 100

// deleteAICredential deletes the AI credential that the path names, and what is bound
// to it.
func (s *Service) deleteAICredential(ctx context.Context, rq *web.Request, _ web.None) (web.None, error) {
	return s.models.Remove(ctx, rq, func(ctx context.Context, tx *store.Tx, id string) error {
		return s.deleteBindingsOf(ctx, tx, rq.Caller.Org, id, rq.Event())
	})
}

// deleteBindingsOf deletes what is bound to a capability or a credential that is
// about to be deleted. Each has an event like ev.
func (s *Service) deleteBindingsOf(ctx context.Context, tx *store.Tx, org, target string, ev audit.Event) error {
	for {
		rows, err := tx.Bindings(ctx, org, store.BindingRange{Target: target, Limit: rowsAtOnce})
		if err != nil || len(rows) == 0 {
			return err
		}
		if err := s.deleteBindings(ctx, tx, org, rows, ev); err != nil {
			return err
		}
	}
}

// deleteBindings deletes some bindings, each with an event like ev.
func (s *Service) deleteBindings(
	ctx context.Context, tx *store.Tx, org string, rows []store.Binding, ev audit.Event,
) error {
	ev.Action = string(access.BindingWrite)
	for _, row := range rows {
		if err := tx.DeleteBinding(ctx, org, row.UID); err != nil {
			return err
		}
		web.SetEventScope(&ev, row.Scope)
		ev.Version = row.Version
		if err := recordFurther(tx, ev, row.Target); err != nil {
			return err
		}
	}
	return nil
}
