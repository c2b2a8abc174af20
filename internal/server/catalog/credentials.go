package catalog

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/names"
	"github.com/bctrl-go/bctrl/internal/server/models"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

func (s *Service) credentialRoutes() []web.Route {
	return []web.Route{
		web.Endpoint("POST /v1/credentials", access.CredentialWrite, s.createCredential),
		web.Endpoint("GET /v1/credentials", access.CredentialRead, s.listCredentials, "limit", "cursor"),
		web.Endpoint("GET /v1/credentials/{id}", access.CredentialRead, s.getCredential),
		web.Endpoint("PATCH /v1/credentials/{id}", access.CredentialWrite, s.updateCredential),
		web.Endpoint("DELETE /v1/credentials/{id}", access.CredentialWrite, s.deleteCredential),
		// What is bound to it goes with it.
		web.Endpoint("DELETE /v1/ai-credentials/{id}", access.AIWrite, s.deleteAICredential, "force"),
	}
}

// errNoCredential refuses an id under which there is no credential.
func errNoCredential() *bctrl.Error {
	return web.NotFound("credentials.not_found", "there is no such credential")
}

// errCredentialExists refuses an id that another credential has.
func errCredentialExists() *bctrl.Error {
	return web.Conflict("credentials.exists", "there is a credential or an AI credential with this id")
}

// validCredentialID refuses what cannot be the id of a credential.
func validCredentialID(id string) error {
	if models.ValidID(id) != nil {
		return web.Invalid("credentials.invalid_id", "id",
			"not a credential id: a letter, then up to 63 letters, digits, - and _")
	}
	return nil
}

// secretRefPrefix begins the references by which credentials and bindings name
// secrets.
const secretRefPrefix = "vault:secret:"

func secretRef(id string) string { return secretRefPrefix + id }

// secretIDOfRef returns the id in a reference to a secret.
func secretIDOfRef(ref string) (string, error) {
	id, ok := strings.CutPrefix(ref, secretRefPrefix)
	if !ok || names.UUID(id) != nil {
		return "", errors.New("a reference to a secret is vault:secret:<id>")
	}
	return id, nil
}

func (s *Service) createCredential(
	ctx context.Context, rq *web.Request, in bctrl.CredentialCreate,
) (bctrl.Credential, error) {
	if err := validCredentialID(in.ID); err != nil {
		return bctrl.Credential{}, err
	}
	if err := rq.Authorize(in.ID); err != nil {
		return bctrl.Credential{}, err
	}
	if err := in.Scope.Validate(); err != nil {
		return bctrl.Credential{}, err
	}
	meta, err := s.checkCredential(in)
	if err != nil {
		return bctrl.Credential{}, err
	}
	return web.Change(ctx, rq, func(tx *store.Tx, ev *audit.Event) (out bctrl.Credential, err error) {
		row := store.Credential{ID: in.ID, Provider: in.Provider, Priority: int64(in.Priority)}
		if row.Scope, err = web.StoredScope(ctx, tx.Queries, rq.Caller.Org, in.Scope); err != nil {
			return out, err
		}
		web.SetEventScope(ev, row.Scope)
		if err := s.checkSecretsOf(ctx, tx, rq.Caller.Org, row, meta); err != nil {
			return out, err
		}
		if err := s.insertCredential(ctx, tx, rq.Caller.Org, &row, meta); err != nil {
			return out, err
		}
		return describeCredential(row, meta), nil
	})
}

// maxCredentialsAlike bounds the credentials of one provider in one scope: each is
// looked at when a call is resolved.
const maxCredentialsAlike = 100

// insertCredential stores a new credential. It refuses an id that an AI credential
// has: calls find both by it.
func (s *Service) insertCredential(
	ctx context.Context, tx *store.Tx, org string, row *store.Credential, meta CredentialMeta,
) error {
	switch _, err := tx.AICredential(ctx, org, row.ID); {
	case err == nil:
		return errCredentialExists()
	case !errors.Is(err, store.ErrNotFound):
		return err
	}
	switch alike, err := tx.CountCredentials(ctx, org, row.Provider, row.Scope); {
	case err != nil:
		return err
	case alike >= maxCredentialsAlike:
		return web.Conflict("credentials.too_many",
			"there are 100 credentials of this provider in the scope, which is as many as there can be")
	}
	row.UID, row.Version, row.CreatedAt = web.NewID(), 0, store.Now()
	if err := s.sealCredential(org, row, meta); err != nil {
		return err
	}
	err := tx.InsertCredential(ctx, org, *row, meta.Secrets)
	if errors.Is(err, store.ErrExists) {
		err = errCredentialExists()
	}
	return err
}

