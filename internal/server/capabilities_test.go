package server

import (
	"net/url"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/server/web"
)

// capabilities lists ids with their status, through pages of a few.
func (h *harness) capabilities(query url.Values, headers ...string) (list []string) {
	h.Helper()
	if query == nil {
		query = url.Values{}
	}
	query.Set("limit", "7")
	for {
		got := h.do("GET", []string{"capabilities"}, query, nil, headers...)
		require.Equal(h, 200, got.Status, "%s", got.Body)
		var page struct {
			Capabilities []bctrl.Capability
			NextCursor   *string
		}
		decodeInto(h.T, got, &page)
		for _, c := range page.Capabilities {
			list = append(list, c.ID+" "+string(c.Status))
		}
		if page.NextCursor == nil {
			return list
		}
		query.Set("cursor", *page.NextCursor)
	}
}

func TestAListSaysWhatIsReadyWhere(t *testing.T) {
	h := newHarness(t)
	h.made("sales", object{})
	builtin := 0
	for _, p := range builtinProviders(t).Providers() {
		builtin += len(p.Capabilities)
	}
	for _, id := range []string{"acme/a", "github/own", "zeta/z"} {
		h.ok("PUT", []string{"capabilities", id}, object{"methods": []string{"GET"}, "paths": []string{"/v1"}}, nil)
	}
	all := h.capabilities(nil)
	require.Len(t, all, builtin+3)
	require.True(t, slices.IsSorted(all))
	require.Len(t, slices.Compact(slices.Clone(all)), len(all))
	require.Empty(t, h.capabilities(url.Values{"status": {"ready"}}))

	h.secretIn(inWorkspace("sales"), "GITHUB_TOKEN", "v")
	require.Empty(t, h.capabilities(url.Values{"status": {"ready"}}))
	ready := h.capabilities(url.Values{"status": {"ready"}, "workspaceId": {"sales"}, "groupId": {"any"}})
	require.Contains(t, ready, "github/own ready")
	require.Contains(t, ready, "github/repos ready")
	require.Equal(t, ready, h.capabilities(url.Values{"provider": {"github"}, "workspaceId": {"sales"}}))
	for query, code := range map[string]string{"workspaceId=nowhere": "scope.workspace_not_found",
		"groupId=g": "scope.group_without_workspace"} {
		got := h.send("GET", "/v1/capabilities?"+query, nil, "Authorization", "Bearer "+h.key)
		require.Equal(t, code, got.code(), query)
	}
	h.secretIn(globally(), "GITHUB_TOKEN", "v")
	h.ok("PATCH", []string{"credentials", "github"}, object{"enabled": false}, nil)
	require.Empty(t, h.capabilities(url.Values{"status": {"ready"}}), "a disabled credential is not passed over")
}

func TestARuntimeSeesWhatItMayInvoke(t *testing.T) {
	h := newHarness(t)
	h.ok("POST", []string{"ai-credentials"}, openAI("model"), nil)
	ws := h.made("sales", object{"ai": object{"allow": []string{"model"}},
		"capabilities": object{"allow": []string{"github/issues", "stripe/"}}})
	rt := h.launch(ws, "bot", nil)
	h.secretIn(inGroup("sales", "emea"), "STRIPE_SECRET_KEY", "v")
	h.secretIn(inWorkspace("sales"), "GITHUB_TOKEN", "v")
	as := []string{"BCTRL-Runtime", rt.ID}
	seen := h.capabilities(nil, as...)
	require.Contains(t, seen, "github/issues ready")
	require.Contains(t, seen, "openai/chat-completions ready", "by the ai mount")
	require.NotContains(t, seen, "openai/embeddings ready")
	for _, c := range seen {
		require.NotContains(t, c, "github/repos")
		require.NotContains(t, c, "anthropic/")
		if len(c) > 7 && c[:7] == "stripe/" {
			require.Contains(t, c, "available", "the secret is another group's")
		}
	}
	require.Equal(t, 200, h.do("GET", []string{"capabilities", "openai/chat-completions"}, nil, nil, as...).Status)
	refused(t, h.do("GET", []string{"capabilities", "anthropic/messages"}, nil, nil, as...), 403,
		"capability.outside_mount", "no credential of it is mounted")
	refused(t, h.do("GET", []string{"capabilities", "github/repos"}, nil, nil, as...), 403, "capability.outside_mount",
		"not mounted")
	refused(t, h.do("GET", []string{"capabilities", "nobody/no"}, nil, nil, as...), 403, "capability.outside_mount",
		"the same for what there is not")
	refused(t, h.do("GET", []string{"capabilities"}, url.Values{"workspaceId": {ws.ID}, "groupId": {"emea"}}, nil, as...),
		403, "auth.context_mismatch", "its context is its own")
	h.ok("PATCH", []string{"ai-credentials", "model"}, object{"enabled": false}, nil)
	require.Contains(t, h.capabilities(nil, as...), "openai/chat-completions available")
}

