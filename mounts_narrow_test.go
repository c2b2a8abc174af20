package bctrl_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

func TestNarrowInheritsWhatIsAbsent(t *testing.T) {
	const parent = `{"ai":{"allow":["a","b"],"defaults":{"openai":"a","google":"b"}},` +
		`"vault":{"allow":["prod/","test/"],"deny":["prod/admin/"],"allowRawReads":true},` +
		`"storage":{"workspace":"exports"},"capabilities":{"allow":["github/","slack/post"]},` +
		`"web":{"allow":["*.example.com","localhost"],"deny":["*.private.example.com"]}}`
	for _, c := range []struct{ why, child, want string }{
		{"nothing", `{}`, parent},
		{"one credential", `{"ai":{"allow":["b"]}}`, `{"ai":{"allow":["b"],"defaults":{"google":"b"}}}`},
		{"no credential", `{"ai":{"allow":[]}}`, `{"ai":{"allow":[],"defaults":{}}}`},
		{"another default replaces them all", `{"ai":{"defaults":{"openai":"b"}}}`,
			`{"ai":{"allow":["a","b"],"defaults":{"openai":"b"}}}`},
		{"no defaults", `{"ai":{"defaults":{}}}`, `{"ai":{"allow":["a","b"],"defaults":{}}}`},
		{"a part of the vault", `{"vault":{"allow":["prod/crm/"]}}`,
			`{"vault":{"allow":["prod/crm/"],"deny":["prod/admin/"],"allowRawReads":true}}`},
		{"no key", `{"vault":{"allow":[]}}`, `{"vault":{"allow":[],"deny":["prod/admin/"],"allowRawReads":true}}`},
		{"a deny more", `{"vault":{"deny":["test/x"]}}`,
			`{"vault":{"allow":["prod/","test/"],"deny":["test/x","prod/admin/"],"allowRawReads":true}}`},
		{"a deny of the parent again", `{"vault":{"deny":["prod/admin/"]}}`,
			`{"vault":{"allow":["prod/","test/"],"deny":["prod/admin/"],"allowRawReads":true}}`},
		{"denies stay though none is declared", `{"vault":{"deny":[]}}`,
			`{"vault":{"allow":["prod/","test/"],"deny":["prod/admin/"],"allowRawReads":true}}`},
		{"a deny in another case drops what it covers", `{"vault":{"deny":["TEST"]}}`,
			`{"vault":{"allow":["prod/"],"deny":["TEST","prod/admin/"],"allowRawReads":true}}`},
		{"an entry under its own deny is dropped, not refused", `{"vault":{"allow":["other/","test/"],"deny":["other"]}}`,
			`{"vault":{"allow":["test/"],"deny":["other","prod/admin/"],"allowRawReads":true}}`},
		{"no raw reads", `{"vault":{"allowRawReads":false}}`,
			`{"vault":{"allow":["prod/","test/"],"deny":["prod/admin/"],"allowRawReads":false}}`},
		{"the same namespace", `{"storage":{"workspace":"exports"}}`, `{"storage":{"workspace":"exports"}}`},
		{"an empty storage mount", `{"storage":{}}`, `{"storage":{"workspace":"exports"}}`},
		{"no storage", `{"storage":{"access":"none"}}`, `{"storage":{"access":"none"}}`},
		{"one capability", `{"capabilities":{"allow":["github/repos"]}}`, `{"capabilities":{"allow":["github/repos"]}}`},
		{"no capability", `{"capabilities":{"allow":[]}}`, `{"capabilities":{"allow":[]}}`},
		{"one host", `{"web":{"allow":["www.example.com"]}}`,
			`{"web":{"allow":["www.example.com"],"deny":["*.private.example.com"]}}`},
		{"no host", `{"web":{"allow":[]}}`, `{"web":{"allow":[],"deny":["*.private.example.com"]}}`},
		{"a host less", `{"web":{"deny":["LocalHost"]}}`,
			`{"web":{"allow":["*.example.com"],"deny":["localhost","*.private.example.com"]}}`},
		{"hosts that the level denies itself", `{"web":{"allow":["a.test","localhost"],"deny":["a.test"]}}`,
			`{"web":{"allow":["localhost"],"deny":["a.test","*.private.example.com"]}}`},
		{"capabilities that say nothing", `{"capabilities":{}}`, `{"capabilities":{"allow":["github/","slack/post"]}}`},
	} {
		t.Run(c.why, func(t *testing.T) {
			above, child := parseMounts(t, parent), parseMounts(t, c.child)
			got, err := above.Narrow(child)
			require.NoError(t, err)
			want := parseMounts(t, parent)
			part := parseMounts(t, c.want)
			if part.AI != nil {
				want.AI = part.AI
			}
			if part.Vault != nil {
				want.Vault = part.Vault
			}
			if part.Storage != nil {
				want.Storage = part.Storage
			}
			if part.Capabilities != nil {
				want.Capabilities = part.Capabilities
			}
			if part.Web != nil {
				want.Web = part.Web
			}
			require.Equal(t, want, got)
			require.Equal(t, want, bctrl.Chain{above, child}.Effective(), "a chain that fits is what was narrowed")
		})
	}
}

