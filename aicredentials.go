package bctrl

import "time"

// AICredential describes a stored AI credential. The API key itself is never
// returned.
type AICredential struct {
	// ID is the caller's own name for it: "openai-prod".
	ID       string   `json:"id"`
	Provider Provider `json:"provider"`
	Label    string   `json:"label,omitempty"`
	// BaseURL is where the provider is reached; empty for its public address.
	BaseURL string `json:"baseUrl,omitempty"`
	// DefaultModel is used by agent calls that name no model.
	DefaultModel string    `json:"defaultModel,omitempty"`
	Enabled      bool      `json:"enabled"`
	CreatedAt    time.Time `json:"createdAt"`
	UpdatedAt    time.Time `json:"updatedAt"`
}

// AICredentialCreate is a new AI credential.
type AICredentialCreate struct {
	// ID matches ^[A-Za-z][A-Za-z0-9_-]{0,63}$.
	ID       string
	Provider Provider
	Label    string
	// APIKey is sealed by the server and never returned.
	APIKey Secret
	// BaseURL is required for [OpenAICompatible], optional otherwise.
	BaseURL      string
	DefaultModel string
	// Enabled is true when nil.
	Enabled *bool
}

// AICredentialUpdate changes what is not nil (APIKey: not zero). The provider
// of a credential never changes.
type AICredentialUpdate struct {
	Label        *string
	APIKey       Secret
	BaseURL      *string
	DefaultModel *string
	Enabled      *bool
}

// AICredentialTest is what the provider answered to a real call.
type AICredentialTest struct {
	OK       bool     `json:"ok"`
	Provider Provider `json:"provider"`
	// Message says what failed, without the key.
	Message string `json:"message,omitempty"`
	// Latency is how long the provider took, to the millisecond.
	Latency   time.Duration `json:"-"`
	CheckedAt time.Time     `json:"checkedAt"`
}