func TestOneIsDescribedAndLimited(t *testing.T) {
	h := newHarness(t)
	var c bctrl.Capability
	h.ok("GET", []string{"capabilities", "twilio/messages"}, nil, &c)
	require.True(t, c.Builtin)
	require.Equal(t, []bctrl.CapabilitySecret{{Name: "TWILIO_ACCOUNT_SID", Field: "accountSid"},
		{Name: "TWILIO_AUTH_TOKEN", Field: "authToken"}}, c.Secrets)
	require.NotEmpty(t, c.Hosts)
	require.Contains(t, c.Example, "bctrl invoke twilio/messages --method ")
	require.Nil(t, c.Policy)

	policy := bctrl.CapabilityPolicy{CallsPerMinute: 60, MaxRequestBytes: 1 << 20, Redact: []string{"secret", "api_key",
		"secret"}}
	h.ok("PUT", []string{"capabilities", "twilio/messages", "policy"}, policy, &policy)
	require.Equal(t, []string{"api_key", "secret"}, policy.Redact)
	h.ok("GET", []string{"capabilities", "twilio/messages"}, nil, &c)
	require.Equal(t, &policy, c.Policy)
	h.tamper("UPDATE capability_policies SET meta = replace(meta, '60', '6000')")
	refused(t, h.do("GET", []string{"capabilities", "twilio/messages"}, nil, nil), 500, "capabilities.tampered",
		"an edited limit")
	h.ok("PUT", []string{"capabilities", "twilio/messages", "policy"}, object{}, nil)
	h.ok("GET", []string{"capabilities", "twilio/messages"}, nil, &c)
	c = bctrl.Capability{}
	h.ok("GET", []string{"capabilities", "twilio/messages"}, nil, &c)
	require.Nil(t, c.Policy, "no limits are no policy")
	require.True(t, h.verified())
}

