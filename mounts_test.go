package bctrl_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/strictjson"
)

func TestMountsJSONRefusesWhatCouldBeReadInTwoWays(t *testing.T) {
	for _, c := range []struct{ why, in, code, field string }{
		{"null mounts", `null`, "mounts.ambiguous_null", "mounts"},
		{"null ai", `{"ai":null}`, "mounts.ambiguous_null", "mounts.ai"},
		{"null vault", `{"vault":null}`, "mounts.ambiguous_null", "mounts.vault"},
		{"null storage", `{"storage":null}`, "mounts.ambiguous_null", "mounts.storage"},
		{"null capabilities", `{"capabilities":null}`, "mounts.ambiguous_null", "mounts.capabilities"},
		{"null allow", `{"vault":{"allow":null}}`, "mounts.ambiguous_null", "mounts.vault.allow"},
		{"null deny", `{"vault":{"allow":[],"deny":null}}`, "mounts.ambiguous_null", "mounts.vault.deny"},
		{"null raw", `{"vault":{"allowRawReads":null}}`, "mounts.ambiguous_null", "mounts.vault.allowRawReads"},
		{"null entry", `{"vault":{"allow":["a",null]}}`, "mounts.ambiguous_null", "mounts.vault.allow[1]"},
		{"null defaults", `{"ai":{"defaults":null}}`, "mounts.ambiguous_null", "mounts.ai.defaults"},
		{"null default", `{"ai":{"defaults":{"openai":null}}}`, "mounts.ambiguous_null", "mounts.ai.defaults.openai"},
		{"null namespace", `{"storage":{"workspace":null}}`, "mounts.ambiguous_null", "mounts.storage.workspace"},
		{"unknown mount", `{"files":{}}`, "mounts.unknown_field", "mounts.files"},
		{"unknown field", `{"vault":{"alow":[]}}`, "mounts.unknown_field", "mounts.vault.alow"},
		{"wrong case", `{"vault":{"ALLOW":[]}}`, "mounts.wrong_case_field", "mounts.vault.ALLOW"},
		{"wrong case of a mount", `{"Vault":{}}`, "mounts.wrong_case_field", "mounts.Vault"},
		{"long s", `{"vault":{"allowRawReadſ":true}}`, "mounts.wrong_case_field", "mounts.vault.?"},
		{"duplicate mount", `{"vault":{},"vault":{}}`, "mounts.duplicate_field", "mounts.vault"},
		{"duplicate list", `{"vault":{"deny":["/"],"deny":[]}}`, "mounts.duplicate_field", "mounts.vault.deny"},
		{"duplicate default", `{"ai":{"defaults":{"openai":"a","openai":"b"}}}`, "mounts.duplicate_field",
			"mounts.ai.defaults.openai"},
		{"a string for a list", `{"vault":{"allow":"/"}}`, "mounts.wrong_type", "mounts.vault.allow"},
		{"a string for a bool", `{"vault":{"allowRawReads":"true"}}`, "mounts.wrong_type", "mounts.vault.allowRawReads"},
		{"a list", `[]`, "mounts.wrong_type", "mounts"},
	} {
		t.Run(c.why, func(t *testing.T) {
			for name, decode := range map[string]func(
				[]byte, any,
			) error{"encoding/json": json.Unmarshal, "strictjson": decodeStrictly} {
				m := bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: []string{"kept"}}}
				err := decode([]byte(c.in), &m)
				var refusal *bctrl.Error
				if name == "encoding/json" {
					require.ErrorAs(t, err, &refusal)
					require.Equal(t, c.code, refusal.Code)
					require.Equal(t, c.field, refusal.Field)
					require.Equal(t, 400, refusal.Status)
				}
				require.Error(t, err)
				require.Equal(t, []string{"kept"}, m.Vault.Allow, "nothing is half decoded")
			}
			var inBody struct {
				Mounts bctrl.Mounts `json:"mounts"`
			}
			var at *strictjson.Error
			require.ErrorAs(t, strictjson.Unmarshal([]byte(`{"mounts":`+c.in+`}`), &inBody), &at)
			require.Equal(t, c.field, at.Field, "in a body the path is the same")
			require.Equal(t, strings.TrimPrefix(c.code, "mounts."), at.Code)
		})
	}
}

