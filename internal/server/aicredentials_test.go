package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/audit"
)

// provider is a model provider that knows one key, and counts who asks.
type provider struct {
	url string
	mu  sync.Mutex
	n   int
}

func (p *provider) asked() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.n
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	p := &provider{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.n++
		p.mu.Unlock()
		if r.Header.Get("Authorization") != "Bearer "+canaryAPIKey {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprintf(w, `{"error":{"message":"no such key: %s","code":"invalid_api_key"}}`, r.Header.Get("Authorization"))
			return
		}
		fmt.Fprint(w, `{"object":"list","data":[{"id":"m-1"}]}`)
	}))
	t.Cleanup(srv.Close)
	p.url = srv.URL + "/v1"
	return p
}

func TestAnAICredentialNeverShowsItsKey(t *testing.T) {
	h := newHarness(t)
	path := []string{"ai-credentials", "openai-prod"}
	body := openAI("openai-prod")
	body["label"], body["defaultModel"] = "Production", "gpt-x"
	answers := []answer{
		h.do("POST", path[:1], nil, body, "Idempotency-Key", "k"),
		h.do("GET", path, nil, nil),
		h.do("GET", path[:1], nil, nil),
		h.do("PATCH", path, nil, object{"label": "Old", "enabled": false, "apiKey": canaryAPIKey + "2"}),
		h.do("GET", path, nil, nil),
	}
	for _, a := range answers {
		require.Equal(t, http.StatusOK, a.Status, "%s", a.Body)
		require.NotContains(t, string(a.Body), "canary")
	}
	var first, last bctrl.AICredential
	require.NoError(t, json.Unmarshal(answers[1].Body, &first))
	require.NoError(t, json.Unmarshal(answers[4].Body, &last))
	require.Equal(t, bctrl.AICredential{
		ID:           "openai-prod",
		Provider:     bctrl.OpenAI,
		Label:        "Production",
		DefaultModel: "gpt-x",
		Enabled:      true,
		CreatedAt:    first.CreatedAt,
		UpdatedAt:    first.CreatedAt,
	}, first)
	require.Equal(t, "Old", last.Label)
	require.Equal(t, "gpt-x", last.DefaultModel, "what an update leaves out stays")
	require.False(t, last.Enabled)

	refused(t, h.do("POST", path[:1], nil, body), http.StatusConflict, "ai.exists", "the id is taken")
	h.ok("DELETE", path, nil, nil)
	for _, method := range []string{"GET", "DELETE"} {
		refused(t, h.do(method, path, nil, nil), http.StatusNotFound, "ai.not_found", method)
	}
	refused(t, h.do("PATCH", path, nil, object{}), http.StatusNotFound, "ai.not_found", "PATCH")
	refused(t, h.do("POST", append(path, "test"), nil, nil), http.StatusNotFound, "ai.not_found", "test")

	files, err := filepath.Glob(filepath.Join(h.dir, "bctrl.db*"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, f := range files {
		raw, err := os.ReadFile(f)
		require.NoError(t, err)
		require.False(t, strings.Contains(string(raw), "canary"), "%s holds the key in clear", filepath.Base(f))
	}
}

func TestWhatIsWrongWithAnAICredentialIsNamedAtOnceAndNeverQuoted(t *testing.T) {
	h := newHarness(t)
	for _, tc := range []struct {
		why   string
		edit  object
		codes []string
	}{
		{"no such provider", object{"provider": "acme"}, []string{"ai.unknown_provider"}},
		{"no key", object{"apiKey": ""}, []string{"ai.key_required"}},
		{"a key that no header carries", object{"apiKey": "canary\nX-Evil: 1"}, []string{"ai.invalid_key"}},
		{"compatible with nothing", object{"provider": "openai-compatible"}, []string{"ai.base_url_required"}},
		{"another scheme", object{"baseUrl": "ftp://canary/"}, []string{"ai.invalid_base_url"}},
		{"a key in the URL", object{"baseUrl": "https://canary@host/v1"}, []string{"ai.invalid_base_url"}},
		{"a query", object{"baseUrl": "https://host/v1?key=canary"}, []string{"ai.invalid_base_url"}},
		{"a fragment", object{"baseUrl": "https://host/v1#canary"}, []string{"ai.invalid_base_url"}},
		{"a model with a line break", object{"defaultModel": "canary\n"}, []string{"ai.invalid_model"}},
		{"all at once", object{"apiKey": "", "baseUrl": "canary", "label": strings.Repeat("canary", 100)},
			[]string{"request.too_long", "ai.key_required", "ai.invalid_base_url"}},
		{"an id", object{"id": "1canary"}, []string{"ai.invalid_id"}},
		{"a path as an id", object{"id": "canary/x"}, []string{"ai.invalid_id"}},
	} {
		body := openAI("x")
		for k, v := range tc.edit {
			body[k] = v
		}
		got := h.do("POST", []string{"ai-credentials"}, nil, body)
		require.Equal(t, http.StatusBadRequest, got.Status, tc.why)
		require.NotContains(t, string(got.Body), "canary", tc.why)
		var e bctrl.Error
		require.NoError(t, json.Unmarshal(got.Body, &e))
		var codes []string
		for _, p := range e.Problems {
			codes = append(codes, p.Code)
		}
		require.Equal(t, tc.codes, codes, tc.why)
	}
	var list struct{ AICredentials []object }
	h.ok("GET", []string{"ai-credentials"}, nil, &list)
	require.Empty(t, list.AICredentials, "nothing was left behind")

	h.ok("POST", []string{"ai-credentials"}, openAI("x"), nil)
	refused(t, h.do("PATCH", []string{"ai-credentials", "x"}, nil, object{"baseUrl": "ftp://h"}), http.StatusBadRequest,
		"ai.invalid_base_url", "a change to it")
	h.ok("POST", []string{"ai-credentials"}, object{"id": "local", "provider": "openai-compatible",
		"baseUrl": "http://127.0.0.1:1/v1"}, nil)
}

func TestAStoredKeyGoesToNoOtherOriginThanItWasStoredFor(t *testing.T) {
	h := newHarness(t)
	at := func(url string) object { return object{"baseUrl": url} }
	for _, tc := range []struct {
		why      string
		from, to string
		refused  bool
	}{
		{"another host", "https://llm.example.com/v1", "https://evil.example.com/v1", true},
		{"a host below it", "https://llm.example.com/v1", "https://x.llm.example.com/v1", true},
		{"another port", "https://llm.example.com/v1", "https://llm.example.com:8443/v1", true},
		{"in clear", "https://llm.example.com/v1", "http://llm.example.com/v1", true},
		{"from the public address", "", "https://evil.example.com/v1", true},
		{"to the public address", "https://llm.example.com/v1", "", true},
		{"another path", "https://llm.example.com/v1", "https://llm.example.com/v2", false},
		{"the same, in other words", "https://llm.example.com/v1", "https://LLM.example.com:443/v1", false},
		{"the public address, in words", "", "https://api.openai.com/v1", false},
	} {
		h.ok("POST", []string{"ai-credentials"}, object{"id": "x", "provider": "openai", "apiKey": canaryAPIKey,
			"baseUrl": tc.from}, nil)
		path := []string{"ai-credentials", "x"}
		if got := h.do("PATCH", path, nil, at(tc.to)); tc.refused {
			refused(t, got, http.StatusBadRequest, "ai.key_required_for_new_base_url", tc.why)
		} else {
			require.Equal(t, http.StatusOK, got.Status, "%s: %s", tc.why, got.Body)
		}
		withKey := at(tc.to)
		withKey["apiKey"] = canaryAPIKey
		require.Equal(t, http.StatusOK, h.do("PATCH", path, nil, withKey).Status, "the caller has the key itself: "+tc.why)
		h.ok("DELETE", path, nil, nil)
	}
	h.ok("POST", []string{"ai-credentials"}, object{"id": "local", "provider": "openai-compatible",
		"baseUrl": "http://127.0.0.1:1/v1"}, nil)
	h.ok("PATCH", []string{"ai-credentials", "local"}, at("http://127.0.0.1:2/v1"), nil) // there is no key to give away
}

func TestAnEditedAICredentialIsNotUsed(t *testing.T) {
	p := newProvider(t)
	for _, tc := range []struct{ name, edit string }{
		{"the sealed bytes of two exchanged", "UPDATE ai_credentials SET sealed = (SELECT sealed FROM ai_credentials WHERE " +
			"id = 'b') WHERE id = 'a'"},
		{"a base URL edited", `UPDATE ai_credentials SET meta = replace(meta, 'http:', 'https:') WHERE id = 'a'`},
		{"a disabled one enabled", `UPDATE ai_credentials SET meta = replace(meta, 'false', 'true') WHERE id = 'a'`},
		{"a provider edited", `UPDATE ai_credentials SET meta = replace(meta, 'openai', 'google') WHERE id = 'a'`},
		{"an id moved", "UPDATE ai_credentials SET id = CASE id WHEN 'a' THEN 'c' ELSE 'a' END"},
		{"an older version", "UPDATE ai_credentials SET version = version + 1 WHERE id = 'a'"},
		{"not even JSON", "UPDATE ai_credentials SET meta = '{' WHERE id = 'a'"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := newHarness(t)
			for _, id := range []string{"a", "b"} {
				body := openAI(id)
				body["baseUrl"], body["enabled"] = p.url, false
				h.ok("POST", []string{"ai-credentials"}, body, nil)
			}
			h.tamper(tc.edit)
			before := p.asked()
			path := []string{"ai-credentials", "a"}
			for _, got := range []answer{
				h.do("GET", path, nil, nil), h.do("GET", path[:1], nil, nil), h.do("PATCH", path, nil, object{"label": "x"}),
				h.do("POST", append(path, "test"), nil, nil),
			} {
				refused(t, got, http.StatusInternalServerError, "ai.tampered", tc.name)
			}
			require.Equal(t, before, p.asked(), "the key was sent")
			h.ok("DELETE", path, nil, nil)
		})
	}
}

func TestAMountMeansTheCredentialThatItNamedWhenItWasMade(t *testing.T) {
	h := newHarness(t)
	path := []string{"ai-credentials", "shared"}
	h.ok("POST", path[:1], openAI("shared"), nil)
	mounts := object{"ai": object{"allow": []string{"shared"}}}
	ws := h.made("sales", mounts)
	h.made("support", mounts)
	rt := h.launch(ws, "crm", nil)
	h.ok("GET", path, nil, nil, as(rt)...)

	got := h.do("DELETE", path, nil, nil)
	refused(t, got, http.StatusConflict, "ai.mounted", "two workspaces mount it")
	require.Contains(t, string(got.Body), "sales, support")
	require.Equal(t, http.StatusOK, h.do("DELETE", path, url.Values{"force": {"true"}}, nil).Status)

	h.ok("POST", path[:1], openAI("shared"), nil)
	refused(t, h.do("GET", path, nil, nil, as(rt)...), http.StatusNotFound, "ai.not_found", "the new one is another")
	refused(t, h.do("POST", append(path, "test"), nil, nil, as(rt)...), http.StatusNotFound, "ai.not_found",
		"nor is it used")
	var list struct{ AICredentials []object }
	h.ok("GET", path[:1], nil, &list, as(rt)...)
	require.Empty(t, list.AICredentials)
	h.ok("DELETE", path, nil, nil) // nobody mounts this one
	h.ok("POST", path[:1], openAI("shared"), nil)

	h.ok("PATCH", []string{"workspaces", ws.ID}, object{"name": "sales-2"}, nil)
	refused(t, h.do("GET", path, nil, nil, as(rt)...), http.StatusNotFound, "ai.not_found", "a rename mounts nothing")
	h.ok("PATCH", []string{"workspaces", ws.ID}, object{"mounts": mounts}, nil)
	h.ok("GET", path, nil, nil, as(rt)...)
}

func TestARuntimeKnowsOfTheCredentialsItMayUseAlone(t *testing.T) {
	h := newHarness(t)
	for _, id := range []string{"a", "b", "c", "d"} {
		h.ok("POST", []string{"ai-credentials"}, openAI(id), nil)
	}
	ws := h.made("sales", object{"ai": object{"allow": []string{"c", "a", "b"}}})
	rt := h.launch(ws, "crm", object{"ai": object{"allow": []string{"a", "c"}}})
	narrow := `{"ai":{"allow":["c"]}}`
	get := func(id string, headers ...string) answer {
		return h.do("GET", []string{"ai-credentials", id}, nil, nil, headers...)
	}
	for _, tc := range []struct {
		why, id string
		headers []string
		want    int
	}{
		{"inside", "a", as(rt), 200},
		{"inside and narrower", "c", as(rt, narrow), 200},
		{"narrowed away", "a", as(rt, narrow), 403},
		{"the workspace's alone", "b", as(rt), 403},
		{"outside", "d", as(rt), 403},
		{"outside, missing", "nothing", as(rt), 403},
	} {
		require.Equal(t, tc.want, get(tc.id, tc.headers...).Status, tc.why)
	}
	require.Equal(t, withoutID(get("d", as(rt)...)), withoutID(get("nothing", as(rt)...)),
		"the answer tells whether it exists")
	require.Equal(t, 403, h.do("POST", []string{"ai-credentials", "d", "test"}, nil, nil, as(rt)...).Status)

	var ids []string
	for cursor := ""; ; {
		got := h.do("GET", []string{"ai-credentials"}, url.Values{"limit": {"1"}, "cursor": {cursor}}, nil, as(rt)...)
		var page struct {
			AICredentials []bctrl.AICredential
			NextCursor    *string
		}
		require.NoError(t, json.Unmarshal(got.Body, &page))
		for _, c := range page.AICredentials {
			ids = append(ids, c.ID)
		}
		if page.NextCursor == nil {
			break
		}
		cursor = *page.NextCursor
	}
	require.Equal(t, []string{"a", "c"}, ids)
	h.ok("PATCH", []string{"workspaces", ws.ID}, object{"mounts": object{"ai": object{"allow": []string{"b"}}}}, nil)
	require.Equal(t, 403, get("a", as(rt)...).Status, "lowered on the next call")
	require.Equal(t, 403, get("b", as(rt)...).Status, "raised no higher than its own declaration")
}

func TestATestCallsTheProviderAndIsOnRecord(t *testing.T) {
	h := newHarness(t)
	p := newProvider(t)
	host := strings.TrimSuffix(strings.TrimPrefix(p.url, "http://"), "/v1")
	for _, tc := range []struct {
		why, id, url, key string
		ok                bool
		says, outcome     string
		host              string
		status            int
	}{
		{"a good key", "good", p.url, canaryAPIKey, true, "accepts the key", audit.OK, host, 200},
		{"a wrong key", "wrong", p.url, "sk-canary-wrong", false, "401", audit.OK, host, 401},
		{"nobody there", "closed", "http://127.0.0.1:1/v1", canaryAPIKey, false, "connection refused",
			"invoke.upstream_unreachable", "127.0.0.1:1", 0},
		{"the metadata address", "meta", "http://169.254.169.254/v1", canaryAPIKey, false, "egress policy",
			"invoke.address_refused", "169.254.169.254", 0},
	} {
		body := object{"id": tc.id, "provider": "openai", "baseUrl": tc.url, "apiKey": tc.key, "enabled": false}
		h.ok("POST", []string{"ai-credentials"}, body, nil)
		got := h.do("POST", []string{"ai-credentials", tc.id, "test"}, nil, nil)
		require.Equal(t, http.StatusOK, got.Status, "%s: %s", tc.why, got.Body)
		require.NotContains(t, string(got.Body), "canary", tc.why)
		var test bctrl.AICredentialTest
		require.NoError(t, json.Unmarshal(got.Body, &test))
		require.Equal(t, tc.ok, test.OK, tc.why)
		require.Contains(t, test.Message, tc.says, tc.why)
		require.Equal(t, bctrl.OpenAI, test.Provider)
		require.False(t, test.CheckedAt.IsZero())

		events := h.events()
		intent, outcome := events[len(events)-2], events[len(events)-1]
		require.Equal(t, audit.Intent, intent.Kind, tc.why)
		require.Equal(t, []string{"ai.use", tc.id, tc.host}, []string{intent.Action, intent.Object, intent.Host}, tc.why)
		require.EqualValues(t, len(events)-1, outcome.Intent, tc.why)
		require.Equal(t, tc.outcome, outcome.Outcome, tc.why)
		require.Equal(t, tc.status, outcome.Status, tc.why)
		require.Equal(t, tc.host, outcome.Host, tc.why)
	}
	ws := h.made("w", object{"ai": object{"allow": []string{"good"}}})
	rt := h.launch(ws, "r", nil)
	before := p.asked()
	refused(t, h.do("POST", []string{"ai-credentials", "good", "test"}, nil, nil, as(rt)...), http.StatusConflict,
		"ai.disabled", "a runtime cannot use a disabled one")
	require.Equal(t, before, p.asked())
}
