package server

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/server/web"
)

// acmeCredential is a credential of a provider that the registry does not have.
func acmeCredential(id, secret string, with object) object {
	body := object{
		"id": id, "provider": "acme", "secretRef": refTo(secret), "scope": globally(),
		"auth": object{"type": "header", "headers": object{"X-Key": "{secret}"}}, "hosts": []string{"api.acme.example"},
	}
	for k, v := range with {
		if body[k] = v; v == nil {
			delete(body, k)
		}
	}
	return body
}

func TestACredentialIsDescribedAndChanged(t *testing.T) {
	h := newHarness(t)
	ws := h.made("sales", object{})
	s := h.secretIn(globally(), "ACME_KEY", "v")
	var made, got bctrl.Credential
	h.ok("POST", []string{"credentials"}, acmeCredential("acme", s.ID, object{"scope": inGroup("sales", "emea"),
		"priority": 3}), &made)
	require.Equal(t, bctrl.InGroup(ws.ID, "emea"), made.Scope)
	require.Equal(t, map[string]string{"secret": refTo(s.ID)}, made.SecretRefs)
	require.True(t, made.Enabled)
	require.False(t, made.Provisioned)
	h.ok("GET", []string{"credentials", "acme"}, nil, &got)
	require.Equal(t, made, got)
	h.ok("PATCH", []string{"credentials", "acme"}, object{"enabled": false}, &got)
	require.False(t, got.Enabled)
	require.Equal(t, 3, got.Priority, "what is left out stays")
	h.ok("PATCH", []string{"credentials", "acme"}, object{"priority": -1}, &got)
	require.Equal(t, -1, got.Priority)
	require.False(t, got.Enabled)
	event := h.log(bctrl.AuditFilter{Action: "credential.write"})[0]
	require.Equal(t, []string{"acme", ws.ID, "emea"}, []string{event.Object, event.WorkspaceID, event.Group})
	h.delete("credentials", "acme")
	refused(t, h.do("GET", []string{"credentials", "acme"}, nil, nil), 404, "credentials.not_found", "it is gone")
	require.Equal(t, "v", h.secretValue(s.ID), "its secret is not")
	require.True(t, h.verified())
}