func decodeStrictly(data []byte, v any) error { return strictjson.Unmarshal(data, v) }

func TestEachMountIsDecodedStrictlyOnItsOwn(t *testing.T) {
	for _, c := range []struct {
		in, code, field string
		into            json.Unmarshaler
	}{
		{`{"allow":null}`, "mounts.ambiguous_null", "mounts.ai.allow", new(bctrl.AIMount)},
		{`{"deny":null}`, "mounts.ambiguous_null", "mounts.vault.deny", new(bctrl.VaultMount)},
		{`{"Workspace":"x"}`, "mounts.wrong_case_field", "mounts.storage.Workspace", new(bctrl.StorageMount)},
		{`{"allow":null}`, "mounts.ambiguous_null", "mounts.web.allow", new(bctrl.WebMount)},
		{`{"allow":[],"allow":[]}`, "mounts.duplicate_field", "mounts.capabilities.allow", new(bctrl.CapabilityMount)},
	} {
		var refusal *bctrl.Error
		require.ErrorAs(t, json.Unmarshal([]byte(c.in), c.into), &refusal)
		require.Equal(t, c.code, refusal.Code)
		require.Equal(t, c.field, refusal.Field)
	}
}

func TestAbsentAndEmptySurviveJSON(t *testing.T) {
	for _, c := range []struct {
		text string
		want bctrl.Mounts
	}{
		{`{}`, bctrl.Mounts{}},
		{`{"ai":{}}`, bctrl.Mounts{AI: &bctrl.AIMount{}}},
		{`{"ai":{"allow":[],"defaults":{}}}`,
			bctrl.Mounts{AI: &bctrl.AIMount{Allow: []string{}, Defaults: map[bctrl.AIProvider]string{}}}},
		{`{"vault":{}}`, bctrl.Mounts{Vault: &bctrl.VaultMount{}}},
		{`{"vault":{"allow":[],"deny":[],"allowRawReads":false}}`,
			bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: []string{}, Deny: []string{}, AllowRawReads: new(false)}}},
		{`{"storage":{}}`, bctrl.Mounts{Storage: &bctrl.StorageMount{}}},
		{`{"storage":{"access":"none"}}`, bctrl.Mounts{Storage: &bctrl.StorageMount{Access: bctrl.StorageNone}}},
		{`{"web":{}}`, bctrl.Mounts{Web: &bctrl.WebMount{}}},
		{`{"web":{"allow":[],"deny":[]}}`, bctrl.Mounts{Web: &bctrl.WebMount{Allow: []string{}, Deny: []string{}}}},
		{`{"capabilities":{"allow":["/"]}}`, bctrl.Mounts{Capabilities: &bctrl.CapabilityMount{Allow: []string{"/"}}}},
	} {
		var got bctrl.Mounts
		require.NoError(t, json.Unmarshal([]byte(c.text), &got))
		require.Equal(t, c.want, got)
		text, err := json.Marshal(got)
		require.NoError(t, err)
		require.Equal(t, c.text, string(text))
	}
}