func TestEffectiveMountsRepeatNothing(t *testing.T) {
	for _, c := range []struct{ why, above, below, want string }{
		{"the inner of two that are nested", `["prod/crm/"]`, `["prod/"]`, `["prod/crm/"]`},
		{"one that holds two of the level above", `["prod/","prod/crm/","test/"]`, `["prod/"]`, `["prod/"]`},
		{"disjoint", `["prod/"]`, `["test/"]`, `[]`},
		{"the key and what is below it", `["prod"]`, `["prod/"]`, `["prod/"]`},
		{"another case", `["prod/"]`, `["PROD/"]`, `[]`},
	} {
		t.Run(c.why, func(t *testing.T) {
			chain := bctrl.Chain{parseMounts(t, `{"vault":{"allow":`+c.above+`}}`),
				parseMounts(t, `{"vault":{"allow":`+c.below+`}}`)}
			require.Equal(t, parseMounts(t, `{"vault":{"allow":`+c.want+`}}`), chain.Effective())
		})
	}
}

func TestNarrowRefusals(t *testing.T) {
	const parent = `{"ai":{"allow":["a"],"defaults":{"openai":"a"}},"vault":{"allow":["prod/crm/","prod/email/"]},` +
		`"storage":{"workspace":"exports"},"capabilities":{"allow":["github/repos"]},` +
		`"web":{"allow":["*.example.com","0.test"],"deny":["*.private.example.com"]}}`
	for _, c := range []struct {
		why, parent, child string
		want               bctrl.Problem
	}{
		{"the example of the semantics", parent, `{"vault":{"allow":["prod/"]}}`, bctrl.Problem{
			Code:    "mounts.scope_widening",
			Field:   "mounts.vault.allow[0]",
			Value:   "prod/",
			Witness: "prod/0",
			Ceiling: `{allow: ["prod/crm/","prod/email/"]}`,
			Hint:    `narrow it to "prod/crm/"`,
		}},
		{"the bare key above a subtree", parent, `{"vault":{"allow":["prod/email/","prod/crm"]}}`, bctrl.Problem{
			Code:    "mounts.scope_widening",
			Field:   "mounts.vault.allow[1]",
			Value:   "prod/crm",
			Witness: "prod/crm",
			Ceiling: `{allow: ["prod/crm/","prod/email/"]}`,
			Hint:    `narrow it to "prod/crm/"`,
		}},
		{"another case", parent, `{"vault":{"allow":["PROD/crm/"]}}`, bctrl.Problem{
			Code:    "mounts.scope_widening",
			Field:   "mounts.vault.allow[0]",
			Value:   "PROD/crm/",
			Witness: "PROD/crm/0",
			Ceiling: `{allow: ["prod/crm/","prod/email/"]}`,
			Hint:    "remove it, or let the level above allow it first",
		}},
		{"everything", parent, `{"vault":{"allow":["/"]}}`, bctrl.Problem{
			Code:    "mounts.scope_widening",
			Field:   "mounts.vault.allow[0]",
			Value:   "/",
			Witness: "0",
			Ceiling: `{allow: ["prod/crm/","prod/email/"]}`,
			Hint:    `narrow it to "prod/crm/"`,
		}},
		{"numbers that the parent permits and the child denies are no witness",
			`{"vault":{"allow":["a/0","a/1/","a/3"],"deny":["a/3/x"]}}`, `{"vault":{"allow":["a/"],"deny":["a/1"]}}`,
			bctrl.Problem{
				Code:    "mounts.scope_widening",
				Field:   "mounts.vault.allow[0]",
				Value:   "a/",
				Witness: "a/2",
				Ceiling: `{allow: ["a/0","a/1/","a/3"], deny: ["a/3/x"]}`,
				Hint:    `narrow it to "a/0"`,
			}},
		{"a number that the parent allows and denies is a witness", `{"vault":{"allow":["a/0","a/1"],"deny":["A/0"]}}`,
			`{"vault":{"allow":["a/"]}}`, bctrl.Problem{
				Code:    "mounts.scope_widening",
				Field:   "mounts.vault.allow[0]",
				Value:   "a/",
				Witness: "a/0",
				Ceiling: `{allow: ["a/0","a/1"], deny: ["A/0"]}`,
				Hint:    `narrow it to "a/1"`,
			}},
		{"denied in another case", `{"vault":{"allow":["/"],"deny":["PROD/Admin/"]}}`, `{"vault":{"allow":["prod/admin/x"]}}`,
			bctrl.Problem{
				Code:    "mounts.denied_by_ceiling",
				Field:   "mounts.vault.allow[0]",
				Value:   "prod/admin/x",
				Witness: "prod/admin/x",
				Ceiling: `{allow: ["/"], deny: ["PROD/Admin/"]}`,
				Hint:    "remove it, or let the level above allow it first",
			}},
		{"denied, and the first numbers denied by the child", `{"vault":{"allow":["/"],"deny":["x"]}}`,
			`{"vault":{"allow":["x/"],"deny":["X/0","x/1"]}}`, bctrl.Problem{
				Code:    "mounts.denied_by_ceiling",
				Field:   "mounts.vault.allow[0]",
				Value:   "x/",
				Witness: "x/2",
				Ceiling: `{allow: ["/"], deny: ["x"]}`,
				Hint:    "remove it, or let the level above allow it first",
			}},
		{"under no vault at all", `{}`, `{"vault":{"allow":["a"]}}`, bctrl.Problem{
			Code:    "mounts.scope_widening",
			Field:   "mounts.vault.allow[0]",
			Value:   "a",
			Witness: "a",
			Ceiling: `{allow: []}`,
			Hint:    "remove it, or let the level above allow it first",
		}},
		{"raw reads", parent, `{"vault":{"allowRawReads":true}}`, bctrl.Problem{
			Code:    "mounts.scope_widening",
			Field:   "mounts.vault.allowRawReads",
			Value:   "true",
			Witness: "allowRawReads",
			Ceiling: `{allowRawReads: false}`,
			Hint:    "leave it out",
		}},
		{"raw reads come last", parent, `{"vault":{"allowRawReads":true,"allow":["prod/crm/x","a"]}}`, bctrl.Problem{
			Code:    "mounts.scope_widening",
			Field:   "mounts.vault.allow[1]",
			Value:   "a",
			Witness: "a",
			Ceiling: `{allow: ["prod/crm/","prod/email/"]}`,
			Hint:    "remove it, or let the level above allow it first",
		}},
		{"raw reads of nothing", parent, `{"vault":{"allowRawReads":true,"allow":[]}}`, bctrl.Problem{
			Code:    "mounts.scope_widening",
			Field:   "mounts.vault.allowRawReads",
			Value:   "true",
			Witness: "allowRawReads",
			Ceiling: `{allowRawReads: false}`,
			Hint:    "leave it out",
		}},
		{"a credential", parent, `{"ai":{"allow":["a","A"]}}`, bctrl.Problem{
			Code:    "mounts.scope_widening",
			Field:   "mounts.ai.allow[1]",
			Value:   "A",
			Witness: "A",
			Ceiling: `{allow: ["a"]}`,
			Hint:    "remove it, or let the level above allow it first",
		}},
		{"a default outside", parent, `{"ai":{"defaults":{"google":"b"}}}`, bctrl.Problem{
			Code:    "mounts.default_not_allowed",
			Field:   "mounts.ai.defaults.google",
			Value:   "b",
			Ceiling: `{allow: ["a"]}`,
			Hint:    "choose one of the allowed credentials",
		}},
		{"a default that the level itself removed", parent, `{"ai":{"allow":[],"defaults":{"openai":"a"}}}`, bctrl.Problem{
			Code:    "mounts.default_not_allowed",
			Field:   "mounts.ai.defaults.openai",
			Value:   "a",
			Ceiling: `{allow: []}`,
			Hint:    "choose one of the allowed credentials",
		}},
		{"another namespace", parent, `{"storage":{"workspace":"Exports"}}`, bctrl.Problem{
			Code:    "mounts.scope_widening",
			Field:   "mounts.storage.workspace",
			Value:   "Exports",
			Witness: "Exports",
			Ceiling: `{workspace: "exports"}`,
			Hint:    "leave storage out to inherit the namespace of the level above",
		}},
		{"a namespace under none", `{"storage":{"access":"none"}}`, `{"storage":{"workspace":"exports"}}`, bctrl.Problem{
			Code:    "mounts.scope_widening",
			Field:   "mounts.storage.workspace",
			Value:   "exports",
			Witness: "exports",
			Ceiling: `{access: "none"}`,
			Hint:    "leave storage out",
		}},
		{"a capability", parent, `{"capabilities":{"allow":["github/issues"]}}`, bctrl.Problem{
			Code:    "mounts.scope_widening",
			Field:   "mounts.capabilities.allow[0]",
			Value:   "github/issues",
			Witness: "github/issues",
			Ceiling: `{allow: ["github/repos"]}`,
			Hint:    "remove it, or let the level above allow it first",
		}},
		{"all of a provider", `{"capabilities":{"allow":["github/0"]}}`, `{"capabilities":{"allow":["github/"]}}`,
			bctrl.Problem{
				Code:    "mounts.scope_widening",
				Field:   "mounts.capabilities.allow[0]",
				Value:   "github/",
				Witness: "github/1",
				Ceiling: `{allow: ["github/0"]}`,
				Hint:    "remove it, or let the level above allow it first",
			}},
		{"all capabilities", parent, `{"capabilities":{"allow":["/"]}}`, bctrl.Problem{
			Code:    "mounts.scope_widening",
			Field:   "mounts.capabilities.allow[0]",
			Value:   "/",
			Witness: "0/0",
			Ceiling: `{allow: ["github/repos"]}`,
			Hint:    "remove it, or let the level above allow it first",
		}},
		{"hosts under a workspace that names others", parent, `{"web":{"allow":["www.example.com","*.test"]}}`, bctrl.Problem{
			Code:    "mounts.scope_widening",
			Field:   "mounts.web.allow[1]",
			Value:   "*.test",
			Witness: "1.test",
			Ceiling: `{allow: ["*.example.com","0.test"], deny: ["*.private.example.com"]}`,
			Hint:    `narrow it to "0.test"`,
		}},
		{"the host itself under all below it", parent, `{"web":{"allow":["example.com"]}}`, bctrl.Problem{
			Code:    "mounts.scope_widening",
			Field:   "mounts.web.allow[0]",
			Value:   "example.com",
			Witness: "example.com",
			Ceiling: `{allow: ["*.example.com","0.test"], deny: ["*.private.example.com"]}`,
			Hint:    "remove it, or let the level above allow it first",
		}},
		{"every host, shown by an address", parent, `{"web":{"allow":["*"]}}`, bctrl.Problem{
			Code:    "mounts.scope_widening",
			Field:   "mounts.web.allow[0]",
			Value:   "*",
			Witness: "0",
			Ceiling: `{allow: ["*.example.com","0.test"], deny: ["*.private.example.com"]}`,
			Hint:    `narrow it to "*.example.com"`,
		}},
		{"a host that the level above denies", parent, `{"web":{"allow":["a.private.example.com"]}}`, bctrl.Problem{
			Code:    "mounts.denied_by_ceiling",
			Field:   "mounts.web.allow[0]",
			Value:   "a.private.example.com",
			Witness: "a.private.example.com",
			Ceiling: `{allow: ["*.example.com","0.test"], deny: ["*.private.example.com"]}`,
			Hint:    "remove it, or let the level above allow it first",
		}},
		{"a host pattern that is none", parent, `{"web":{"allow":["https://example.com"]}}`, bctrl.Problem{
			Code:  "mounts.invalid_host_pattern",
			Field: "mounts.web.allow[0]",
			Value: "https://example.com",
			Hint:  "it is not labels of ASCII letters, digits and hyphens, after *. or not, and not * alone",
		}},
		{"a prefix that is none", parent, `{"vault":{"allow":["prod/*"]}}`, bctrl.Problem{
			Code:  "mounts.invalid_prefix",
			Field: "mounts.vault.allow[0]",
			Value: "prod/*",
			Hint:  "it holds a byte that is not one of A-Z a-z 0-9 . _ @ + = : -",
		}},
	} {
		t.Run(c.why, func(t *testing.T) {
			_, err := parseMounts(t, c.parent).Narrow(parseMounts(t, c.child))
			var refusal *bctrl.Error
			require.ErrorAs(t, err, &refusal)
			require.Equal(t, c.want, refusal.Problems[0])
			require.Equal(t, c.want.Code, refusal.Code)
			require.Equal(t, c.want.Field, refusal.Field)
			require.Equal(t, c.want.Witness, refusal.Witness)
			require.Equal(t, c.want.Hint, refusal.Hint)
			require.Equal(t, 400, refusal.Status)
			require.NotContains(t, refusal.Error(), "\n")
		})
	}
}

