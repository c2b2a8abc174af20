package server

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/broker"
	"github.com/bctrl-go/bctrl/internal/server/web"
)

// resolved says what a call gets: "id tier field=value …", or the code of its
// error.
func (h *harness) resolved(q broker.Query) string {
	h.Helper()
	call, err := h.server.calls.Resolve(h.Context(), h.db.Read(), h.org(), q)
	if err != nil {
		return web.AsError(err).Code
	}
	values, err := call.Open()
	if err != nil {
		return web.AsError(err).Code
	}
	out := []string{call.Credential.ID, string(call.Tier)}
	for _, field := range slices.Sorted(maps.Keys(values)) {
		out = append(out, field+"="+values[field].Expose())
	}
	return strings.Join(out, " ")
}

func openAICall(in bctrl.Scope) broker.Query {
	return broker.Query{Provider: "openai", Capability: "openai/embeddings", Context: in}
}

func TestACallUsesTheSecretOfItsContext(t *testing.T) {
	h := newHarness(t)
	ws, other := h.made("sales", object{}), h.made("other", object{})
	group, elsewhere := bctrl.InGroup(ws.ID, "emea"), bctrl.InGroup(other.ID, "emea")
	require.Equal(t, "credentials.none", h.resolved(openAICall(group)))

	all := h.secretIn(globally(), "OPENAI_API_KEY", "for-all")
	require.Equal(t, "openai global apiKey=for-all", h.resolved(openAICall(group)))
	ofWorkspace := h.secretIn(inWorkspace("sales"), "OPENAI_API_KEY", "for-sales")
	ofGroup := h.secretIn(inGroup("sales", "emea"), "OPENAI_API_KEY", "for-emea")
	for _, test := range []struct {
		why  string
		in   bctrl.Scope
		want string
	}{
		{"its own", group, "group apiKey=for-emea"},
		{"its workspace's", bctrl.InGroup(ws.ID, "apac"), "workspace apiKey=for-sales"},
		{"the workspace itself", bctrl.InWorkspace(ws.ID), "workspace apiKey=for-sales"},
		{"a group of the same name elsewhere", elsewhere, "global apiKey=for-all"},
		{"no context", bctrl.Scope{}, "global apiKey=for-all"},
	} {
		_, got, _ := strings.Cut(h.resolved(openAICall(test.in)), " ")
		require.Equal(t, test.want, got, test.why)
	}

	h.ok("PUT", attachmentOf(ofGroup.ID, "other", "emea"), nil, nil)
	_, got, _ := strings.Cut(h.resolved(openAICall(elsewhere)), " ")
	require.Equal(t, "attached apiKey=for-emea", got, "attaching brings it")
	h.ok("DELETE", attachmentOf(ofGroup.ID, "other", "emea"), nil, nil)
	require.Equal(t, "openai global apiKey=for-all", h.resolved(openAICall(elsewhere)), "detaching takes it back")

	h.ok("POST", []string{"secrets", ofGroup.ID, "rotate"}, object{"value": "for-emea-2"}, nil)
	require.Contains(t, h.resolved(openAICall(group)), "apiKey=for-emea-2")
	h.delete("secrets", ofGroup.ID)
	require.Contains(t, h.resolved(openAICall(group)), "apiKey=for-sales", "and falls back")
	h.delete("secrets", ofWorkspace.ID)
	h.delete("secrets", all.ID)
	require.Equal(t, "credentials.none", h.resolved(openAICall(group)))
	var left struct{ Credentials []bctrl.Credential }
	h.ok("GET", []string{"credentials"}, nil, &left)
	require.Empty(t, left.Credentials, "what was made of them is gone with them")
	require.True(t, h.verified(), "every state is in the log")
}

