package catalog

import (
	"github.com/bctrl-go/bctrl"
)

// ProviderOfAI returns the id of the registry's provider whose AI credentials are
// of a kind, and the field that their key is there. A kind that the registry has no
// provider of is returned as the id, and no secret is pinned to it.
func (s *Service) ProviderOfAI(kind bctrl.AIProvider) (id, field string) {
	for _, p := range s.registry.Providers() {
		if p.AI == kind && kind != "" {
			return p.ID, p.Field()
		}
	}
	return string(kind), "apiKey"
}

// onlyField is the field of the secret that a provider of the registry needs, where it
// needs exactly one; else it is empty.
func (s *Service) onlyField(provider string) (field string) {
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

// pinOfName returns the provider and the field that a secret of a name is pinned to.
// Both are empty where the registry has no such name.
func (s *Service) pinOfName(name string) (provider, field string) {
	p, known, found := s.registry.Owner(name)
	if !found {
		return "", ""
	}
	return p.ID, known.Field
}
