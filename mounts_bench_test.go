package bctrl_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/bctrl-go/bctrl"
)

// ordinaryMounts are a workspace's mounts and a runtime's, as a team writes
// them.
func ordinaryMounts() (workspace, runtime bctrl.Mounts) {
	workspace = bctrl.Mounts{
		AI: &bctrl.AIMount{
			Allow:    []string{"openai-prod", "anthropic-prod"},
			Defaults: map[bctrl.AIProvider]string{bctrl.OpenAI: "openai-prod"},
		},
		Vault: &bctrl.VaultMount{Allow: []string{"prod/crm/", "prod/email/", "shared/"},
			Deny: []string{"shared/admin/"}},
		Storage:      &bctrl.StorageMount{Workspace: "sales-exports"},
		Capabilities: &bctrl.CapabilityMount{Allow: []string{"github/", "slack/post"}},
	}
	runtime = bctrl.Mounts{
		AI:           &bctrl.AIMount{Allow: []string{"openai-prod"}},
		Vault:        &bctrl.VaultMount{Allow: []string{"prod/crm/salesforce", "shared/"}, Deny: []string{"shared/finance"}},
		Capabilities: &bctrl.CapabilityMount{Allow: []string{"github/repos"}},
	}
	return workspace, runtime
}

// manyPrefixes returns n prefixes of which none holds another.
func manyPrefixes(format string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(format, i)
	}
	return list
}

func BenchmarkNarrowOrdinary(b *testing.B) {
	workspace, runtime := ordinaryMounts()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := workspace.Narrow(runtime); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNarrowRefused(b *testing.B) {
	workspace, runtime := ordinaryMounts()
	runtime.Vault.Allow = []string{"prod/"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := workspace.Narrow(runtime); err == nil {
			b.Fatal("accepted")
		}
	}
}

// Narrowing grows with the sum of both lists, not with their product.
func BenchmarkNarrowPrefixes(b *testing.B) {
	for _, n := range []int{10, 100, 1_000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			workspace := bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: manyPrefixes("team/%06d/", n),
				Deny: manyPrefixes("team/%06d/admin/", n)}}
			runtime := bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: manyPrefixes("team/%06d/crm", n)}}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := workspace.Narrow(runtime); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCoversPrefixes(b *testing.B) {
	for _, n := range []int{10, 1_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			m := bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: manyPrefixes("team/%06d/", n),
				Deny: manyPrefixes("team/%06d/admin/", n)}}
			b.ReportAllocs()
			for b.Loop() {
				if !m.Covers(m) {
					b.Fatal("not reflexive")
				}
			}
		})
	}
}

// The worst key for a decision: the last allow entry matches, and no deny.
func BenchmarkDecide(b *testing.B) {
	for _, c := range []struct {
		name        string
		allow, deny []string
		key         string
	}{
		{"allow-10", manyPrefixes("team/%06d/", 10), nil, "team/000009/crm/login"},
		{"allow-1000", manyPrefixes("team/%06d/", 1_000), nil, "team/000999/crm/login"},
		{"allow-500-deny-500", manyPrefixes("team/%06d/", 500), manyPrefixes("team/%06d/admin/", 500),
			"team/000499/crm/login"},
		{"allow-1-deny-999", []string{"/"}, manyPrefixes("team/%06d/secret", 999), "team/000999/crm/login"},
		{"deny-999-alike", []string{"/"}, manyPrefixes("team/%06d/admin/", 999), "team/000999/admin/login"},
		{"deny-999-alike-twice", []string{"/"}, manyPrefixes("organization/%06d/administration/secrets/", 999),
			"organization/000999/administration/secrets/login"},
		{"deny-999-another-case", []string{"/"}, manyPrefixes("TEAM/%06d/ADMIN/", 999), "team/000999/admin/login"},
		{"allow-1000-alike", manyPrefixes("team/%06d/admin/", 1000), nil, "team/000999/admin/login"},
	} {
		b.Run(c.name, func(b *testing.B) {
			m := bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: c.allow, Deny: c.deny}}
			b.ReportAllocs()
			for b.Loop() {
				if !m.AllowsVaultKey(c.key) {
					b.Fatal("refused")
				}
			}
		})
	}
}

func BenchmarkExplain(b *testing.B) {
	workspace, runtime := ordinaryMounts()
	chain := bctrl.Chain{workspace, runtime}
	action := bctrl.Action{Verb: bctrl.UseVault, Object: "prod/crm/salesforce"}
	b.ReportAllocs()
	for b.Loop() {
		if !chain.Explain(action).Allowed {
			b.Fatal("refused")
		}
	}
}

func BenchmarkMountsJSON(b *testing.B) {
	workspace, _ := ordinaryMounts()
	data, err := json.Marshal(workspace)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		var m bctrl.Mounts
		if err := m.UnmarshalJSON(data); err != nil {
			b.Fatal(err)
		}
	}
}
