package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/names"
	"github.com/bctrl-go/bctrl/internal/seal"
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

// CredentialMeta is all of a credential but what the store finds it by. The seal
// covers both: a host that was edited in the database receives no secret.
type CredentialMeta struct {
	// Secrets are the ids of its secrets, by field.
	Secrets map[string]string `json:"secrets,omitempty"`
	// Auth is how the credential authenticates. It is nil where the registry says
	// so, which has the provider.
	Auth *bctrl.CredentialAuth `json:"auth,omitempty"`
	// Hosts are where it may be sent, as patterns. Empty, they are the registry's.
	Hosts   []string `json:"hosts,omitempty"`
	Enabled bool     `json:"enabled"`
	// Provisioned is set where it was made of secrets by their names.
	Provisioned bool `json:"provisioned,omitempty"`
}

// UnprovenCredentialMeta reads what a credential's row says, whether or not it is as
// it was sealed: for a row that was verified before, or by which nothing is
// decided. It returns credentials.tampered where it cannot be read.
func UnprovenCredentialMeta(row store.Credential) (meta CredentialMeta, err error) {
	if json.Unmarshal(row.Meta, &meta) != nil {
		return meta, web.Tampered("credentials.tampered")
	}
	return meta, nil
}

func errNoCredential() *bctrl.Error {
	return web.NotFound("credentials.not_found", "there is no such credential")
}

func errCredentialExists() *bctrl.Error {
	return web.Conflict("credentials.exists", "there is a credential or an AI credential with this id")
}

func validBrokerCredentialID(id string) error {
	if models.ValidID(id) != nil {
		return web.Invalid("credentials.invalid_id", "id",
			"not a credential id: a letter, then up to 63 letters, digits, - and _")
	}
	return nil
}

// credentialRecord binds all that is said of a credential to its seal.
func credentialRecord(org string, row store.Credential) seal.Record {
	return sealOf("credential", org, row.UID, row.Version,
		row.ID, row.Provider, row.Scope.WorkspaceID(), row.Scope.GroupID(),
		strconv.FormatInt(row.Priority, 10), string(row.Meta))
}

// sealOf is the seal over fields, each after its length in decimal, of a record
// without a secret. [seal.Record] says why it is not that of package tuple.
func sealOf(kind, org, uid string, version int64, fields ...string) seal.Record {
	var meta []byte
	for _, f := range fields {
		meta = strconv.AppendInt(meta, int64(len(f)), 10)
		meta = append(append(meta, ':'), f...)
	}
	return seal.Record{
		Kind:    kind,
		UID:     uid,
		Scope:   org,
		Version: version,
		Meta:    meta,
	}
}

// verifyRecord checks the seal of a record without a secret.
func (s *Service) verifyRecord(r seal.Record, sealed []byte, code string) error {
	_, err := s.Keys.Open(r, sealed)
	if errors.Is(err, seal.ErrTampered) {
		return web.Tampered(code)
	}
	return err
}

// VerifyCredential checks the seal of a credential's row and reads what it says.
// It returns credentials.tampered where the row is not as it was sealed.
func (s *Service) VerifyCredential(org string, row store.Credential) (CredentialMeta, error) {
	if err := s.verifyRecord(credentialRecord(org, row), row.Sealed, "credentials.tampered"); err != nil {
		return CredentialMeta{}, err
	}
	return UnprovenCredentialMeta(row)
}

// sealCredential makes the row's next version.
func (s *Service) sealCredential(org string, row *store.Credential, meta CredentialMeta) (err error) {
	row.Version++
	row.UpdatedAt = store.Now()
	if row.Meta, err = json.Marshal(meta); err != nil {
		return err
	}
	row.Sealed, err = s.Keys.Seal(credentialRecord(org, *row), nil)
	return err
}

