package calls

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/broker"
	"github.com/bctrl-go/bctrl/internal/model"
	"github.com/bctrl-go/bctrl/internal/prefix"
	"github.com/bctrl-go/bctrl/internal/server/models"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// AI credentials are credentials of their provider, for calls of every kind: by
// their own id, and by the provider where the broker has no credential of it. A
// runtime calls with those that its ai mount permits.

// resolveOrAI is [Service.Resolve], which falls back to AI credentials: a call that
// names no credential, in a context that sees none of the provider, is made with
// the provider's AI credential. That counts as the last of the global tier.
func (s *Service) resolveOrAI(
	ctx context.Context, tx *store.Tx, c access.Caller, query broker.Query,
) (*Resolution, error) {
	found, err := s.resolveIn(ctx, tx, c.Org, query)
	if query.Credential != "" || web.AsError(err).Code != codeNoCredential {
		return found, err
	}
	id, failed := s.aiCredentialFor(ctx, tx.Queries, c, query.Provider)
	switch p, _ := s.registry.Provider(query.Provider); {
	case failed != nil:
		return nil, failed
	case id == "" && p.AI != "" && len(p.Hosts) == 0:
		e := web.NotFound(codeNoCredential, "there is no AI credential of "+query.Provider)
		e.Hint = "create one with the base URL of the server"
		return nil, e
	case id == "":
		return nil, err
	}
	query.Credential, query.NoAI = id, hidesAI(c, id)
	return s.resolveIn(ctx, tx, c.Org, query)
}

// codeNoCredential is the only refusal after which AI credentials are looked at.
const codeNoCredential = "credentials.none"

// aiCredentialFor is the AI credential that a call for a provider is made with
// where the broker has none: for a runtime the one that semantics 2.5 chooses of
// those that it may use, for an organization key the only one there is. It is
// empty where there is none.
func (s *Service) aiCredentialFor(
	ctx context.Context, q store.Queries, c access.Caller, provider string,
) (id string, err error) {
	p, known := s.registry.Provider(provider)
	if !known || p.AI == "" {
		return "", nil
	}
	if c.Runtime != nil {
		usable, _, err := s.usableModels(ctx, c)
		if err != nil || !usable.serves(p.AI) {
			return "", err
		}
		return usable.defaultFor(p.AI)
	}
	ids, err := aiCredentialsOf(ctx, q, c.Org, p.AI)
	switch {
	case err != nil || len(ids) == 0:
		return "", err
	case len(ids) > 1:
		return "", web.WithHint(
			web.NotFound(codeNoCredential, "no credential of "+provider+
				" is visible in this context, and its AI credentials are more than one: "+strings.Join(ids, ", ")),
			"name one of them",
		)
	}
	return ids[0], nil
}

// aiCredentialsOf lists the ids of an organization's AI credentials of a kind: the
// first 10, which is as many as an error names.
func aiCredentialsOf(
	ctx context.Context, q store.Queries, org string, kind bctrl.AIProvider,
) (ids []string, err error) {
	const page, shown = 100, 10
	for after := ""; ; {
		rows, err := q.AICredentials(ctx, org, after, page)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			after = row.ID
			meta, err := models.UnprovenMeta(row) // proved where its key is opened
			if err != nil {
				return nil, err
			}
			if meta.Provider == kind {
				ids = append(ids, row.ID)
			}
		}
		if len(rows) < page || len(ids) >= shown {
			return ids[:min(len(ids), shown)], nil
		}
	}
}

// usableModels returns the AI credentials that a runtime may use, with the defaults
// of its mounts, and their rows by id.
func (s *Service) usableModels(
	ctx context.Context, c access.Caller,
) (set usableSet, rows map[string]store.AICredential, err error) {
	list, err := s.models.ListUsable(ctx, c, "", -1)
	if err != nil {
		return set, nil, err
	}
	rows = make(map[string]store.AICredential, len(list))
	set.allow = models.AllowedIDs(c)
	if mount := c.Runtime.Chain.Effective().AI; mount != nil {
		set.defaults = mount.Defaults
	}
	for _, row := range list {
		meta, err := models.UnprovenMeta(row) // what the row says chooses; it is proved where its key is opened
		if err != nil {
			return set, nil, err
		}
		rows[row.ID] = row
		set.usable = append(set.usable, usableCredential{row.ID, meta})
	}
	return set, rows, nil
}

// serves reports whether one of them is of a kind.
func (set usableSet) serves(kind bctrl.AIProvider) bool {
	return kind != "" &&
		slices.ContainsFunc(set.usable, func(c usableCredential) bool { return c.meta.Provider == kind })
}

// basePathOf is the path of an AI credential's base URL, without a slash at the
// end: what it is called with is at or below that.
func basePathOf(meta models.Meta) string {
	base, err := url.Parse(model.Target(meta.Provider, meta.Address(), bctrl.Secret{}).BaseURL)
	if err != nil {
		return "" // it was checked when it was stored
	}
	return strings.TrimSuffix(base.EscapedPath(), "/")
}

// atOwnServer returns a request for a server of the organization's own with the AI
// credential that says where the server is, and with its path as the registry's
// capabilities have it: what is below the credential's base URL is below OpenAI's
// base path, /v1, there. A request for any other provider stays as it is.
func (s *Service) atOwnServer(ctx context.Context, req providerRequest, provider string) (providerRequest, error) {
	p, known := s.registry.Provider(provider)
	if !known || len(p.Hosts) > 0 {
		return req, nil
	}
	q := s.DB.Read()
	if req.credential == "" {
		id, err := s.aiCredentialFor(ctx, q, req.caller, provider)
		if err != nil || id == "" {
			return req, err
		}
		req.credential = id
	}
	row, err := s.models.Find(ctx, q, req.caller, req.credential)
	if web.AsError(err).Status == http.StatusNotFound {
		return req, nil // as is said once the call is permitted
	}
	if err != nil {
		return req, err
	}
	meta, err := models.UnprovenMeta(row) // proved where its key is opened
	if err != nil {
		return req, err
	}
	if base := basePathOf(meta); base != "" && base != p.BasePath && prefix.PathWithin(base, req.path) {
		req.path = p.BasePath + strings.TrimPrefix(req.path, base)
	}
	return req, nil
}
