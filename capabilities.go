package bctrl

import (
	"context"
	"iter"
	"net/http"
	"time"

	"github.com/bctrl-go/bctrl/internal/wire"
)

// Capability is a kind of call to a provider that may be permitted: which
// methods and paths, and where. The registry has many; organizations add their
// own.
type Capability struct {
	// ID is "provider/name": "openai/chat-completions".
	ID       string `json:"id"`
	Provider string `json:"provider"`
	// Description says what it is for, in words.
	Description string `json:"description,omitempty"`
	// Methods are those of HTTP that it takes.
	Methods []string `json:"methods"`
	// Paths are prefixes, matched on segment boundaries; {x} is any one segment,
	// {+x} one in which an encoded slash is part of a name ("group%2Fproject").
	Paths []string `json:"paths"`
	// Hosts are where it may go. An own capability of a provider that the
	// registry does not have goes where its credential may.
	Hosts []string `json:"hosts,omitempty"`
	// Credential is the one that an own capability always uses, or empty.
	Credential string `json:"credential,omitempty"`
	// Secrets are the names to store secrets under for it to become ready.
	Secrets []CapabilitySecret `json:"secrets,omitempty"`
	// Model is set for calls of language models that AI credentials are for: a
	// runtime needs one of those in its ai mount, in place of the capability.
	// The models of other providers need the capability. Own capabilities cannot
	// permit model calls of a provider that the registry has.
	Model bool `json:"model,omitempty"`
	// Builtin is set for those of the registry, which cannot be changed.
	Builtin bool             `json:"builtin"`
	Status  CapabilityStatus `json:"status"`
	// Policy limits it, when somebody set one.
	Policy *CapabilityPolicy `json:"policy,omitempty"`
	// Docs is where the provider describes its API, Example a command line that
	// uses the capability.
	Docs    string `json:"docs,omitempty"`
	Example string `json:"example,omitempty"`
	// CreatedAt and UpdatedAt are zero for a built-in one.
	CreatedAt time.Time `json:"createdAt,omitzero"`
	UpdatedAt time.Time `json:"updatedAt,omitzero"`
}

// CapabilityStatus says whether a capability can be invoked.
type CapabilityStatus string

// The states of a capability in a context.
const (
	// CapabilityReady: a call would find exactly one credential.
	CapabilityReady CapabilityStatus = "ready"
	// CapabilityAvailable: it would not, yet.
	CapabilityAvailable CapabilityStatus = "available"
)

// CapabilitySecret is a secret that a provider wants.
type CapabilitySecret struct {
	// Name is what to call it for the credential to be made of it:
	// "OPENAI_API_KEY".
	Name string `json:"name"`
	// Field is what the credential calls it: "apiKey".
	Field string `json:"field"`
	// Optional ones may be missing.
	Optional bool `json:"optional,omitempty"`
}

// CapabilityPolicy limits a capability for everybody who invokes it. Zero
// fields are no limit beyond the server's own.
type CapabilityPolicy struct {
	// CallsPerMinute is how many calls may begin in a minute, by all callers of
	// the organization together.
	CallsPerMinute int `json:"callsPerMinute,omitempty"`
	// MaxRequestBytes and MaxResponseBytes bound bodies.
	MaxRequestBytes  int64 `json:"maxRequestBytes,omitempty"`
	MaxResponseBytes int64 `json:"maxResponseBytes,omitempty"`
	// Redact are the fields of JSON answers whose values are hidden: a name at
	// any depth, "api_key", or a path from the top, "data.owner.email", which
	// arrays do not count in. An answer that is no JSON, lines of it or server-sent events is
	// refused. One with a line end in a string breaks off there, and events do where
	// another line stands inside the JSON of one.
	Redact []string `json:"redact,omitempty"`
}

// CapabilityCreate is a capability of one's own.
type CapabilityCreate struct {
	// ID is "provider/name". The provider is one of the registry or of one's
	// credentials; one that has no credential yet may get it later.
	ID          string
	Description string
	// Methods are one or more of GET, HEAD, POST, PUT, PATCH and DELETE.
	Methods []string
	// Paths are one or more prefixes: "/v1/users" permits itself and everything
	// below it, {x} stands for any one segment.
	Paths []string
	// Host narrows it to one host, or pattern of the registry; empty is every
	// host of the provider or credential.
	Host string
	// Credential, when set, is the one that it always uses.
	Credential string
}

// CapabilityFilter selects capabilities.
type CapabilityFilter struct {
	// Provider selects those of one provider.
	Provider string
	// Status selects those that are ready, or those that are not.
	Status CapabilityStatus
	// Context is where they would be invoked, for their Status; the zero Scope
	// is [Global]. A runtime's own context is always that of the runtime.
	Context Scope
}

