package bctrl

import (
	"context"
	"iter"
	"net/http"
	"time"

	"github.com/bctrl-go/bctrl/internal/wire"
)

// Binding puts a secret in place of the one that a call's credential has, for
// the contexts of its scope: whose secret is used, where mounts say what may be
// called. It does so where the credential is not more specific: a global binding
// never displaces a group's own credential; an AI credential counts as global.
// Of several that a call sees, the most specific scope's is used; in one scope
// one for exactly this consumer before one for all, and one of the capability
// before one of the credential.
type Binding struct {
	// ID is set by the server; the audit log names a binding by it.
	ID string `json:"id,omitempty"`
	// Capability or Credential, exactly one of them, is what the secret is used
	// for. The credential may be an AI credential.
	Capability string `json:"capability,omitempty"`
	Credential string `json:"credential,omitempty"`
	// SecretRef names the secret: "vault:secret:<id>". A call that does not see
	// it passes the binding over.
	SecretRef string `json:"secretRef"`
	// Field is which of several secrets is replaced; empty where there is one.
	Field string `json:"field,omitempty"`
	// Scope is where the binding is visible; required.
	Scope Scope `json:"scope"`
	// Consumer is the only one that it is for, the alias of a runtime or what an
	// invocation says; empty is for all.
	Consumer string `json:"consumer,omitempty"`
	// CreatedAt and UpdatedAt are set by the server.
	CreatedAt time.Time `json:"createdAt,omitzero"`
	UpdatedAt time.Time `json:"updatedAt,omitzero"`
}

// BindingFilter selects bindings.
type BindingFilter struct {
	// Capability and Credential select by what they are for; not both.
	Capability, Credential string
	// Scope, when not zero, selects those that live in exactly this scope.
	Scope Scope
	// Consumer selects those that are for one consumer alone.
	Consumer string
}

const pathBindings = "/v1/bindings"

// Bind uses a secret for a capability or a credential. A binding with the same
// target, scope, consumer and field is replaced. What is refused, among others:
//
//	secrets.not_found      there is no such secret
//	secrets.pinned         it belongs to another provider
//	bindings.not_visible   no context sees both the binding and the secret
//	bindings.field_needed  the credential has several secrets
//
// Access: binding.write
func (s *CapabilitiesService) Bind(ctx context.Context, b Binding, opts ...CallOption) (*Binding, error) {
	if err := b.Scope.Validate(); err != nil {
		return nil, err
	}
	in := wire.BindingPut[Scope]{
		Capability: b.Capability,
		Credential: b.Credential,
		SecretRef:  b.SecretRef,
		Field:      b.Field,
		Scope:      b.Scope,
		Consumer:   b.Consumer,
	}
	var out Binding
	return ptr(&out, s.via().call(ctx, &request{
		method: http.MethodPut,
		path:   pathBindings,
		in:     in,
		out:    &out,
		opts:   opts,
	}))
}

// Unbind removes the binding with the target, scope, consumer and field of b;
// one that there is not is [ErrNotFound].
//
// Access: binding.write
func (s *CapabilitiesService) Unbind(ctx context.Context, b Binding, opts ...CallOption) error {
	if err := b.Scope.Validate(); err != nil {
		return err
	}
	query := BindingFilter{b.Capability, b.Credential, b.Scope, b.Consumer}.query()
	query = append(query, "field", b.Field)
	return s.via().call(ctx, &request{
		method: http.MethodDelete,
		path:   pathBindings,
		query:  queryOf(query...),
		opts:   opts,
	})
}

// Bindings ranges over bindings, oldest first.
//
// Access: binding.read
func (s *CapabilitiesService) Bindings(
	ctx context.Context, f BindingFilter, opts ...CallOption,
) iter.Seq2[Binding, error] {
	return s.bindings(f).all(ctx, opts)
}

// BindingsPage fetches one page of [CapabilitiesService.Bindings].
//
// Access: binding.read
func (s *CapabilitiesService) BindingsPage(
	ctx context.Context, f BindingFilter, p PageOptions, opts ...CallOption,
) (*Page[Binding], error) {
	return s.bindings(f).page(ctx, p, opts)
}

func (s *CapabilitiesService) bindings(f BindingFilter) listing[Binding] {
	return listing[Binding]{
		via:    s.via,
		path:   pathBindings,
		plural: wire.Bindings,
		query:  f.query(),
	}
}

// query is the filter as names and values.
func (f BindingFilter) query() []string {
	return []string{
		"capability", f.Capability, "credential", f.Credential, "consumer", f.Consumer,
		"scope", string(f.Scope.Type()), "workspaceId", f.Scope.WorkspaceID(), "groupId", f.Scope.GroupID(),
	}
}