func TestAProviderThatNeedsSeveralSecretsIsReadyWithTheLast(t *testing.T) {
	h := newHarness(t)
	call := broker.Query{Provider: "twilio", Context: bctrl.Global()}
	sid := h.secretIn(globally(), "TWILIO_ACCOUNT_SID", "AC1")
	require.Equal(t, "credentials.none", h.resolved(call))
	h.made("sales", object{})
	h.secretIn(inWorkspace("sales"), "TWILIO_AUTH_TOKEN", "elsewhere")
	require.Equal(t, "credentials.none", h.resolved(call), "not in the same scope")
	h.secretIn(globally(), "TWILIO_AUTH_TOKEN", "token")
	require.Equal(t, "twilio global accountSid=AC1 authToken=token", h.resolved(call))
	h.delete("secrets", sid.ID)
	require.Equal(t, "credentials.none", h.resolved(call))
	h.secretIn(globally(), "TWILIO_ACCOUNT_SID", "AC2")
	require.Equal(t, "twilio global accountSid=AC2 authToken=token", h.resolved(call))

	h.secretIn(globally(), "OPENAI_API_KEY", "key")
	h.ok("PATCH", []string{"credentials", "openai"}, object{"priority": 7}, nil)
	h.secretIn(globally(), "OPENAI_ORG_ID", "org")
	require.Equal(t, "openai global apiKey=key organization=org", h.resolved(openAICall(bctrl.Global())),
		"one that it may have is added")
	var c bctrl.Credential
	h.ok("GET", []string{"credentials", "openai"}, nil, &c)
	require.Equal(t, 7, c.Priority)
	require.True(t, c.Provisioned)
	var list struct{ Created []bctrl.SecretInfo }
	h.ok("POST", []string{"secrets", "import"}, object{"scope": inGroup("sales", "g"),
		"text": "AWS_ACCESS_KEY_ID=id\nAWS_SECRET_ACCESS_KEY=secret\n"}, &list)
	require.Equal(t, "aws-s3", list.Created[0].Provider)
	ws := h.log(bctrl.AuditFilter{Action: "credential.write"})[0]
	require.Equal(t, "aws-s3", ws.Object[:6])
	require.Equal(t, "g", ws.Group)
	require.True(t, h.verified(), "every state is in the log")
}

func TestABindingReplacesTheSecretByTheTiers(t *testing.T) {
	h := newHarness(t)
	ws := h.made("sales", object{})
	group := bctrl.InGroup(ws.ID, "emea")
	h.secretIn(globally(), "OPENAI_API_KEY", "own")
	ref := func(name string) string { return refTo(h.secretIn(globally(), name, name).ID) }
	bind := func(body object, want bctrl.Binding) {
		t.Helper()
		var b bctrl.Binding
		h.ok("PUT", []string{"bindings"}, body, &b)
		require.Equal(t, want.Field, b.Field)
		require.Equal(t, want.Scope, b.Scope)
	}
	call := func(consumer string, in bctrl.Scope) string {
		q := openAICall(in)
		q.Consumer = consumer
		_, value, _ := strings.Cut(h.resolved(q), "apiKey=")
		return value
	}
	field := bctrl.Binding{Field: "apiKey", Scope: bctrl.Global()}
	bind(object{"credential": "openai", "secretRef": ref("A"), "scope": globally()}, field)
	require.Equal(t, "A", call("", group))
	bind(object{"capability": "openai/embeddings", "secretRef": ref("B"), "scope": globally()}, field)
	require.Equal(t, "B", call("", group), "the capability before the credential")
	bind(object{"credential": "openai", "secretRef": ref("C"), "consumer": "crm", "scope": globally()}, field)
	require.Equal(t, "C", call("crm", group), "the consumer before the capability")
	require.Equal(t, "B", call("other", group))
	field.Scope = bctrl.InWorkspace(ws.ID)
	bind(object{"credential": "openai", "secretRef": ref("D"), "scope": inWorkspace("sales")}, field)
	require.Equal(t, "D", call("crm", group), "the scope before all")
	require.Equal(t, "C", call("crm", bctrl.Global()))
	field.Scope = group
	bind(object{"capability": "openai/embeddings", "secretRef": ref("E"), "scope": inGroup("sales", "emea")}, field)
	require.Equal(t, "E", call("crm", group))
	bind(object{"capability": "openai/embeddings", "secretRef": ref("F"), "scope": inGroup("sales", "emea")}, field)
	require.Equal(t, "F", call("crm", group), "the same binding with another secret")
	var list struct{ Bindings []bctrl.Binding }
	h.ok("GET", []string{"bindings"}, nil, &list)
	require.Len(t, list.Bindings, 5)
	require.Equal(t, "openai", list.Bindings[0].Credential)
	got := h.send("GET", "/v1/bindings?capability=openai%2Fembeddings&scope=group&workspaceId=sales&groupId=emea&limit=1",
		nil, "Authorization", "Bearer "+h.key)
	decodeInto(t, got, &list)
	require.Len(t, list.Bindings, 1)

	unbind := func(query string) answer {
		return h.send("DELETE", "/v1/bindings?"+query, nil, "Authorization", "Bearer "+h.key)
	}
	require.Equal(t, 200, unbind("capability=openai%2Fembeddings&groupId=emea&workspaceId="+ws.ID).Status)
	require.Equal(t, "D", call("crm", group), "and falls back")
	refused(t, unbind("capability=openai%2Fembeddings&groupId=emea&workspaceId="+ws.ID), 404, "bindings.not_found",
		"it is gone")
	h.delete("secrets", strings.TrimPrefix(list.Bindings[0].SecretRef, refTo("")))
	h.ok("DELETE", []string{"workspaces", ws.ID}, nil, nil)
	h.delete("credentials", "openai")
	h.ok("GET", []string{"bindings"}, nil, &list)
	require.Len(t, list.Bindings, 1, "only the capability's is left: bindings go with what they are for and with their "+
		"workspace")
	require.True(t, h.verified(), "every state is in the log")
}