func describeCredential(row store.Credential, meta CredentialMeta) bctrl.Credential {
	refs := map[string]string{}
	for field, id := range meta.Secrets {
		refs[field] = secretRef(id)
	}
	return bctrl.Credential{
		ID:          row.ID,
		Provider:    row.Provider,
		Scope:       row.Scope,
		SecretRefs:  refs,
		Auth:        meta.Auth,
		Hosts:       meta.Hosts,
		Priority:    int(row.Priority),
		Enabled:     meta.Enabled,
		Provisioned: meta.Provisioned,
		CreatedAt:   row.CreatedAt,
		UpdatedAt:   row.UpdatedAt,
	}
}

const secretRefPrefix = "vault:secret:"

func secretRef(id string) string { return secretRefPrefix + id }

// secretOfRef returns the id in a reference to a secret.
func secretOfRef(ref string) (string, error) {
	id, ok := strings.CutPrefix(ref, secretRefPrefix)
	if !ok || names.UUID(id) != nil {
		return "", errors.New("a reference to a secret is vault:secret:<id>")
	}
	return id, nil
}

func (s *Service) createCredential(
	ctx context.Context, rq *web.Request, in bctrl.CredentialCreate,
) (bctrl.Credential, error) {
	if err := validBrokerCredentialID(in.ID); err != nil {
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

// maxAlike bounds the credentials of a provider in a scope: resolving a call
// looks at each of them.
const maxAlike = 100

// insertCredential stores a new credential, whose id no AI credential may have.
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
	case alike >= maxAlike:
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

// checkSecretsOf refuses secrets that are not there, that belong to another
// provider, or that no context sees together with the credential.
func (s *Service) checkSecretsOf(
	ctx context.Context, tx *store.Tx, org string, row store.Credential, meta CredentialMeta,
) error {
	for _, field := range slices.Sorted(maps.Keys(meta.Secrets)) {
		sec, err := s.FindSecret(ctx, tx.Queries, org, meta.Secrets[field])
		if err != nil {
			return err
		}
		if !sec.PinPermits(row.Provider, field) {
			return ErrPinned()
		}
		if !sec.reaches(row.Scope) {
			return web.Conflict("credentials.not_visible", "no context sees both the credential's scope and its secret")
		}
	}
	return nil
}

// reaches reports whether some context that sees a scope sees the secret too.
func (sec Secret) reaches(scope bctrl.Scope) bool {
	if !sec.Meta.AttachedOnly && scopesOverlap(sec.Meta.Scope, scope) {
		return true
	}
	return sec.Meta.AttachedOnly && len(sec.Meta.Attachments) == 0 ||
		slices.ContainsFunc(sec.Meta.Attachments, func(group bctrl.Scope) bool { return scopesOverlap(group, scope) })
}

// scopesOverlap reports whether some context sees both scopes.
func scopesOverlap(a, b bctrl.Scope) bool {
	return (a.WorkspaceID() == "" || b.WorkspaceID() == "" || a.WorkspaceID() == b.WorkspaceID()) &&
		(a.GroupID() == "" || b.GroupID() == "" || a.GroupID() == b.GroupID())
}

func (s *Service) getCredential(ctx context.Context, rq *web.Request, _ web.None) (bctrl.Credential, error) {
	if err := s.aboutCredential(rq); err != nil {
		return bctrl.Credential{}, err
	}
	row, meta, err := s.findCredential(ctx, s.DB.Read(), rq)
	return describeCredential(row, meta), err
}

// aboutCredential authorises what the path names.
func (s *Service) aboutCredential(rq *web.Request) error {
	id, err := rq.Path("id", validBrokerCredentialID)
	if err != nil {
		return err
	}
	return rq.Authorize(id)
}

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
	if err := s.aboutCredential(rq); err != nil {
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

// deleteCredential removes a credential, also one that was changed outside the
// server.
func (s *Service) deleteCredential(ctx context.Context, rq *web.Request, _ web.None) (web.None, error) {
	if err := s.aboutCredential(rq); err != nil {
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
		if err := s.unbindAll(ctx, tx, rq.Caller.Org, row.ID, *ev); err != nil {
			return web.None{}, err
		}
		return web.None{}, tx.DeleteCredential(ctx, rq.Caller.Org, row.UID)
	})
}