// CapabilitiesService says what may be called at providers, binds secrets to it
// and makes the calls. The caller never holds a provider's key.
//
// A call finds its credential by the context it is made in: the most specific
// scope that has a visible one of the provider, a group's before its
// workspace's, that before a global one. In one scope the highest priority
// wins, and two alike are credentials.credential_ambiguous. Only what is not
// there is passed over: a credential that is disabled, say, stops the call.
// See [Client.Capabilities].
type CapabilitiesService struct{ via via }

const (
	pathCapabilities     = "/v1/capabilities"
	pathCapability       = "/v1/capabilities/{id}"
	pathCapabilityPolicy = "/v1/capabilities/{id}/policy"
)

// List ranges over capabilities by id, those of the registry and own ones. A
// runtime sees those that it may invoke.
//
// Access: capability.read
func (s *CapabilitiesService) List(
	ctx context.Context, f CapabilityFilter, opts ...CallOption,
) iter.Seq2[Capability, error] {
	return s.list(f).all(ctx, opts)
}

// Page fetches one page of [CapabilitiesService.List].
//
// Access: capability.read
func (s *CapabilitiesService) Page(
	ctx context.Context, f CapabilityFilter, p PageOptions, opts ...CallOption,
) (*Page[Capability], error) {
	return s.list(f).page(ctx, p, opts)
}

func (s *CapabilitiesService) list(f CapabilityFilter) listing[Capability] {
	return listing[Capability]{
		via:    s.via,
		path:   pathCapabilities,
		plural: wire.Capabilities,
		query: []string{"provider", f.Provider, "status", string(f.Status), "workspaceId", f.Context.WorkspaceID(),
			"groupId", f.Context.GroupID()},
	}
}

// Describe says all of one capability. Its status is that of the global
// context, or of the runtime that asks.
//
// Access: capability.read
func (s *CapabilitiesService) Describe(ctx context.Context, id string, opts ...CallOption) (*Capability, error) {
	var out Capability
	return ptr(&out, s.via().call(ctx, &request{
		method: http.MethodGet,
		path:   pathCapability,
		params: []string{id},
		out:    &out,
		opts:   opts,
	}))
}

// Create adds a capability of one's own. An id that is taken is [ErrConflict],
// one of the registry with code capabilities.builtin.
//
// Access: capability.write
func (s *CapabilitiesService) Create(ctx context.Context, c CapabilityCreate, opts ...CallOption) (*Capability, error) {
	in := wire.CapabilityCreate{ // with lists, where nil would be null: the server says which one is empty
		Description: c.Description, Methods: append([]string{}, c.Methods...), Paths: append([]string{}, c.Paths...),
		Host: c.Host, Credential: c.Credential,
	}
	var out Capability
	return ptr(&out, s.via().call(ctx, &request{
		method: http.MethodPut,
		path:   pathCapability,
		params: []string{c.ID},
		header: http.Header{"If-None-Match": {"*"}},
		in:     in,
		out:    &out,
		opts:   opts,
	}))
}

// Delete removes a capability of one's own with its policy and bindings. Mounts
// that name it stay, and mean nothing until there is one with the id again.
//
// Access: capability.write
func (s *CapabilitiesService) Delete(ctx context.Context, id string, opts ...CallOption) error {
	return s.via().call(ctx, &request{
		method: http.MethodDelete,
		path:   pathCapability,
		params: []string{id},
		opts:   opts,
	})
}

// SetPolicy replaces the limits of a capability, built in or own; the zero
// policy takes them away.
//
// Access: capability.write
func (s *CapabilitiesService) SetPolicy(
	ctx context.Context, id string, p CapabilityPolicy, opts ...CallOption,
) (*CapabilityPolicy, error) {
	var out CapabilityPolicy
	return ptr(&out, s.via().call(ctx, &request{
		method: http.MethodPut,
		path:   pathCapabilityPolicy,
		params: []string{id},
		in:     p,
		out:    &out,
		opts:   opts,
	}))
}

// RuntimeCapabilities calls providers as a runtime: in its workspace and group,
// with what its mounts permit. What they do not permit is refused by the
// server, which knows which calls are those of a model. See
// [Runtime.Capabilities].
type RuntimeCapabilities struct {
	via    via
	limits *limits
}

// Invoke is [CapabilitiesService.Invoke] as the runtime. A call of a language
// model needs one of the runtime's AI credentials, any other the capability in
// its mounts.
//
// Access: capability.invoke
func (c *RuntimeCapabilities) Invoke(ctx context.Context, inv Invocation, opts ...CallOption) (*InvokeResponse, error) {
	return invoke(ctx, c.via, c.limits, inv, opts)
}

// Stream is [CapabilitiesService.Stream] as the runtime.
//
// Access: capability.invoke
func (c *RuntimeCapabilities) Stream(ctx context.Context, inv Invocation, opts ...CallOption) (*InvokeStream, error) {
	return stream(ctx, c.via, c.limits, inv, opts)
}

// HTTPClient is [CapabilitiesService.HTTPClient] as the runtime.
//
// Access: capability.invoke
func (c *RuntimeCapabilities) HTTPClient(target CallTarget) *http.Client {
	return httpClient(c.via, c.limits, target)
}
