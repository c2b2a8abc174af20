package bctrl_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log"

	"github.com/bctrl-go/bctrl"
)

// A workspace's mounts are the ceiling; a runtime lowers it.
func ExampleMounts() {
	workspace := bctrl.Mounts{
		AI: &bctrl.AIMount{Allow: []string{"openai-prod"},
			Defaults: map[bctrl.AIProvider]string{bctrl.OpenAI: "openai-prod"}},
		Vault:   &bctrl.VaultMount{Allow: []string{"prod/crm/"}, Deny: []string{"prod/crm/admin/"}},
		Storage: &bctrl.StorageMount{Workspace: "sales-exports"},
	}
	runtime := bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: []string{"prod/crm/salesforce"}}}

	effective, err := workspace.Narrow(runtime)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(effective.AllowsVaultKey("prod/crm/salesforce"), effective.AllowsVaultKey("prod/crm/hubspot"))
	fmt.Println(effective.AllowsNamespace("sales-exports"))
	// Output:
	// true false
	// true
}

func ExampleAIMount() {
	m := bctrl.Mounts{AI: &bctrl.AIMount{
		Allow:    []string{"openai-prod", "openai-test"},
		Defaults: map[bctrl.AIProvider]string{bctrl.OpenAI: "openai-prod"},
	}}
	fmt.Println(m.Validate(), m.AllowsCredential("openai-test"))
	// Output: <nil> true
}

func ExampleVaultMount() {
	m := bctrl.Mounts{Vault: &bctrl.VaultMount{
		Allow:         []string{"prod/"},
		Deny:          []string{"prod/admin/"}, // wins over every allow, whatever the case
		AllowRawReads: new(true),
	}}
	for _, key := range []string{"prod/crm/salesforce", "prod/admin", "prod/Admin/root", "production/crm"} {
		fmt.Println(key, m.AllowsVaultKey(key))
	}
	// Output:
	// prod/crm/salesforce true
	// prod/admin true
	// prod/Admin/root false
	// production/crm false
}

func ExampleStorageMount() {
	m := bctrl.Mounts{Storage: &bctrl.StorageMount{Workspace: "sales-exports"}}
	fmt.Println(m.AllowsNamespace("sales-exports"), m.AllowsNamespace("finance"))
	// Output: true false
}

func ExampleStorageAccess() {
	workspace := bctrl.Mounts{Storage: &bctrl.StorageMount{Workspace: "sales-exports"}}
	runtime, err := workspace.Narrow(bctrl.Mounts{Storage: &bctrl.StorageMount{Access: bctrl.StorageNone}})
	fmt.Println(runtime.AllowsNamespace("sales-exports"), err)
	// Output: false <nil>
}

func ExampleCapabilityMount() {
	m := bctrl.Mounts{Capabilities: &bctrl.CapabilityMount{Allow: []string{"github/", "slack/post"}}}
	fmt.Println(m.AllowsCapability("github/repos"), m.AllowsCapability("slack/post"), m.AllowsCapability("slack/read"))
	// Output: true true false
}

func ExampleAIProvider() {
	fmt.Println(bctrl.OpenAI, bctrl.Anthropic, bctrl.Google, bctrl.OpenAICompatible)
	// Output: openai anthropic google openai-compatible
}

// Decoding is strict: what could be read in two ways is refused.
func ExampleMounts_UnmarshalJSON() {
	var m bctrl.Mounts
	for _, text := range []string{`{"vault":{"allow":[]}}`, `{"vault":{"allow":null}}`, `{"vault":{"ALLOW":["/"]}}`} {
		err := json.Unmarshal([]byte(text), &m)
		if refusal, ok := errors.AsType[*bctrl.Error](err); ok {
			fmt.Println(refusal.Code, refusal.Field)
			continue
		}
		fmt.Println("nothing is allowed, explicitly:", m.Vault.Allow != nil)
	}
	// Output:
	// nothing is allowed, explicitly: true
	// mounts.ambiguous_null mounts.vault.allow
	// mounts.wrong_case_field mounts.vault.ALLOW
}

func ExampleAIMount_UnmarshalJSON() {
	var m bctrl.AIMount
	err := json.Unmarshal([]byte(`{"allow":["openai-prod"],"defaults":{"openai":"openai-prod"}}`), &m)
	fmt.Println(m.Allow, m.Defaults[bctrl.OpenAI], err)
	// Output: [openai-prod] openai-prod <nil>
}

func ExampleVaultMount_UnmarshalJSON() {
	var m bctrl.VaultMount
	err := json.Unmarshal([]byte(`{"deny":["prod/admin/"]}`), &m)
	fmt.Println(m.Allow == nil, m.Deny, err)
	// Output: true [prod/admin/] <nil>
}

func ExampleStorageMount_UnmarshalJSON() {
	var m bctrl.StorageMount
	err := json.Unmarshal([]byte(`{"access":"none"}`), &m)
	fmt.Println(m.Access == bctrl.StorageNone, err)
	// Output: true <nil>
}

