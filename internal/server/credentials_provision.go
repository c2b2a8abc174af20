package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strconv"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/registry"
	"github.com/bctrl-go/bctrl/internal/store"
)

// provision makes the credential of the provider that a new secret is pinned to,
// once the scope has all secrets that it needs, and makes it anew with one that
// it may have. It is called before the secret itself is stored, in the same
// transaction; ev is the event of that.
func (s *Server) provision(ctx context.Context, tx *store.Tx, org string, sec secret, ev audit.Event) error {
	p, known := s.registry.Provider(sec.meta.Provider)
	if !known {
		return nil
	}
	scope := sec.meta.Scope
	secrets, complete, err := s.secretsFor(ctx, tx.Queries, org, p, sec)
	if err != nil || !complete || secrets[sec.meta.Field] != sec.row.ID {
		return err
	}
	ev.Action = string(access.CredentialWrite)
	about(&ev, scope)
	row := store.Credential{Provider: p.ID, Scope: scope}
	for _, id := range secrets {
		made, err := s.provisionedOf(ctx, tx.Queries, org, id)
		if err != nil {
			return err
		}
		for _, old := range made {
			row.ID, row.Priority, ev.Version = old.ID, old.Priority, old.Version
			if err := tx.DeleteCredential(ctx, org, old.UID); err != nil {
				return err
			}
			if err := also(tx, ev, old.ID); err != nil {
				return err
			}
		}
	}
	if row.ID == "" {
		if row.ID, err = s.provisionedID(ctx, tx.Queries, org, scope, p.ID); err != nil {
			return err
		}
	}
	if err := s.insertCredential(ctx, tx, org, &row, credentialMeta{Secrets: secrets, Enabled: true, Provisioned: true}); err != nil {
		return err
	}
	return also(tx, ev, row.ID)
}

// unprovision removes the credentials that were made of a secret, before it is
// deleted. Those that were made by hand stay, and cannot be used.
func (s *Server) unprovision(ctx context.Context, tx *store.Tx, org, secretID string, ev audit.Event) error {
	made, err := s.provisionedOf(ctx, tx.Queries, org, secretID)
	if err != nil {
		return err
	}
	ev.Action = string(access.CredentialWrite)
	for _, row := range made {
		if err := s.dropCredential(ctx, tx, org, row, ev); err != nil {
			return err
		}
	}
	return nil
}

// secretsFor are the ids of a provider's secrets in the scope of a new one by
// field, and whether it needs no other. Of two with one field the older counts.
func (s *Server) secretsFor(ctx context.Context, q store.Queries, org string, p registry.Provider, added secret) (map[string]string, bool, error) {
	rows, err := q.Secrets(ctx, org, store.SecretRange{Scope: added.meta.Scope, Provider: p.ID, Limit: 1000})
	if err != nil {
		return nil, false, err
	}
	byField := map[string]string{}
	for _, row := range rows {
		sec, err := s.openSecret(org, row)
		if err != nil {
			return nil, false, err
		}
		if byField[sec.meta.Field] == "" {
			byField[sec.meta.Field] = row.ID
		}
	}
	if byField[added.meta.Field] == "" {
		byField[added.meta.Field] = added.row.ID
	}
	secrets, complete := map[string]string{}, true
	for _, name := range p.Secrets {
		if id := byField[name.Field]; id != "" {
			secrets[name.Field] = id
		} else if !name.Optional {
			complete = false
		}
	}
	return secrets, complete, nil
}

// provisionedOf are the credentials that were made of a secret.
func (s *Server) provisionedOf(ctx context.Context, q store.Queries, org, secretID string) (made []store.Credential, err error) {
	rows, err := q.CredentialsOfSecret(ctx, org, secretID)
	for _, row := range rows {
		if meta, err := readCredentialMeta(row); err == nil && meta.Provisioned {
			made = append(made, row)
		}
	}
	return made, err
}

// provisionedID is the provider's id in the global scope, else that and a
// suffix that the scope gives; where it is taken, another.
func (s *Server) provisionedID(ctx context.Context, q store.Queries, org string, scope bctrl.Scope, provider string) (string, error) {
	for n := 0; ; n++ {
		id := provider
		if scope.Type() != bctrl.ScopeGlobal || n > 0 {
			sum := sha256.Sum256([]byte(provider + "\n" + scope.String() + "\n" + strconv.Itoa(n)))
			id = provider[:min(len(provider), 55)] + "-" + hex.EncodeToString(sum[:4])
		}
		_, err := q.Credential(ctx, org, id)
		if errors.Is(err, store.ErrNotFound) {
			if _, err = q.AICredential(ctx, org, id); errors.Is(err, store.ErrNotFound) {
				return id, nil
			}
		}
		if err != nil {
			return "", err
		}
	}
}

// dropCredential removes a credential, and what is bound to its id, so that
// another that gets the id later inherits nothing. Each has an event like ev.
func (s *Server) dropCredential(ctx context.Context, tx *store.Tx, org string, row store.Credential, ev audit.Event) error {
	if err := s.unbindAll(ctx, tx, org, row.ID, ev); err != nil {
		return err
	}
	if err := tx.DeleteCredential(ctx, org, row.UID); err != nil {
		return err
	}
	ev.Version = row.Version
	return also(tx, ev, row.ID)
}

// droppedAtOnce is how many rows are read at a time to be removed.
const droppedAtOnce = 100

// unbindAll removes what is bound to a capability or a credential that is about
// to go. Each has an event like ev.
func (s *Server) unbindAll(ctx context.Context, tx *store.Tx, org, target string, ev audit.Event) error {
	for {
		rows, err := tx.Bindings(ctx, org, store.BindingRange{Target: target, Limit: droppedAtOnce})
		if err != nil || len(rows) == 0 {
			return err
		}
		if err := s.dropBindings(ctx, tx, org, rows, ev); err != nil {
			return err
		}
	}
}

func (s *Server) dropBindings(ctx context.Context, tx *store.Tx, org string, rows []store.Binding, ev audit.Event) error {
	ev.Action = string(access.BindingWrite)
	for _, row := range rows {
		if err := tx.DeleteBinding(ctx, org, row.UID); err != nil {
			return err
		}
		about(&ev, row.Scope)
		ev.Version = row.Version
		if err := also(tx, ev, row.Target); err != nil {
			return err
		}
	}
	return nil
}

// dropBrokerOf removes the credentials and bindings that live in a workspace,
// which is about to be deleted.
func (s *Server) dropBrokerOf(ctx context.Context, tx *store.Tx, org, workspace string, ev audit.Event) error {
	for {
		rows, err := tx.CredentialsInWorkspace(ctx, org, workspace, droppedAtOnce)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			break
		}
		ev.Action = string(access.CredentialWrite)
		for _, row := range rows {
			about(&ev, row.Scope)
			if err := s.dropCredential(ctx, tx, org, row, ev); err != nil {
				return err
			}
		}
	}
	for {
		rows, err := tx.BindingsInWorkspace(ctx, org, workspace, droppedAtOnce)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			return tx.ForgetCredentialsBroughtTo(ctx, org, workspace)
		}
		if err := s.dropBindings(ctx, tx, org, rows, ev); err != nil {
			return err
		}
	}
}
