package bctrl

import (
	"context"
	"iter"
	"net/http"
	"time"

	"github.com/bctrl-go/bctrl/internal/names"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// SecretInfo describes a stored secret. Its value is never returned: the broker
// alone puts it where it is needed.
type SecretInfo struct {
	ID string `json:"id"`
	// Name is unique in the scope, among the aliases too.
	Name    string   `json:"name"`
	Aliases []string `json:"aliases,omitempty"`
	// Scope names its workspace by id.
	Scope Scope `json:"scope"`
	// AttachedOnly secrets are visible in the groups that they are attached to
	// and nowhere else.
	AttachedOnly bool `json:"attachedOnly"`
	// Attachments are the groups in which the secret is visible whatever its
	// scope.
	Attachments []Scope `json:"attachments,omitempty"`
	// Provider is the one that the secret is pinned to, since its name is one
	// that the registry has; Field is what it is there. Both are empty for other
	// names.
	Provider string `json:"provider,omitempty"`
	Field    string `json:"field,omitempty"`
	// Credential is the one that was made of it, if there are all secrets that
	// the provider needs.
	Credential string `json:"credential,omitempty"`
	// Version counts the changes of the secret, from 1.
	Version   int64     `json:"version"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
	// RotatedAt is when the value was set.
	RotatedAt time.Time `json:"rotatedAt"`
}

// SecretCreate is a new secret.
type SecretCreate struct {
	// Name is of the form of [ValidSecretName].
	Name string
	// Value is sealed by the server and never returned.
	Value Secret
	// Scope is required.
	Scope Scope
	// Aliases are further names, at most 32.
	Aliases []string
	// AttachedOnly makes it visible in the groups that it is attached to and
	// nowhere else.
	AttachedOnly bool
}

// SecretUpdate changes what is not nil. The value is changed by
// [SecretsService.Rotate], the scope of a secret never.
type SecretUpdate struct {
	Name *string `json:"name,omitempty"`
	// Aliases replace the old ones; empty and not nil is none.
	Aliases []string `json:"aliases,omitzero"`
}

// SecretImport is KEY=VALUE lines on their way to become secrets.
type SecretImport struct {
	// Scope is required.
	Scope Scope
	// Text is the lines, as a shell's or a .env file's: "export" before a name,
	// quotes around a value, which may then go over several lines, and comments
	// are understood. Nothing is expanded.
	Text Secret
}

// SecretsImported says what became of the lines of a [SecretImport].
type SecretsImported struct {
	Created []SecretInfo `json:"created"`
	Rotated []SecretInfo `json:"rotated"`
	// Skipped are the names without a value.
	Skipped []string `json:"skipped"`
}

// ValidSecretName returns nil when name may be the name or an alias of a
// secret, which is of the form of an environment variable and a little more:
// ^[A-Za-z_][A-Za-z0-9_.-]{0,127}$. Names are case-sensitive. Otherwise it
// returns an [*Error] with code secrets.invalid_name.
func ValidSecretName(name string) error {
	return invalidName("secrets.invalid_name", "not the name of a secret", names.SecretName(name))
}

// SecretsService stores secrets with scopes, which the broker uses and nobody
// reads. See [Client.Secrets].
type SecretsService struct{ via via }

const (
	pathSecrets          = "/v1/secrets"
	pathSecret           = "/v1/secrets/{id}"
	pathSecretAttachment = "/v1/secrets/{id}/attachments/{workspace}/{group}"
)

// Create stores a secret. A name or alias that its scope has already is
// [ErrConflict], an unknown workspace [ErrNotFound].
//
// A name that the registry of providers has, such as OPENAI_API_KEY, pins the
// secret to that provider; with it the provider's credential is made in
// the same scope, once all secrets that it needs are there.
//
// Access: secret.write
func (s *SecretsService) Create(ctx context.Context, c SecretCreate, opts ...CallOption) (*SecretInfo, error) {
	in := wire.SecretCreate[Scope]{
		Name:         c.Name,
		Value:        wire.NewValue(c.Value.Expose()),
		Scope:        c.Scope,
		Aliases:      c.Aliases,
		AttachedOnly: c.AttachedOnly,
	}
	return s.one(ctx, &request{
		method: http.MethodPost,
		path:   pathSecrets,
		in:     in,
		opts:   opts,
	}, c.Scope.Validate(), ValidSecretName(c.Name))
}

// Get describes a secret.
//
// Access: secret.read
func (s *SecretsService) Get(ctx context.Context, id string, opts ...CallOption) (*SecretInfo, error) {
	return s.one(ctx, &request{
		method: http.MethodGet,
		path:   pathSecret,
		params: []string{id},
		opts:   opts,
	})
}

// List ranges over the secrets that a filter selects, oldest first.
//
// Access: secret.read
func (s *SecretsService) List(ctx context.Context, f SecretFilter, opts ...CallOption) iter.Seq2[SecretInfo, error] {
	return s.listing(f).all(ctx, opts)
}

// Page fetches one page of [SecretsService.List].
//
// Access: secret.read
func (s *SecretsService) Page(
	ctx context.Context, f SecretFilter, p PageOptions, opts ...CallOption,
) (*Page[SecretInfo], error) {
	return s.listing(f).page(ctx, p, opts)
}

func (s *SecretsService) listing(f SecretFilter) listing[SecretInfo] {
	return listing[SecretInfo]{
		via:    s.via,
		path:   pathSecrets,
		query:  f.query(),
		plural: wire.Secrets,
	}
}

// Update changes the name and the aliases of a secret. What refers to it refers
// to its id, and goes on as before. A name that the registry of providers has
// counts as it does for [SecretsService.Create], and one that is given up counts
// no more: the credential that was made of it goes, or goes on without it. A
// secret that something else uses is not given a provider's name
// (secrets.in_use, [ErrConflict]).
//
// Access: secret.write
func (s *SecretsService) Update(
	ctx context.Context, id string, u SecretUpdate, opts ...CallOption,
) (*SecretInfo, error) {
	return s.one(ctx, &request{
		method: http.MethodPatch,
		path:   pathSecret,
		params: []string{id},
		in:     u,
		opts:   opts,
	})
}

// Rotate replaces the value of a secret, for everything that uses it. The old
// one is gone.
//
// Access: secret.write
func (s *SecretsService) Rotate(ctx context.Context, id string, value Secret, opts ...CallOption) (*SecretInfo, error) {
	in := wire.SecretRotate{Value: wire.NewValue(value.Expose())}
	return s.one(ctx, &request{
		method: http.MethodPost,
		path:   pathSecret + "/rotate",
		params: []string{id},
		in:     in,
		opts:   opts,
	})
}

// Delete removes a secret with its value. What depends on it cannot be used any
// more from then on, and its names are free.
//
// Access: secret.write
func (s *SecretsService) Delete(ctx context.Context, id string, opts ...CallOption) error {
	return s.via().call(ctx, &request{
		method: http.MethodDelete,
		path:   pathSecret,
		params: []string{id},
		opts:   opts,
	})
}

// AttachGroup makes a secret visible in a group of a workspace, which is given
// by id or name. Attaching twice is once.
//
// Access: secret.write
func (s *SecretsService) AttachGroup(
	ctx context.Context, id, workspace, group string, opts ...CallOption,
) (*SecretInfo, error) {
	return s.attachment(ctx, http.MethodPut, id, InGroup(workspace, group), opts)
}

// DetachGroup takes back what [SecretsService.AttachGroup] gave. Detaching a
// group that is not attached changes nothing.
//
// Access: secret.write
func (s *SecretsService) DetachGroup(
	ctx context.Context, id, workspace, group string, opts ...CallOption,
) (*SecretInfo, error) {
	return s.attachment(ctx, http.MethodDelete, id, InGroup(workspace, group), opts)
}

func (s *SecretsService) attachment(
	ctx context.Context, method, id string, to Scope, opts []CallOption,
) (*SecretInfo, error) {
	params := []string{id, to.WorkspaceID(), to.GroupID()}
	return s.one(ctx, &request{
		method: method,
		path:   pathSecretAttachment,
		params: params,
		opts:   opts,
	}, to.Validate())
}

// Import stores KEY=VALUE lines, all of them or none: a name or alias that the
// scope has is rotated, another created, and one without a value passed over. A
// line that is not understood is [ErrInvalid], which names its number and not
// its text; up to 1000 lines of 1 MiB in all are taken.
//
// Access: secret.write
func (s *SecretsService) Import(ctx context.Context, i SecretImport, opts ...CallOption) (*SecretsImported, error) {
	in := wire.SecretImport[Scope]{Scope: i.Scope, Text: wire.NewValue(i.Text.Expose())}
	var out SecretsImported
	r := &request{
		method: http.MethodPost,
		path:   pathSecrets + "/import",
		in:     in,
		out:    &out,
		opts:   opts,
	}
	if err := i.Scope.Validate(); err != nil {
		return nil, (&exchange{r: r}).fail(err)
	}
	return ptr(&out, s.via().call(ctx, r))
}

// one sends a request whose answer is a secret, unless it is refused already.
func (s *SecretsService) one(ctx context.Context, r *request, refusals ...error) (*SecretInfo, error) {
	for _, err := range refusals {
		if err != nil {
			return nil, (&exchange{r: r}).fail(err)
		}
	}
	var out SecretInfo
	r.out = &out
	return ptr(&out, s.via().call(ctx, r))
}
