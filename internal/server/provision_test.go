package server

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

// credentials are those of the organization, by id.
func (h *harness) credentials() map[string]bctrl.Credential {
	h.Helper()
	var page struct{ Credentials []bctrl.Credential }
	h.ok("GET", []string{"credentials"}, nil, &page)
	byID := map[string]bctrl.Credential{}
	for _, c := range page.Credentials {
		byID[c.ID] = c
	}
	return byID
}

func TestAKnownNamePinsASecretAndMakesItsCredential(t *testing.T) {
	h := newHarness(t)
	s := h.secretIn(globally(), "OPENAI_API_KEY", "sk", "openai-key")
	require.Equal(t, []string{"openai", "apiKey", "openai"}, []string{s.Provider, s.Field, s.Credential})
	made := h.credentials()["openai"]
	require.True(t, made.Provisioned && made.Enabled)
	require.Equal(t, bctrl.Global(), made.Scope)
	require.Equal(t, map[string]string{"apiKey": "vault:secret:" + s.ID}, made.SecretRefs)
	require.Equal(t, "credential.write", h.log(bctrl.AuditFilter{Object: "openai"})[0].Action, "an event of its own")

	other := h.secretIn(globally(), "MY_KEY", "sk", "GITHUB_TOKEN")
	require.Empty(t, other.Provider+other.Credential, "an alias pins nothing")
	var renamed bctrl.SecretInfo
	h.ok("PATCH", []string{"secrets", other.ID}, object{"name": "SLACK_BOT_TOKEN", "aliases": []string{}}, &renamed)
	require.Empty(t, renamed.Provider, "nor does a new name")
	h.ok("PATCH", []string{"secrets", s.ID}, object{"name": "OLD_KEY"}, &renamed)
	require.Equal(t, "openai", renamed.Provider, "a pin is for good")
	require.Len(t, h.credentials(), 1)

	before := h.credentials()
	refused(t, h.do("POST", []string{"secrets"}, nil, object{"name": "ANTHROPIC_API_KEY", "value": "v", "scope": globally(), "aliases": []string{"OLD_KEY"}}),
		409, "secrets.exists", "the alias is taken")
	require.Equal(t, before, h.credentials(), "what is refused makes nothing")
	require.True(t, h.verified())
}

func TestACredentialIsMadeWithTheLastOfItsSecretsAndGoesWithTheFirst(t *testing.T) {
	h := newHarness(t)
	ws := h.made("sales", object{})
	key := h.secretIn(inGroup("sales", "g"), "TRELLO_API_KEY", "k")
	require.Equal(t, "trello", key.Provider)
	h.secretIn(inWorkspace("sales"), "TRELLO_TOKEN", "t")
	require.Empty(t, h.credentials(), "each scope needs its own")
	token := h.secretIn(inGroup(ws.ID, "g"), "TRELLO_TOKEN", "t")
	require.Regexp(t, `^trello-[0-9a-f]{8}$`, token.Credential)
	require.Equal(t, token.Credential, h.get(key.ID).Credential)
	made := h.credentials()[token.Credential]
	require.Equal(t, bctrl.InGroup(ws.ID, "g"), made.Scope)
	require.Equal(t, map[string]string{"apiKey": "vault:secret:" + key.ID, "token": "vault:secret:" + token.ID}, made.SecretRefs)

	h.ok("POST", []string{"secrets", key.ID, "rotate"}, object{"value": "k2"}, nil)
	require.Equal(t, made, h.credentials()[token.Credential], "a rotation leaves it")
	h.ok("DELETE", []string{"secrets", key.ID}, nil, nil)
	require.Empty(t, h.credentials())
	require.Empty(t, h.get(token.ID).Credential)
	again := h.secretIn(inGroup("sales", "g"), "TRELLO_API_KEY", "k")
	require.Equal(t, made.ID, again.Credential, "its id is stable")

	h.ok("DELETE", []string{"workspaces", ws.ID}, nil, nil)
	require.Empty(t, h.credentials())
	require.Empty(t, h.listed())
	require.True(t, h.verified())
}

func TestACredentialFollowsItsSecretsAndKeepsWhatPeopleSaidOfIt(t *testing.T) {
	h := newHarness(t)
	refs := func() map[string]string { return h.credentials()["openai"].SecretRefs }
	ref := func(s bctrl.SecretInfo) string { return "vault:secret:" + s.ID }
	first := h.secretIn(globally(), "OPENAI_API_KEY", "sk")
	h.ok("PATCH", []string{"credentials", "openai"}, object{"enabled": false, "priority": 7}, nil)
	org := h.secretIn(globally(), "OPENAI_ORG_ID", "org")
	require.Equal(t, map[string]string{"apiKey": ref(first), "organization": ref(org)}, refs(), "one that it may have")
	kept := h.credentials()["openai"]
	require.Equal(t, []any{false, 7, true}, []any{kept.Enabled, kept.Priority, kept.Provisioned}, "a disabled one is not enabled by it")

	h.ok("PATCH", []string{"secrets", first.ID}, object{"name": "OLD"}, nil)
	second := h.secretIn(globally(), "OPENAI_API_KEY", "sk2")
	require.Equal(t, ref(first), refs()["apiKey"], "of two the older counts")
	require.Empty(t, second.Credential)
	h.ok("DELETE", []string{"secrets", org.ID}, nil, nil)
	require.Equal(t, map[string]string{"apiKey": ref(first)}, refs(), "one that it need not have goes alone")
	h.ok("DELETE", []string{"secrets", first.ID}, nil, nil)
	require.Equal(t, map[string]string{"apiKey": ref(second)}, refs(), "the other takes its place")
	h.ok("DELETE", []string{"secrets", second.ID}, nil, nil)
	require.Empty(t, h.credentials())
	require.True(t, h.verified())
}

func TestAProvisionedCredentialTakesNobodysId(t *testing.T) {
	h := newHarness(t)
	h.ok("POST", []string{"ai-credentials"}, openAI("openai"), nil)
	mine := h.secretIn(globally(), "MY_KEY", "ghp")
	h.ok("POST", []string{"credentials"}, object{"id": "github", "provider": "github", "secretRef": "vault:secret:" + mine.ID, "scope": globally()}, nil)
	for _, name := range []string{"OPENAI_API_KEY", "GITHUB_TOKEN"} {
		s := h.secretIn(globally(), name, "v")
		require.Regexp(t, `^`+s.Provider+`-[0-9a-f]{8}$`, s.Credential)
	}
	h.ok("DELETE", []string{"secrets", mine.ID}, nil, nil)
	require.Contains(t, h.credentials(), "github", "one that was made by hand stays, and cannot be used")
}

func TestAnImportMakesCredentialsToo(t *testing.T) {
	h := newHarness(t)
	var out bctrl.SecretsImported
	h.ok("POST", []string{"secrets", "import"}, object{"scope": globally(), "text": "TRELLO_API_KEY=k\nOPENAI_API_KEY=sk\nTRELLO_TOKEN=t\n"}, &out)
	require.Len(t, h.credentials(), 2)
	for _, s := range out.Created {
		require.Equal(t, s.Provider, s.Credential)
	}
	refused(t, h.do("POST", []string{"secrets", "import"}, nil, object{"scope": globally(), "text": "GITHUB_TOKEN=v\nTRELLO_TOKEN='x\n"}),
		400, "secrets.malformed_line", "nothing of it is done")
	require.Len(t, h.credentials(), 2)
	require.True(t, h.verified())
}
