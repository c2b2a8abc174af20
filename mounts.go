package bctrl

import (
	"errors"
	"maps"
	"net/http"
	"slices"

	"github.com/bctrl-go/bctrl/internal/strictjson"
)

// Mounts says what a level (a workspace, a runtime, an execution) may use. A
// workspace's mounts are the ceiling of everything inside it: a runtime or an
// execution can lower it, nothing can raise it (semantics, Mounts).
//
// A nil mount means absent: no access at a workspace (storage: its own
// namespace, named after it; web: every host), inherited below it. The same
// goes for the fields of a mount: nil is absent, and an empty slice that is not
// nil means explicitly nothing. Both survive JSON, in which unknown, duplicate
// and wrong-case fields and nulls are refused.
//
// The methods of Mounts are pure functions: they make no request, change
// neither receiver nor argument, share no memory with them, and are what the
// server itself decides by. Methods that decide (Covers, Allows…, Explain) read
// their receiver as complete: what is absent is not permitted, but for web,
// where nothing said is every host.
type Mounts struct {
	AI           *AIMount         `json:"ai,omitempty"`
	Vault        *VaultMount      `json:"vault,omitempty"`
	Storage      *StorageMount    `json:"storage,omitempty"`
	Capabilities *CapabilityMount `json:"capabilities,omitempty"`
	Web          *WebMount        `json:"web,omitempty"`
}

// AIMount permits the use of AI credentials.
type AIMount struct {
	// Allow lists credential ids. It is required at a workspace and inherited
	// below it when nil.
	Allow []string `json:"allow,omitzero"`
	// Defaults selects a credential for a provider; it authorises nothing. It
	// replaces the whole map of the level above; nil inherits it, as far as its
	// credentials are still allowed.
	Defaults map[AIProvider]string `json:"defaults,omitzero"`
}

// VaultMount permits the use of vault keys.
type VaultMount struct {
	// Allow lists prefixes, as in [ValidVaultPrefix], matched case-sensitively.
	// It is required at a workspace and inherited below it when nil.
	Allow []string `json:"allow,omitzero"`
	// Deny lists prefixes, matched whatever their ASCII case. A deny wins over
	// every allow, and no level below can remove it.
	Deny []string `json:"deny,omitzero"`
	// AllowRawReads permits reading the values of these keys, not just using
	// them: new(true), new(false), or nil for false at a workspace and inherited
	// below it.
	AllowRawReads *bool `json:"allowRawReads,omitempty"`
}

// StorageMount permits one namespace of files.
type StorageMount struct {
	// Workspace is the namespace. One that is not the workspace's own shares
	// its files, an explicit grant.
	Workspace string `json:"workspace,omitempty"`
	// Access is StorageNone to have no storage at all, else empty.
	Access StorageAccess `json:"access,omitempty"`
}

// StorageAccess is "none" for no storage, or empty.
type StorageAccess string

// StorageNone drops storage.
const StorageNone StorageAccess = "none"

// CapabilityMount permits capabilities of the broker.
type CapabilityMount struct {
	// Allow lists "github/repos" for one, "github/" for all of a provider, "/"
	// for all. It is required at a workspace and inherited below it when nil.
	Allow []string `json:"allow,omitzero"`
}

// WebMount says which hosts a runtime's browser may speak to: with documents,
// frames, scripts, websockets and downloads alike (semantics, Hosts). It never
// permits an address that the server's own policy refuses.
//
// An entry is a host pattern, compared whatever its ASCII case: "example.com" is
// that host alone, "*.example.com" every host strictly below it, "*" every
// host. An entry has no scheme and no port, is no IP address (those are
// permitted by "*" alone), and has its * above no public suffix such as com.
type WebMount struct {
	// Allow lists host patterns. It is required at a workspace and inherited
	// below it when nil.
	Allow []string `json:"allow,omitzero"`
	// Deny lists host patterns. A deny wins over every allow, and no level below
	// can remove it.
	Deny []string `json:"deny,omitzero"`
}

// AIProvider names a maker of language models, as credentials, mounts and agent
// calls know them. The providers that the broker calls are more, and plain text:
// see [CredentialCreate].
type AIProvider string

// Provider is [AIProvider], for programs that were written with this name.
type Provider = AIProvider

// The providers the server speaks to.
const (
	OpenAI           AIProvider = "openai"
	Anthropic        AIProvider = "anthropic"
	Google           AIProvider = "google"
	OpenAICompatible AIProvider = "openai-compatible"
)

// The mounts as their fields alone, without the methods that decode them.
type (
	plainAI         AIMount
	plainVault      VaultMount
	plainStorage    StorageMount
	plainCapability CapabilityMount
	plainWeb        WebMount
	plainMounts     struct {
		AI           *plainAI         `json:"ai"`
		Vault        *plainVault      `json:"vault"`
		Storage      *plainStorage    `json:"storage"`
		Capabilities *plainCapability `json:"capabilities"`
		Web          *plainWeb        `json:"web"`
	}
)

