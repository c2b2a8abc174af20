package wire

import (
	"encoding/json"
	"time"
)

// AICredentialCreate is the body of POST /v1/ai-credentials.
type AICredentialCreate struct {
	ID           string `json:"id"`
	Provider     string `json:"provider"`
	Label        string `json:"label,omitempty"`
	APIKey       Value  `json:"apiKey,omitzero"`
	BaseURL      string `json:"baseUrl,omitempty"`
	DefaultModel string `json:"defaultModel,omitempty"`
	Enabled      *bool  `json:"enabled,omitempty"`
}

// AICredentialUpdate is the body of PATCH /v1/ai-credentials/{id}. A zero
// APIKey leaves the key as it is.
type AICredentialUpdate struct {
	Label        *string `json:"label,omitempty"`
	APIKey       Value   `json:"apiKey,omitzero"`
	BaseURL      *string `json:"baseUrl,omitempty"`
	DefaultModel *string `json:"defaultModel,omitempty"`
	Enabled      *bool   `json:"enabled,omitempty"`
}

// VaultCredential is the body of PUT /v1/vault/{key} and the answer of GET.
// MatchOrigins is only sent to the server.
type VaultCredential struct {
	Username       string   `json:"username,omitempty"`
	Password       Value    `json:"password,omitzero"`
	TOTP           Value    `json:"totp,omitzero"`
	Origins        []string `json:"origins,omitempty"`
	OriginPatterns []string `json:"originPatterns,omitempty"`
	MatchOrigins   []string `json:"matchOrigins,omitempty"`
	Label          string   `json:"label,omitempty"`
	Notes          string   `json:"notes,omitempty"`
	Fill           string   `json:"fill,omitempty"`
}

// TOTPCode is the answer of GET /v1/vault/{key}/totp.
type TOTPCode struct {
	Code      Value     `json:"code"`
	ExpiresAt time.Time `json:"expiresAt"`
}

// SignedURL is the answer of the routes that sign a download. The URL is a
// credential until it expires.
type SignedURL struct {
	URL       Value `json:"url"`
	ExpiresIn int64 `json:"expiresIn"` // seconds
}

// Connection is the answer of GET …/runtimes/{alias}/connect. The URL holds a
// token.
type Connection struct {
	ID  string `json:"id"`
	URL Value  `json:"url"`
	// ExpiresAt moves on whenever the URL is asked for or used.
	ExpiresAt time.Time `json:"expiresAt"`
}

// Execution is the body of POST /v1/workspaces/{id}/execute. M is
// bctrl.Mounts, which this package cannot import.
type Execution[M any] struct {
	Runtime string    `json:"runtime"`
	Steps   []Step[M] `json:"steps"`
	Mode    string    `json:"mode,omitempty"`
	Mounts  *M        `json:"mounts,omitempty"`
	Async   bool      `json:"async,omitempty"`
}

// Step is one step of an [Execution].
type Step[M any] struct {
	Call      string          `json:"call"`
	Args      json.RawMessage `json:"args,omitempty"`
	TimeoutMs int64           `json:"timeoutMs,omitempty"`
	Mounts    *M              `json:"mounts,omitempty"`
}

// Wait is the body of POST /v1/operations/{id}/wait.
type Wait struct {
	TimeoutMs int64 `json:"timeoutMs,omitempty"`
}

// Replay is the body of POST /v1/operations/{id}/replay: where to do it again. M is
// bctrl.Mounts.
type Replay[M any] struct {
	WorkspaceID string `json:"workspaceId"`
	Runtime     string `json:"runtime"`
	Mounts      *M     `json:"mounts,omitempty"`
}

// The values of [Waited.WaitStatus].
const (
	WaitCompleted = "completed"
	WaitTimeout   = "timeout"
)

// Waited is the answer to [Wait]. O is bctrl.OperationInfo.
type Waited[O any] struct {
	Operation    O      `json:"operation"`
	WaitStatus   string `json:"waitStatus"`
	RetryAfterMs int64  `json:"retryAfterMs"`
}

