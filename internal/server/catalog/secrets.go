package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

func (s *Service) secretRoutes() []web.Route {
	return []web.Route{
		web.Endpoint("POST /v1/secrets", access.SecretWrite, s.createSecret),
		web.Endpoint("GET /v1/secrets", access.SecretRead, s.listSecrets,
			"scope", "workspaceId", "groupId", "name", "attachedWorkspaceId", "attachedGroupId", "limit", "cursor"),
		web.Endpoint("POST /v1/secrets/import", access.SecretWrite, s.importSecrets),
		web.Endpoint("GET /v1/secrets/{id}", access.SecretRead, s.getSecret),
		web.Endpoint("PATCH /v1/secrets/{id}", access.SecretWrite, s.updateSecret),
		web.Endpoint("DELETE /v1/secrets/{id}", access.SecretWrite, s.deleteSecret),
		web.Endpoint("POST /v1/secrets/{id}/rotate", access.SecretWrite, s.rotateSecret),
		web.Endpoint("PUT /v1/secrets/{id}/attachments/{workspaceId}/{groupId}", access.SecretWrite, s.attachSecret),
		web.Endpoint("DELETE /v1/secrets/{id}/attachments/{workspaceId}/{groupId}", access.SecretWrite, s.detachSecret),
	}
}

// The limits of a secret: its value in bytes, and how much there may be of the
// rest.
const (
	maxSecretValue = 64 << 10
	maxAliases     = 32
	maxAttachments = 1000
)

// SecretMeta is all of a secret but its value. It is stored in clear, and the
// seal covers it. Rows are found by other columns and tables, which are believed
// only as far as they say the same.
type SecretMeta struct {
	Scope   bctrl.Scope `json:"scope"`
	Name    string      `json:"name"`
	Aliases []string    `json:"aliases,omitempty"`
	// AttachedOnly is set where Attachments alone, which are groups, make the
	// secret visible, and not its scope.
	AttachedOnly bool          `json:"attachedOnly,omitempty"`
	Attachments  []bctrl.Scope `json:"attachments,omitempty"`
	// Provider and Field are what the secret is pinned to. Both are empty where it
	// may be any secret, and Field alone where it may be any of the provider's.
	Provider string `json:"provider,omitempty"`
	Field    string `json:"field,omitempty"`
	// RotatedAt is when the secret got its value.
	RotatedAt time.Time `json:"rotatedAt"`
}

func (m SecretMeta) index() store.SecretIndex {
	return store.SecretIndex{Names: append([]string{m.Name}, m.Aliases...), Attachments: m.Attachments}
}

// Secret is a secret with its value, once its seal has proved both.
type Secret struct {
	// row is as it is stored. A change is made to Meta and Value, and the row made
	// of them when it is sealed.
	row   store.Secret
	Meta  SecretMeta
	Value wire.Value
}

// codeSecretTampered is the code of a secret that is not as it was sealed.
const codeSecretTampered = "secrets.tampered"

func errNoSecret() *bctrl.Error {
	return web.NotFound("secrets.not_found", "there is no such secret")
}

func errSecretExists() *bctrl.Error {
	return web.Conflict("secrets.exists", "a secret of this scope has the name, or one of the aliases, already")
}

// secretRecord binds what a secret is to its seal.
func secretRecord(org string, row store.Secret) seal.Record {
	return seal.Record{
		Kind:    "secret",
		UID:     row.ID,
		Scope:   org,
		Version: row.Version,
		Meta:    row.Meta,
	}
}

// OpenSecret decrypts the secret of a row. It returns secrets.tampered where the
// row, or a column that it is found by, is not as it was sealed. Whether the secret
// may be used where it is asked for is decided before; the caller records the use.
func (s *Service) OpenSecret(org string, row store.Secret) (Secret, error) {
	plain, err := s.Keys.Open(secretRecord(org, row), row.Sealed)
	if errors.Is(err, seal.ErrTampered) {
		return Secret{}, web.Tampered(codeSecretTampered)
	}
	if err != nil {
		return Secret{}, err
	}
	defer clear(plain)
	out := Secret{row: row, Value: wire.NewValue(string(plain))}
	if json.Unmarshal(row.Meta, &out.Meta) != nil {
		return Secret{}, web.Tampered(codeSecretTampered)
	}
	m := out.Meta
	if m.Scope != row.Scope || m.Name != row.Name || m.Provider != row.Provider || m.AttachedOnly != row.AttachedOnly {
		return Secret{}, web.Tampered(codeSecretTampered)
	}
	return out, nil
}