func TestACapabilityOfOnesOwn(t *testing.T) {
	h := newHarness(t)
	var c bctrl.Capability
	body := object{"methods": []string{"GET", "POST"}, "paths": []string{"/v1/users/{id}"}, "host": "api.acme.example"}
	h.ok("PUT", []string{"capabilities", "acme/users"}, body, &c, "If-None-Match", "*")
	require.Equal(t, []string{"acme", "available"}, []string{c.Provider, string(c.Status)})
	second := []string{"If-None-Match", "", "If-None-Match", "*"}
	refused(t, h.do("PUT", []string{"capabilities", "acme/users"}, nil, body, second...), 400,
		"request.if_none_match", "it is not replaced for an empty first line")
	refused(t, h.do("PUT", []string{"capabilities", "acme/users"}, nil, body, "If-None-Match", "*"), 409,
		"capabilities.exists", "it is there")
	body["paths"] = []string{"/v2"}
	h.ok("PUT", []string{"capabilities", "acme/users"}, body, &c)
	require.Equal(t, []string{"/v2"}, c.Paths)
	s := h.secretIn(globally(), "K", "v")
	h.ok("POST", []string{"credentials"}, acmeCredential("acme", s.ID, nil), nil)
	h.ok("GET", []string{"capabilities", "acme/users"}, nil, &c)
	require.Equal(t, bctrl.CapabilityReady, c.Status)
	h.ok("PUT", []string{"capabilities", "acme/users", "policy"}, object{"callsPerMinute": 1}, nil)
	h.ok("PUT", []string{"bindings"}, object{"capability": "acme/users", "secretRef": refTo(s.ID), "scope": globally()},
		nil)
	h.tamper("UPDATE capabilities SET meta = replace(meta, '/v2', '/')")
	refused(t, h.do("GET", []string{"capabilities", "acme/users"}, nil, nil), 500, "capabilities.tampered",
		"an edited path")
	h.delete("capabilities", "acme/users")
	refused(t, h.do("GET", []string{"capabilities", "acme/users"}, nil, nil), 404, "capabilities.not_found", "it is gone")
	var list struct{ Bindings []bctrl.Binding }
	h.ok("GET", []string{"bindings"}, nil, &list)
	require.Empty(t, list.Bindings)
	require.True(t, h.verified())
}

