package server

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

func TestAnAnswerIsNoLongerThanThePolicyPermits(t *testing.T) {
	c := newCallers(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("chunked") {
			_ = http.NewResponseController(w).Flush()
		}
		_, _ = io.WriteString(w, "123456")
	})
	c.policy(bctrl.CapabilityPolicy{MaxResponseBytes: 5})
	_, err := c.client.Capabilities.Invoke(t.Context(), things())
	require.Equal(t, "invoke.response_too_large", codeOf(err))
	require.Equal(t, "invoke.response_too_large", c.last().Outcome)
	resp, body := c.passed("GET", "acme%2Fthings", "/v1/things")
	require.Equal(t, http.StatusUnprocessableEntity, resp.StatusCode, "it would be too long again: no SDK is to ask again")
	require.Contains(t, body, "invoke.response_too_large")
	_, body = c.passed("GET", "acme%2F", "/v1/things?chunked")
	require.LessOrEqual(t, len(body), 5)
	require.Equal(t, "invoke.response_too_large", c.last().Outcome)
	c.policy(bctrl.CapabilityPolicy{MaxResponseBytes: 6})
	_, err = c.client.Capabilities.Invoke(t.Context(), things())
	require.NoError(t, err)
}

// TestARuntimeLearnsOfNoCredentialBeyondItsMounts asks by the id of credentials
// that are there, of one that is elsewhere, and of none: the answers are one.
func TestARuntimeLearnsOfNoCredentialBeyondItsMounts(t *testing.T) {
	c := newCallers(t, func(http.ResponseWriter, *http.Request) {})
	ws := c.workspace("w", bctrl.Mounts{Capabilities: &bctrl.CapabilityMount{Allow: []string{"acme/", "openai/models"}}})
	other := c.made("other", object{})
	secret := c.secretIn(inWorkspace(other.ID), "THEIRS", "their-secret")
	c.ok("POST", []string{"credentials"}, object{
		"id": "elsewhere", "provider": "acme", "secretRef": "vault:secret:" +
			secret.ID, "scope": inWorkspace(other.ID), "hosts": []string{acmeHost},
		"auth": object{"type": "header", "headers": object{"X-Acme": "Key {secret}"}},
	}, nil)
	c.ok("POST", []string{"ai-credentials"}, openAI("unmounted"), nil)
	rt := c.launch(ws, "r", nil)
	act := []string{"Bctrl-Runtime", rt.ID}

	for _, segments := range [][]string{{"capabilities", "acme/things", "invoke"},
		{"capabilities", "openai/models", "invoke"}} {
		missing := c.do("POST", segments, nil, object{"credential": "missing"}, act...)
		require.Equal(t, "credentials.not_found", missing.code())
		for _, id := range []string{"elsewhere", "unmounted"} {
			got := c.do("POST", segments, nil, object{"credential": id}, act...)
			require.Equal(t, missing.Status, got.Status, id)
			require.Equal(t, unsigned(string(missing.Body)), unsigned(string(got.Body)), "%s is told from none", id)
		}
	}
	gone, body := c.passed("GET", "missing", "/v1/things", act...)
	require.Equal(t, http.StatusForbidden, gone.StatusCode)
	for _, id := range []string{"elsewhere", "unmounted"} {
		for _, path := range []string{"/v1/things", "/v1/models"} {
			got, text := c.passed("GET", id, path, act...)
			require.Equal(t, gone.StatusCode, got.StatusCode, id)
			require.Equal(t, unsigned(body), unsigned(text), id)
		}
	}
	ok, text := c.passed("GET", "acme-main", "/v1/things", act...)
	require.Equal(t, http.StatusOK, ok.StatusCode, text)
	require.EqualValues(t, 1, c.hits.Load())
}

func unsigned(body string) string {
	before, rest, _ := strings.Cut(body, `"requestId":"`)
	_, after, _ := strings.Cut(rest, `"`)
	return before + after
}

func TestAPinnedSecretGoesToItsProviderAlone(t *testing.T) {
	var keys []string
	p := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		keys = append(keys, r.Header.Get("Authorization"))
		_, _ = io.WriteString(w, "{}")
	}))
	defer p.Close()
	c := newCallers(t, nil)
	body := openAI("mine")
	body["baseUrl"] = p.URL + "/v1"
	c.ok("POST", []string{"ai-credentials"}, body, nil)
	call := bctrl.Invocation{Capability: "openai/models", Path: "/v1/models", Credential: "mine"}
	_, err := c.client.Capabilities.Invoke(t.Context(), call)
	require.NoError(t, err, "its own key goes to its base URL")
	require.Len(t, keys, 1)
	pinned := c.secretIn(globally(), "OPENAI_API_KEY", "sk-pinned-to-openai")
	c.ok("PUT", []string{"bindings"}, object{"credential": "mine", "secretRef": "vault:secret:" + pinned.ID,
		"scope": globally()}, nil)
	_, err = c.client.Capabilities.Invoke(t.Context(), call)
	require.Equal(t, "secrets.pinned", codeOf(err))
	require.Len(t, keys, 1)
}

func TestWhatIsNoNameIsNotInTheLog(t *testing.T) {
	c := newCallers(t, nil)
	for field, code := range map[string]string{"credential": "credentials.invalid_id",
		"consumer": "invoke.invalid_consumer"} {
		got := c.do("POST", []string{"capabilities", "acme/things", "invoke"}, nil, object{field: "sk pasted here"})
		require.Equal(t, code, got.code())
		require.Equal(t, code, c.last().Outcome)
		require.Empty(t, c.last().Credential+c.last().Consumer)
	}
	ws := c.made("w", object{})
	for code, got := range map[string]answer{
		"request.invalid_id": c.do("DELETE", []string{"workspaces", "sk pasted here"}, nil, nil),
		"runtimes.invalid_alias": c.do("POST", []string{"workspaces", ws.ID, "runtimes"}, nil, object{
			"alias": "sk pasted here", "kind": "browser", "driver": "stagehand", "launch": object{"mode": "ephemeral"},
		}),
	} {
		require.Equal(t, code, got.code())
		require.Empty(t, c.log(bctrl.AuditFilter{Outcome: code})[0].Object, code)
	}
}

func TestACapabilityForSomePathsCopiesFromNoOther(t *testing.T) {
	c := newCallers(t, func(http.ResponseWriter, *http.Request) {})
	copied := bctrl.Invocation{
		Capability: "acme/things",
		Method:     "PUT",
		Path:       "/v1/things/a",
		Header:     http.Header{"X-Amz-Copy-Source": {"/private/key"}},
	}
	_, err := c.client.Capabilities.Invoke(t.Context(), copied)
	require.Equal(t, "invoke.path_not_allowed", codeOf(err))
	copied.Header = http.Header{"X_Acme": {"mine"}}
	_, err = c.client.Capabilities.Invoke(t.Context(), copied)
	require.Equal(t, "invoke.auth_refused", codeOf(err), "the credential's own header in another spelling")
	require.Zero(t, c.hits.Load())
}