func ExampleCapabilityMount_UnmarshalJSON() {
	var m bctrl.CapabilityMount
	err := json.Unmarshal([]byte(`{"allow":["github/"]}`), &m)
	fmt.Println(m.Allow, err)
	// Output: [github/] <nil>
}

func ExampleMounts_Validate() {
	err := bctrl.Mounts{
		AI:    &bctrl.AIMount{},
		Vault: &bctrl.VaultMount{Allow: []string{"prod/crm/", "prod/*"}},
	}.Validate()
	if refusal, ok := errors.AsType[*bctrl.Error](err); ok {
		for _, p := range refusal.Problems {
			fmt.Println(p.Code, p.Field)
		}
	}
	// Output:
	// mounts.allow_required mounts.ai.allow
	// mounts.invalid_prefix mounts.vault.allow[1]
}

// A refusal names an action that shows the widening.
func ExampleMounts_Narrow() {
	workspace := bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: []string{"prod/crm/", "prod/email/"}}}
	_, err := workspace.Narrow(bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: []string{"prod/"}}})
	if refusal, ok := errors.AsType[*bctrl.Error](err); ok && errors.Is(err, bctrl.ErrWidening) {
		fmt.Println(refusal.Code)
		fmt.Println(refusal.Field)
		fmt.Println(refusal.Witness)
		fmt.Println(refusal.Problems[0].Ceiling)
		fmt.Println(refusal.Hint)
	}
	// Output:
	// mounts.scope_widening
	// mounts.vault.allow[0]
	// prod/0
	// {allow: ["prod/crm/","prod/email/"]}
	// narrow it to "prod/crm/"
}

func ExampleMounts_Covers() {
	all := bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: []string{"prod/"}}}
	some := bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: []string{"prod/crm", "prod/email/"}}}
	fmt.Println(all.Covers(some), some.Covers(all))
	// Output: true false
}

func ExampleMounts_Normal() {
	a := bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: []string{"test/", "prod/crm", "prod/crm/x"},
		Deny: []string{"Prod/CRM/admin", "other/"}}}
	normal := a.Normal()
	fmt.Println(normal.Vault.Allow, normal.Vault.Deny)
	// Output: [prod/crm test/] [prod/crm/admin]
}

func ExampleMounts_AllowsCredential() {
	m := bctrl.Mounts{AI: &bctrl.AIMount{Allow: []string{"openai-prod"}}}
	fmt.Println(m.AllowsCredential("openai-prod"), m.AllowsCredential("OpenAI-prod"))
	// Output: true false
}

func ExampleMounts_AllowsVaultKey() {
	m := bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: []string{"prod/crm"}}}
	fmt.Println(m.AllowsVaultKey("prod/crm/salesforce"), m.AllowsVaultKey("prod/crm2"))
	// Output: true false
}

func ExampleMounts_AllowsRawRead() {
	m := bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: []string{"prod/"}}}
	fmt.Println(m.AllowsVaultKey("prod/crm"), m.AllowsRawRead("prod/crm"))
	// Output: true false
}

func ExampleMounts_AllowsNamespace() {
	m := bctrl.Mounts{Storage: &bctrl.StorageMount{Workspace: "exports"}}
	fmt.Println(m.AllowsNamespace("exports"), m.AllowsNamespace("imports"))
	// Output: true false
}

func ExampleMounts_AllowsCapability() {
	m := bctrl.Mounts{Capabilities: &bctrl.CapabilityMount{Allow: []string{"/"}}}
	fmt.Println(m.AllowsCapability("github/repos"), m.AllowsCapability("github"))
	// Output: true false
}

func ExampleWebMount() {
	m := bctrl.Mounts{Web: &bctrl.WebMount{
		Allow: []string{"example.com", "*.example.com"},
		Deny:  []string{"*.private.example.com"}, // wins over every allow
	}}
	for _, host := range []string{"example.com", "crm.example.com", "hr.private.example.com", "example.org"} {
		fmt.Println(host, m.AllowsHost(host))
	}
	// Output:
	// example.com true
	// crm.example.com true
	// hr.private.example.com false
	// example.org false
}

func ExampleMounts_AllowsHost() {
	m := bctrl.Mounts{Web: &bctrl.WebMount{Allow: []string{"*.example.com"}}}
	fmt.Println(m.AllowsHost("crm.example.com"), m.AllowsHost("127.0.0.1"))
	fmt.Println(bctrl.Mounts{}.AllowsHost("anything.example.org"), "where nothing is said of hosts")
	// Output:
	// true false
	// true where nothing is said of hosts
}

