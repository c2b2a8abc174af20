package calls

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/broker"
	"github.com/bctrl-go/bctrl/internal/registry"
	"github.com/bctrl-go/bctrl/internal/server/catalog"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// Resolution is what a call is made with. Nothing secret is in it but sealed.
type Resolution struct {
	broker.Resolved
	// UID and Version name the row of the credential, for the audit log.
	UID     string
	Version int64
	// Auth is how its secrets are sent, Hosts are patterns of where, and
	// BasePath what the provider's paths are at or below. They are those of the
	// registry for every provider that it has, whatever is stored. An AI
	// credential's are what its own kind and base URL say.
	Auth     bctrl.CredentialAuth
	Hosts    []string
	BasePath string
	// AI is the row where the credential is an AI credential.
	AI *store.AICredential

	server  *Service
	org     string
	context bctrl.Scope
	// secrets are the rows to use by field; seen those that made a credential
	// visible and that none of secrets is.
	secrets map[string]store.Secret
	seen    []store.Secret
}

// Resolve finds what a call is made with, as [broker.Resolve] has it, in
// the state that q sees. It reads no more of the store than may take part, and
// believes no row of what it chose that its seal does not prove. What a caller
// may use is not asked here: decide on the result. The query's workspace is an
// id.
func (s *Service) Resolve(
	ctx context.Context, q store.Queries, org string, query broker.Query,
) (*Resolution, error) {
	found, err := s.candidates(ctx, q, org, query)
	if err != nil {
		return nil, err
	}
	r, err := broker.Resolve(found.state, query)
	if err != nil {
		if e := web.AsError(err); e.Code == codeNoCredential {
			e.Hint = s.howToStore(query.Provider)
		}
		return nil, err
	}
	call := &Resolution{
		Resolved: r,
		server:   s,
		org:      org,
		context:  query.Context,
	}
	if err := call.setCredential(found); err != nil {
		return nil, err
	}
	return call, call.loadSecrets(ctx, q)
}

// howToStore says what to do where a provider has no credential: the commands
// that store what it needs, by the names that the registry has.
func (s *Service) howToStore(provider string) string {
	p, _ := s.registry.Provider(provider)
	var needed []string
	for _, name := range p.Secrets {
		if !name.Optional {
			needed = append(needed, "bctrl secrets create --name "+name.Name+" --scope global")
		}
	}
	if len(needed) == 0 {
		return "create one: bctrl credential create NAME --provider " + provider +
			" --secret-ref vault:secret:ID --scope global"
	}
	return "store what it needs, here or for one workspace with --workspace-id: " + strings.Join(needed, "; ")
}

// setCredential has a call made with what was chosen, which its seal has proved. An AI
// credential is proved where its key is opened.
func (c *Resolution) setCredential(found *candidates) error {
	if c.Credential.AI {
		c.AI, c.UID, c.Version = found.ai, found.ai.UID, found.ai.Version
		return nil
	}
	row := found.credentials[c.Credential.UID]
	meta, err := catalog.UnprovenCredentialMeta(row)
	if err != nil {
		return err
	}
	c.UID, c.Version = row.UID, row.Version
	p, known := c.server.registry.Provider(row.Provider)
	return c.setDestination(p, known && len(p.Hosts) > 0, meta)
}

// setDestination takes how and where to send from the registry, or for a provider that
// it does not have from the credential.
func (c *Resolution) setDestination(p registry.Provider, known bool, meta catalog.CredentialMeta) error {
	switch {
	case !known && meta.Auth == nil:
		return catalog.ErrUnknownProvider(nil)
	case !known:
		c.Auth, c.Hosts = *meta.Auth, meta.Hosts
		return nil
	}
	c.Auth, c.Hosts, c.BasePath = p.Auth, p.Hosts, p.BasePath
	if len(meta.Hosts) == 0 {
		return nil
	}
	for _, host := range meta.Hosts {
		if !p.AllowsHost(host) {
			return web.Invalid("credentials.host_not_allowed", "",
				"the credential "+c.Credential.ID+" has a host that is none of its provider's")
		}
	}
	c.Hosts = meta.Hosts
	return nil
}

// loadSecrets reads the rows of the secrets to use, as they are sealed.
func (c *Resolution) loadSecrets(ctx context.Context, q store.Queries) error {
	c.secrets = map[string]store.Secret{}
	for field, id := range c.Resolved.Secrets {
		if id == "" {
			continue
		}
		row, err := q.Secret(ctx, c.org, id)
		if err != nil {
			return err
		}
		c.secrets[field] = row
	}
	if c.Tier != broker.TierAttached {
		return nil
	}
	for field, id := range c.Credential.Secrets {
		if c.Resolved.Secrets[field] == id {
			continue
		}
		row, err := q.Secret(ctx, c.org, id)
		if err != nil {
			return err
		}
		c.seen = append(c.seen, row)
	}
	return nil
}

// used says which secrets the call is made with, by field, and why those.
func (c *Resolution) used() []bctrl.AuditSecret {
	used := make([]bctrl.AuditSecret, 0, len(c.Resolved.Secrets))
	for _, field := range slices.Sorted(maps.Keys(c.Resolved.Secrets)) {
		// Without a row it is an AI credential's own key.
		one := bctrl.AuditSecret{
			Field:   field,
			UID:     c.UID,
			Version: c.Version,
			Tier:    string(c.Tier),
		}
		if row, stored := c.secrets[field]; stored {
			one.UID, one.Version = row.ID, row.Version
		}
		if b, bound := c.Bindings[field]; bound {
			one.Tier, one.Binding = string(b.Tier), b.UID
		}
		used = append(used, one)
	}
	return used
}

// Open decrypts the secrets of the call, and no other, by field. Each is
// proved to be visible where the call is made. Record the intent first.
func (c *Resolution) Open() (map[string]bctrl.Secret, error) {
	values := map[string]bctrl.Secret{}
	if c.AI != nil {
		_, key, err := c.server.models.Open(c.org, *c.AI)
		if err != nil {
			return nil, err
		}
		for field, id := range c.Resolved.Secrets {
			if id == "" {
				values[field] = bctrl.NewSecret(key.Reveal())
			}
		}
	}
	for field, row := range c.secrets {
		sec, err := c.openVisible(row)
		if err != nil {
			return nil, err
		}
		if !sec.PinPermits(c.Credential.Provider, field) {
			return nil, catalog.ErrPinned()
		}
		values[field] = bctrl.NewSecret(sec.Value.Reveal())
	}
	for _, row := range c.seen {
		if _, err := c.openVisible(row); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// openVisible opens a secret that the tables say is visible, and believes its
// seal alone.
func (c *Resolution) openVisible(row store.Secret) (catalog.Secret, error) {
	sec, err := c.server.catalog.OpenSecret(c.org, row)
	if err != nil {
		return sec, err
	}
	proved := broker.Secret{Scope: sec.Meta.Scope, AttachedOnly: sec.Meta.AttachedOnly, Attached: sec.Meta.Attachments}
	if !proved.Visible(c.context) {
		return sec, web.Tampered("secrets.tampered")
	}
	return sec, nil
}
