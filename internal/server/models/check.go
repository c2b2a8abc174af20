package models

import (
	"net/url"
	"strings"
	"unicode"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/broker"
	"github.com/bctrl-go/bctrl/internal/model"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// The limits of a credential, in bytes.
const (
	maxAPIKey  = 8 << 10
	maxBaseURL = 2048
	maxModel   = 256
)

// check names everything that is wrong with a credential at once,
// never a value. Whether plain http is permitted is the egress policy's to
// say, when the address is known: see [broker.Broker].
func (s *Service) check(meta Meta, key wire.Value) error {
	var p web.Problems
	p.Limit("label", len(meta.Label), web.MaxLabel)
	p.Limit("apiKey", len(key.Reveal()), maxAPIKey)
	p.Limit("baseUrl", len(meta.BaseURL), maxBaseURL)
	p.Limit("defaultModel", len(meta.DefaultModel), maxModel)
	blank := func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }
	if strings.ContainsFunc(meta.DefaultModel, blank) {
		p.Add("ai.invalid_model", "defaultModel", "a model's name has no spaces or control characters")
	}
	switch meta.Provider {
	case bctrl.OpenAI, bctrl.Anthropic, bctrl.Google:
		if key.IsZero() {
			p.Add("ai.key_required", "apiKey", "the provider needs an API key")
		}
	case bctrl.OpenAICompatible: // a local server may want no key
		if meta.BaseURL == "" {
			p.Add("ai.base_url_required", "baseUrl", "an openai-compatible provider needs a base URL")
		}
	default:
		p.Add("ai.unknown_provider", "provider",
			"the provider is none of openai, anthropic, google and openai-compatible")
	}
	if _, err := s.broker.Client(broker.Target{BaseURL: meta.BaseURL}); meta.BaseURL != "" && err != nil {
		p.Add("ai.invalid_base_url", "baseUrl", err.Error())
	}
	withKey := model.Target(meta.Provider, "https://provider.example", bctrl.NewSecret(key.Reveal()))
	if _, err := s.broker.Client(withKey); err != nil {
		p.Add("ai.invalid_key", "apiKey", err.Error())
	}
	return p.Err()
}

// errKeyElsewhere is the refusal to send a stored key to a server that it was
// not stored for: whoever may change a credential may not thereby read its key.
func errKeyElsewhere() *bctrl.Error {
	return web.WithHint(
		web.Invalid("ai.key_required_for_new_base_url", "apiKey",
			"another origin gets no key that was stored for the old one"),
		"give the apiKey together with the new baseUrl",
	)
}

// sameOrigin reports whether two addresses are of one server: scheme, host and
// port.
func sameOrigin(a, b string) bool {
	u, err := url.Parse(a)
	if err != nil {
		return false
	}
	v, err := url.Parse(b)
	return err == nil && u.Scheme == v.Scheme && strings.EqualFold(u.Hostname(), v.Hostname()) && portOf(u) == portOf(v)
}

// portOf is the port that an address means.
func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "http":
		return "80"
	}
	return "443"
}
