package catalog

import (
	"context"
	"errors"
	"slices"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// DeleteInWorkspace deletes what lives in a workspace that is about to be deleted
// in the same transaction: its credentials, with what is bound to them anywhere,
// its bindings and its secrets. Other secrets are detached from its groups.
// Each has an event of its own, like ev. That the workspace may be deleted is
// decided before.
func (s *Service) DeleteInWorkspace(ctx context.Context, tx *store.Tx, org, workspace string, ev audit.Event) error {
	if err := s.deleteCredentialsIn(ctx, tx, org, workspace, ev); err != nil {
		return err
	}
	return s.deleteSecretsIn(ctx, tx, org, workspace, ev)
}

// deleteCredentialsIn deletes the credentials and bindings of a workspace.
func (s *Service) deleteCredentialsIn(ctx context.Context, tx *store.Tx, org, workspace string, ev audit.Event) error {
	for {
		rows, err := tx.CredentialsInWorkspace(ctx, org, workspace, rowsAtOnce)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			break
		}
		ev.Action = string(access.CredentialWrite)
		for _, row := range rows {
			web.SetEventScope(&ev, row.Scope)
			if err := s.deleteCredentialRow(ctx, tx, org, row, ev); err != nil {
				return err
			}
		}
	}
	for {
		rows, err := tx.BindingsInWorkspace(ctx, org, workspace, rowsAtOnce)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			return tx.RemoveCredentialReachIn(ctx, org, workspace)
		}
		if err := s.deleteBindings(ctx, tx, org, rows, ev); err != nil {
			return err
		}
	}
}

// deleteSecretsIn deletes the secrets of a workspace, and detaches all others from
// its groups.
func (s *Service) deleteSecretsIn(ctx context.Context, tx *store.Tx, org, workspace string, ev audit.Event) error {
	ev.Action, ev.Outcome = string(access.SecretWrite), audit.OK
	for {
		rows, err := tx.SecretsInWorkspace(ctx, org, workspace, rowsAtOnce)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			break
		}
		for _, row := range rows {
			ev.Object, ev.UID, ev.Version = row.ID, row.ID, row.Version
			web.SetEventScope(&ev, row.Scope)
			if err := tx.DeleteSecret(ctx, org, row.ID); err != nil {
				return err
			}
			if err := audit.Append(tx, ev); err != nil {
				return err
			}
		}
	}
	web.SetEventScope(&ev, bctrl.InWorkspace(workspace))
	for after := ""; ; {
		rows, err := tx.SecretsAttachedIn(ctx, org, workspace, after, rowsAtOnce)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			return tx.RemoveAttachmentsIn(ctx, org, workspace) // of those that do not open
		}
		for _, row := range rows {
			after = row.ID
			if err := s.detachFrom(ctx, tx, org, workspace, row, ev); err != nil {
				return err
			}
		}
	}
}

// detachFrom detaches a secret from the groups of a workspace.
func (s *Service) detachFrom(
	ctx context.Context, tx *store.Tx, org, workspace string, row store.Secret, ev audit.Event,
) error {
	sec, err := s.OpenSecret(org, row)
	if e, ok := errors.AsType[*bctrl.Error](err); ok && e.Code == codeSecretTampered {
		return nil // it is used nowhere, and must not keep the workspace
	}
	if err != nil {
		return err
	}
	sec.Meta.Attachments = slices.DeleteFunc(sec.Meta.Attachments, func(to bctrl.Scope) bool {
		return to.WorkspaceID() == workspace
	})
	if err := s.updateSecretRow(ctx, tx, org, &sec); err != nil {
		return err
	}
	ev.Object = row.ID
	return audit.Append(tx, ev)
}
