package calls

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/broker"
	"github.com/bctrl-go/bctrl/internal/server/catalog"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// Resolution is what a call is made with. Of secrets it holds rows, which are
// sealed.
type Resolution struct {
	broker.Resolved
	endpoint
	// uid and version name the row of the credential, for the audit log.
	uid     string
	version int64
	// ai is the row where the credential is an AI credential.
	ai *store.AICredential

	service *Service
	org     string
	context bctrl.Scope
	// places are where the endpoint has the secrets stand in a request.
	places broker.Places
	// audited says which secrets are used.
	audited []bctrl.AuditSecret
	// secrets are the rows of what is sent, by field.
	secrets map[string]store.Secret
	// witnesses are the rows of secrets that are not sent, since others are bound in
	// their place, but by whose attachments the credential is visible.
	witnesses []store.Secret
}

// endpoint is how a credential is sent, and where. It is the registry's for every
// provider that it has, whatever is stored; that of an AI credential is empty, for
// its own kind and base URL say it.
type endpoint struct {
	Auth bctrl.CredentialAuth
	// Hosts are patterns.
	Hosts []string
	// BasePath is what the provider's paths are at or below.
	BasePath string
}

// Resolve finds what a call is made with, as [broker.Resolve] has it, in the state
// that q sees. The query's workspace is an id. It reads no more of the store than
// may take part, and refuses with credentials.tampered a row that may take part and
// is not as it was sealed. The refusals of a query that finds nothing, more than
// one or something that cannot be used are those of package broker.
//
// It decides nothing about a caller: whoever calls it decides about what comes of
// it, and records that before [Resolution.Open].
func (s *Service) Resolve(
	ctx context.Context, q store.Queries, org string, query broker.Query,
) (*Resolution, error) {
	found, err := s.candidates(ctx, q, org, query)
	if err != nil {
		return nil, err
	}
	chosen, err := broker.Resolve(found.state, query)
	if err != nil {
		if e := web.AsError(err); e.Code == codeNoCredential {
			e.Hint = s.howToStore(query.Provider)
		}
		return nil, err
	}
	r := &Resolution{
		Resolved: chosen,
		service:  s,
		org:      org,
		context:  query.Context,
	}
	if chosen.Credential.AI { // it is proved where its key is opened
		r.ai, r.uid, r.version = found.ai, found.ai.UID, found.ai.Version
	} else {
		row := found.credentials[chosen.Credential.UID]
		r.uid, r.version = row.UID, row.Version
		if r.endpoint, err = s.endpointOf(row); err != nil {
			return nil, err
		}
	}
	if err := r.loadSecrets(ctx, q); err != nil {
		return r, err // the event of the refusal names the credential
	}
	r.places, r.audited = r.placesOf(r.Auth), r.auditSecrets()
	return r, nil
}

// placesOf is where the secrets stand in a request that is authenticated in some way.
func (r *Resolution) placesOf(auth bctrl.CredentialAuth) broker.Places {
	return broker.PlacesOf(auth, func(field string) bool { _, has := r.Resolved.Secrets[field]; return has })
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

// endpointOf is the endpoint of a credential whose row was verified.
func (s *Service) endpointOf(row store.Credential) (endpoint, error) {
	meta, err := catalog.UnprovenCredentialMeta(row)
	if err != nil {
		return endpoint{}, err
	}
	p, known := s.registry.Provider(row.Provider)
	known = known && len(p.Hosts) > 0 // else its credentials say where it is
	switch {
	case !known && meta.Auth == nil:
		return endpoint{}, catalog.ErrUnknownProvider(nil)
	case !known:
		return endpoint{Auth: *meta.Auth, Hosts: meta.Hosts}, nil
	}
	out := endpoint{Auth: p.Auth, Hosts: p.Hosts, BasePath: p.BasePath}
	if len(meta.Hosts) == 0 {
		return out, nil
	}
	for _, host := range meta.Hosts {
		if !p.AllowsHost(host) {
			return endpoint{}, web.Invalid("credentials.host_not_allowed", "",
				"the credential "+row.ID+" has a host that is none of its provider's")
		}
	}
	out.Hosts = meta.Hosts
	return out, nil
}

// loadSecrets reads the rows of the secrets to use, as they are sealed.
func (r *Resolution) loadSecrets(ctx context.Context, q store.Queries) error {
	r.secrets = map[string]store.Secret{}
	for field, id := range r.Resolved.Secrets {
		if id == "" {
			continue
		}
		row, err := q.Secret(ctx, r.org, id)
		if err != nil {
			return err
		}
		r.secrets[field] = row
	}
	if r.Tier != broker.TierAttached {
		return nil
	}
	for field, id := range r.Credential.Secrets {
		if r.Resolved.Secrets[field] == id {
			continue
		}
		row, err := q.Secret(ctx, r.org, id)
		if err != nil {
			return err
		}
		r.witnesses = append(r.witnesses, row)
	}
	return nil
}

// auditSecrets says which secrets the call is made with, by field, and of which
// tier or by which binding each is.
func (r *Resolution) auditSecrets() []bctrl.AuditSecret {
	used := make([]bctrl.AuditSecret, 0, len(r.Resolved.Secrets))
	for _, field := range slices.Sorted(maps.Keys(r.Resolved.Secrets)) {
		// Without a row it is an AI credential's own key.
		one := bctrl.AuditSecret{
			Field:   field,
			UID:     r.uid,
			Version: r.version,
			Tier:    string(r.Tier),
		}
		if row, stored := r.secrets[field]; stored {
			one.UID, one.Version = row.ID, row.Version
		}
		if b, bound := r.Bindings[field]; bound {
			one.Tier, one.Binding = string(b.Tier), b.UID
		}
		used = append(used, one)
	}
	return used
}

// Open decrypts the secrets of the call, and no other, by field. It returns
// secrets.tampered for one that by its seal is not visible where the call is made,
// and secrets.pinned for one that by its seal is another provider's. The caller has
// decided that the resolution may be used, and recorded the intent.
func (r *Resolution) Open() (map[string]bctrl.Secret, error) {
	values := map[string]bctrl.Secret{}
	if r.ai != nil {
		_, key, err := r.service.models.Open(r.org, *r.ai)
		if err != nil {
			return nil, err
		}
		for field, id := range r.Resolved.Secrets {
			if id == "" {
				values[field] = bctrl.NewSecret(key.Reveal())
			}
		}
	}
	for field, row := range r.secrets {
		sec, err := r.openVisible(row)
		if err != nil {
			return nil, err
		}
		if !sec.PinPermits(r.Credential.Provider, field) {
			return nil, catalog.ErrPinned()
		}
		values[field] = bctrl.NewSecret(sec.Value.Reveal())
	}
	for _, row := range r.witnesses {
		if _, err := r.openVisible(row); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// openVisible opens a secret that the tables say is visible in the context of the
// call, and refuses it where its seal says that it is not.
func (r *Resolution) openVisible(row store.Secret) (catalog.Secret, error) {
	sec, err := r.service.catalog.OpenSecret(r.org, row)
	if err != nil {
		return sec, err
	}
	sealed := broker.Secret{Scope: sec.Meta.Scope, AttachedOnly: sec.Meta.AttachedOnly, Attached: sec.Meta.Attachments}
	if !sealed.Visible(r.context) {
		return sec, web.Tampered("secrets.tampered")
	}
	return sec, nil
}
