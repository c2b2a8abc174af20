package server

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
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

func (s *Server) secretRoutes() []route {
	return []route{
		endpoint("POST /v1/secrets", access.SecretWrite, s.createSecret),
		endpoint("GET /v1/secrets", access.SecretRead, s.listSecrets,
			"scope", "workspaceId", "groupId", "name", "attachedWorkspaceId", "attachedGroupId", "limit", "cursor"),
		endpoint("POST /v1/secrets/import", access.SecretWrite, s.importSecrets),
		endpoint("GET /v1/secrets/{id}", access.SecretRead, s.getSecret),
		endpoint("PATCH /v1/secrets/{id}", access.SecretWrite, s.updateSecret),
		endpoint("DELETE /v1/secrets/{id}", access.SecretWrite, s.deleteSecret),
		endpoint("POST /v1/secrets/{id}/rotate", access.SecretWrite, s.rotateSecret),
		endpoint("PUT /v1/secrets/{id}/attachments/{workspaceId}/{groupId}", access.SecretWrite, s.attachSecret),
		endpoint("DELETE /v1/secrets/{id}/attachments/{workspaceId}/{groupId}", access.SecretWrite, s.detachSecret),
	}
}

// The limits of a secret: its value in bytes, and how much there may be of the
// rest.
const (
	maxSecretValue = 64 << 10
	maxAliases     = 32
	maxAttachments = 1000
)

// secretMeta is what a secret is but for its value. It is stored in clear, and
// the seal covers it: the other columns and tables are found by and believed
// only as far as this says the same.
type secretMeta struct {
	Scope        bctrl.Scope   `json:"scope"`
	Name         string        `json:"name"`
	Aliases      []string      `json:"aliases,omitempty"`
	AttachedOnly bool          `json:"attachedOnly,omitempty"`
	Attachments  []bctrl.Scope `json:"attachments,omitempty"`
	Provider     string        `json:"provider,omitempty"`
	Field        string        `json:"field,omitempty"`
	RotatedAt    time.Time     `json:"rotatedAt"`
}

func (m secretMeta) index() store.SecretIndex {
	return store.SecretIndex{Names: append([]string{m.Name}, m.Aliases...), Attachments: m.Attachments}
}

// secret is a secret with its value. The row is as it is stored; what it is to
// become is in the rest.
type secret struct {
	row   store.Secret
	meta  secretMeta
	value wire.Value
}

// codeSecretTampered is the code of a secret that is not as it was sealed.
const codeSecretTampered = "secrets.tampered"

func errNoSecret() *bctrl.Error {
	return notFound("secrets.not_found", "there is no such secret")
}

