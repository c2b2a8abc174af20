package server

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
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

func (s *Server) bindingRoutes() []route {
	filter := []string{"capability", "credential", "consumer", "scope", "workspaceId", "groupId"}
	return []route{
		endpoint("GET /v1/bindings", access.BindingRead, s.listBindings,
			append(slices.Clone(filter), "limit", "cursor")...),
		endpoint("PUT /v1/bindings", access.BindingWrite, s.putBinding),
		endpoint("DELETE /v1/bindings", access.BindingWrite, s.deleteBinding, append(filter, "field")...),
	}
}

// bindingRecord binds all that is said of a binding to its seal.
func bindingRecord(org string, row store.Binding) seal.Record {
	return sealOf("binding", org, row.UID, row.Version,
		row.Scope.WorkspaceID(), row.Scope.GroupID(), row.Target, row.Consumer, row.Field, row.Secret)
}

// proveBinding holds a row to its seal.
func (s *Server) proveBinding(org string, row store.Binding) error {
	return s.proveRecord(bindingRecord(org, row), row.Sealed, "credentials.tampered")
}

func describeBinding(row store.Binding) bctrl.Binding {
	out := bctrl.Binding{
		ID:        row.UID,
		SecretRef: secretRef(row.Secret),
		Field:     row.Field,
		Scope:     row.Scope,
		Consumer:  row.Consumer,
		CreatedAt: row.CreatedAt,
		UpdatedAt: row.UpdatedAt,
	}
	if strings.Contains(row.Target, "/") {
		out.Capability = row.Target
	} else {
		out.Credential = row.Target
	}
	return out
}

// bindingTarget checks what a binding is for; with needed it must be for
// something.
func bindingTarget(capability, credential, consumer string, needed bool) (target string, err error) {
	var p problems
	switch {
	case capability != "" && credential != "", needed && capability+credential == "":
		p.add("bindings.target", "capability", "name either a capability or a credential")
	case capability != "":
		p.name("capabilities.invalid_id", "capability", names.Capability(capability))
	case credential != "":
		p.name("credentials.invalid_id", "credential", names.CredentialID(credential))
	}
	if consumer != "" {
		p.name("bindings.invalid_consumer", "consumer", names.Name(consumer))
	}
	return capability + credential, p.err()
}

func (s *Server) putBinding(ctx context.Context, rq *request, in wire.BindingPut[bctrl.Scope]) (bctrl.Binding, error) {
	target, err := bindingTarget(in.Capability, in.Credential, in.Consumer, true)
	if err != nil {
		return bctrl.Binding{}, err
	}
	if err := s.authorize(rq, target); err != nil {
		return bctrl.Binding{}, err
	}
	if err := in.Scope.Validate(); err != nil {
		return bctrl.Binding{}, err
	}
	var p problems
	secretID, err := secretOfRef(in.SecretRef)
	if err != nil {
		p.add("credentials.invalid_secret_ref", "secretRef", err.Error())
	}
	if in.Field != "" {
		p.name("bindings.invalid_field", "field", names.CredentialID(in.Field))
	}
	if err := p.err(); err != nil {
		return bctrl.Binding{}, err
	}
	key := store.BindingKey{Target: target, Consumer: in.Consumer, Field: in.Field}
	return changeRules(ctx, s, rq, func(tx *store.Tx, ev *audit.Event) (out bctrl.Binding, err error) {
		if key.Scope, err = storedScope(ctx, tx.Queries, rq.caller.Org, in.Scope); err != nil {
			return out, err
		}
		about(ev, key.Scope)
		provider, err := s.fieldOf(ctx, tx.Queries, rq.caller.Org, &key)
		if err != nil {
			return out, err
		}
		sec, err := s.findSecret(ctx, tx.Queries, rq.caller.Org, secretID)
		switch {
		case err != nil:
			return out, err
		case !sec.fits(provider, key.Field):
			return out, errPinned()
		case !sec.reaches(key.Scope):
			return out, conflict("bindings.not_visible", "no context sees both the binding's scope and the secret")
		}
		row, err := s.writeBinding(ctx, tx, rq.caller.Org, key, secretID)
		return describeBinding(row), err
	})
}

// writeBinding adds a binding, or replaces the secret of the one with its key.
func (s *Server) writeBinding(
	ctx context.Context, tx *store.Tx, org string, key store.BindingKey, secretID string,
) (store.Binding, error) {
	row, err := tx.Binding(ctx, org, key)
	missing := errors.Is(err, store.ErrNotFound)
	if missing {
		row = store.Binding{UID: newID(), BindingKey: key, CreatedAt: store.Now()}
	} else if err != nil {
		return row, err
	}
	row.Version++
	row.UpdatedAt, row.Secret = store.Now(), secretID
	if row.Sealed, err = s.keys.Seal(bindingRecord(org, row), nil); err != nil {
		return row, err
	}
	if missing {
		return row, tx.InsertBinding(ctx, org, row)
	}
	return row, tx.UpdateBinding(ctx, org, row)
}

// fieldOf finds what a binding is for, and returns its provider. It fills in
// the field where one is meant without saying so.
func (s *Server) fieldOf(
	ctx context.Context, q store.Queries, org string, key *store.BindingKey,
) (provider string, err error) {
	t, err := s.bindableOf(ctx, q, org, key.Target)
	if err != nil {
		return "", err
	}
	if key.Field == "" {
		key.Field = t.meant
	}
	switch {
	case t.fields == nil: // any that a credential turns out to have
	case key.Field == "":
		return "", withHint(
			invalid("bindings.field_needed", "field", "several secrets are used there: name the one to replace"),
			"it is one of "+strings.Join(t.fields, ", "),
		)
	case !slices.Contains(t.fields, key.Field):
		return "", invalid("bindings.unknown_field", "field", "no secret of this name is used there")
	}
	return t.provider, nil
}

