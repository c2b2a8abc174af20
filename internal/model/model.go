// Package model asks large language models, with tools, in the two shapes that
// providers speak:
//
//   - OpenAI's chat completions, for OpenAI, for Google's endpoint of that
//     shape and for every compatible base URL, through sashabaranov/go-openai.
//   - Anthropic's messages, through a thin adapter of our own: the official
//     SDK adds 32 MiB to a binary for the one call that is needed here.
//
// Every request goes through a [broker.Client], which alone holds the key.
//
// # Errors
//
// Every failure is a [*bctrl.Error] that holds neither the key nor the prompt
// nor the provider's own words, or the error of the context:
//
//	model.unauthorized    502  the provider refuses the key
//	model.quota           502  the account has no credit left
//	model.not_found       502  no such model, or nothing at the base URL
//	model.rate_limited    502  still refused after the retries
//	model.unavailable     502  still failing after the retries
//	model.prompt_too_long 502  the prompt exceeds the model's context
//	model.refused         502  the provider refuses the request otherwise
//	model.unsupported     502  this model is not reached in this shape
//	model.bad_answer      502  the answer is not what its API promises
//	model.empty_answer    502  the answer holds no message, asked once more
//	model.answer_too_long 502  the answer is longer than 1 MB
//	model.unreachable     502  no connection, a refused address
//	model.redirected      502  a redirect, which no key follows
//	model.timeout         504  no answer in time
//	model.config          400  no base URL or model where one is needed
//
// # Retries
//
// 408, 409, 429, every 5xx (Anthropic's 529, overloaded, among them) and a connection
// that fails are tried again, at most [Config.MaxRetries] times, after half a
// second, doubling, with jitter, or after the provider's Retry-After, at most
// 20 seconds. An account without credit is not asked again, nor is a provider
// that used up its time.
package model

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/broker"
)

// Chat is a model that answers a conversation. Implementations are safe for
// concurrent use.
type Chat interface {
	// Complete returns the model's next message. See the package comment for
	// its errors.
	Complete(ctx context.Context, req Request) (*Response, error)
}

// Request is a conversation to continue.
type Request struct {
	// Model is the model's id; empty is the Chat's default.
	Model    string
	System   string
	Messages []Message
	// Stable is how many of the first messages later requests will begin with too;
	// 0 where that is not known. A provider that caches on demand is told to keep so
	// much, with the system text and the tools.
	Stable int
	Tools  []Tool
	// MaxTokens bounds the answer; zero is the Chat's default.
	MaxTokens int
}

// Role says who speaks.
type Role string

// The roles.
const (
	User      Role = "user"
	Assistant Role = "assistant"
	// ToolResult answers one call of the assistant message before it.
	ToolResult Role = "tool"
)

// Message is one turn, or one part of one, of a conversation.
type Message struct {
	Role Role
	Text string
	// Images are PNGs, in a User message only.
	Images [][]byte
	// Calls are what an Assistant message asked for.
	Calls []ToolCall
	// Opaque is what came with an Assistant message, see [Response].
	Opaque json.RawMessage
	// CallID and IsError belong to a ToolResult.
	CallID  string
	IsError bool
}

// Tool is something that the model may call.
type Tool struct {
	Name, Description string
	// Parameters is a JSON Schema of type object.
	Parameters json.RawMessage
}

// ToolCall is a call that a model asks for.
type ToolCall struct {
	ID, Name string
	// Arguments is what the model wrote: JSON if it did well, unchecked here.
	Arguments string
}

// StopReason says why a model stopped.
type StopReason string

// The reasons.
const (
	StopEnd   StopReason = "end"
	StopTools StopReason = "tools"
	// StopLength is an answer that its bound of tokens cut off. What it was calling
	// when it was cut off is not among its calls.
	StopLength  StopReason = "length"
	StopRefusal StopReason = "refusal"
	// StopEmpty is an answer of neither text nor calls, for no reason that was given.
	StopEmpty StopReason = "empty"
)

// Response is a model's message.
type Response struct {
	Text  string
	Calls []ToolCall
	Stop  StopReason
	Usage Usage
	// Opaque is what the provider wants back, unchanged, with this message in
	// the next request: Google's thought signatures, Anthropic's thinking. It
	// is only good for the provider it came from, with the calls it came with.
	Opaque json.RawMessage
	// Provider, Model and Credential say who has answered; empty where nobody who
	// answered knew.
	Provider          bctrl.AIProvider
	Model, Credential string
	// Unseen reports that the request's pictures were left out, because the model
	// takes none: see [Sees].
	Unseen bool
}

// Usage counts the tokens of one request, all retries together.
type Usage struct {
	InputTokens, OutputTokens int64
	// CachedInputTokens are those of the input tokens that the provider had cached.
	CachedInputTokens int64
}

// Config says which model to ask, and how.
type Config struct {
	Provider bctrl.AIProvider
	// BaseURL is the API's root, version segment included
	// ("https://api.openai.com/v1"); empty is the provider's public one. For
	// Anthropic a missing "/v1" is added.
	BaseURL string
	// Model is used by requests that name none; empty is the provider's
	// default, which a compatible provider has none of.
	Model string
	Key   bctrl.Secret
	// Sender sends the requests, and adds the key itself; nil is a client of the
	// broker's with Key.
	Sender Sender
	// MaxTokens bounds an answer; zero is 8192.
	MaxTokens int
	// Timeout bounds one attempt; zero is two minutes.
	Timeout time.Duration
	// MaxRetries is how often a request is repeated; nil is 3.
	MaxRetries *int
}