func TestEachWrongCredentialHasItsCodeAndLeavesOnlyAnEvent(t *testing.T) {
	h := newHarness(t)
	h.made("sales", object{})
	s, gh := h.secretIn(globally(), "ACME_KEY", "v"), h.secretIn(globally(), "GITHUB_TOKEN", "v")
	local := h.secretIn(inWorkspace("sales"), "LOCAL", "v")
	sid := h.secretIn(inWorkspace("sales"), "TWILIO_ACCOUNT_SID", "v")
	h.ok("POST", []string{"ai-credentials"}, openAI("model"), nil)
	h.ok("POST", []string{"credentials"}, acmeCredential("taken", s.ID, nil), nil)
	h.made("other", object{})
	openai := object{"provider": "openai", "auth": nil, "hosts": nil}
	with := func(more object) object {
		out := object{"provider": "openai", "auth": nil, "hosts": nil}
		for k, v := range more {
			out[k] = v
		}
		return out
	}
	for _, tc := range []struct {
		why    string
		with   object
		status int
		code   string
	}{
		{"an id with a separator", object{"id": "a/b"}, 400, "credentials.invalid_id"},
		{"a blank id", object{"id": " "}, 400, "credentials.invalid_id"},
		{"an id that is taken", object{"id": "taken"}, 409, "credentials.exists"},
		{"the id of an AI credential", object{"id": "model"}, 409, "credentials.exists"},
		{"no scope", object{"scope": nil}, 400, "scope.required"},
		{"a group without a workspace", object{"scope": object{"type": "group", "groupId": "g"}}, 400,
			"scope.group_without_workspace"},
		{"an unknown workspace", object{"scope": inWorkspace("nowhere")}, 404, "scope.workspace_not_found"},
		{"a provider that is no name", object{"provider": "a b"}, 400, "credentials.invalid_provider"},
		{"an unknown provider without hosts", object{"hosts": nil}, 400, "credentials.unknown_provider"},
		{"an unknown provider without auth", object{"auth": nil}, 400, "credentials.unknown_provider"},
		{"a host with a path", object{"hosts": []string{"api.acme.example/v1"}}, 400, "credentials.invalid_host"},
		{"an address", object{"hosts": []string{"10.0.0.1"}}, 400, "credentials.invalid_host"},
		{"a pattern", object{"hosts": []string{"*.acme.example"}}, 400, "credentials.invalid_host"},
		{"a URL", object{"hosts": []string{"https://api.acme.example"}}, 400, "credentials.invalid_host"},
		{"a wrong auth", object{"auth": object{"type": "header"}}, 400, "credentials.invalid_auth"},
		{"a priority out of range", object{"priority": 1_000_001}, 400, "credentials.invalid_priority"},
		{"no secret", object{"secretRef": nil}, 400, "credentials.secret_missing"},
		{"a secret by name", object{"secretRef": "ACME_KEY"}, 400, "credentials.invalid_secret_ref"},
		{"two ways to name it", object{"secretRefs": object{"secret": refTo(s.ID)}}, 400, "credentials.secret_refs"},
		{"an unknown secret", object{"secretRef": refTo(web.NewID())}, 404, "secrets.not_found"},
		{"an unknown field", object{"secretRef": nil, "secretRefs": object{"other": refTo(s.ID)}}, 400,
			"credentials.secret_missing"},
		{"a pinned secret for another provider", object{"secretRef": refTo(gh.ID)}, 409, "secrets.pinned"},
		{"auth for one of the registry", with(object{"auth": object{"type": "none"}}), 400, "credentials.auth_not_allowed"},
		{"another's host for one of the registry", with(object{"hosts": []string{"api.acme.example"}}), 400,
			"credentials.host_not_allowed"},
		{"a pinned secret for one of the registry", with(object{"secretRef": refTo(gh.ID)}), 409, "secrets.pinned"},
		{"a secret that its scope never sees", object{"scope": inWorkspace("other"), "secretRef": refTo(local.ID)}, 409,
			"credentials.not_visible"},
		{"one secret for a provider of two", object{"provider": "twilio", "auth": nil, "hosts": nil}, 400,
			"credentials.field_needed"},
		{"a secret that is pinned to another field", object{
			"provider": "twilio", "auth": nil, "hosts": nil, "scope": inWorkspace("sales"), "secretRef": nil,
			"secretRefs": object{"accountSid": refTo(s.ID), "authToken": refTo(sid.ID)},
		}, 409, "secrets.pinned"},
		{"an unknown member", object{"secret": "canary"}, 400, "request.unknown_field"},
	} {
		before := len(h.log(bctrl.AuditFilter{}))
		got := h.do("POST", []string{"credentials"}, nil, acmeCredential("new", s.ID, tc.with))
		refused(t, got, tc.status, tc.code, tc.why)
		require.NotContains(t, string(got.Body), "canary", tc.why)
		after := h.log(bctrl.AuditFilter{})
		require.Len(t, after, before+1, tc.why)
		require.Equal(t, []string{"credential.write", tc.code}, []string{after[0].Action, after[0].Outcome}, tc.why)
	}
	var list struct{ Credentials []bctrl.Credential }
	h.ok("GET", []string{"credentials"}, nil, &list)
	require.Len(t, list.Credentials, 2, "the taken one, and what GITHUB_TOKEN made")

	h.ok("POST", []string{"credentials"}, acmeCredential("second", s.ID, openai), nil)
	refused(t, h.do("POST", []string{"ai-credentials"}, nil, openAI("second")), 409, "ai.exists", "one space of ids")
}

func TestAScopeHasOnlySoManyCredentialsOfAProvider(t *testing.T) {
	h := newHarness(t)
	s := h.secretIn(globally(), "K", "v")
	for i := range 100 {
		h.ok("POST", []string{"credentials"}, acmeCredential("c"+strconv.Itoa(i), s.ID, nil), nil)
	}
	refused(t, h.do("POST", []string{"credentials"}, nil, acmeCredential("more", s.ID, nil)), 409, "credentials.too_many",
		"one more")
	h.made("sales", object{})
	h.ok("POST", []string{"credentials"}, acmeCredential("more", s.ID, object{"scope": inWorkspace("sales")}), nil)
}

func TestARegistryCredentialThatTheUserMadeIsNotMadeAgain(t *testing.T) {
	h := newHarness(t)
	s := h.secretIn(globally(), "MINE", "mine")
	h.ok("POST", []string{"credentials"}, object{"id": "openai", "provider": "openai", "secretRef": refTo(s.ID),
		"scope": globally(), "priority": 1}, nil)
	h.secretIn(globally(), "OPENAI_API_KEY", "provisioned")
	var list struct{ Credentials []bctrl.Credential }
	h.ok("GET", []string{"credentials"}, nil, &list)
	require.Len(t, list.Credentials, 2)
	require.True(t, list.Credentials[1].Provisioned)
	require.True(t, strings.HasPrefix(list.Credentials[1].ID, "openai-"), "the id is taken")
	require.Equal(t, "openai global apiKey=mine", h.resolved(openAICall(bctrl.Global())))
}