// EventWait is the body of POST …/runtimes/{alias}/events/wait.
type EventWait struct {
	// Types are those that are waited for; none is any.
	Types []string `json:"types,omitempty"`
	// After is the number of the event after which to look; nil is from now on.
	After     *int64 `json:"after,omitempty"`
	TimeoutMs int64  `json:"timeoutMs,omitempty"`
}

// EventWaited is the answer to [EventWait]. E is bctrl.Event.
type EventWaited[E any] struct {
	// Event is nil where there was none in time.
	Event      *E     `json:"event"`
	WaitStatus string `json:"waitStatus"`
	// After is where to go on.
	After int64 `json:"after"`
}

// KeyCreate is the body of POST /v1/keys.
type KeyCreate struct {
	Label string `json:"label,omitempty"`
}

// Key describes an organization key.
type Key struct {
	ID        string    `json:"id"`
	Label     string    `json:"label"`
	CreatedAt time.Time `json:"createdAt"`
	// RevokedAt is nil while the key is good.
	RevokedAt *time.Time `json:"revokedAt,omitempty"`
}

// NewKey is the answer of POST /v1/keys, the only one that holds the key.
type NewKey struct {
	ID        string    `json:"id"`
	Label     string    `json:"label"`
	CreatedAt time.Time `json:"createdAt"`
	Key       Value     `json:"key"`
}

// TokenCreate is the body of POST …/runtimes/{alias}/tokens. M is
// bctrl.Mounts.
type TokenCreate[M any] struct {
	// RuntimeID, when set, is the runtime that is meant: an alias may have
	// passed to another since.
	RuntimeID string `json:"runtimeId,omitempty"`
	Mounts    *M     `json:"mounts,omitempty"`
	TTLMs     int64  `json:"ttlMs,omitempty"`
}

// NewToken is the answer to [TokenCreate], the only one that holds the token.
type NewToken struct {
	Token     Value     `json:"token"`
	ID        string    `json:"id"`
	ExpiresAt time.Time `json:"expiresAt"`
}

// Token describes a runtime token.
type Token struct {
	ID        string    `json:"id"`
	RuntimeID string    `json:"runtimeId"`
	CreatedAt time.Time `json:"createdAt"`
	ExpiresAt time.Time `json:"expiresAt"`
	// RevokedAt is nil while the token is good.
	RevokedAt *time.Time `json:"revokedAt,omitempty"`
}

// Self is the answer of GET /v1/self. R is bctrl.RuntimeInfo.
type Self[R any] struct {
	Kind         string     `json:"kind"`
	Organization string     `json:"organization"`
	KeyID        string     `json:"keyId,omitempty"`
	TokenID      string     `json:"tokenId,omitempty"`
	ExpiresAt    *time.Time `json:"expiresAt,omitempty"`
	Runtime      *R         `json:"runtime,omitempty"`
}

// SubaccountCreate is the body of POST /v1/subaccounts.
type SubaccountCreate struct {
	Name string `json:"name"`
}

// CapabilityCreate is the body of PUT /v1/capabilities/{id}.
type CapabilityCreate struct {
	Description string   `json:"description,omitempty"`
	Methods     []string `json:"methods"`
	Paths       []string `json:"paths"`
	Host        string   `json:"host,omitempty"`
	Credential  string   `json:"credential,omitempty"`
}

// BindingPut is the body of PUT /v1/bindings. S is bctrl.Scope, which this
// package cannot import.
type BindingPut[S any] struct {
	Capability string `json:"capability,omitempty"`
	Credential string `json:"credential,omitempty"`
	SecretRef  string `json:"secretRef"`
	Field      string `json:"field,omitempty"`
	Scope      S      `json:"scope"`
	Consumer   string `json:"consumer,omitempty"`
}

// SealKey is what unlocks a server, or what a rotation gives it.
type SealKey struct {
	Passphrase Value `json:"passphrase,omitzero"`
	Key        Value `json:"key,omitzero"`
}