func TestEachWrongCapabilityOrBindingHasItsCode(t *testing.T) {
	h := newHarness(t)
	h.made("sales", object{})
	h.made("other", object{})
	s, gh := h.secretIn(inWorkspace("sales"), "K", "v"), h.secretIn(globally(), "GITHUB_TOKEN", "v")
	h.secretIn(globally(), "TWILIO_ACCOUNT_SID", "v")
	good := func(more object) object {
		body := object{"methods": []string{"GET"}, "paths": []string{"/v1"}}
		for k, v := range more {
			body[k] = v
		}
		return body
	}
	capability := func(id string) []string { return []string{"capabilities", id} }
	bindings := []string{"bindings"}
	for _, tc := range []struct {
		why, method string
		segments    []string
		body        any
		status      int
		code        string
	}{
		{"no provider", "PUT", capability("users"), good(nil), 400, "capabilities.invalid_id"},
		{"one of the registry", "PUT", capability("github/repos"), good(nil), 409, "capabilities.builtin"},
		{"deleting one of the registry", "DELETE", capability("github/repos"), nil, 409, "capabilities.builtin"},
		{"deleting none", "DELETE", capability("acme/none"), nil, 404, "capabilities.not_found"},
		{"no method", "PUT", capability("acme/a"), good(object{"methods": []string{}}), 400, "capabilities.methods_required"},
		{"a method in lower case", "PUT", capability("acme/a"), good(object{"methods": []string{"get"}}), 400,
			"capabilities.invalid_method"},
		{"a method that tunnels", "PUT", capability("acme/a"), good(object{"methods": []string{"CONNECT"}}), 400,
			"capabilities.invalid_method"},
		{"no path", "PUT", capability("acme/a"), good(object{"paths": []string{}}), 400, "capabilities.paths_required"},
		{"a relative path", "PUT", capability("acme/a"), good(object{"paths": []string{"v1"}}), 400,
			"capabilities.invalid_path"},
		{"a path with ..", "PUT", capability("acme/a"), good(object{"paths": []string{"/v1/../admin"}}), 400,
			"capabilities.invalid_path"},
		{"an escaped path", "PUT", capability("acme/a"), good(object{"paths": []string{"/v1/%2e%2e"}}), 400,
			"capabilities.invalid_path"},
		{"a path with a double slash", "PUT", capability("acme/a"), good(object{"paths": []string{"/v1//a"}}), 400,
			"capabilities.invalid_path"},
		{"a path with a query", "PUT", capability("acme/a"), good(object{"paths": []string{"/v1?a=b"}}), 400,
			"capabilities.invalid_path"},
		{"half a variable", "PUT", capability("acme/a"), good(object{"paths": []string{"/v1/{id"}}), 400,
			"capabilities.invalid_path"},
		{"a host that is an address", "PUT", capability("acme/a"), good(object{"host": "127.0.0.1"}), 400,
			"credentials.invalid_host"},
		{"another host of a known provider", "PUT", capability("github/own"), good(object{"host": "api.acme.example"}), 400,
			"credentials.host_not_allowed"},
		{"calls of a language model", "PUT", capability("openai/own"), good(object{"methods": []string{"POST"}}), 400,
			"capabilities.model_path"},
		{"calls of a language model by a variable", "PUT", capability("openai/own"),
			good(object{"methods": []string{"POST"}, "paths": []string{"/v1/{x}/completions"}}), 400, "capabilities.model_path"},
		{"a negative limit", "PUT", []string{"capabilities", "github/repos", "policy"}, object{"callsPerMinute": -1}, 400,
			"capabilities.invalid_limit"},
		{"an empty name to redact", "PUT", []string{"capabilities", "github/repos", "policy"},
			object{"redact": []string{"a..b"}}, 400, "capabilities.invalid_redact"},
		{"a policy of nothing", "PUT", []string{"capabilities", "acme/none", "policy"}, object{"callsPerMinute": 1}, 404,
			"capabilities.not_found"},
		{"a binding for nothing", "PUT", bindings, object{"secretRef": refTo(s.ID), "scope": globally()}, 400,
			"bindings.target"},
		{"a binding for two things", "PUT", bindings, object{"capability": "github/repos", "credential": "github",
			"secretRef": refTo(s.ID), "scope": globally()}, 400, "bindings.target"},
		{"a binding for an unknown capability", "PUT", bindings, object{"capability": "acme/none", "secretRef": refTo(s.ID),
			"scope": globally()}, 404, "capabilities.not_found"},
		{"a binding for an unknown credential", "PUT", bindings, object{"credential": "none", "secretRef": refTo(s.ID),
			"scope": globally()}, 404, "credentials.not_found"},
		{"a binding without scope", "PUT", bindings, object{"capability": "github/repos", "secretRef": refTo(s.ID),
			"scope": object{}}, 400, "scope.required"},
		{"a binding to an unknown secret", "PUT", bindings, object{"capability": "github/repos",
			"secretRef": refTo(web.NewID()), "scope": globally()}, 404, "secrets.not_found"},
		{"a binding to no secret", "PUT", bindings, object{"capability": "github/repos", "secretRef": "GITHUB_TOKEN",
			"scope": globally()}, 400, "credentials.invalid_secret_ref"},
		{"a pinned secret for another provider", "PUT", bindings, object{"capability": "openai/embeddings",
			"secretRef": refTo(gh.ID), "scope": globally()}, 409, "secrets.pinned"},
		{"a secret that the scope never sees", "PUT", bindings, object{"capability": "github/repos", "secretRef": refTo(s.ID),
			"scope": inWorkspace("other")}, 409, "bindings.not_visible"},
		{"one of several secrets", "PUT", bindings, object{"capability": "twilio/messages", "secretRef": refTo(s.ID),
			"scope": globally()}, 400, "bindings.field_needed"},
		{"a field that there is not", "PUT", bindings, object{"capability": "twilio/messages", "field": "apiKey",
			"secretRef": refTo(s.ID), "scope": globally()}, 400, "bindings.unknown_field"},
		{"a consumer with a separator", "PUT", bindings, object{"capability": "github/repos", "consumer": "a/b",
			"secretRef": refTo(s.ID), "scope": globally()}, 400, "bindings.invalid_consumer"},
	} {
		before := len(h.log(bctrl.AuditFilter{}))
		got := h.do(tc.method, tc.segments, nil, tc.body)
		refused(t, got, tc.status, tc.code, tc.why)
		require.Len(t, h.log(bctrl.AuditFilter{}), before+1, tc.why)
	}
	require.Empty(t, h.capabilities(url.Values{"provider": {"acme"}}))
	require.True(t, h.verified())
}