func errSecretExists() *bctrl.Error {
	return conflict("secrets.exists", "a secret of this scope has the name, or one of the aliases, already")
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

// openSecret decrypts a secret, which proves what it is said to be.
func (s *Server) openSecret(org string, row store.Secret) (secret, error) {
	plain, err := s.keys.Open(secretRecord(org, row), row.Sealed)
	if errors.Is(err, seal.ErrTampered) {
		return secret{}, errTampered(codeSecretTampered)
	}
	if err != nil {
		return secret{}, err
	}
	defer clear(plain)
	out := secret{row: row, value: wire.NewValue(string(plain))}
	if json.Unmarshal(row.Meta, &out.meta) != nil {
		return secret{}, errTampered(codeSecretTampered)
	}
	m := out.meta
	if m.Scope != row.Scope || m.Name != row.Name || m.Provider != row.Provider || m.AttachedOnly != row.AttachedOnly {
		return secret{}, errTampered(codeSecretTampered)
	}
	return out, nil
}

// sealSecret makes the next version of a secret's row.
func (s *Server) sealSecret(org string, sec *secret) (err error) {
	row, meta := &sec.row, sec.meta
	row.Version++
	row.UpdatedAt = store.Now()
	row.Scope, row.Name, row.Provider, row.AttachedOnly = meta.Scope, meta.Name, meta.Provider, meta.AttachedOnly
	if row.Meta, err = json.Marshal(meta); err != nil {
		return err
	}
	plain := []byte(sec.value.Reveal())
	defer clear(plain)
	row.Sealed, err = s.keys.Seal(secretRecord(org, *row), plain)
	return err
}

// describeSecret says what may be known of a secret, and which credential was
// made of it.
func (s *Server) describeSecret(
	ctx context.Context, q store.Queries, org string, sec secret,
) (bctrl.SecretInfo, error) {
	row, meta := sec.row, sec.meta
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
func checkSecretNames(p *problems, name string, aliases []string) {
	names := append([]string{name}, aliases...)
	p.limit("aliases", len(aliases), maxAliases)
	if len(p.list) > 0 {
		return
	}
	for i, n := range names {
		field := "name"
		if i > 0 {
			field = index("aliases", i-1)
		}
		if err := bctrl.ValidSecretName(n); err != nil {
			p.add("secrets.invalid_name", field, asError(err).Message)
		} else if slices.Contains(names[:i], n) {
			p.add("secrets.duplicate_name", field, "the name is given more than once")
		}
	}
}

func checkSecretValue(p *problems, value wire.Value) {
	if value.IsZero() {
		p.add("secrets.value_required", "value", "the value is empty")
	}
	p.limit("value", len(value.Reveal()), maxSecretValue)
}

func (s *Server) createSecret(
	ctx context.Context, rq *request, in wire.SecretCreate[bctrl.Scope],
) (bctrl.SecretInfo, error) {
	if err := bctrl.ValidSecretName(in.Name); err != nil {
		return bctrl.SecretInfo{}, err
	}
	if err := s.authorize(rq, in.Name); err != nil {
		return bctrl.SecretInfo{}, err
	}
	if err := in.Scope.Validate(); err != nil {
		return bctrl.SecretInfo{}, err
	}
	var p problems
	checkSecretNames(&p, in.Name, in.Aliases)
	checkSecretValue(&p, in.Value)
	if err := p.err(); err != nil {
		return bctrl.SecretInfo{}, err
	}
	return change(ctx, s, rq, func(tx *store.Tx, ev *audit.Event) (bctrl.SecretInfo, error) {
		scope, err := storedScope(ctx, tx.Queries, rq.caller.Org, in.Scope)
		if err != nil {
			return bctrl.SecretInfo{}, err
		}
		meta := secretMeta{
			Scope:        scope,
			Name:         in.Name,
			Aliases:      in.Aliases,
			AttachedOnly: in.AttachedOnly,
		}
		about(ev, scope)
		sec, err := s.insertSecret(ctx, tx, rq.caller.Org, meta, in.Value, *ev)
		if err != nil {
			return bctrl.SecretInfo{}, err
		}
		ev.Object = sec.row.ID
		return s.describeSecret(ctx, tx.Queries, rq.caller.Org, sec)
	})
}

// insertSecret stores a new secret, pinned where the registry has its
// name, and before it the credential that becomes complete with it. ev is the
// event of the former.
func (s *Server) insertSecret(
	ctx context.Context, tx *store.Tx, org string, meta secretMeta, value wire.Value, ev audit.Event,
) (secret, error) {
	meta.Provider, meta.Field = s.pinOfName(meta.Name)
	sec := secret{row: store.Secret{ID: newID(), CreatedAt: store.Now()}, meta: meta}
	sec.rotate(value)
	if err := s.sealSecret(org, &sec); err != nil {
		return sec, err
	}
	if err := s.provision(ctx, tx, org, sec, ev); err != nil {
		return sec, err
	}
	err := tx.InsertSecret(ctx, org, sec.row, sec.meta.index())
	if errors.Is(err, store.ErrExists) {
		err = errSecretExists()
	}
	return sec, err
}

func (s *Server) getSecret(ctx context.Context, rq *request, _ none) (bctrl.SecretInfo, error) {
	id, err := rq.path("id", validUUID)
	if err != nil {
		return bctrl.SecretInfo{}, err
	}
	if err := s.authorize(rq, id); err != nil {
		return bctrl.SecretInfo{}, err
	}
	found, err := s.findSecret(ctx, s.db.Read(), rq.caller.Org, id)
	if err != nil {
		return bctrl.SecretInfo{}, err
	}
	return s.describeSecret(ctx, s.db.Read(), rq.caller.Org, found)
}

func (s *Server) findSecret(ctx context.Context, q store.Queries, org, id string) (secret, error) {
	row, err := q.Secret(ctx, org, id)
	if errors.Is(err, store.ErrNotFound) {
		return secret{}, errNoSecret()
	}
	if err != nil {
		return secret{}, err
	}
	return s.openSecret(org, row)
}

// listSecrets lists by age. What the caller names that is not there is refused,
// and not an empty list.
func (s *Server) listSecrets(ctx context.Context, rq *request, _ none) (list wire.List[bctrl.SecretInfo], err error) {
	limit, after, err := rq.page()
	if err != nil {
		return list, err
	}
	if err := s.authorize(rq, ""); err != nil {
		return list, err
	}
	filter, err := s.secretFilter(ctx, rq)
	if err != nil {
		return list, err
	}
	filter.After, filter.Limit = after, limit+1
	rows, err := s.db.Read().Secrets(ctx, rq.caller.Org, filter)
	if err != nil {
		return list, err
	}
	list.Plural = wire.Secrets
	rows, list.NextCursor = pageOf(rows, limit, func(row store.Secret) string { return row.ID })
	for _, row := range rows {
		found, err := s.openSecret(rq.caller.Org, row)
		if err != nil {
			return list, err
		}
		info, err := s.describeSecret(ctx, s.db.Read(), rq.caller.Org, found)
		if err != nil {
			return list, err
		}
		list.Items = append(list.Items, info)
	}
	return list, nil
}

func (s *Server) secretFilter(ctx context.Context, rq *request) (filter store.SecretRange, err error) {
	if filter.Scope, err = rq.queryScope("scope", "workspaceId", "groupId"); err != nil {
		return filter, err
	}
	if filter.AttachedTo, err = rq.queryScope("", "attachedWorkspaceId", "attachedGroupId"); err != nil {
		return filter, err
	}
	if to := filter.AttachedTo.Type(); to != "" && to != bctrl.ScopeGroup {
		return filter, invalid("scope.blank_id", "attachedGroupId", "secrets are attached to groups: name one")
	}
	if rq.query.Has("name") {
		filter.Name = rq.query.Get("name")
		if err := bctrl.ValidSecretName(filter.Name); err != nil {
			return filter, err
		}
	}
	for _, scope := range []*bctrl.Scope{&filter.Scope, &filter.AttachedTo} {
		if scope.IsZero() {
			continue
		}
		if *scope, err = storedScope(ctx, s.db.Read(), rq.caller.Org, *scope); err != nil {
			return filter, err
		}
	}
	return filter, nil
}

// fits reports whether a secret may be a field of a provider's credential: one
// that is pinned is what it is, and nothing else.
func (sec secret) fits(provider, field string) bool {
	return sec.meta.Provider == "" || sec.meta.Provider == provider && (sec.meta.Field == "" || sec.meta.Field == field)
}

func errPinned() *bctrl.Error {
	return conflict("secrets.pinned", "the secret is pinned to another provider, or to another field of this one")
}
