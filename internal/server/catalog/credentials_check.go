package catalog

import (
	"maps"
	"slices"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/names"
	"github.com/bctrl-go/bctrl/internal/registry"
	"github.com/bctrl-go/bctrl/internal/server/web"
)

// The limits of a credential.
const (
	maxCredentialHosts   = 32
	maxCredentialSecrets = 16
	maxPriority          = 1_000_000
)

// ErrUnknownProvider refuses a credential of a provider that the registry does not
// have, which has to say itself how it authenticates and where. missing names the
// fields that are not given; it may be nil.
func ErrUnknownProvider(missing []string) *bctrl.Error {
	e := web.WithHint(
		web.Invalid("credentials.unknown_provider", "provider",
			"the registry has no such provider, and the credential does not say how and where to authenticate"),
		"give auth and hosts, or name a provider of the registry",
	)
	for _, field := range missing {
		e.Problems = append(e.Problems, bctrl.Problem{
			Code:  e.Code,
			Field: field,
			Hint:  "required for a provider that the registry does not have",
		})
	}
	return e
}

// checkCredential names everything that is wrong with a credential, as far as that
// can be said without the store, and returns what is to be stored of it.
func (s *Service) checkCredential(in bctrl.CredentialCreate) (CredentialMeta, error) {
	var p web.Problems
	checkPriority(&p, in.Priority)
	p.Limit("hosts", len(in.Hosts), maxCredentialHosts)
	for i, host := range in.Hosts {
		p.Name("credentials.invalid_host", web.FieldAt("hosts", i), registry.Host(host))
	}
	meta := CredentialMeta{Auth: in.Auth, Hosts: in.Hosts, Enabled: true}
	known, found := s.registry.Provider(in.Provider)
	found = found && len(known.Hosts) > 0 // without hosts the credential says where it is
	var required, optional []string
	switch {
	case names.Name(in.Provider) != nil:
		p.Name("credentials.invalid_provider", "provider", names.Name(in.Provider))
	case found:
		required, optional = checkByRegistry(&p, known, in)
	case in.Auth == nil || len(in.Hosts) == 0:
		var missing []string
		if in.Auth == nil {
			missing = append(missing, "auth")
		}
		if len(in.Hosts) == 0 {
			missing = append(missing, "hosts")
		}
		return meta, ErrUnknownProvider(missing)
	default:
		if err := in.Auth.Validate(); err != nil {
			p.Join("auth", err)
		} else {
			required, optional = in.Auth.Fields()
		}
	}
	if err := p.Err(); err != nil {
		return meta, err
	}
	meta.Secrets = readSecretRefs(&p, in, required, optional)
	return meta, p.Err()
}

func checkPriority(p *web.Problems, priority int) {
	if priority < -maxPriority || priority > maxPriority {
		p.Add("credentials.invalid_priority", "priority", "a priority is from -1000000 to 1000000")
	}
}

// checkByRegistry adds what is wrong with a credential by what the registry says of
// its provider, and returns the fields of its secrets.
func checkByRegistry(
	p *web.Problems, known registry.Provider, in bctrl.CredentialCreate,
) (required, optional []string) {
	if in.Auth != nil {
		p.Add("credentials.auth_not_allowed", "auth", "the registry says how "+known.ID+" is authenticated with")
	}
	for i, host := range in.Hosts {
		if !known.AllowsHost(host) {
			p.Add("credentials.host_not_allowed", web.FieldAt("hosts", i), "it is none of the hosts of "+known.ID)
		}
	}
	for _, name := range known.Secrets {
		if name.Optional {
			optional = append(optional, name.Field)
		} else {
			required = append(required, name.Field)
		}
	}
	return required, optional
}

// readSecretRefs reads the references of a credential to its secrets, and returns
// their ids by field.
func readSecretRefs(p *web.Problems, in bctrl.CredentialCreate, required, optional []string) map[string]string {
	refs := in.SecretRefs
	if in.SecretRef != "" {
		switch {
		case len(refs) > 0:
			p.Add("credentials.secret_refs", "secretRefs", "secretRef and secretRefs are not given together")
			return nil
		case len(required) != 1:
			p.Add("credentials.field_needed", "secretRef",
				"the provider does not take exactly one secret: name the fields in secretRefs")
			return nil
		}
		refs = map[string]string{required[0]: in.SecretRef}
	}
	p.Limit("secretRefs", len(refs), maxCredentialSecrets)
	for _, field := range required {
		if _, given := refs[field]; !given {
			p.Add("credentials.secret_missing", "secretRefs."+field, "the provider needs this secret")
		}
	}
	out := map[string]string{}
	for _, field := range slices.Sorted(maps.Keys(refs)) {
		if !slices.Contains(required, field) && !slices.Contains(optional, field) {
			p.Add("credentials.unknown_field", "secretRefs", "the provider takes no secret under one of these names")
			continue
		}
		id, err := secretIDOfRef(refs[field])
		if err != nil {
			p.Add("credentials.invalid_secret_ref", "secretRefs."+field, err.Error())
		}
		out[field] = id
	}
	return out
}
