package server

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

// aiKind is a kind of AI credential, and what is asked of its provider.
type aiKind struct {
	provider bctrl.AIProvider
	// registry is the provider's id there, host where it is.
	registry, host string
	// auth is the header that its key is sent in.
	auth string
	asks []aiAsk
}

// aiAsk is one request. Its path is the provider's own.
type aiAsk struct{ method, path, capability string }

var aiKinds = []aiKind{
	{bctrl.OpenAI, "openai", "api.openai.com", "Authorization", []aiAsk{
		{"POST", "/v1/chat/completions", "openai/chat-completions"}, {"GET", "/v1/models", "openai/models"},
		{"GET", "/v1/models/gpt", "openai/models"}, {"POST", "/v1/embeddings", "openai/embeddings"},
	}},
	{bctrl.Anthropic, "anthropic", "api.anthropic.com", "X-Api-Key", []aiAsk{
		{"POST", "/v1/messages", "anthropic/messages"}, {"GET", "/v1/models", "anthropic/models"}, {"GET", "/v1/files",
			"anthropic/files"},
	}},
	{bctrl.Google, "gemini", "generativelanguage.googleapis.com", "X-Goog-Api-Key", []aiAsk{
		{"POST", "/v1beta/models/flash:generateContent", "gemini/generate-content"}, {"GET", "/v1beta/models",
			"gemini/models"},
		{"POST", "/v1beta/openai/chat/completions", "gemini/chat-completions"}, {"POST", "/v1beta/models/e:embedContent",
			"gemini/generate-content"},
		{"GET", "/v1beta/openai/models", "gemini/models"}, {"POST", "/v1beta/openai/embeddings", "gemini/chat-completions"},
	}},
	{bctrl.OpenAICompatible, "openai-compatible", "", "Authorization", []aiAsk{
		{"POST", "/v1/chat/completions", "openai-compatible/chat-completions"}, {"POST", "/v1/completions",
			"openai-compatible/completions"},
		{"GET", "/v1/models", "openai-compatible/models"}, {"POST", "/v1/embeddings", "openai-compatible/embeddings"},
	}},
}

// aiCalls is a server with one AI credential, "mine", and a runtime that may use
// it and the capabilities of its provider.
type aiCalls struct {
	*callers
	kind  aiKind
	seen  chan passed
	token string
	base  string // the address of the provider's API without its path
}

func newAICalls(t *testing.T, kind aiKind, mounts object) *aiCalls {
	a := &aiCalls{callers: newCallers(t, nil), kind: kind, seen: make(chan passed, 8)}
	credential := object{"id": "mine", "provider": kind.provider, "apiKey": "sk-mine"}
	if kind.host != "" {
		a.base = "https://" + kind.host
		require.NoError(t, a.providers.Serve(kind.host, echoing(a.seen)))
	} else {
		own := httptest.NewServer(echoing(a.seen))
		t.Cleanup(own.Close)
		a.base = own.URL
		credential["baseUrl"] = own.URL + "/v1"
	}
	a.ok("POST", []string{"ai-credentials"}, credential, nil)
	ws := a.made("sales", mounts)
	a.launch(ws, "r", nil)
	a.token = a.mint(ws.ID, "r", object{}).Expose()
	return a
}