// sealSecret makes the next version of a secret's row.
func (s *Service) sealSecret(org string, sec *Secret) (err error) {
	row, meta := &sec.row, sec.Meta
	row.Version++
	row.UpdatedAt = store.Now()
	row.Scope, row.Name, row.Provider, row.AttachedOnly = meta.Scope, meta.Name, meta.Provider, meta.AttachedOnly
	if row.Meta, err = json.Marshal(meta); err != nil {
		return err
	}
	plain := []byte(sec.Value.Reveal())
	defer clear(plain)
	row.Sealed, err = s.Keys.Seal(secretRecord(org, *row), plain)
	return err
}

// describeSecret says what may be known of a secret, and which credential was
// made of it.
func (s *Service) describeSecret(
	ctx context.Context, q store.Queries, org string, sec Secret,
) (bctrl.SecretInfo, error) {
	row, meta := sec.row, sec.Meta
	info := bctrl.SecretInfo{
		ID:           row.ID,
		Name:         meta.Name,
		Aliases:      meta.Aliases,
		Scope:        meta.Scope,
		AttachedOnly: meta.AttachedOnly,
		Attachments:  meta.Attachments,
		Provider:     meta.Provider,
		Field:        meta.Field,
		Version:      row.Version,
		CreatedAt:    row.CreatedAt,
		UpdatedAt:    row.UpdatedAt,
		RotatedAt:    meta.RotatedAt,
	}
	if meta.Provider == "" {
		return info, nil
	}
	made, err := s.provisionedOf(ctx, q, org, row.ID)
	for _, c := range made {
		info.Credential = c.ID
	}
	return info, err
}

// checkSecretNames checks name and aliases as they are sent.
func checkSecretNames(p *web.Problems, name string, aliases []string) {
	names := append([]string{name}, aliases...)
	p.Limit("aliases", len(aliases), maxAliases)
	if len(p.List) > 0 {
		return
	}
	for i, n := range names {
		field := "name"
		if i > 0 {
			field = web.FieldAt("aliases", i-1)
		}
		if err := bctrl.ValidSecretName(n); err != nil {
			p.Add("secrets.invalid_name", field, web.AsError(err).Message)
		} else if slices.Contains(names[:i], n) {
			p.Add("secrets.duplicate_name", field, "the name is given more than once")
		}
	}
}

func checkSecretValue(p *web.Problems, value wire.Value) {
	if value.IsZero() {
		p.Add("secrets.value_required", "value", "the value is empty")
	}
	p.Limit("value", len(value.Reveal()), maxSecretValue)
}

func (s *Service) createSecret(
	ctx context.Context, rq *web.Request, in wire.SecretCreate[bctrl.Scope],
) (bctrl.SecretInfo, error) {
	if err := bctrl.ValidSecretName(in.Name); err != nil {
		return bctrl.SecretInfo{}, err
	}
	if err := rq.Authorize(in.Name); err != nil {
		return bctrl.SecretInfo{}, err
	}
	if err := in.Scope.Validate(); err != nil {
		return bctrl.SecretInfo{}, err
	}
	var p web.Problems
	checkSecretNames(&p, in.Name, in.Aliases)
	checkSecretValue(&p, in.Value)
	if err := p.Err(); err != nil {
		return bctrl.SecretInfo{}, err
	}
	return web.Change(ctx, rq, func(tx *store.Tx, ev *audit.Event) (bctrl.SecretInfo, error) {
		scope, err := web.StoredScope(ctx, tx.Queries, rq.Caller.Org, in.Scope)
		if err != nil {
			return bctrl.SecretInfo{}, err
		}
		meta := SecretMeta{
			Scope:        scope,
			Name:         in.Name,
			Aliases:      in.Aliases,
			AttachedOnly: in.AttachedOnly,
		}
		web.SetEventScope(ev, scope)
		sec, err := s.insertSecret(ctx, tx, rq.Caller.Org, meta, in.Value, *ev)
		if err != nil {
			return bctrl.SecretInfo{}, err
		}
		ev.Object = sec.row.ID
		return s.describeSecret(ctx, tx.Queries, rq.Caller.Org, sec)
	})
}

