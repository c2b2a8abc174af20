package bctrl

// Mounts says what a level (a workspace, a runtime, an execution) may use. A
// nil mount means absent: no access at a workspace (storage: its own
// namespace), inherited below it.
type Mounts struct {
	AI           *AIMount         `json:"ai,omitempty"`
	Vault        *VaultMount      `json:"vault,omitempty"`
	Storage      *StorageMount    `json:"storage,omitempty"`
	Capabilities *CapabilityMount `json:"capabilities,omitempty"`
}

// AIMount permits the use of AI credentials.
type AIMount struct {
	// Allow lists credential ids. Nil is absent, an empty slice nothing.
	Allow []string `json:"allow,omitzero"`
	// Defaults selects a credential for a provider; it authorises nothing.
	Defaults map[Provider]string `json:"defaults,omitzero"`
}

// VaultMount permits the use of vault keys.
type VaultMount struct {
	// Allow and Deny list prefixes on segment boundaries. A deny always wins.
	Allow []string `json:"allow,omitzero"`
	Deny  []string `json:"deny,omitzero"`
	// AllowRawReads permits reading values, not just using them.
	AllowRawReads *bool `json:"allowRawReads,omitempty"`
}

// StorageMount permits one namespace of files.
type StorageMount struct {
	Workspace string        `json:"workspace,omitempty"`
	Access    StorageAccess `json:"access,omitempty"`
}

// StorageAccess is "none" for no storage, or empty.
type StorageAccess string

// StorageNone drops storage.
const StorageNone StorageAccess = "none"

// CapabilityMount permits capabilities of the broker: "github/repos" one,
// "github/" all of a provider, "/" all.
type CapabilityMount struct {
	Allow []string `json:"allow,omitzero"`
}

// Provider names a maker of language models.
type Provider string

// The providers the server speaks to.
const (
	OpenAI           Provider = "openai"
	Anthropic        Provider = "anthropic"
	Google           Provider = "google"
	OpenAICompatible Provider = "openai-compatible"
)
