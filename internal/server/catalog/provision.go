package catalog

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"strconv"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// provision makes the credential of the provider that a secret is pinned to, where
// the secret's scope now has all secrets that such a credential needs. Where there is
// one, it is made anew with the secret. It is called in the transaction that stores
// the secret, before that; each credential has an event like ev.
func (s *Service) provision(ctx context.Context, tx *store.Tx, org string, sec Secret, ev audit.Event) error {
	withIt := func(rows []store.Secret) []store.Secret {
		return append(slices.DeleteFunc(rows, func(r store.Secret) bool { return r.ID == sec.row.ID }), sec.row)
	}
	secrets, complete, err := s.secretsFor(ctx, tx.Queries, org, sec.Meta.Provider, sec.Meta.Scope, withIt)
	if err != nil || !complete || secrets[sec.Meta.Field] != sec.row.ID {
		return err
	}
	web.SetEventScope(&ev, sec.Meta.Scope)
	for _, id := range secrets {
		made, err := s.provisionedOf(ctx, tx.Queries, org, id)
		if err != nil {
			return err
		}
		if len(made) > 0 {
			return s.reprovision(ctx, tx, org, made[0], secrets, ev)
		}
	}
	row := store.Credential{Provider: sec.Meta.Provider, Scope: sec.Meta.Scope}
	if row.ID, err = s.provisionedID(ctx, tx.Queries, org, row.Scope, row.Provider); err != nil {
		return err
	}
	meta := CredentialMeta{Secrets: secrets, Enabled: true, Provisioned: true}
	if err := s.insertCredential(ctx, tx, org, &row, meta); err != nil {
		return err
	}
	ev.Action = string(access.CredentialWrite)
	return recordFurther(tx, ev, row.ID)
}

// unprovision takes a secret, which is about to be deleted or pinned otherwise, out of
// the credentials that were made of it. Where the scope has all that is needed without
// it they are made anew, else deleted. Credentials that somebody made by hand stay, and
// cannot be used.
func (s *Service) unprovision(ctx context.Context, tx *store.Tx, org, secretID string, ev audit.Event) error {
	made, err := s.provisionedOf(ctx, tx.Queries, org, secretID)
	if err != nil {
		return err
	}
	withoutIt := func(rows []store.Secret) []store.Secret {
		return slices.DeleteFunc(rows, func(r store.Secret) bool { return r.ID == secretID })
	}
	for _, row := range made {
		secrets, complete, err := s.secretsFor(ctx, tx.Queries, org, row.Provider, row.Scope, withoutIt)
		switch {
		case err != nil:
			return err
		case complete:
			err = s.reprovision(ctx, tx, org, row, secrets, ev)
		default:
			ev.Action = string(access.CredentialWrite)
			err = s.deleteCredentialRow(ctx, tx, org, row, ev)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// reprovision makes a credential anew with other secrets. Its priority, whether it is
// enabled, and what is bound to its id stay as somebody has set them.
func (s *Service) reprovision(
	ctx context.Context, tx *store.Tx, org string, old store.Credential, secrets map[string]string, ev audit.Event,
) error {
	meta, err := s.VerifyCredential(org, old)
	if err != nil {
		return err
	}
	if maps.Equal(meta.Secrets, secrets) {
		return nil
	}
	ev.Action, ev.Version = string(access.CredentialWrite), old.Version
	if err := tx.DeleteCredential(ctx, org, old.UID); err != nil {
		return err
	}
	if err := recordFurther(tx, ev, old.ID); err != nil {
		return err
	}
	row := store.Credential{
		ID:       old.ID,
		Provider: old.Provider,
		Scope:    old.Scope,
		Priority: old.Priority,
	}
	meta.Secrets = secrets
	if err := s.insertCredential(ctx, tx, org, &row, meta); err != nil {
		return err
	}
	return recordFurther(tx, ev, row.ID)
}

// secretsFor returns the secrets of a scope that a provider's credential is made of,
// ids by field, and whether they are all that it needs. The field of a secret follows
// from its name, which no other secret of the scope has. change makes of the stored
// secrets that are pinned to the provider what the transaction is about to make of them.
func (s *Service) secretsFor(
	ctx context.Context, q store.Queries, org, provider string, scope bctrl.Scope,
	change func([]store.Secret) []store.Secret,
) (secrets map[string]string, complete bool, err error) {
	p, known := s.registry.Provider(provider)
	if !known {
		return nil, false, nil
	}
	rows, err := q.Secrets(ctx, org, store.SecretRange{Scope: scope, Provider: p.ID, Limit: maxPinned})
	if err != nil {
		return nil, false, err
	}
	byField := map[string]string{}
	for _, row := range change(rows) {
		sec, err := s.OpenSecret(org, row)
		if e, ok := errors.AsType[*bctrl.Error](err); ok && e.Code == codeSecretTampered {
			continue
		}
		if err != nil {
			return nil, false, err
		}
		if owner, field := s.pinOfName(sec.Meta.Name); owner == p.ID {
			byField[field] = row.ID
		}
	}
	secrets, complete = map[string]string{}, true
	for _, name := range p.Secrets {
		if id := byField[name.Field]; id != "" {
			secrets[name.Field] = id
		} else if !name.Optional {
			complete = false
		}
	}
	return secrets, complete, nil
}

// maxPinned bounds how many secrets of a scope that are pinned to one provider
// are looked at.
const maxPinned = 1000

// provisionedOf lists the credentials that were made of a secret.
func (s *Service) provisionedOf(
	ctx context.Context, q store.Queries, org, secretID string,
) (made []store.Credential, err error) {
	rows, err := q.CredentialsOfSecret(ctx, org, secretID)
	for _, row := range rows {
		if meta, err := UnprovenCredentialMeta(row); err == nil && meta.Provisioned {
			made = append(made, row)
		}
	}
	return made, err
}

// provisionedID returns an id for a credential that is made of secrets, which no other
// has: the provider's id in the global scope, else that with a suffix that is derived
// from the scope.
func (s *Service) provisionedID(
	ctx context.Context, q store.Queries, org string, scope bctrl.Scope, provider string,
) (string, error) {
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