// checkSecretsOf refuses a credential with a secret that is not there, that is pinned
// elsewhere, or that no context sees together with the credential.
func (s *Service) checkSecretsOf(
	ctx context.Context, tx *store.Tx, org string, row store.Credential, meta CredentialMeta,
) error {
	for _, field := range slices.Sorted(maps.Keys(meta.Secrets)) {
		sec, err := s.findSecret(ctx, tx.Queries, org, meta.Secrets[field])
		if err != nil {
			return err
		}
		if !sec.PinPermits(row.Provider, field) {
			return ErrPinned()
		}
		if !sec.meets(row.Scope) {
			return web.Conflict("credentials.not_visible", "no context sees both the credential's scope and its secret")
		}
	}
	return nil
}

func (s *Service) getCredential(ctx context.Context, rq *web.Request, _ web.None) (bctrl.Credential, error) {
	if err := s.authorizeCredential(rq); err != nil {
		return bctrl.Credential{}, err
	}
	row, meta, err := s.findCredential(ctx, s.DB.Read(), rq)
	return describeCredential(row, meta), err
}

// authorizeCredential decides about the credential that the path names.
func (s *Service) authorizeCredential(rq *web.Request) error {
	id, err := rq.Path("id", validCredentialID)
	if err != nil {
		return err
	}
	return rq.Authorize(id)
}

// findCredential reads and verifies the credential that the request is about.
func (s *Service) findCredential(
	ctx context.Context, q store.Queries, rq *web.Request,
) (store.Credential, CredentialMeta, error) {
	row, err := q.Credential(ctx, rq.Caller.Org, rq.Object)
	if errors.Is(err, store.ErrNotFound) {
		err = errNoCredential()
	}
	if err != nil {
		return row, CredentialMeta{}, err
	}
	meta, err := s.VerifyCredential(rq.Caller.Org, row)
	return row, meta, err
}

func (s *Service) listCredentials(
	ctx context.Context, rq *web.Request, _ web.None,
) (list wire.List[bctrl.Credential], err error) {
	limit, after, err := rq.Page()
	if err != nil {
		return list, err
	}
	if err := rq.Authorize(""); err != nil {
		return list, err
	}
	rows, err := s.DB.Read().Credentials(ctx, rq.Caller.Org, after, limit+1)
	if err != nil {
		return list, err
	}
	list.Plural = wire.Credentials
	rows, list.NextCursor = web.PageOf(rows, limit, func(c store.Credential) string { return c.ID })
	for _, row := range rows {
		meta, err := s.VerifyCredential(rq.Caller.Org, row)
		if err != nil {
			return list, err
		}
		list.Items = append(list.Items, describeCredential(row, meta))
	}
	return list, nil
}

func (s *Service) updateCredential(
	ctx context.Context, rq *web.Request, in bctrl.CredentialUpdate,
) (bctrl.Credential, error) {
	if err := s.authorizeCredential(rq); err != nil {
		return bctrl.Credential{}, err
	}
	if in.Priority != nil {
		var p web.Problems
		checkPriority(&p, *in.Priority)
		if err := p.Err(); err != nil {
			return bctrl.Credential{}, err
		}
	}
	return web.ChangeRules(ctx, rq, func(tx *store.Tx, ev *audit.Event) (bctrl.Credential, error) {
		row, meta, err := s.findCredential(ctx, tx.Queries, rq)
		if err != nil {
			return bctrl.Credential{}, err
		}
		web.SetEventScope(ev, row.Scope)
		web.SetIfGiven(&meta.Enabled, in.Enabled)
		if in.Priority != nil {
			row.Priority = int64(*in.Priority)
		}
		if err := s.sealCredential(rq.Caller.Org, &row, meta); err != nil {
			return bctrl.Credential{}, err
		}
		return describeCredential(row, meta), tx.UpdateCredential(ctx, rq.Caller.Org, row)
	})
}

// deleteCredential deletes a credential, also one whose seal does not match.
func (s *Service) deleteCredential(ctx context.Context, rq *web.Request, _ web.None) (web.None, error) {
	if err := s.authorizeCredential(rq); err != nil {
		return web.None{}, err
	}
	return web.ChangeRules(ctx, rq, func(tx *store.Tx, ev *audit.Event) (web.None, error) {
		row, err := tx.Credential(ctx, rq.Caller.Org, rq.Object)
		if errors.Is(err, store.ErrNotFound) {
			return web.None{}, errNoCredential()
		}
		if err != nil {
			return web.None{}, err
		}
		web.SetEventScope(ev, row.Scope)
		ev.Version = row.Version
		if err := s.deleteBindingsOf(ctx, tx, rq.Caller.Org, row.ID, *ev); err != nil {
			return web.None{}, err
		}
		return web.None{}, tx.DeleteCredential(ctx, rq.Caller.Org, row.UID)
	})
}