// ways are all ways to send a request of a provider with an AI credential, each
// by its id and by the provider.
func (a *aiCalls) ways(key string) map[string]func(aiAsk) (status int, code string) {
	client, err := bctrl.New(bctrl.WithAPIKey(bctrl.NewSecret(key)), bctrl.WithBaseURL(a.srv.URL))
	require.NoError(a, err)
	a.Cleanup(client.CloseIdleConnections)
	proxy := func(target string) func(aiAsk) (int, string) {
		return func(ask aiAsk) (int, string) {
			resp, code := a.through(ask.method, url.PathEscape(target)+ask.path, "", "Authorization", "Bearer "+key)
			return resp.StatusCode, code
		}
	}
	handed := func(target bctrl.CallTarget) func(aiAsk) (int, string) {
		return func(ask aiAsk) (int, string) {
			req, err := http.NewRequestWithContext(a.Context(), ask.method, a.base+ask.path, nil)
			require.NoError(a, err)
			resp, err := client.Capabilities.HTTPClient(target).Do(req)
			require.NoError(a, err)
			text, err := io.ReadAll(resp.Body)
			require.NoError(a, err)
			require.NoError(a, resp.Body.Close())
			return resp.StatusCode, string(text)
		}
	}
	invoke := func(credential string) func(aiAsk) (int, string) {
		return func(ask aiAsk) (int, string) {
			got, err := client.Capabilities.Invoke(a.Context(), bctrl.Invocation{
				Capability: ask.capability,
				Credential: credential,
				Method:     ask.method,
				Path:       ask.path,
			})
			if err != nil {
				return 0, codeOf(err)
			}
			return got.Status, ""
		}
	}
	return map[string]func(aiAsk) (int, string){
		"the proxy, by id": proxy("mine"), "the proxy, by the provider": proxy(a.kind.registry + "/"),
		"an HTTP client, by id":           handed(bctrl.CallTarget{Credential: "mine"}),
		"an HTTP client, by the provider": handed(bctrl.CallTarget{Capability: a.kind.registry + "/"}),
		"an invocation, by id":            invoke("mine"), "an invocation, by the provider": invoke(""),
	}
}

// TestAnAICredentialIsCalledBothWaysAlike: by its id and by its provider, for all
// that the provider's SDK asks, through everything that calls.
func TestAnAICredentialIsCalledBothWaysAlike(t *testing.T) {
	for _, kind := range aiKinds {
		t.Run(string(kind.provider), func(t *testing.T) {
			a := newAICalls(t, kind, object{"ai": object{"allow": []string{"mine"}},
				"capabilities": object{"allow": []string{kind.registry + "/"}}})
			for who, key := range map[string]string{"an organization key": a.key, "a runtime": a.token} {
				for how, send := range a.ways(key) {
					for _, ask := range kind.asks {
						why := who + ", " + how + ": " + ask.method + " " + ask.path
						status, text := send(ask)
						require.Equal(t, http.StatusAccepted, status, "%s: %s", why, text)
						got := <-a.seen
						require.Equal(t, []string{ask.method, ask.path}, []string{got.Method, got.URI}, why)
						require.Equal(t, "sk-mine", strings.TrimPrefix(got.Header.Get(kind.auth), "Bearer "), why)
						e := a.log(bctrl.AuditFilter{Credential: "mine"})[0]
						require.Equal(t, []string{ask.capability, "mine"}, []string{e.Capability, e.Credential}, why)
						if who == "a runtime" {
							require.Equal(t, []string{"ai.use", "mine"}, []string{e.Action, e.Object},
								"%s: the mount of the credential decided", why)
						}
					}
				}
			}
		})
	}
}

// TestTheAIMountDecidesWhatARuntimeDoesWithAnAICredential: ai.use alone for
// models, and for all of a server of one's own; what is no model needs the
// capability too.
func TestTheAIMountDecidesWhatARuntimeDoesWithAnAICredential(t *testing.T) {
	for _, kind := range aiKinds {
		for why, test := range map[string]struct {
			mounts             object
			model, other, byID string
		}{
			"ai alone": {object{"ai": object{"allow": []string{"mine"}}}, "", "capability.outside_mount",
				"capability.outside_mount"},
			"another credential": {object{"ai": object{"allow": []string{"theirs"}},
				"capabilities": object{"allow": []string{"/"}}},
				"ai.outside_mount", "credentials.none", "capability.outside_mount"},
			"capabilities alone": {object{"capabilities": object{"allow": []string{"/"}}}, "ai.outside_mount",
				"credentials.none", "capability.outside_mount"},
			"nothing": {object{}, "ai.outside_mount", "capability.outside_mount", "capability.outside_mount"},
		} {
			t.Run(string(kind.provider)+" with "+why, func(t *testing.T) {
				mounts := test.mounts
				a := newAICalls(t, kind, object{})
				a.ok("POST", []string{"ai-credentials"}, object{"id": "theirs", "provider": otherThan(kind.provider),
					"apiKey": "sk-theirs", "baseUrl": "https://x.example/v1"}, nil)
				ws := a.made("bounded", mounts)
				a.launch(ws, "b", nil)
				ways := a.ways(a.mint(ws.ID, "b", object{}).Expose())
				for _, ask := range kind.asks {
					_, capability, _ := builtinProviders(t).Capability(ask.capability)
					want, byID := test.other, test.byID
					if capability.Model {
						want, byID = test.model, test.model
						if want != "" {
							byID = test.byID
						}
					}
					_, code := ways["an invocation, by the provider"](ask)
					require.Equal(t, want, code, "%s by the provider", ask.path)
					_, code = ways["the proxy, by id"](ask)
					require.Equal(t, byID, code, "%s by id", ask.path)
					if want == "" {
						<-a.seen
						<-a.seen
					}
				}
				require.Empty(t, a.seen, "nothing else was sent")
			})
		}
	}
}

