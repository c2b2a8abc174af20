package bctrl

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"time"

	"github.com/bctrl-go/bctrl/internal/wire"
)

// AICredential describes a stored AI credential. The API key itself is never
// returned.
type AICredential struct {
	// ID is the caller's own name for it: "openai-prod".
	ID       string     `json:"id"`
	Provider AIProvider `json:"provider"`
	Label    string     `json:"label,omitempty"`
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
	Provider AIProvider
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
	Label  *string
	APIKey Secret
	// BaseURL of another origin (scheme, host or port) needs the APIKey with it:
	// a key goes to no server that it was not stored for.
	BaseURL      *string
	DefaultModel *string
	Enabled      *bool
}

// AICredentialTest is what the provider answered to a real call.
type AICredentialTest struct {
	OK       bool       `json:"ok"`
	Provider AIProvider `json:"provider"`
	// Message says what failed, without the key.
	Message string `json:"message,omitempty"`
	// Latency is how long the provider took, to the millisecond.
	Latency   time.Duration `json:"-"`
	CheckedAt time.Time     `json:"checkedAt"`
}

// AICredentialsService stores the keys to language models. See
// [Client.AICredentials].
type AICredentialsService struct{ via via }

const (
	pathAICredentials = "/v1/ai-credentials"
	pathAICredential  = "/v1/ai-credentials/{id}"
)

// Create stores a credential. An id that is taken is [ErrConflict].
//
// Access: ai.write
func (s *AICredentialsService) Create(
	ctx context.Context, c AICredentialCreate, opts ...CallOption,
) (*AICredential, error) {
	in := wire.AICredentialCreate{
		ID:           c.ID,
		Provider:     string(c.Provider),
		Label:        c.Label,
		APIKey:       wire.NewValue(c.APIKey.Expose()),
		BaseURL:      c.BaseURL,
		DefaultModel: c.DefaultModel,
		Enabled:      c.Enabled,
	}
	var out AICredential
	return ptr(&out, s.via().call(ctx, &request{
		method: http.MethodPost,
		path:   pathAICredentials,
		in:     in,
		out:    &out,
		opts:   opts,
	}))
}

// Get describes a credential.
//
// Access: ai.read
func (s *AICredentialsService) Get(ctx context.Context, id string, opts ...CallOption) (*AICredential, error) {
	return getAICredential(ctx, s.via, nil, id, opts)
}

func getAICredential(ctx context.Context, via via, as *limits, id string, opts []CallOption) (*AICredential, error) {
	var out AICredential
	return ptr(&out, via().call(ctx, &request{
		method: http.MethodGet,
		path:   pathAICredential,
		params: []string{id},
		as:     as,
		out:    &out,
		opts:   opts,
	}))
}

// List ranges over the credentials by id.
//
// Access: ai.read
func (s *AICredentialsService) List(ctx context.Context, opts ...CallOption) iter.Seq2[AICredential, error] {
	return aiCredentials(s.via, nil).all(ctx, opts)
}

// Page fetches one page of [AICredentialsService.List].
//
// Access: ai.read
func (s *AICredentialsService) Page(
	ctx context.Context, p PageOptions, opts ...CallOption,
) (*Page[AICredential], error) {
	return aiCredentials(s.via, nil).page(ctx, p, opts)
}

func aiCredentials(via via, as *limits) listing[AICredential] {
	return listing[AICredential]{
		via:    via,
		as:     as,
		path:   pathAICredentials,
		plural: wire.AICredentials,
	}
}

// Update changes a credential. A new APIKey replaces the old one, and a BaseURL
// of another origin needs one: without it the code is
// "ai.key_required_for_new_base_url".
//
// Access: ai.write
func (s *AICredentialsService) Update(
	ctx context.Context, id string, u AICredentialUpdate, opts ...CallOption,
) (*AICredential, error) {
	in := wire.AICredentialUpdate{
		Label:        u.Label,
		APIKey:       wire.NewValue(u.APIKey.Expose()),
		BaseURL:      u.BaseURL,
		DefaultModel: u.DefaultModel,
		Enabled:      u.Enabled,
	}
	var out AICredential
	return ptr(&out, s.via().call(ctx, &request{
		method: http.MethodPatch,
		path:   pathAICredential,
		params: []string{id},
		in:     in,
		out:    &out,
		opts:   opts,
	}))
}

// Delete removes a credential. One that a workspace mounts is [ErrConflict]
// without [WithForce].
//
// Access: ai.write
func (s *AICredentialsService) Delete(ctx context.Context, id string, opts ...DeleteOption) error {
	d := deletionOf(opts)
	return s.via().call(ctx, &request{
		method: http.MethodDelete,
		path:   pathAICredential,
		params: []string{id},
		query:  d.query(),
		opts:   d.opts,
	})
}

// Test calls the provider with the credential and reports what it said. A
// provider that refuses or cannot be reached is a result, not an error.
//
// Access: ai.use
func (s *AICredentialsService) Test(ctx context.Context, id string, opts ...CallOption) (*AICredentialTest, error) {
	var out AICredentialTest
	return ptr(&out, s.via().call(ctx, &request{
		method: http.MethodPost,
		path:   pathAICredential + "/test",
		params: []string{id},
		out:    &out,
		opts:   opts,
	}))
}

// RuntimeAI is what a runtime may know of AI credentials. See [Runtime.AI].
type RuntimeAI struct {
	via    via
	limits *limits
}

// Get describes a credential that the runtime may use; any other id is
// [ErrOutsideMount], refused before a request is sent.
//
// Access: ai.read
func (s *RuntimeAI) Get(ctx context.Context, id string, opts ...CallOption) (*AICredential, error) {
	if !s.limits.mounts().AllowsCredential(id) {
		return nil, outside(UseAI, "the mounts do not permit this AI credential",
			"add its id to ai.allow of the workspace, and of the runtime if it narrows")
	}
	return getAICredential(ctx, s.via, s.limits, id, opts)
}

// List ranges over the credentials that the runtime may use.
//
// Access: ai.read
func (s *RuntimeAI) List(ctx context.Context, opts ...CallOption) iter.Seq2[AICredential, error] {
	return aiCredentials(s.via, s.limits).all(ctx, opts)
}

// MarshalJSON writes Latency as latencyMs.
func (t AICredentialTest) MarshalJSON() ([]byte, error) {
	type plain AICredentialTest
	return json.Marshal(struct {
		plain
		LatencyMs int64 `json:"latencyMs"`
	}{plain(t), millis(t.Latency)})
}

// UnmarshalJSON reads Latency from latencyMs.
func (t *AICredentialTest) UnmarshalJSON(data []byte) error {
	type plain AICredentialTest
	var w struct {
		plain
		LatencyMs int64 `json:"latencyMs"`
	}
	if err := json.Unmarshal(data, &w); err != nil {
		return err
	}
	*t = AICredentialTest(w.plain)
	t.Latency = fromMillis(w.LatencyMs)
	return nil
}