func TestValidateNamesEveryProblemAtOnce(t *testing.T) {
	m := bctrl.Mounts{
		AI: &bctrl.AIMount{Allow: []string{"ok", "1st", ""}, Defaults: map[bctrl.AIProvider]string{
			bctrl.Anthropic: "ok", bctrl.OpenAI: "other", "my provider": "ok",
		}},
		Vault: &bctrl.VaultMount{Allow: []string{"prod/", "", "prod//", "/prod/"},
			Deny: []string{"*", "prod/./x", "prod"}},
		Storage:      &bctrl.StorageMount{Workspace: "../x"},
		Capabilities: &bctrl.CapabilityMount{},
		Web:          &bctrl.WebMount{Allow: []string{"*", "10.0.0.1"}, Deny: []string{"a.*"}},
	}
	var refusal *bctrl.Error
	require.ErrorAs(t, m.Validate(), &refusal)
	type problem struct{ code, field, value string }
	var got []problem
	for _, p := range refusal.Problems {
		got = append(got, problem{p.Code, p.Field, p.Value})
		require.NotEmpty(t, p.Hint)
	}
	require.Equal(t, []problem{
		{"mounts.invalid_credential_id", "mounts.ai.allow[1]", "1st"},
		{"mounts.invalid_credential_id", "mounts.ai.allow[2]", ""},
		{"mounts.invalid_provider", "mounts.ai.defaults", "my provider"},
		{"mounts.default_not_allowed", "mounts.ai.defaults.openai", "other"},
		{"mounts.invalid_prefix", "mounts.vault.allow[1]", ""},
		{"mounts.invalid_prefix", "mounts.vault.allow[2]", "prod//"},
		{"mounts.invalid_prefix", "mounts.vault.allow[3]", "/prod/"},
		{"mounts.invalid_prefix", "mounts.vault.deny[0]", "*"},
		{"mounts.invalid_prefix", "mounts.vault.deny[1]", "prod/./x"},
		{"mounts.invalid_namespace", "mounts.storage.workspace", "../x"},
		{"mounts.allow_required", "mounts.capabilities.allow", ""},
		{"mounts.invalid_host_pattern", "mounts.web.allow[1]", "10.0.0.1"},
		{"mounts.invalid_host_pattern", "mounts.web.deny[0]", "a.*"},
	}, got)
	require.Equal(t, problem{refusal.Code, refusal.Field, refusal.Problems[0].Value}, got[0],
		"the error itself is about the first")
	require.ErrorIs(t, refusal, bctrl.ErrInvalid)
	require.NotErrorIs(t, refusal, bctrl.ErrWidening)
}

func TestValidateOfAWorkspace(t *testing.T) {
	for _, c := range []struct {
		why, in, code, field string
	}{
		{"nothing mounted", `{}`, "", ""},
		{"nothing allowed", `{"ai":{"allow":[]},"vault":{"allow":[]},"capabilities":{"allow":[]}}`, "", ""},
		{"everything allowed", `{"vault":{"allow":["/"]},"capabilities":{"allow":["/"]}}`, "", ""},
		{"ai without allow", `{"ai":{"defaults":{}}}`, "mounts.allow_required", "mounts.ai.allow"},
		{"vault without allow", `{"vault":{"deny":["prod/"]}}`, "mounts.allow_required", "mounts.vault.allow"},
		{"capabilities without allow", `{"capabilities":{}}`, "mounts.allow_required", "mounts.capabilities.allow"},
		{"web without allow", `{"web":{"deny":["example.com"]}}`, "mounts.allow_required", "mounts.web.allow"},
		{"every host", `{"web":{"allow":["*"]}}`, "", ""},
		{"no storage", `{"storage":{"access":"none"}}`, "", ""},
		{"storage of nothing", `{"storage":{}}`, "mounts.invalid_namespace", "mounts.storage.workspace"},
		{"an unknown access", `{"storage":{"access":"read"}}`, "mounts.invalid_access", "mounts.storage.access"},
		{"no storage of a namespace", `{"storage":{"access":"none","workspace":"x"}}`, "mounts.invalid_access",
			"mounts.storage.access"},
		{"a default that is not allowed", `{"ai":{"allow":["a"],"defaults":{"openai":"b"}}}`, "mounts.default_not_allowed",
			"mounts.ai.defaults.openai"},
		{"a default under nothing", `{"ai":{"allow":[],"defaults":{"openai":"b"}}}`, "mounts.default_not_allowed",
			"mounts.ai.defaults.openai"},
		{"a bare provider", `{"capabilities":{"allow":["github"]}}`, "mounts.invalid_capability",
			"mounts.capabilities.allow[0]"},
	} {
		t.Run(c.why, func(t *testing.T) {
			err := parseMounts(t, c.in).Validate()
			if c.code == "" {
				require.NoError(t, err)
				return
			}
			var refusal *bctrl.Error
			require.ErrorAs(t, err, &refusal)
			require.Equal(t, c.code, refusal.Code)
			require.Equal(t, c.field, refusal.Field)
		})
	}
}

func parseMounts(t testing.TB, text string) bctrl.Mounts {
	t.Helper()
	var m bctrl.Mounts
	require.NoError(t, json.Unmarshal([]byte(text), &m))
	return m
}