func otherThan(kind bctrl.AIProvider) bctrl.AIProvider {
	if kind == bctrl.OpenAI {
		return bctrl.Anthropic
	}
	return bctrl.OpenAI
}

// TestAServerOfOnesOwnIsCalledBelowItsBaseURL: by the paths that it has, or by
// those that OpenAI has for the same, and nowhere else.
func TestAServerOfOnesOwnIsCalledBelowItsBaseURL(t *testing.T) {
	for _, test := range []struct {
		why, base, path, want string // want is a path or a code
	}{
		{"as OpenAI's", "/v1", "/v1/chat/completions", "/v1/chat/completions"},
		{"a model's name with a slash", "/v1", "/v1/models/meta/llama-3", "/v1/models/meta/llama-3"},
		{"OpenAI's path for the one that it has", "/serving/llama/v1", "/v1/embeddings", "/serving/llama/v1/embeddings"},
		{"the path that it has", "/serving/llama/v1", "/serving/llama/v1/embeddings", "/serving/llama/v1/embeddings"},
		{"at no path, as it is", "", "/v1/chat/completions", "/v1/chat/completions"},
		{"another path of the server", "/v1", "/v1/keys", "invoke.path_not_allowed"},
		{"above the base URL", "/serving/llama/v1", "/serving/embeddings", "invoke.path_not_allowed"},
		{"beside the base URL", "/serving/v1", "/serving/v10/embeddings", "invoke.path_not_allowed"},
		{"another path of one at no path", "", "/key/generate", "invoke.path_not_allowed"},
		{"another method", "/v1", "/v1/completions", "invoke.method_not_allowed"},
		{"what is kept there, which is no model", "/v1", "/v1/files", "capability.outside_mount"},
	} {
		t.Run(test.why, func(t *testing.T) {
			a := newAICalls(t, aiKinds[3], object{"ai": object{"allow": []string{"mine"}}})
			a.ok("PATCH", []string{"ai-credentials", "mine"}, object{"baseUrl": a.base + test.base}, nil)
			method := "POST"
			if strings.Contains(test.path, "models") || strings.Contains(test.why, "another method") {
				method = "GET"
			}
			for _, target := range []string{"mine", "openai-compatible%2F"} {
				_, code := a.through(method, target+test.path, "", "Authorization", "Bearer "+a.token)
				if !strings.HasPrefix(test.want, "/") {
					require.Equal(t, test.want, code, target)
					continue
				}
				require.Empty(t, code, target)
				require.Equal(t, test.want, (<-a.seen).URI, target)
			}
			require.Empty(t, a.seen)
		})
	}
}

