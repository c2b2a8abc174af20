package compat

import (
	"net/http"
	"strings"
	"testing"

	"github.com/bctrl-go/bctrl"
)

// openAIPrints is what the SDK of OpenAI comes to, wherever it is.
var openAIPrints = map[string]any{
	"chat":       "Hello there",
	"limited":    "the second time",
	"stream":     "Hello there!",
	"models":     list(plain),
	"embedding":  list(0.5, 0.25),
	"refused":    "invalid_api_key",
	"redirected": true,
}

// TestTheSDKOfOpenAIInOtherLanguages is at OpenAI, at a server of one's own and at
// Google, which has a form of OpenAI's API.
func TestTheSDKOfOpenAIInOtherLanguages(t *testing.T) {
	t.Parallel()
	openai := provider{
		id:    "openai",
		key:   openAIKey,
		ai:    bctrl.OpenAI,
		allow: []string{"openai/models", "openai/embeddings"},
	}
	own := provider{
		id:  "openai-compatible",
		key: openAIKey,
		ai:  bctrl.OpenAICompatible,
		own: true,
	}
	google := provider{
		id:    "gemini",
		key:   googleKey,
		ai:    bctrl.Google,
		allow: []string{"gemini/models"},
	}
	for _, program := range []string{"python/openai_sdk.py", "js/openai.mjs"} {
		scripted(t, program, eager(newOpenAI), openai, "/v1", openAIPrints)
		scripted(t, program, eager(newOpenAI), own, "/v1", openAIPrints)
		scripted(t, program, eager(newGoogle), google, "/v1beta/openai", openAIPrints)
	}
}

func TestTheSDKOfAnthropicInOtherLanguages(t *testing.T) {
	t.Parallel()
	anthropic := provider{
		id:    "anthropic",
		key:   anthropicKey,
		ai:    bctrl.Anthropic,
		allow: []string{"anthropic/models"},
	}
	for _, program := range []string{"python/anthropic_sdk.py", "js/anthropic.mjs"} {
		scripted(t, program, eager(newAnthropic), anthropic, "", map[string]any{
			"message": "Hello there",
			"limited": "Hello there",
			"stream":  "Hello there!",
			"models":  list(plain),
			"refused": "authentication_error",
		})
	}
}

// eager lets streams go on without waiting for what was sent to be seen.
func eager(of func(testing.TB) *upstream) func(testing.TB) *upstream {
	return func(t testing.TB) *upstream {
		u := of(t)
		for range cap(u.more) {
			u.more <- struct{}{}
		}
		return u
	}
}

const googleKey = "AIzaUpstream0123456789abcdefghijklmnop"

// newGoogle is Google's API in the form of OpenAI's: another path, and the key as
// Google has it, or as OpenAI.
func newGoogle(t testing.TB) *upstream {
	u := newOpenAI(t)
	u.hosts = []string{"generativelanguage.googleapis.com"}
	asOpenAI := u.handler
	u.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, ours := strings.CutPrefix(r.URL.Path, "/v1beta/openai")
		if !ours || r.Header.Get("X-Goog-Api-Key") != googleKey && r.Header.Get("Authorization") != "Bearer "+googleKey {
			openAIError(w, http.StatusUnauthorized, "invalid_api_key", "not at this path, or not with this key")
			return
		}
		r = r.Clone(r.Context())
		r.URL.Path = "/v1" + path
		r.Header.Set("Authorization", "Bearer "+openAIKey)
		asOpenAI.ServeHTTP(w, r)
	})
	return u
}