// UnmarshalJSON decodes mounts and refuses, with an [*Error] that names the
// field, what could be read in two ways: unknown_field, duplicate_field,
// wrong_case_field, ambiguous_null and the like, each behind "mounts.".
func (m *Mounts) UnmarshalJSON(data []byte) error {
	var plain plainMounts
	if err := decodeMount(data, &plain, "mounts"); err != nil {
		return err
	}
	*m = Mounts{
		AI:           (*AIMount)(plain.AI),
		Vault:        (*VaultMount)(plain.Vault),
		Storage:      (*StorageMount)(plain.Storage),
		Capabilities: (*CapabilityMount)(plain.Capabilities),
		Web:          (*WebMount)(plain.Web),
	}
	return nil
}

// UnmarshalJSON is as strict as [Mounts.UnmarshalJSON].
func (a *AIMount) UnmarshalJSON(data []byte) error {
	var plain plainAI
	err := decodeMount(data, &plain, "mounts.ai")
	if err == nil {
		*a = AIMount(plain)
	}
	return err
}

// UnmarshalJSON is as strict as [Mounts.UnmarshalJSON].
func (v *VaultMount) UnmarshalJSON(data []byte) error {
	var plain plainVault
	err := decodeMount(data, &plain, "mounts.vault")
	if err == nil {
		*v = VaultMount(plain)
	}
	return err
}

// UnmarshalJSON is as strict as [Mounts.UnmarshalJSON].
func (s *StorageMount) UnmarshalJSON(data []byte) error {
	var plain plainStorage
	err := decodeMount(data, &plain, "mounts.storage")
	if err == nil {
		*s = StorageMount(plain)
	}
	return err
}

// UnmarshalJSON is as strict as [Mounts.UnmarshalJSON].
func (c *CapabilityMount) UnmarshalJSON(data []byte) error {
	var plain plainCapability
	err := decodeMount(data, &plain, "mounts.capabilities")
	if err == nil {
		*c = CapabilityMount(plain)
	}
	return err
}

// UnmarshalJSON is as strict as [Mounts.UnmarshalJSON].
func (w *WebMount) UnmarshalJSON(data []byte) error {
	var plain plainWeb
	err := decodeMount(data, &plain, "mounts.web")
	if err == nil {
		*w = WebMount(plain)
	}
	return err
}

// decodeMount decodes data into one of the plain mounts. Its error has the
// whole path of the field, and wraps the decoder's, so that a strict decoder of
// a bigger document can put its own path before it.
func decodeMount(data []byte, plain any, path string) error {
	err := strictjson.Unmarshal(data, plain)
	if err == nil {
		return nil
	}
	refusal := &Error{
		Status:  http.StatusBadRequest,
		Code:    "mounts.invalid_json",
		Message: "these are not mounts",
		Field:   path,
		cause:   err,
	}
	if at, ok := errors.AsType[*strictjson.Error](err); ok {
		refusal.Code = "mounts." + at.Code
		if at.Field != "" {
			refusal.Field += "." + at.Field
		}
		if at.Code == strictjson.CodeAmbiguousNull {
			refusal.Hint = "leave it out to inherit, or write [] for nothing"
		}
	}
	return refusal
}

// clone returns a copy of m that shares no memory with it.
func (m Mounts) clone() Mounts {
	return Mounts{
		AI:           m.AI.clone(),
		Vault:        m.Vault.clone(),
		Storage:      clonePointer(m.Storage),
		Capabilities: m.Capabilities.clone(),
		Web:          m.Web.clone(),
	}
}

func (a *AIMount) clone() *AIMount {
	if a == nil {
		return nil
	}
	return &AIMount{Allow: slices.Clone(a.Allow), Defaults: maps.Clone(a.Defaults)}
}

func (v *VaultMount) clone() *VaultMount {
	if v == nil {
		return nil
	}
	return &VaultMount{Allow: slices.Clone(v.Allow), Deny: slices.Clone(v.Deny),
		AllowRawReads: clonePointer(v.AllowRawReads)}
}

func (c *CapabilityMount) clone() *CapabilityMount {
	if c == nil {
		return nil
	}
	return &CapabilityMount{Allow: slices.Clone(c.Allow)}
}

func (w *WebMount) clone() *WebMount {
	if w == nil {
		return nil
	}
	return &WebMount{Allow: slices.Clone(w.Allow), Deny: slices.Clone(w.Deny)}
}

func clonePointer[T any](p *T) *T {
	if p == nil {
		return nil
	}
	copied := *p
	return &copied
}