// insertSecret stores a new secret, pinned where the registry has its
// name, and before it the credential that becomes complete with it. ev is the
// event of the former.
func (s *Service) insertSecret(
	ctx context.Context, tx *store.Tx, org string, meta SecretMeta, value wire.Value, ev audit.Event,
) (Secret, error) {
	meta.Provider, meta.Field = s.pinOfName(meta.Name)
	sec := Secret{row: store.Secret{ID: web.NewID(), CreatedAt: store.Now()}, Meta: meta}
	sec.setValue(value)
	if err := s.sealSecret(org, &sec); err != nil {
		return sec, err
	}
	if err := s.provision(ctx, tx, org, sec, ev); err != nil {
		return sec, err
	}
	err := tx.InsertSecret(ctx, org, sec.row, sec.Meta.index())
	if errors.Is(err, store.ErrExists) {
		err = errSecretExists()
	}
	return sec, err
}

func (s *Service) getSecret(ctx context.Context, rq *web.Request, _ web.None) (bctrl.SecretInfo, error) {
	id, err := rq.Path("id", web.ValidUUID)
	if err != nil {
		return bctrl.SecretInfo{}, err
	}
	if err := rq.Authorize(id); err != nil {
		return bctrl.SecretInfo{}, err
	}
	found, err := s.FindSecret(ctx, s.DB.Read(), rq.Caller.Org, id)
	if err != nil {
		return bctrl.SecretInfo{}, err
	}
	return s.describeSecret(ctx, s.DB.Read(), rq.Caller.Org, found)
}

// FindSecret reads and opens the secret of an id, as [Service.OpenSecret] does. It
// returns secrets.not_found where the organization has none.
func (s *Service) FindSecret(ctx context.Context, q store.Queries, org, id string) (Secret, error) {
	row, err := q.Secret(ctx, org, id)
	if errors.Is(err, store.ErrNotFound) {
		return Secret{}, errNoSecret()
	}
	if err != nil {
		return Secret{}, err
	}
	return s.OpenSecret(org, row)
}

// listSecrets lists by age. What the caller names that is not there is refused,
// and not an empty list.
func (s *Service) listSecrets(ctx context.Context, rq *web.Request, _ web.None) (list wire.List[bctrl.SecretInfo], err error) {
	limit, after, err := rq.Page()
	if err != nil {
		return list, err
	}
	if err := rq.Authorize(""); err != nil {
		return list, err
	}
	filter, err := s.secretFilter(ctx, rq)
	if err != nil {
		return list, err
	}
	filter.After, filter.Limit = after, limit+1
	rows, err := s.DB.Read().Secrets(ctx, rq.Caller.Org, filter)
	if err != nil {
		return list, err
	}
	list.Plural = wire.Secrets
	rows, list.NextCursor = web.PageOf(rows, limit, func(row store.Secret) string { return row.ID })
	for _, row := range rows {
		found, err := s.OpenSecret(rq.Caller.Org, row)
		if err != nil {
			return list, err
		}
		info, err := s.describeSecret(ctx, s.DB.Read(), rq.Caller.Org, found)
		if err != nil {
			return list, err
		}
		list.Items = append(list.Items, info)
	}
	return list, nil
}

func (s *Service) secretFilter(ctx context.Context, rq *web.Request) (filter store.SecretRange, err error) {
	if filter.Scope, err = rq.QueryScope("scope", "workspaceId", "groupId"); err != nil {
		return filter, err
	}
	if filter.AttachedTo, err = rq.QueryScope("", "attachedWorkspaceId", "attachedGroupId"); err != nil {
		return filter, err
	}
	if to := filter.AttachedTo.Type(); to != "" && to != bctrl.ScopeGroup {
		return filter, web.Invalid("scope.blank_id", "attachedGroupId", "secrets are attached to groups: name one")
	}
	if rq.Query.Has("name") {
		filter.Name = rq.Query.Get("name")
		if err := bctrl.ValidSecretName(filter.Name); err != nil {
			return filter, err
		}
	}
	for _, scope := range []*bctrl.Scope{&filter.Scope, &filter.AttachedTo} {
		if scope.IsZero() {
			continue
		}
		if *scope, err = web.StoredScope(ctx, s.DB.Read(), rq.Caller.Org, *scope); err != nil {
			return filter, err
		}
	}
	return filter, nil
}

// PinPermits reports whether a secret may be a field of a provider's credential. A
// secret that is pinned may be nothing but what it is pinned to.
func (sec Secret) PinPermits(provider, field string) bool {
	return sec.Meta.Provider == "" || sec.Meta.Provider == provider && (sec.Meta.Field == "" || sec.Meta.Field == field)
}

// ErrPinned refuses a secret for what its pin does not permit: see
// [Secret.PinPermits].
func ErrPinned() *bctrl.Error {
	return web.Conflict("secrets.pinned", "the secret is pinned to another provider, or to another field of this one")
}