func TestNarrowNamesEveryProblemAtOnce(t *testing.T) {
	child := parseMounts(t, `{"ai":{"allow":["x"]},"vault":{"allow":["a","..","b"],"deny":["//"],"allowRawReads":true},`+
		`"storage":{"workspace":"s"},"capabilities":{"allow":["c/d"]},"web":{"allow":["a.test"],"deny":["*."]}}`)
	_, err := bctrl.Mounts{Web: &bctrl.WebMount{Allow: []string{}}}.Narrow(child)
	var refusal *bctrl.Error
	require.ErrorAs(t, err, &refusal)
	var fields []string
	for _, p := range refusal.Problems {
		fields = append(fields, p.Field)
	}
	require.Equal(t, []string{
		"mounts.ai.allow[0]", "mounts.vault.allow[0]", "mounts.vault.allow[1]", "mounts.vault.allow[2]",
		"mounts.vault.deny[0]",
		"mounts.vault.allowRawReads", "mounts.storage.workspace", "mounts.capabilities.allow[0]",
		"mounts.web.allow[0]", "mounts.web.deny[0]",
	}, fields)
}

func TestRefusalsStaySmall(t *testing.T) {
	many := make([]string, 10_000)
	for i := range many {
		many[i] = "x/" + strconv.Itoa(i) + strings.Repeat("é", 1_000)
	}
	var refusal *bctrl.Error
	require.ErrorAs(t, bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: many}}.Validate(), &refusal)
	require.Len(t, refusal.Problems, 100)
	require.Less(t, len(refusal.Error()), 100_000)

	_, err := bctrl.Mounts{AI: &bctrl.AIMount{Allow: many}}.Narrow(bctrl.Mounts{AI: &bctrl.AIMount{Allow: []string{"a"}}})
	require.ErrorAs(t, err, &refusal)
	require.Less(t, len(refusal.Problems[0].Ceiling), 10_000)
	require.Contains(t, refusal.Problems[0].Ceiling, ", and 9990 more]")
}

