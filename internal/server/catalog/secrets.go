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

// The limits of a secret.
const (
	maxSecretValue = 64 << 10 // bytes
	maxAliases     = 32
	maxAttachments = 1000
)

// errNoSecret refuses an id under which there is no secret.
func errNoSecret() *bctrl.Error {
	return web.NotFound("secrets.not_found", "there is no such secret")
}

// errSecretExists refuses a name or an alias that another secret of the scope has.
func errSecretExists() *bctrl.Error {
	return web.Conflict("secrets.exists", "a secret of this scope has the name, or one of the aliases, already")
}

// checkSecretNames adds what is wrong with a name and aliases.
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

// checkSecretValue adds what is wrong with a value, and never the value.
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
		return bctrl.SecretInfo{}, web.WithField(web.AsError(err), "name")
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

// insertSecret stores a new secret, and before it the credential that becomes complete
// with it. Where the registry has its name, the secret is pinned to that provider. ev
// is the event of the secret.
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
	found, err := s.findSecret(ctx, s.DB.Read(), rq.Caller.Org, id)
	if err != nil {
		return bctrl.SecretInfo{}, err
	}
	return s.describeSecret(ctx, s.DB.Read(), rq.Caller.Org, found)
}

// findSecret reads and opens the secret of an id, as [Service.OpenSecret] does. It
// returns secrets.not_found where the organization has none.
func (s *Service) findSecret(ctx context.Context, q store.Queries, org, id string) (Secret, error) {
	row, err := q.Secret(ctx, org, id)
	if errors.Is(err, store.ErrNotFound) {
		return Secret{}, errNoSecret()
	}
	if err != nil {
		return Secret{}, err
	}
	return s.OpenSecret(org, row)
}

// listSecrets lists by age. A workspace that is named and not there is refused, and
// is no empty list.
func (s *Service) listSecrets(
	ctx context.Context, rq *web.Request, _ web.None,
) (list wire.List[bctrl.SecretInfo], err error) {
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

// secretFilter reads which secrets the query of a list selects.
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
			return filter, web.WithField(web.AsError(err), "name")
		}
	}
	for _, at := range []struct {
		workspace string
		scope     *bctrl.Scope
	}{
		{"workspaceId", &filter.Scope}, {"attachedWorkspaceId", &filter.AttachedTo},
	} {
		if at.scope.IsZero() {
			continue
		}
		if *at.scope, err = web.StoredScope(ctx, s.DB.Read(), rq.Caller.Org, *at.scope); err != nil {
			return filter, web.ScopeAt(err, "", at.workspace, "")
		}
	}
	return filter, nil
}