// bindable is what a binding can be for.
type bindable struct {
	provider string
	// fields are those of its secrets; nil are those of whatever credential
	// there will be. meant is the one that need not be named, or empty.
	fields []string
	meant  string
}

// bindableOf is what a secret can be bound to of a capability, whose id has a
// slash, or of a credential.
func (s *Server) bindableOf(ctx context.Context, q store.Queries, org, id string) (t bindable, err error) {
	if strings.Contains(id, "/") {
		c, err := s.defined(ctx, q, org, id)
		for _, name := range c.Secrets {
			t.fields = append(t.fields, name.Field)
		}
		t.provider, t.meant = c.Provider, s.onlyField(c.Provider)
		return t, err
	}
	row, err := q.Credential(ctx, org, id)
	if errors.Is(err, store.ErrNotFound) {
		return s.targetAI(ctx, q, org, id)
	}
	if err != nil {
		return t, err
	}
	meta, err := s.proveCredential(org, row)
	t.provider, t.fields = row.Provider, slices.Sorted(maps.Keys(meta.Secrets))
	if t.meant = s.onlyField(row.Provider); len(t.fields) == 1 {
		t.meant = t.fields[0]
	}
	return t, err
}

func (s *Server) targetAI(ctx context.Context, q store.Queries, org, id string) (t bindable, err error) {
	row, err := q.AICredential(ctx, org, id)
	if errors.Is(err, store.ErrNotFound) {
		return t, errNoCredential()
	}
	if err != nil {
		return t, err
	}
	meta, err := readAIMeta(row)
	t.provider, t.meant = s.aiProvider(meta.Provider)
	t.fields = []string{t.meant}
	return t, err
}

// onlyField is the field of the only secret that a provider of the registry
// needs, or empty.
func (s *Server) onlyField(provider string) (field string) {
	p, _ := s.registry.Provider(provider)
	for _, name := range p.Secrets {
		switch {
		case name.Optional:
		case field != "":
			return ""
		default:
			field = name.Field
		}
	}
	return field
}

// deleteBinding removes the binding that the query names. The field may be left
// out where there is one of no other.
func (s *Server) deleteBinding(ctx context.Context, rq *request, _ none) (none, error) {
	target, err := bindingTarget(rq.query.Get("capability"), rq.query.Get("credential"), rq.query.Get("consumer"), true)
	if err != nil {
		return none{}, err
	}
	if err := s.authorize(rq, target); err != nil {
		return none{}, err
	}
	scope, err := rq.queryScope("scope", "workspaceId", "groupId")
	if err == nil {
		err = scope.Validate()
	}
	if err != nil {
		return none{}, err
	}
	key := store.BindingKey{Target: target, Consumer: rq.query.Get("consumer"), Field: rq.query.Get("field")}
	return changeRules(ctx, s, rq, func(tx *store.Tx, ev *audit.Event) (_ none, err error) {
		if key.Scope, err = storedScope(ctx, tx.Queries, rq.caller.Org, scope); err != nil {
			return none{}, err
		}
		about(ev, key.Scope)
		rows, err := tx.BindingsAt(ctx, rq.caller.Org, key)
		if err != nil {
			return none{}, err
		}
		if key.Field != "" {
			rows = slices.DeleteFunc(rows, func(b store.Binding) bool { return b.Field != key.Field })
		}
		switch len(rows) {
		case 0:
			return none{}, notFound("bindings.not_found", "there is no such binding")
		case 1:
			ev.Version = rows[0].Version
			return none{}, tx.DeleteBinding(ctx, rq.caller.Org, rows[0].UID)
		}
		return none{}, invalid("bindings.field_needed", "field", "several fields are bound there: name one")
	})
}

// listBindings lists by age.
func (s *Server) listBindings(ctx context.Context, rq *request, _ none) (list wire.List[bctrl.Binding], err error) {
	limit, after, err := rq.page()
	if err != nil {
		return list, err
	}
	if err := s.authorize(rq, ""); err != nil {
		return list, err
	}
	filter := store.BindingRange{After: after, Limit: limit + 1, Consumer: rq.query.Get("consumer")}
	filter.Target, err = bindingTarget(rq.query.Get("capability"), rq.query.Get("credential"), filter.Consumer, false)
	if err != nil {
		return list, err
	}
	if filter.Scope, err = rq.queryScope("scope", "workspaceId", "groupId"); err != nil {
		return list, err
	}
	if !filter.Scope.IsZero() {
		if filter.Scope, err = storedScope(ctx, s.db.Read(), rq.caller.Org, filter.Scope); err != nil {
			return list, err
		}
	}
	rows, err := s.db.Read().Bindings(ctx, rq.caller.Org, filter)
	if err != nil {
		return list, err
	}
	list.Plural = wire.Bindings
	rows, list.NextCursor = pageOf(rows, limit, func(b store.Binding) string { return b.UID })
	for _, row := range rows {
		if err := s.proveBinding(rq.caller.Org, row); err != nil {
			return list, err
		}
		list.Items = append(list.Items, describeBinding(row))
	}
	return list, nil
}

// aiProvider is the provider of the registry that AI credentials of a kind are
// for, and the field that their key is. A kind that no provider serves is one
// of its own, to which no secret is pinned.
func (s *Server) aiProvider(kind bctrl.AIProvider) (id, field string) {
	for _, p := range s.registry.Providers() {
		if p.AI == kind && kind != "" {
			return p.ID, p.Field()
		}
	}
	return string(kind), "apiKey"
}