func TestAnAICredentialUsesTheSecretThatIsBoundForIt(t *testing.T) {
	h := newHarness(t)
	ws := h.made("sales", object{})
	h.ok("POST", []string{"ai-credentials"}, openAI("openai-prod"), nil)
	call := broker.Query{Credential: "openai-prod", Context: bctrl.InGroup(ws.ID, "emea")}
	require.Equal(t, "openai-prod global apiKey="+canaryAPIKey, h.resolved(call), "its own")
	require.Equal(t, "credentials.none", h.resolved(openAICall(bctrl.Global())), "unnamed calls do not find it")
	bind := func(scope object, value string) {
		s := h.secretIn(scope, "K_"+strings.ReplaceAll(value, "-", "_"), value)
		h.ok("PUT", []string{"bindings"}, object{"credential": "openai-prod", "secretRef": refTo(s.ID), "scope": scope}, nil)
	}
	bind(inWorkspace("sales"), "of-sales")
	require.Equal(t, "openai-prod global apiKey=of-sales", h.resolved(call))
	bind(inGroup("sales", "emea"), "of-emea")
	require.Equal(t, "openai-prod global apiKey=of-emea", h.resolved(call))
	call.Context = bctrl.Global()
	require.Equal(t, "openai-prod global apiKey="+canaryAPIKey, h.resolved(call))

	github := h.secretIn(globally(), "GITHUB_TOKEN", "v")
	refused(t, h.do("PUT", []string{"bindings"}, nil, object{"credential": "openai-prod", "secretRef": refTo(github.ID),
		"scope": globally()}),
		409, "secrets.pinned", "a secret of another provider")
	h.ok("PATCH", []string{"ai-credentials", "openai-prod"}, object{"enabled": false}, nil)
	require.Equal(t, "credentials.disabled", h.resolved(call))
	h.delete("ai-credentials", "openai-prod")
	h.ok("POST", []string{"ai-credentials"}, openAI("openai-prod"), nil)
	call.Context = bctrl.InGroup(ws.ID, "emea")
	require.Equal(t, "openai-prod global apiKey="+canaryAPIKey, h.resolved(call),
		"another with its id inherits no binding")
	require.True(t, h.verified(), "every state is in the log")
}