// Sender sends one request; a [*broker.Client] is one.
type Sender interface {
	Do(req *http.Request) (*http.Response, error)
}

const (
	defaultMaxTokens  = 8192
	defaultTimeout    = 2 * time.Minute
	defaultMaxRetries = 3
)

// shape is the form of a provider's API.
type shape int

const (
	openAIShape shape = iota
	anthropicShape
)

// provider is what we know about a provider.
type provider struct {
	shape          shape
	baseURL, model string
	auth           bctrl.CredentialAuth
}

// anthropicVersion is the version of Anthropic's API that we speak.
const anthropicVersion = "2023-06-01"

// fieldKey is the field of an AI credential's only secret. A compatible server
// of one's own may want none.
const fieldKey = "apiKey"

// providerOf returns what is known about p. The default models are the general
// purpose ones that the providers name first; a credential's DefaultModel
// replaces them.
func providerOf(p bctrl.AIProvider) (provider, bool) {
	bearer := bctrl.CredentialAuth{Type: bctrl.AuthHeader, Headers: map[string]string{"Authorization": "Bearer {apiKey?}"}}
	switch p {
	case bctrl.OpenAI:
		return provider{openAIShape, "https://api.openai.com/v1", "gpt-5.6-terra", bearer}, true
	case bctrl.Anthropic:
		return provider{anthropicShape, "https://api.anthropic.com/v1", "claude-sonnet-5", bctrl.CredentialAuth{
			Type: bctrl.AuthHeader, Headers: map[string]string{"X-Api-Key": "{apiKey?}", "Anthropic-Version": anthropicVersion},
		}}, true
	case bctrl.Google:
		return provider{openAIShape, "https://generativelanguage.googleapis.com/v1beta/openai", "gemini-flash-latest",
			bearer}, true
	case bctrl.OpenAICompatible:
		return provider{shape: openAIShape, auth: bearer}, true
	}
	return provider{}, false
}

// Target is how the broker reaches a provider at a base URL with a key, which
// may be zero. An unknown provider's has neither.
func Target(p bctrl.AIProvider, baseURL string, key bctrl.Secret) broker.Target {
	known, ok := providerOf(p)
	if !ok {
		return broker.Target{BaseURL: baseURL}
	}
	if known.shape == anthropicShape {
		baseURL = withVersion(baseURL)
	}
	return broker.Target{BaseURL: baseURL, Auth: known.auth, Secrets: map[string]bctrl.Secret{fieldKey: key}}
}

// New returns the model that cfg describes, reached through b. Its error is a
// [*bctrl.Error] with the code "model.config".
func New(b *broker.Broker, cfg Config) (Chat, error) {
	w, cfg, err := open(b, cfg)
	if err != nil {
		return nil, err
	}
	w.maxAnswer = maxAnswer
	c := &chat{wire: w, cfg: cfg, learned: &learned{provider: cfg.Provider}, dialect: openAI{}}
	if p, _ := providerOf(cfg.Provider); p.shape == anthropicShape {
		c.dialect = anthropic{}
	}
	return c, nil
}

// BaseURL returns where a provider is reached: at given, or where that is empty
// at its public address, which a compatible provider has none of.
func BaseURL(p bctrl.AIProvider, given string) string {
	if given != "" {
		return given
	}
	known, _ := providerOf(p)
	return known.baseURL
}

// open completes cfg and returns the way to its provider.
func open(b *broker.Broker, cfg Config) (*wire, Config, error) {
	p, known := providerOf(cfg.Provider)
	if !known {
		return nil, cfg, configError("the provider is unknown")
	}
	if cfg.BaseURL = BaseURL(cfg.Provider, cfg.BaseURL); cfg.BaseURL == "" {
		return nil, cfg, configError("the provider needs a base URL")
	}
	if cfg.Model == "" {
		cfg.Model = p.model
	}
	if cfg.MaxTokens == 0 {
		cfg.MaxTokens = defaultMaxTokens
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultTimeout
	}
	retries := defaultMaxRetries
	if cfg.MaxRetries != nil {
		retries = *cfg.MaxRetries
	}
	client, err := b.Client(Target(cfg.Provider, cfg.BaseURL, cfg.Key))
	if err != nil {
		return nil, cfg, configError(err.Error())
	}
	w := &wire{
		client:  client,
		base:    client.BaseURL(),
		timeout: cfg.Timeout,
		retries: retries,
	}
	if cfg.Sender != nil {
		w.client = cfg.Sender
	}
	return w, cfg, nil
}

func configError(message string) *bctrl.Error {
	return &bctrl.Error{Status: http.StatusBadRequest, Code: "model.config", Message: message}
}

// modelAndTokens returns the model and the token limit of a request.
func (cfg Config) modelAndTokens(req Request) (model string, maxTokens int, err error) {
	model, maxTokens = req.Model, req.MaxTokens
	if model == "" {
		model = cfg.Model
	}
	if model == "" {
		return "", 0, configError("neither the call nor the credential names a model, and the provider has no default")
	}
	if maxTokens == 0 {
		maxTokens = cfg.MaxTokens
	}
	return model, maxTokens, nil
}