// A mount that nobody validated permits nothing by its invalid entries.
func TestInvalidEntriesPermitNothing(t *testing.T) {
	entries := []string{"", "*", "**", "//", "/prod", "/prod/", "prod//", "prod/*", "prod/../", "./", "../", ".", "..",
		"prod/.", "prod%2f", " "}
	for _, entry := range entries {
		m := bctrl.Mounts{
			AI:           &bctrl.AIMount{Allow: []string{entry, "/"}},
			Storage:      &bctrl.StorageMount{Workspace: entry},
			Vault:        &bctrl.VaultMount{Allow: []string{entry}, AllowRawReads: new(true)},
			Capabilities: &bctrl.CapabilityMount{Allow: []string{entry}},
		}
		for _, object := range append(entries, "/", "prod", "prod/crm", "prod/crm/x", "a", "github/repos") {
			require.False(t, m.AllowsVaultKey(object), "%q under %q", object, entry)
			require.False(t, m.AllowsRawRead(object), "%q under %q", object, entry)
			require.False(t, m.AllowsCredential(object), "%q under %q", object, entry)
			require.False(t, m.AllowsNamespace(object), "%q under %q", object, entry)
			require.False(t, m.AllowsCapability(object), "%q under %q", object, entry)
		}
	}
}

func TestNothingIsPermittedByMountsThatSayNothing(t *testing.T) {
	for _, m := range []bctrl.Mounts{
		{},
		{
			AI:           &bctrl.AIMount{},
			Vault:        &bctrl.VaultMount{AllowRawReads: new(true)},
			Storage:      &bctrl.StorageMount{},
			Capabilities: &bctrl.CapabilityMount{},
		},
		{Storage: &bctrl.StorageMount{Workspace: "x", Access: bctrl.StorageNone}},
		{Storage: &bctrl.StorageMount{Workspace: "x", Access: "read"}},
	} {
		require.False(t, m.AllowsCredential("x") || m.AllowsVaultKey("x") || m.AllowsRawRead("x") || m.AllowsNamespace("x") ||
			m.AllowsCapability("x/y"))
		require.True(t, bctrl.Mounts{}.Covers(m))
	}
	require.False(t, bctrl.Chain{{}, {}}.Allows(bctrl.Action{Verb: bctrl.UseVault, Object: "x"}),
		"a first level has nothing to inherit")
	require.False(t, bctrl.Chain{}.Allows(bctrl.Action{Verb: bctrl.UseVault, Object: "x"}))
	require.False(t, bctrl.Chain{}.Explain(bctrl.Action{Verb: bctrl.UseVault, Object: "x"}).Allowed)
	require.Equal(t, bctrl.Mounts{Web: &bctrl.WebMount{Allow: []string{}}}, bctrl.Chain{}.Effective())
}