func TestAChangedRowReceivesNoSecret(t *testing.T) {
	set := func(table, what string) string { return "UPDATE " + table + " SET " + what }
	for _, tc := range []struct{ why, edit, code string }{
		{"a host", set("credentials", `meta = replace(meta, 'api.acme.example', 'evil.example')`), "credentials.tampered"},
		{"how it is sent", set("credentials", `meta = replace(meta, 'X-Key', 'X-Log')`), "credentials.tampered"},
		{"a scope", set("credentials", `workspace_id = ''`), "credentials.tampered"},
		{"a priority", set("credentials", `priority = 5`), "credentials.tampered"},
		{"an id", set("credentials", `id = 'other'`), "credentials.tampered"},
		{"a version", set("credentials", `version = 2`), "credentials.tampered"},
		{"a seal", set("credentials", `sealed = x'00'`), "credentials.tampered"},
		{"no JSON", set("credentials", `meta = '{'`), "credentials.tampered"},
		{"a binding's secret", set("bindings", `secret_id = (SELECT id FROM secrets WHERE name = 'OTHER')`),
			"credentials.tampered"},
		{"a binding's scope, though where it was moved it replaces nothing", set("bindings", `workspace_id = ''`),
			"credentials.tampered"},
		{"a binding's target", set("bindings", `target = 'acme/users'`), "credentials.tampered"},
		{"a binding's consumer", set("bindings", `consumer = ''`), "credentials.tampered"},
		{"a secret", set("secrets", `meta = replace(meta, 'BOUND', 'bound') WHERE name = 'BOUND'`), "secrets.tampered"},
		{"a secret's scope", set("secrets", `workspace_id = '' WHERE name = 'BOUND'`), "secrets.tampered"},
		{"a secret's pin", set("secrets", `provider = 'acme' WHERE name = 'BOUND'`), "secrets.tampered"},
	} {
		t.Run(tc.why, func(t *testing.T) {
			h := newHarness(t)
			ws := h.made("sales", object{})
			own, bound := h.secretIn(inWorkspace("sales"), "OWN", "own"), h.secretIn(inWorkspace("sales"), "BOUND", "bound")
			h.secretIn(globally(), "OTHER", "other")
			h.ok("POST", []string{"credentials"}, object{"id": "acme", "provider": "acme", "secretRef": refTo(own.ID),
				"scope": inWorkspace("sales"),
				"auth": object{"type": "header",
					"headers": object{"X-Key": "{secret}"}}, "hosts": []string{"api.acme.example"}}, nil)
			h.ok("PUT", []string{"bindings"}, object{"credential": "acme", "secretRef": refTo(bound.ID),
				"scope": inWorkspace("sales"), "consumer": "bot"}, nil)
			call := broker.Query{
				Provider:   "acme",
				Capability: "acme/users",
				Consumer:   "bot",
				Context:    bctrl.InWorkspace(ws.ID),
			}
			require.Equal(t, "acme workspace secret=bound", h.resolved(call))
			h.tamper(tc.edit)
			require.Equal(t, tc.code, h.resolved(call))
			require.False(t, h.verified(), "and verifying finds it")
		})
	}
}

func TestAnAttachmentThatNobodyMadeBringsNothing(t *testing.T) {
	h := newHarness(t)
	ws, other := h.made("sales", object{}), h.made("other", object{})
	s := h.secretIn(inWorkspace("sales"), "OPENAI_API_KEY", "of-sales")
	in := bctrl.InGroup(other.ID, "g")
	require.Equal(t, "credentials.none", h.resolved(openAICall(in)))
	h.tamper("INSERT INTO secret_attachments (org_id, workspace_id, group_id, secret_id) VALUES ('" + h.org() + "', '" +
		other.ID + "', 'g', '" + s.ID + "')")
	require.Equal(t, "credentials.none", h.resolved(openAICall(in)), "it is not found")
	h.tamper("INSERT INTO credential_reach SELECT org_id, '" + other.ID + "', 'g', provider, uid FROM credentials")
	require.NotContains(t, h.resolved(openAICall(in)), "of-sales", "and where it is, not believed")
	require.Contains(t, h.resolved(openAICall(bctrl.InWorkspace(ws.ID))), "of-sales")
}

func TestTheRegistryWinsOverWhatIsStored(t *testing.T) {
	h := newHarness(t)
	s := h.secretIn(globally(), "STORE_TOKEN", "v")
	h.ok("POST", []string{"credentials"}, object{"id": "shop", "provider": "shopify", "secretRef": refTo(s.ID),
		"scope": globally(), "hosts": []string{"mine.myshopify.com"}}, nil)
	call, err := h.server.calls.Resolve(t.Context(), h.db.Read(), h.org(), broker.Query{Provider: "shopify"})
	require.NoError(t, err)
	require.Equal(t, []string{"mine.myshopify.com"}, call.Hosts)
	p, _ := builtinProviders(t).Provider("shopify")
	require.Equal(t, p.Auth, call.Auth)
	require.Equal(t, p.BasePath, call.BasePath)
	h.ok("POST", []string{"credentials"}, object{"id": "gh", "provider": "github", "secretRef": refTo(s.ID),
		"scope": globally()}, nil)
	call, err = h.server.calls.Resolve(t.Context(), h.db.Read(), h.org(), broker.Query{Provider: "github"})
	require.NoError(t, err)
	require.Equal(t, []string{"api.github.com", "uploads.github.com"}, call.Hosts)
}
