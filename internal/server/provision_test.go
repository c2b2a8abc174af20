package server

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/broker"
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
	require.Equal(t, []string{"slack", "token", "slack"}, []string{renamed.Provider, renamed.Field, renamed.Credential},
		"a new name does")
	renamed = bctrl.SecretInfo{}
	h.ok("PATCH", []string{"secrets", s.ID}, object{"name": "OLD_KEY"}, &renamed)
	require.Empty(t, renamed.Provider+renamed.Field+renamed.Credential, "and a pin ends with the name")
	require.Equal(t, []string{"slack"}, slices.Collect(maps.Keys(h.credentials())))

	before := h.credentials()
	refused(t, h.do("POST", []string{"secrets"}, nil, object{"name": "ANTHROPIC_API_KEY", "value": "v",
		"scope": globally(), "aliases": []string{"OLD_KEY"}}),
		409, "secrets.exists", "the alias is taken")
	require.Equal(t, before, h.credentials(), "what is refused makes nothing")
	require.True(t, h.verified())
}

// A secret's part in a credential is its name's as it is now: never two have one
// part of a scope, whatever was renamed, created, imported or deleted between.
func TestASecretIsClaimedByTheNameThatItHas(t *testing.T) {
	h := newHarness(t)
	h.made("sales", object{})
	rename := func(id, name string) bctrl.SecretInfo {
		var s bctrl.SecretInfo
		h.ok("PATCH", []string{"secrets", id}, object{"name": name}, &s)
		return s
	}
	call := func() string { return h.resolved(openAICall(bctrl.Global())) }
	first := h.secretIn(globally(), "OPENAI_API_KEY", "first")
	h.ok("PATCH", []string{"credentials", "openai"}, object{"priority": 3}, nil)
	org := h.secretIn(globally(), "OPENAI_ORG_ID", "org")
	require.Equal(t, "openai global apiKey=first organization=org", call())

	rename(org.ID, "UNUSED")
	require.Equal(t, "openai global apiKey=first", call(), "what it may have goes, and the credential stays")
	require.Equal(t, 3, h.credentials()["openai"].Priority, "as people said")
	rename(org.ID, "OPENAI_PROJECT_ID")
	require.Equal(t, "openai global apiKey=first project=org", call(), "another part of the same provider")

	rename(first.ID, "OPENAI_API_KEY_OLD")
	require.Equal(t, "credentials.none", call(), "what it needs")
	second := h.secretIn(globally(), "OPENAI_API_KEY", "second")
	require.Equal(t, "openai global apiKey=second project=org", call())
	refused(t, h.do("PATCH", []string{"secrets", first.ID}, nil, object{"name": "OPENAI_API_KEY"}), 409, "secrets.exists",
		"never two")
	rename(second.ID, "ANTHROPIC_API_KEY")
	require.Equal(t, "credentials.none", call())
	require.Equal(t, "anthropic global apiKey=second",
		h.resolved(broker.Query{Provider: "anthropic", Context: bctrl.Global()}), "straight to another provider")
	rename(first.ID, "OPENAI_API_KEY")
	require.Equal(t, "openai global apiKey=first project=org", call(), "and back")
	var list struct{ Created, Rotated []bctrl.SecretInfo }
	h.ok("POST", []string{"secrets", "import"},
		object{"scope": globally(), "text": "OPENAI_API_KEY=third\nOPENAI_API_KEY_OLD=x\n"}, &list)
	require.Equal(t, first.ID, list.Rotated[0].ID)
	require.Equal(t, "openai global apiKey=third project=org", call())
	require.Len(t, h.credentials(), 2)

	// One that is used for something else does not get a provider's name.
	mine := h.secretIn(globally(), "MINE", "v")
	h.ok("POST", []string{"credentials"}, object{"id": "gh", "provider": "github", "secretRef": refTo(mine.ID),
		"scope": globally()}, nil)
	refused(t, h.do("PATCH", []string{"secrets", mine.ID}, nil, object{"name": "SLACK_BOT_TOKEN"}), 409, "secrets.in_use",
		"by a credential")
	require.Equal(t, "github", rename(mine.ID, "GITHUB_TOKEN").Provider, "what fits is pinned")
	bound := h.secretIn(globally(), "BOUND", "v")
	h.ok("PUT", []string{"bindings"}, object{"capability": "openai/embeddings", "secretRef": refTo(bound.ID),
		"scope": globally()}, nil)
	refused(t, h.do("PATCH", []string{"secrets", bound.ID}, nil, object{"name": "SLACK_BOT_TOKEN"}), 409, "secrets.in_use",
		"by a binding")
	require.Empty(t, h.get(bound.ID).Provider, "what is refused changes nothing")

	// Attachments stay, and bring the credential that the new name makes.
	h.made("other", object{})
	far := h.secretIn(inWorkspace("sales"), "FAR", "far")
	h.ok("PUT", attachmentOf(far.ID, "other", "g"), nil, nil)
	rename(far.ID, "STRIPE_API_KEY")
	other := h.get(far.ID).Attachments[0]
	require.Contains(t, h.resolved(broker.Query{Provider: "stripe", Context: other}), "attached apiKey=far")
	rename(far.ID, "FAR")
	require.Equal(t, "credentials.none", h.resolved(broker.Query{Provider: "stripe", Context: other}))
	require.True(t, h.verified(), "every state is in the log")
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
	require.Equal(t, map[string]string{"apiKey": "vault:secret:" + key.ID, "token": "vault:secret:" + token.ID},
		made.SecretRefs)

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
	require.Equal(t, []any{false, 7, true}, []any{kept.Enabled, kept.Priority, kept.Provisioned},
		"a disabled one is not enabled by it")

	h.ok("PATCH", []string{"secrets", first.ID}, object{"name": "OLD"}, nil)
	require.Empty(t, h.credentials(), "a name that was given up counts no more")
	second := h.secretIn(globally(), "OPENAI_API_KEY", "sk2")
	require.Equal(t, map[string]string{"apiKey": ref(second), "organization": ref(org)}, refs(), "and is free")
	h.ok("DELETE", []string{"secrets", org.ID}, nil, nil)
	require.Equal(t, map[string]string{"apiKey": ref(second)}, refs(), "one that it need not have goes alone")
	h.ok("DELETE", []string{"secrets", first.ID}, nil, nil)
	require.Equal(t, map[string]string{"apiKey": ref(second)}, refs(), "one without a part is nothing to it")
	h.ok("DELETE", []string{"secrets", second.ID}, nil, nil)
	require.Empty(t, h.credentials())
	require.True(t, h.verified())
}

func TestAProvisionedCredentialTakesNobodysId(t *testing.T) {
	h := newHarness(t)
	h.ok("POST", []string{"ai-credentials"}, openAI("openai"), nil)
	mine := h.secretIn(globally(), "MY_KEY", "ghp")
	h.ok("POST", []string{"credentials"}, object{"id": "github", "provider": "github",
		"secretRef": "vault:secret:" + mine.ID, "scope": globally()}, nil)
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
	h.ok("POST", []string{"secrets", "import"},
		object{"scope": globally(), "text": "TRELLO_API_KEY=k\nOPENAI_API_KEY=sk\nTRELLO_TOKEN=t\n"}, &out)
	require.Len(t, h.credentials(), 2)
	for _, s := range out.Created {
		require.Equal(t, s.Provider, s.Credential)
	}
	refused(t, h.do("POST", []string{"secrets", "import"}, nil,
		object{"scope": globally(), "text": "GITHUB_TOKEN=v\nTRELLO_TOKEN='x\n"}),
		400, "secrets.malformed_line", "nothing of it is done")
	require.Len(t, h.credentials(), 2)
	require.True(t, h.verified())
}