func TestExplainNamesWhatDecided(t *testing.T) {
	workspace := parseMounts(t, `{"ai":{"allow":["a","b"]},"vault":{"allow":["prod/","prod/crm/"],"deny":["x",`+
		`"PROD/admin/"],"allowRawReads":true},`+
		`"storage":{"workspace":"exports"},"capabilities":{"allow":["github/"]}}`)
	withHosts := parseMounts(t, `{"web":{"allow":["*.example.com"],"deny":["x.example.com"]}}`)
	runtime := parseMounts(t, `{"vault":{"allow":["prod/crm/"],"allowRawReads":false},"storage":{"access":"none"},`+
		`"capabilities":{}}`)
	runtime.Web = withHosts.Web
	execution := parseMounts(t, `{"vault":{"deny":["prod/crm/root"]},"web":{}}`)
	chain := bctrl.Chain{workspace, runtime, execution}
	for _, c := range []struct {
		verb         bctrl.Verb
		object       string
		allowed      bool
		level        int
		field, entry string
	}{
		{bctrl.UseVault, "prod/crm/x", true, 1, "mounts.vault.allow[0]", "prod/crm/"},
		{bctrl.UseVault, "prod/x", false, 1, "mounts.vault.allow", ""},
		{bctrl.UseVault, "test/x", false, 0, "mounts.vault.allow", ""},
		{bctrl.UseVault, "prod/ADMIN/x", false, 0, "mounts.vault.deny[1]", "PROD/admin/"},
		{bctrl.UseVault, "prod/crm/root/x", false, 2, "mounts.vault.deny[0]", "prod/crm/root"},
		{bctrl.ReadVault, "prod/crm/x", false, 1, "mounts.vault.allowRawReads", ""},
		{bctrl.UseAI, "b", true, 0, "mounts.ai.allow[1]", "b"},
		{bctrl.UseAI, "c", false, 0, "mounts.ai.allow", ""},
		{bctrl.GetStorage, "exports", false, 1, "mounts.storage.access", "none"},
		{bctrl.GetStorage, "other", false, 0, "mounts.storage.workspace", "exports"},
		{bctrl.InvokeCapability, "github/repos", true, 0, "mounts.capabilities.allow[0]", "github/"},
		{bctrl.InvokeCapability, "github", false, 0, "", ""},
		{bctrl.VisitHost, "WWW.example.com", true, 1, "mounts.web.allow[0]", "*.example.com"},
		{bctrl.VisitHost, "example.com", false, 1, "mounts.web.allow", ""},
		{bctrl.VisitHost, "x.example.com", false, 1, "mounts.web.deny[0]", "x.example.com"},
		{bctrl.VisitHost, "127.0.0.1", false, 1, "mounts.web.allow", ""},
		{bctrl.VisitHost, "www.example.com:443", false, 0, "", ""},
		{bctrl.VisitHost, "www.example.com.", false, 0, "", ""},
		{bctrl.UseVault, "prod//x", false, 0, "", ""},
		{"vault.delete", "prod/crm/x", false, 0, "", ""},
		{"", "", false, 0, "", ""},
	} {
		t.Run(string(c.verb)+" "+c.object, func(t *testing.T) {
			action := bctrl.Action{Verb: c.verb, Object: c.object}
			got := chain.Explain(action)
			require.NotEmpty(t, got.Reason)
			got.Reason = ""
			require.Equal(t, bctrl.Decision{
				Allowed: c.allowed,
				Level:   c.level,
				Field:   c.field,
				Entry:   c.entry,
			}, got)
			require.Equal(t, c.allowed, chain.Allows(action))
		})
	}
	every := bctrl.Mounts{}.Explain(bctrl.Action{Verb: bctrl.VisitHost, Object: "[::1]"})
	require.True(t, every.Allowed)
	require.Equal(t, "mounts.web", every.Field)
	require.Equal(t, "mounts.ai", bctrl.Mounts{}.Explain(bctrl.Action{Verb: bctrl.UseAI, Object: "a"}).Field)
}