// TestWhichAICredentialAProviderMeans: the broker's own go first, and of several
// none is guessed.
func TestWhichAICredentialAProviderMeans(t *testing.T) {
	a := newAICalls(t, aiKinds[0], object{"ai": object{"allow": []string{"mine"}},
		"capabilities": object{"allow": []string{"openai/"}}})
	ask := func(key string) string {
		_, code := a.through("GET", "openai%2F/v1/models", "", "Authorization", "Bearer "+key)
		if code != "" {
			return code
		}
		return strings.TrimPrefix((<-a.seen).Header.Get("Authorization"), "Bearer ")
	}
	require.Equal(t, "sk-mine", ask(a.key))
	list := a.capabilities(url.Values{"status": {"ready"}})
	require.Contains(t, list, "openai/models ready", "what works is said to")
	require.NotContains(t, list, "openai-compatible/models ready")

	a.ok("POST", []string{"ai-credentials"}, object{"id": "second", "provider": "openai", "apiKey": "sk-second"}, nil)
	require.Equal(t, "credentials.none", ask(a.key), "the organization key has two")
	require.Equal(t, "sk-mine", ask(a.token), "the runtime has one")
	a.ok("PATCH", []string{"ai-credentials", "mine"}, object{"enabled": false}, nil)
	require.Equal(t, "ai.no_default_credential", ask(a.token),
		"a disabled one is not passed over for one that is not mounted")
	a.ok("PATCH", []string{"ai-credentials", "mine"}, object{"enabled": true}, nil)

	a.ok("DELETE", []string{"ai-credentials", "second"}, nil, nil)
	a.secretIn(globally(), "OPENAI_API_KEY", "sk-of-the-broker")
	require.Equal(t, "sk-of-the-broker", ask(a.key))
	require.Equal(t, "sk-of-the-broker", ask(a.token))
	a.ok("PATCH", []string{"credentials", "openai"}, object{"enabled": false}, nil)
	require.Equal(t, "credentials.disabled", ask(a.token), "nothing but none at all falls through")
}

// TestAMountMeansTheAICredentialThatItWasMadeFor: a new one with the old id
// inherits nothing, for calls of any kind.
func TestAMountMeansTheAICredentialThatItWasMadeFor(t *testing.T) {
	a := newAICalls(t, aiKinds[0], object{"ai": object{"allow": []string{"mine"}},
		"capabilities": object{"allow": []string{"openai/"}}})
	got := a.do("DELETE", []string{"ai-credentials", "mine"}, url.Values{"force": {"true"}}, nil)
	require.Equal(t, http.StatusOK, got.Status)
	a.ok("POST", []string{"ai-credentials"}, object{"id": "mine", "provider": "openai", "apiKey": "sk-another"}, nil)
	for how, send := range a.ways(a.token) {
		for _, ask := range a.kind.asks {
			status, code := send(ask)
			require.NotEqual(t, http.StatusAccepted, status, "%s: %s: %s", how, ask.path, code)
		}
	}
	require.Empty(t, a.seen)
}

// TestACompatibleCredentialIsListedAndLimited: its capabilities are there once it
// is, with policies as others have.
func TestACompatibleCredentialIsListedAndLimited(t *testing.T) {
	a := newAICalls(t, aiKinds[3], object{"ai": object{"allow": []string{"mine"}}})
	require.Contains(t, a.capabilities(url.Values{"provider": {"openai-compatible"}}),
		"openai-compatible/embeddings ready")
	var own struct{ Capabilities []bctrl.Capability }
	got := a.send("GET", "/v1/capabilities?provider=openai-compatible", nil, "Authorization", "Bearer "+a.token)
	decodeInto(t, got, &own)
	require.NotEmpty(t, own.Capabilities)
	for _, c := range own.Capabilities {
		require.True(t, c.Model, "%s: ai.use alone permits it", c.ID)
		require.Equal(t, bctrl.CapabilityReady, c.Status, c.ID)
	}
	_, err := a.client.Capabilities.SetPolicy(t.Context(), "openai-compatible/embeddings",
		bctrl.CapabilityPolicy{MaxRequestBytes: 2})
	require.NoError(t, err)
	_, code := a.through("POST", "mine/v1/embeddings", `{"input": "x"}`, "Authorization", "Bearer "+a.token)
	require.Equal(t, "invoke.request_too_large", code)
	_, code = a.through("POST", "mine/v1/keys", `{}`, "Authorization", "Bearer "+a.key)
	require.Equal(t, "invoke.path_not_allowed", code, "nor does an organization key reach more of it")
	require.Empty(t, a.seen)
}
