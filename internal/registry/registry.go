// Package registry knows the providers: where each is reached, how a request
// to it is authenticated, what may be called, and by which names its secrets
// are known.
//
// A provider is a JSON file, checked by provider.schema.json beside this
// package. [Builtin] holds the files that come with the server; [Load] adds a
// user's own, under the same rules. What a registry says of a provider wins
// over anything that is stored: a credential cannot send a provider's key to
// another host.
//
// The built-in files are checked by this package's tests rather than at every
// start, and decoded when one of them is first asked for.
package registry

import (
	"slices"
	"strings"

	"github.com/bctrl-go/bctrl"
)

// Provider is one API. Values of this package are shared: do not change them.
type Provider struct {
	// ID is what secrets are pinned to and capabilities begin with: "openai".
	ID string `json:"id"`
	// Name is for people; Docs is the address of the API's documentation.
	Name string `json:"name"`
	Docs string `json:"docs"`
	// AI is the provider of AI credentials that this one serves, or empty.
	AI bctrl.AIProvider `json:"ai,omitempty"`
	// Hosts are those it is reached at, and patterns of them: see [Host]. A
	// provider of AI credentials that each say where it is has none.
	Hosts []string `json:"hosts"`
	// BasePath is what every path of the API is at or below, "/v1"; empty when
	// there is no such path.
	BasePath string `json:"basePath,omitempty"`
	// Auth is how its secrets are used.
	Auth bctrl.CredentialAuth `json:"auth"`
	// Secrets are the fields of Auth by the names under which they are stored.
	Secrets      []SecretName `json:"secrets"`
	Capabilities []Capability `json:"capabilities"`
}

// SecretName is the name under which a provider's secret is known, such as
// OPENAI_API_KEY, and the field of the strategy that it is.
type SecretName struct {
	Name     string `json:"name"`
	Field    string `json:"field"`
	Optional bool   `json:"optional,omitempty"`
}

// Capability is what may be called under one name.
type Capability struct {
	// ID is "provider/name".
	ID          string `json:"id"`
	Description string `json:"description"`
	// Methods and Paths are what it permits. Paths are as the provider documents
	// them, BasePath included; each permits what is at or below it
	// by segments, {name} stands for any one segment, and {+name} for one in
	// which the provider takes an encoded slash for part of a name.
	Methods []string `json:"methods"`
	Paths   []string `json:"paths"`
	// Host is the one of the provider's hosts that it is at; empty for the
	// first, or for one that the credential picks.
	Host string `json:"host,omitempty"`
	// Model marks a call of a language model that AI credentials are for: it
	// needs ai.use. The models of a provider that no AI credential serves are
	// capabilities like others: no ai mount could name what they need.
	Model bool `json:"model,omitempty"`
}

// Registry is a set of providers. It does not change and is safe for
// concurrent use.
type Registry struct {
	// known makes the index when it is first asked for.
	known func() *index
}

// index finds providers by id and by the names of their secrets.
type index struct {
	providers map[string]Provider
	ids       []string
	// owners maps the names of secrets to providers' ids.
	owners map[string]string
}

// newIndex makes the index of providers, no two of which have the same id or the
// same name of a secret.
func newIndex(all []Provider) *index {
	x := &index{providers: map[string]Provider{}, owners: map[string]string{}}
	for _, p := range all {
		x.providers[p.ID] = p
		for _, s := range p.Secrets {
			x.owners[s.Name] = p.ID
		}
	}
	for id, p := range x.providers {
		if len(p.Hosts) > 0 {
			x.ids = append(x.ids, id)
		}
	}
	slices.Sort(x.ids)
	return x
}

// Provider returns the provider with an id.
func (r *Registry) Provider(id string) (Provider, bool) {
	p, ok := r.known().providers[id]
	return p, ok
}

// ForAI returns the provider that AI credentials of a kind are for.
func (r *Registry) ForAI(kind bctrl.AIProvider) (Provider, bool) {
	if kind == "" {
		return Provider{}, false
	}
	for _, p := range r.known().providers {
		if p.AI == kind {
			return p, true
		}
	}
	return Provider{}, false
}

// Providers returns every provider that has a place of its own, by id. Servers of
// one's own that AI credentials are for are left out.
func (r *Registry) Providers() []Provider {
	x := r.known()
	all := make([]Provider, len(x.ids))
	for i, id := range x.ids {
		all[i] = x.providers[id]
	}
	return all
}

// Capability returns the capability with an id and its provider.
func (r *Registry) Capability(id string) (Provider, Capability, bool) {
	provider, _, _ := strings.Cut(id, "/")
	p, ok := r.Provider(provider)
	if !ok {
		return Provider{}, Capability{}, false
	}
	i := slices.IndexFunc(p.Capabilities, func(c Capability) bool { return c.ID == id })
	if i < 0 {
		return Provider{}, Capability{}, false
	}
	return p, p.Capabilities[i], true
}

// Owner returns the provider to which a secret of a name belongs. Names are
// compared as they are.
func (r *Registry) Owner(secretName string) (Provider, SecretName, bool) {
	x := r.known()
	p, ok := x.providers[x.owners[secretName]]
	if !ok {
		return Provider{}, SecretName{}, false
	}
	i := slices.IndexFunc(p.Secrets, func(s SecretName) bool { return s.Name == secretName })
	return p, p.Secrets[i], true
}

// Field returns the field that a provider with one secret means when none is
// named: its first.
func (p Provider) Field() string {
	if len(p.Secrets) == 0 {
		return "secret"
	}
	return p.Secrets[0].Field
}