func FuzzMounts(f *testing.F) {
	f.Add(`{"vault":{"allow":["prod/"],"deny":["prod/admin/"]}}`, `{"vault":{"allow":["prod/crm"],"allowRawReads":true}}`,
		"prod/crm")
	f.Add(`{"ai":{"allow":["a"],"defaults":{"openai":"a"}},"storage":{"workspace":"x"}}`,
		`{"storage":{"access":"none"},"capabilities":{"allow":["/"]}}`, "a")
	f.Add(`{"web":{"allow":["*.example.com","*."],"deny":["*.a.example.com"]}}`,
		`{"web":{"allow":["A.example.com","\u212A"],"deny":["*"]}}`, "a.example.com")
	f.Add(`{"vault":{"allow":["/",""]}}`, `{"vault":{"allow":["//","\u0000"],"deny":[""]}}`, "/")
	f.Fuzz(func(t *testing.T, parentText, childText, object string) {
		var parent, child bctrl.Mounts
		if json.Unmarshal([]byte(parentText), &parent) != nil || json.Unmarshal([]byte(childText), &child) != nil {
			return
		}
		again := parseMounts(t, printed(t, parent))
		require.Equal(t, printed(t, parent), printed(t, again), "what is printed parses")
		require.True(t, parent.Covers(parent))
		chain := bctrl.Chain{parent, child}
		effective := chain.Effective()
		if parent.Validate() == nil {
			require.True(t, parent.Covers(effective))
			require.NoError(t, parent.Normal().Validate())
		}
		narrowed, err := parent.Narrow(child)
		if err == nil && parent.Validate() == nil {
			require.True(t, parent.Covers(narrowed))
			require.Equal(t, narrowed.Normal(), effective.Normal())
		}
		for _, verb := range []bctrl.Verb{bctrl.UseAI, bctrl.UseVault, bctrl.ReadVault, bctrl.GetStorage,
			bctrl.InvokeCapability, bctrl.VisitHost} {
			action := bctrl.Action{Verb: verb, Object: object}
			require.Equal(t, effective.Explain(action).Allowed, chain.Allows(action), "%v", action)
			if chain.Allows(action) {
				require.True(t, parent.Explain(action).Allowed)
			}
		}
	})
}
