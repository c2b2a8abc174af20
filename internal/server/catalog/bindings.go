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
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/server/models"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

func (s *Service) bindingRoutes() []web.Route {
	filter := []string{"capability", "credential", "consumer", "scope", "workspaceId", "groupId"}
	return []web.Route{
		web.Endpoint("GET /v1/bindings", access.BindingRead, s.listBindings,
			append(slices.Clone(filter), "limit", "cursor")...),
		web.Endpoint("PUT /v1/bindings", access.BindingWrite, s.putBinding),
		web.Endpoint("DELETE /v1/bindings", access.BindingWrite, s.deleteBinding, append(filter, "field")...),
	}
}

// bindingRecord is what the seal of a binding covers.
func bindingRecord(org string, row store.Binding) seal.Record {
	return sealOf("binding", org, row.UID, row.Version,
		row.Scope.WorkspaceID(), row.Scope.GroupID(), row.Target, row.Consumer, row.Field, row.Secret)
}

// VerifyBinding checks the seal of a binding's row, and returns
// credentials.tampered where the row is not as it was sealed.
func (s *Service) VerifyBinding(org string, row store.Binding) error {
	return s.verifyRecord(bindingRecord(org, row), row.Sealed, "credentials.tampered")
}

// describeBinding says what may be known of a binding. Of its target, the id of a
// capability alone has a slash.
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

// bindingTarget checks what a binding is for, and returns the id of that: of a
// capability or of a credential. With needed, one of the two has to be there.
func bindingTarget(capability, credential, consumer string, needed bool) (target string, err error) {
	var p web.Problems
	switch {
	case capability != "" && credential != "", needed && capability+credential == "":
		p.Add("bindings.target", "capability", "name either a capability or a credential")
	case capability != "":
		p.Name("capabilities.invalid_id", "capability", names.Capability(capability))
	case credential != "":
		p.Name("credentials.invalid_id", "credential", names.CredentialID(credential))
	}
	if consumer != "" {
		p.Name("bindings.invalid_consumer", "consumer", names.Name(consumer))
	}
	return capability + credential, p.Err()
}

// putBinding adds a binding, or replaces the secret of the one with the same target,
// consumer, field and scope.
func (s *Service) putBinding(
	ctx context.Context, rq *web.Request, in wire.BindingPut[bctrl.Scope],
) (bctrl.Binding, error) {
	target, err := bindingTarget(in.Capability, in.Credential, in.Consumer, true)
	if err != nil {
		return bctrl.Binding{}, err
	}
	if err := rq.Authorize(target); err != nil {
		return bctrl.Binding{}, err
	}
	if err := in.Scope.Validate(); err != nil {
		return bctrl.Binding{}, err
	}
	var p web.Problems
	secretID, err := secretIDOfRef(in.SecretRef)
	if err != nil {
		p.Add("credentials.invalid_secret_ref", "secretRef", err.Error())
	}
	if in.Field != "" {
		p.Name("bindings.invalid_field", "field", names.CredentialID(in.Field))
	}
	if err := p.Err(); err != nil {
		return bctrl.Binding{}, err
	}
	return web.ChangeRules(ctx, rq, func(tx *store.Tx, ev *audit.Event) (out bctrl.Binding, err error) {
		key := store.BindingKey{Target: target, Consumer: in.Consumer, Field: in.Field}
		if key.Scope, err = web.StoredScope(ctx, tx.Queries, rq.Caller.Org, in.Scope); err != nil {
			return out, err
		}
		web.SetEventScope(ev, key.Scope)
		provider, err := s.completeKey(ctx, tx.Queries, rq.Caller.Org, &key)
		if err != nil {
			return out, err
		}
		sec, err := s.findSecret(ctx, tx.Queries, rq.Caller.Org, secretID)
		switch {
		case err != nil:
			return out, err
		case !sec.PinPermits(provider, key.Field):
			return out, ErrPinned()
		case !sec.meets(key.Scope):
			return out, web.Conflict("bindings.not_visible", "no context sees both the binding's scope and the secret")
		}
		row, err := s.writeBinding(ctx, tx, rq.Caller.Org, key, secretID)
		return describeBinding(row), err
	})
}

// writeBinding adds a binding, or replaces the secret of the one with its key.
func (s *Service) writeBinding(
	ctx context.Context, tx *store.Tx, org string, key store.BindingKey, secretID string,
) (store.Binding, error) {
	row, err := tx.Binding(ctx, org, key)
	missing := errors.Is(err, store.ErrNotFound)
	if missing {
		row = store.Binding{UID: web.NewID(), BindingKey: key, CreatedAt: store.Now()}
	} else if err != nil {
		return row, err
	}
	row.Version++
	row.UpdatedAt, row.Secret = store.Now(), secretID
	if row.Sealed, err = s.Keys.Seal(bindingRecord(org, row), nil); err != nil {
		return row, err
	}
	if missing {
		return row, tx.InsertBinding(ctx, org, row)
	}
	return row, tx.UpdateBinding(ctx, org, row)
}

// completeKey finds what a binding is for, checks its field, and returns the provider
// of what it is for. A field that is left out is filled in where only one can be
// meant.
func (s *Service) completeKey(
	ctx context.Context, q store.Queries, org string, key *store.BindingKey,
) (provider string, err error) {
	t, err := s.bindableOf(ctx, q, org, key.Target)
	if err != nil {
		return "", err
	}
	if key.Field == "" {
		key.Field = t.usualField
	}
	switch {
	case t.fields == nil: // its credential will say
	case key.Field == "":
		return "", web.WithHint(
			web.Invalid("bindings.field_needed", "field", "several secrets are used there: name the one to replace"),
			"it is one of "+strings.Join(t.fields, ", "),
		)
	case !slices.Contains(t.fields, key.Field):
		return "", web.Invalid("bindings.unknown_field", "field", "no secret of this name is used there")
	}
	return t.provider, nil
}

