package bctrl

import (
	"context"
	"iter"
	"net/http"
	"time"

	"github.com/bctrl-go/bctrl/internal/wire"
)

// Credential is a way to authenticate with a provider: which secrets, how they
// are sent and to which hosts. Calls find it by its scope; see
// [CapabilitiesService].
type Credential struct {
	// ID is the caller's own name for it: "openai-eu". AI credentials and these
	// share one space of ids.
	ID string `json:"id"`
	// Provider is whom it is for: "openai".
	Provider string `json:"provider"`
	Scope    Scope  `json:"scope"`
	// SecretRefs name its secrets, "vault:secret:<id>", by field.
	SecretRefs map[string]string `json:"secretRefs"`
	// Auth is how the secrets are sent; nil where the registry says it, as it
	// does for every provider that it has.
	Auth *CredentialAuth `json:"auth,omitempty"`
	// Hosts are where it may be sent; none are the registry's.
	Hosts []string `json:"hosts,omitempty"`
	// Priority chooses inside a scope: the highest is used.
	Priority int  `json:"priority"`
	Enabled  bool `json:"enabled"`
	// Provisioned is set when it was made of secrets with the names that its
	// provider wants. It goes where they are attached, and ends with them.
	Provisioned bool      `json:"provisioned"`
	CreatedAt   time.Time `json:"createdAt"`
	UpdatedAt   time.Time `json:"updatedAt"`
}

// CredentialCreate is a new credential. One for a provider of the registry is
// rarely needed: storing its secrets makes it. It takes a second account of a
// provider, one host of many, or a provider of one's own.
type CredentialCreate struct {
	// ID matches ^[A-Za-z][A-Za-z0-9_-]{0,63}$.
	ID string `json:"id"`
	// Provider is of the registry, or any other name; then Auth and Hosts are
	// required.
	Provider string `json:"provider"`
	// SecretRef is the secret, "vault:secret:<id>", of a provider that takes
	// one; SecretRefs are those of one that takes several, by field. Exactly one
	// of the two is given, neither where Auth needs no secret. A secret that is
	// pinned to another provider is refused.
	SecretRef  string            `json:"secretRef,omitempty"`
	SecretRefs map[string]string `json:"secretRefs,omitempty"`
	// Scope is where it is visible; required.
	Scope Scope `json:"scope"`
	// Auth is refused for a provider of the registry, which has its own.
	Auth *CredentialAuth `json:"auth,omitempty"`
	// Hosts are "host" or "host:port", reached over https. For a provider of the
	// registry they pick among its own.
	Hosts []string `json:"hosts,omitempty"`
	// Priority is from -1000000 to 1000000.
	Priority int `json:"priority,omitempty"`
}

// CredentialUpdate changes what is not nil. The rest of a credential never
// changes: delete it and create another.
type CredentialUpdate struct {
	Enabled  *bool `json:"enabled,omitempty"`
	Priority *int  `json:"priority,omitempty"`
}

// CredentialsService keeps the credentials of the broker. See
// [Client.Credentials]. Errors have codes of area credentials, among them
//
//	credentials.not_found         there is none with this id
//	credentials.exists            the id is taken, by one of these or an AI credential
//	credentials.too_many          its scope has 100 of the provider already
//	credentials.unknown_provider  the registry has no such provider, and Auth or Hosts are missing
//	credentials.auth_not_allowed  the registry says how this provider is authenticated with
//	credentials.host_not_allowed  a host is none of the provider's
//	secrets.pinned                a secret belongs to another provider
type CredentialsService struct{ via via }

const (
	pathCredentials = "/v1/credentials"
	pathCredential  = "/v1/credentials/{id}"
)

// Create stores a credential. An id that is taken is [ErrConflict].
//
// Access: credential.write
func (s *CredentialsService) Create(ctx context.Context, c CredentialCreate, opts ...CallOption) (*Credential, error) {
	if err := c.Scope.Validate(); err != nil {
		return nil, err
	}
	var out Credential
	return ptr(&out, s.via().call(ctx, &request{
		method: http.MethodPost,
		path:   pathCredentials,
		in:     c,
		out:    &out,
		opts:   opts,
	}))
}

// Get describes a credential.
//
// Access: credential.read
func (s *CredentialsService) Get(ctx context.Context, id string, opts ...CallOption) (*Credential, error) {
	var out Credential
	return ptr(&out, s.via().call(ctx, &request{
		method: http.MethodGet,
		path:   pathCredential,
		params: []string{id},
		out:    &out,
		opts:   opts,
	}))
}

// List ranges over the credentials of all scopes by id.
//
// Access: credential.read
func (s *CredentialsService) List(ctx context.Context, opts ...CallOption) iter.Seq2[Credential, error] {
	return s.list().all(ctx, opts)
}

// Page fetches one page of [CredentialsService.List].
//
// Access: credential.read
func (s *CredentialsService) Page(ctx context.Context, p PageOptions, opts ...CallOption) (*Page[Credential], error) {
	return s.list().page(ctx, p, opts)
}

func (s *CredentialsService) list() listing[Credential] {
	return listing[Credential]{via: s.via, path: pathCredentials, plural: wire.Credentials}
}

// Update enables or disables a credential, or changes its priority. A disabled
// one is never passed over for another: a call that would use it fails.
//
// Access: credential.write
func (s *CredentialsService) Update(
	ctx context.Context, id string, u CredentialUpdate, opts ...CallOption,
) (*Credential, error) {
	var out Credential
	return ptr(&out, s.via().call(ctx, &request{
		method: http.MethodPatch,
		path:   pathCredential,
		params: []string{id},
		in:     u,
		out:    &out,
		opts:   opts,
	}))
}

// Delete removes a credential with its bindings, and leaves its secrets. What
// resolved to it resolves to the next.
//
// Access: credential.write
func (s *CredentialsService) Delete(ctx context.Context, id string, opts ...CallOption) error {
	return s.via().call(ctx, &request{
		method: http.MethodDelete,
		path:   pathCredential,
		params: []string{id},
		opts:   opts,
	})
}