func ExampleMounts_Explain() {
	m := bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: []string{"prod/admin/public/"}, Deny: []string{"prod/admin/"}}}
	decision := m.Explain(bctrl.Action{Verb: bctrl.UseVault, Object: "prod/admin/public/x"})
	fmt.Println(decision.Allowed, decision.Field, decision.Entry)
	fmt.Println(decision.Reason)
	// Output:
	// false mounts.vault.deny[0] prod/admin/
	// this entry denies it, and a deny wins over every allow
}

func ExampleVerb() {
	m := bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: []string{"prod/"}}}
	for _, verb := range []bctrl.Verb{bctrl.UseVault, bctrl.ListVault, bctrl.ReadVault} {
		fmt.Println(verb, m.Explain(bctrl.Action{Verb: verb, Object: "prod/crm"}).Allowed)
	}
	// Output:
	// vault.use true
	// vault.list true
	// vault.readRaw false
}

func ExampleAction() {
	m := bctrl.Mounts{Storage: &bctrl.StorageMount{Workspace: "exports"}}
	fmt.Println(m.Explain(bctrl.Action{Verb: bctrl.PutStorage, Object: "exports"}).Allowed)
	// Output: true
}

func ExampleDecision() {
	text, err := json.Marshal(bctrl.Mounts{}.Explain(bctrl.Action{Verb: bctrl.UseAI, Object: "openai-prod"}))
	fmt.Println(string(text), err)
	// Output: {"allowed":false,"level":0,"field":"mounts.ai","reason":"nothing of the kind is mounted"} <nil>
}

// Lowering a workspace lowers its live runtimes at once.
func ExampleChain() {
	workspace := bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: []string{"prod/"}}}
	runtime := bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: []string{"prod/crm/"}}}
	use := bctrl.Action{Verb: bctrl.UseVault, Object: "prod/crm/salesforce"}
	fmt.Println(bctrl.Chain{workspace, runtime}.Allows(use))

	workspace.Vault = &bctrl.VaultMount{Allow: []string{"prod/email/"}}
	fmt.Println(bctrl.Chain{workspace, runtime}.Allows(use))
	// Output:
	// true
	// false
}

func ExampleChain_Effective() {
	chain := bctrl.Chain{
		{Vault: &bctrl.VaultMount{Allow: []string{"prod/crm/"}}},      // a workspace, lowered since
		{Vault: &bctrl.VaultMount{Allow: []string{"prod/"}}},          // a runtime in it
		{Vault: &bctrl.VaultMount{Deny: []string{"prod/crm/admin/"}}}, // an execution in that
	}
	effective := chain.Effective()
	fmt.Println(effective.Vault.Allow, effective.Vault.Deny)
	// Output: [prod/crm/] [prod/crm/admin/]
}

func ExampleChain_Allows() {
	chain := bctrl.Chain{
		{AI: &bctrl.AIMount{Allow: []string{"openai-prod", "openai-test"}}},
		{AI: &bctrl.AIMount{Allow: []string{"openai-test"}}},
	}
	fmt.Println(chain.Allows(bctrl.Action{Verb: bctrl.UseAI, Object: "openai-prod"}))
	// Output: false
}

func ExampleChain_Explain() {
	chain := bctrl.Chain{
		{AI: &bctrl.AIMount{Allow: []string{"openai-prod", "openai-test"}}},
		{AI: &bctrl.AIMount{Allow: []string{"openai-test"}}},
	}
	decision := chain.Explain(bctrl.Action{Verb: bctrl.UseAI, Object: "openai-prod"})
	fmt.Println("level", decision.Level, decision.Field+":", decision.Reason)
	// Output: level 1 mounts.ai.allow: no entry allows it
}

func ExampleValidVaultKey() {
	fmt.Println(bctrl.ValidVaultKey("prod/crm/salesforce"))
	fmt.Println(bctrl.ValidVaultKey("prod/../admin"))
	// Output:
	// <nil>
	// bctrl: vault.invalid_key: not a vault key: a segment is . or ..
}

func ExampleValidVaultPrefix() {
	for _, prefix := range []string{"/", "prod/crm", "prod/crm/", "prod/*"} {
		fmt.Println(prefix, bctrl.ValidVaultPrefix(prefix) == nil)
	}
	// Output:
	// / true
	// prod/crm true
	// prod/crm/ true
	// prod/* false
}

func ExampleValidStoragePath() {
	fmt.Println(bctrl.ValidStoragePath("2026/Q1 pipeline (final).xlsx"))
	fmt.Println(bctrl.ValidStoragePath("../etc/passwd"))
	// Output:
	// <nil>
	// bctrl: storage.invalid_path: not a storage path: a segment is . or ..
}

func ExampleParseOrigin() {
	fmt.Println(bctrl.ParseOrigin("HTTPS://Login.Salesforce.com:443/"))
	_, err := bctrl.ParseOrigin("https://login.salesforce.com.")
	fmt.Println(errors.Is(err, bctrl.ErrInvalid))
	// Output:
	// https://login.salesforce.com <nil>
	// true
}