// bindable is a capability or a credential to which secrets are bound.
type bindable struct {
	provider string
	// fields are those of its secrets. They are nil for a capability of a provider
	// that the registry does not have, whose credentials say their fields.
	fields []string
	// usualField is the one that need not be named; empty where there is none.
	usualField string
}

// bindableOf finds the capability, whose id has a slash, or the credential to which a
// secret is bound.
func (s *Service) bindableOf(ctx context.Context, q store.Queries, org, id string) (t bindable, err error) {
	if strings.Contains(id, "/") {
		c, err := s.FindDefinition(ctx, q, org, id)
		for _, name := range c.Secrets {
			t.fields = append(t.fields, name.Field)
		}
		t.provider, t.usualField = c.Provider, s.onlyField(c.Provider)
		return t, err
	}
	row, err := q.Credential(ctx, org, id)
	if errors.Is(err, store.ErrNotFound) {
		return s.bindableAI(ctx, q, org, id)
	}
	if err != nil {
		return t, err
	}
	meta, err := s.VerifyCredential(org, row)
	t.provider, t.fields = row.Provider, slices.Sorted(maps.Keys(meta.Secrets))
	if t.usualField = s.onlyField(row.Provider); len(t.fields) == 1 {
		t.usualField = t.fields[0]
	}
	return t, err
}

// bindableAI finds the AI credential to which a secret is bound.
func (s *Service) bindableAI(ctx context.Context, q store.Queries, org, id string) (t bindable, err error) {
	row, err := q.AICredential(ctx, org, id)
	if errors.Is(err, store.ErrNotFound) {
		return t, errNoCredential()
	}
	if err != nil {
		return t, err
	}
	meta, err := models.UnprovenMeta(row)
	t.provider, t.usualField = s.ProviderOfAI(meta.Provider)
	t.fields = []string{t.usualField}
	return t, err
}

// deleteBinding deletes the binding that the query names. The field may be left out
// where only one is bound.
func (s *Service) deleteBinding(ctx context.Context, rq *web.Request, _ web.None) (web.None, error) {
	target, err := bindingTarget(rq.Query.Get("capability"), rq.Query.Get("credential"), rq.Query.Get("consumer"), true)
	if err != nil {
		return web.None{}, err
	}
	if err := rq.Authorize(target); err != nil {
		return web.None{}, err
	}
	scope, err := rq.QueryScope("scope", "workspaceId", "groupId")
	if err == nil { // without a parameter it is none
		err = web.ScopeAt(scope.Validate(), "scope", "workspaceId", "groupId")
	}
	if err != nil {
		return web.None{}, err
	}
	return web.ChangeRules(ctx, rq, func(tx *store.Tx, ev *audit.Event) (_ web.None, err error) {
		key := store.BindingKey{Target: target, Consumer: rq.Query.Get("consumer"), Field: rq.Query.Get("field")}
		if key.Scope, err = web.StoredScope(ctx, tx.Queries, rq.Caller.Org, scope); err != nil {
			return web.None{}, web.ScopeAt(err, "scope", "workspaceId", "groupId")
		}
		web.SetEventScope(ev, key.Scope)
		rows, err := tx.BindingsAt(ctx, rq.Caller.Org, key)
		if err != nil {
			return web.None{}, err
		}
		if key.Field != "" {
			rows = slices.DeleteFunc(rows, func(b store.Binding) bool { return b.Field != key.Field })
		}
		switch len(rows) {
		case 0:
			return web.None{}, web.NotFound("bindings.not_found", "there is no such binding")
		case 1:
			ev.Version = rows[0].Version
			return web.None{}, tx.DeleteBinding(ctx, rq.Caller.Org, rows[0].UID)
		}
		return web.None{}, web.Invalid("bindings.field_needed", "field", "several fields are bound there: name one")
	})
}

// listBindings lists by age.
func (s *Service) listBindings(
	ctx context.Context, rq *web.Request, _ web.None,
) (list wire.List[bctrl.Binding], err error) {
	limit, after, err := rq.Page()
	if err != nil {
		return list, err
	}
	if err := rq.Authorize(""); err != nil {
		return list, err
	}
	filter := store.BindingRange{After: after, Limit: limit + 1, Consumer: rq.Query.Get("consumer")}
	filter.Target, err = bindingTarget(rq.Query.Get("capability"), rq.Query.Get("credential"), filter.Consumer, false)
	if err != nil {
		return list, err
	}
	if filter.Scope, err = rq.QueryScope("scope", "workspaceId", "groupId"); err != nil {
		return list, err
	}
	if !filter.Scope.IsZero() {
		if filter.Scope, err = web.StoredScope(ctx, s.DB.Read(), rq.Caller.Org, filter.Scope); err != nil {
			return list, web.ScopeAt(err, "scope", "workspaceId", "groupId")
		}
	}
	rows, err := s.DB.Read().Bindings(ctx, rq.Caller.Org, filter)
	if err != nil {
		return list, err
	}
	list.Plural = wire.Bindings
	rows, list.NextCursor = web.PageOf(rows, limit, func(b store.Binding) string { return b.UID })
	for _, row := range rows {
		if err := s.VerifyBinding(rq.Caller.Org, row); err != nil {
			return list, err
		}
		list.Items = append(list.Items, describeBinding(row))
	}
	return list, nil
}
