package bctrl_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bctrl-go/bctrl"
)

// The other small worlds: credentials, providers, namespaces, capabilities and
// hosts. No pattern names the label "z" or goes deeper than two labels, so that a
// pattern which others do not hold has a host here that shows it.
var (
	worldIDs          = []string{"one", "two", "One"}
	worldProviders    = []bctrl.AIProvider{bctrl.OpenAI, bctrl.Anthropic}
	worldNamespaces   = []string{"exports", "Exports", "other"}
	worldPatterns     = []string{"/", "github/", "github/repos", "github/0", "slack/", "slack/post"}
	worldCapabilities = []string{"github/repos", "github/issues", "github/0", "github/1", "slack/post", "slack/0",
		"jira/x", "0/0"}
	worldHostPatterns = []string{"*", "a", "*.a", "b.a", "*.b.a", "0.a", "*.0.a", "ab.a", "*.ab.a", "B.A", "ab"}
	worldHosts        = append(hostsOf("a", "ab", "z"), "localhost", "B.a", "a.B.A", "10.0.0.1", "::1", "[::1]", "0",
		"0x7f")
)

// hostsOf returns the hosts of up to three labels below some domains.
func hostsOf(domains ...string) []string {
	var all []string
	for _, domain := range domains {
		all = append(all, domain)
		for _, label := range []string{"a", "b", "ab", "0", "z"} {
			below := label + "." + domain
			all = append(all, below, "a."+below, "0."+below, "z."+below)
		}
	}
	return all
}

// drawing draws mounts from the oracle's universe and these worlds.
type drawing struct {
	o *oracle
	t *rapid.T
}

func (d drawing) some(label string, from []string) []string {
	list := rapid.SliceOfN(rapid.SampledFrom(from), 0, 3).Draw(d.t, label)
	if list == nil {
		list = []string{}
	}
	return list
}

func (d drawing) coin(label string) bool { return rapid.Bool().Draw(d.t, label) }

// complete draws mounts in which nothing is left out.
func (d drawing) complete() bctrl.Mounts {
	m := bctrl.Mounts{
		AI: &bctrl.AIMount{Allow: d.some("ai", worldIDs)},
		Vault: &bctrl.VaultMount{
			Allow: d.some("allow", d.o.prefixes), Deny: d.some("deny", d.o.prefixes), AllowRawReads: new(d.coin("raw")),
		},
		Storage:      &bctrl.StorageMount{Access: bctrl.StorageNone},
		Capabilities: &bctrl.CapabilityMount{Allow: d.some("capabilities", worldPatterns)},
		Web:          &bctrl.WebMount{Allow: d.some("web", worldHostPatterns), Deny: d.some("web deny", worldHostPatterns)},
	}
	if d.coin("storage") {
		m.Storage = &bctrl.StorageMount{Workspace: rapid.SampledFrom(worldNamespaces).Draw(d.t, "namespace")}
	}
	if len(m.AI.Allow) > 0 && d.coin("default") {
		m.AI.Defaults = map[bctrl.AIProvider]string{bctrl.OpenAI: m.AI.Allow[0]}
	}
	return m
}

// declared draws mounts as a runtime declares them: anything may be left out.
func (d drawing) declared() bctrl.Mounts {
	m := d.complete()
	m.AI.Defaults = nil
	omit := func(label string) bool { return rapid.IntRange(0, 3).Draw(d.t, "omit "+label) == 0 }
	if omit("ai.allow") {
		m.AI.Allow = nil
	}
	if omit("vault.allow") {
		m.Vault.Allow = nil
	}
	if omit("vault.deny") {
		m.Vault.Deny = nil
	}
	if omit("vault.allowRawReads") {
		m.Vault.AllowRawReads = nil
	}
	if omit("storage.workspace") {
		m.Storage = &bctrl.StorageMount{}
	}
	if omit("capabilities.allow") {
		m.Capabilities.Allow = nil
	}
	if omit("web.allow") {
		m.Web.Allow = nil
	}
	if omit("web.deny") {
		m.Web.Deny = nil
	}
	if omit("ai") {
		m.AI = nil
	}
	if omit("vault") {
		m.Vault = nil
	}
	if omit("storage") {
		m.Storage = nil
	}
	if omit("capabilities") {
		m.Capabilities = nil
	}
	if omit("web") {
		m.Web = nil
	}
	return m
}

// world is everything that mounts can permit here.
type world map[bctrl.Action]bool

// permitted asks the oracle what complete mounts permit.
func (o *oracle) permitted(m bctrl.Mounts) world {
	w := world{}
	for _, id := range worldIDs {
		w[bctrl.Action{Verb: bctrl.UseAI, Object: id}] = m.AI != nil && slices.Contains(m.AI.Allow, id)
	}
	use, read := o.permits(m.Vault)
	for i, key := range o.keys {
		w[bctrl.Action{Verb: bctrl.UseVault, Object: key}] = use.has(i)
		w[bctrl.Action{Verb: bctrl.ListVault, Object: key}] = use.has(i)
		w[bctrl.Action{Verb: bctrl.ReadVault, Object: key}] = read.has(i)
	}
	for _, ns := range worldNamespaces {
		in := m.Storage != nil && m.Storage.Access == "" && m.Storage.Workspace == ns
		for _, verb := range []bctrl.Verb{bctrl.GetStorage, bctrl.PutStorage, bctrl.DeleteStorage, bctrl.ListStorage,
			bctrl.SignStorage} {
			w[bctrl.Action{Verb: verb, Object: ns}] = in
		}
	}
	for _, id := range worldCapabilities {
		w[bctrl.Action{Verb: bctrl.InvokeCapability, Object: id}] = m.Capabilities != nil &&
			underAny(m.Capabilities.Allow, id)
	}
	for _, host := range worldHosts {
		w[bctrl.Action{Verb: bctrl.VisitHost, Object: host}] = visits(m.Web, host)
	}
	return w
}

// within reports whether w permits nothing that other does not.
func (w world) within(other world) bool {
	for action, yes := range w {
		if yes && !other[action] {
			return false
		}
	}
	return true
}

// law checks a promise over drawn mounts.
func law(t *testing.T, check func(t *rapid.T, d drawing)) {
	t.Helper()
	o := newOracle()
	rapid.Check(t, func(t *rapid.T) { check(t, drawing{o, t}) })
}

func TestDecisionsAreTheOracles(t *testing.T) {
	law(t, func(t *rapid.T, d drawing) {
		m := d.complete()
		for action, want := range d.o.permitted(m) {
			decision := m.Explain(action)
			require.Equal(t, want, decision.Allowed, "%v", action)
			require.Equal(t, want, allows(m, action), "%v", action)
		}
	})
}

// allows asks the Allows method for an action's verb.
func allows(m bctrl.Mounts, action bctrl.Action) bool {
	switch action.Verb {
	case bctrl.UseAI:
		return m.AllowsCredential(action.Object)
	case bctrl.UseVault, bctrl.ListVault:
		return m.AllowsVaultKey(action.Object)
	case bctrl.ReadVault:
		return m.AllowsRawRead(action.Object)
	case bctrl.InvokeCapability:
		return m.AllowsCapability(action.Object)
	case bctrl.VisitHost:
		return m.AllowsHost(action.Object)
	default:
		return m.AllowsNamespace(action.Object)
	}
}

func TestCoversIsInclusion(t *testing.T) {
	law(t, func(t *rapid.T, d drawing) {
		a, b := d.complete(), d.complete()
		if d.coin("related") { // else few pairs include each other
			b = bctrl.Chain{a, b}.Effective()
		}
		require.Equal(t, d.o.permitted(b).within(d.o.permitted(a)), a.Covers(b))
		require.Equal(t, d.o.permitted(a).within(d.o.permitted(b)), b.Covers(a))
	})
}

func TestCoversIsAPartialOrderOnNormalForms(t *testing.T) {
	law(t, func(t *rapid.T, d drawing) {
		a, b, c := d.complete(), d.complete(), d.complete()
		require.True(t, a.Covers(a), "reflexive")
		lower := bctrl.Chain{a, b}.Effective()
		lowest := bctrl.Chain{lower, c}.Effective()
		require.True(t, a.Covers(lower) && lower.Covers(lowest) && a.Covers(lowest), "transitive")
		for _, pair := range [][2]bctrl.Mounts{{a, b}, {b, c}, {a, c}, {a, lower}} {
			x, y := pair[0], pair[1]
			if x.Covers(y) && y.Covers(x) {
				require.Equal(t, x.Normal(), y.Normal(), "antisymmetric")
			}
			if a.Covers(x) && x.Covers(y) {
				require.True(t, a.Covers(y), "transitive")
			}
		}
	})
}

func TestNormalFormsAreCanonical(t *testing.T) {
	law(t, func(t *rapid.T, d drawing) {
		a, b := d.complete(), d.complete()
		normal := a.Normal()
		require.Equal(t, d.o.permitted(a), d.o.permitted(normal), "permits the same")
		require.Equal(t, normal, normal.Normal(), "is its own normal form")
		require.NoError(t, normal.Validate())
		sameText := equalJSON(t, normal, b.Normal())
		require.Equal(t, same(d.o.permitted(a), d.o.permitted(b)), sameText, "equal exactly when they permit the same")
	})
}

func same(a, b world) bool { return a.within(b) && b.within(a) }

func equalJSON(t require.TestingT, a, b bctrl.Mounts) bool {
	left, err := json.Marshal(a)
	require.NoError(t, err)
	right, err := json.Marshal(b)
	require.NoError(t, err)
	return string(left) == string(right)
}

func TestNarrowingLeavesOutNothingAndAddsNothing(t *testing.T) {
	law(t, func(t *rapid.T, d drawing) {
		parent, child := d.complete(), d.declared()
		above := d.o.permitted(parent)
		narrowed, err := parent.Narrow(child)
		if err != nil {
			requireWitness(t, d.o, parent, child, err)
			return
		}
		got := d.o.permitted(narrowed)
		require.True(t, got.within(above), "narrowing never widens")
		require.True(t, parent.Covers(narrowed))
		require.Equal(t, d.o.permitted(bctrl.Chain{parent, child}.Effective()), got,
			"a chain that still fits is what was narrowed")
		again, err := parent.Narrow(narrowed)
		if err == nil { // refused where an inherited allow lies under a deny of the parent
			require.Equal(t, got, d.o.permitted(again))
		}
	})
}

// requireWitness checks that a refused child permits the witness and its parent
// does not.
func requireWitness(t *rapid.T, o *oracle, parent, child bctrl.Mounts, err error) {
	require.ErrorIs(t, err, bctrl.ErrWidening)
	var refusal *bctrl.Error
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, refusal.Problems[0].Witness, refusal.Witness)
	for _, p := range refusal.Problems {
		require.NotEmpty(t, p.Ceiling)
		require.NotEmpty(t, p.Hint)
		if p.Witness == "allowRawReads" {
			require.False(t, *parent.Vault.AllowRawReads)
			require.True(t, *child.Vault.AllowRawReads)
			continue
		}
		verb := map[string]bctrl.Verb{
			"ai": bctrl.UseAI, "vault": bctrl.UseVault, "storage": bctrl.GetStorage, "capabilities": bctrl.InvokeCapability,
			"web": bctrl.VisitHost,
		}[strings.Split(p.Field, ".")[1]]
		action := bctrl.Action{Verb: verb, Object: p.Witness}
		require.True(t, child.Explain(action).Allowed, "the child permits %v", action)
		require.False(t, parent.Explain(action).Allowed, "the parent does not permit %v", action)
	}
}

func TestNarrowingByNothingIsTheIdentity(t *testing.T) {
	law(t, func(t *rapid.T, d drawing) {
		m := d.declared() // also where the parent leaves something out
		narrowed, err := m.Narrow(bctrl.Mounts{})
		require.NoError(t, err)
		require.Equal(t, m, narrowed)
		m = d.complete()
		narrowed, err = m.Narrow(bctrl.Mounts{
			AI:           &bctrl.AIMount{},
			Vault:        &bctrl.VaultMount{},
			Storage:      &bctrl.StorageMount{},
			Capabilities: &bctrl.CapabilityMount{},
			Web:          &bctrl.WebMount{},
		})
		require.NoError(t, err)
		require.Equal(t, d.o.permitted(m), d.o.permitted(narrowed))
		require.Equal(t, m.AI, narrowed.AI)
	})
}

func TestMeetIsTheGreatestLowerBound(t *testing.T) {
	meet := func(levels ...bctrl.Mounts) bctrl.Mounts { return bctrl.Chain(levels).Effective() }
	law(t, func(t *rapid.T, d drawing) {
		a, b, c := d.complete(), d.complete(), d.complete()
		require.Equal(t, meet(a, b).Normal(), meet(b, a).Normal(), "commutative")
		require.Equal(t, meet(meet(a, b), c).Normal(), meet(a, meet(b, c)).Normal(), "associative")
		require.Equal(t, a.Normal(), meet(a, a).Normal(), "idempotent")
		lower := meet(a, b)
		require.True(t, a.Covers(lower) && b.Covers(lower), "a lower bound")
		for _, x := range []bctrl.Mounts{c, meet(a, b, c), meet(a, c)} {
			if a.Covers(x) && b.Covers(x) {
				require.True(t, lower.Covers(x), "the greatest")
			}
		}
		inA, inB, inBoth := d.o.permitted(a), d.o.permitted(b), d.o.permitted(lower)
		for action := range inBoth {
			require.Equal(t, inA[action] && inB[action], inBoth[action], "exactly what both permit: %v", action)
		}
	})
}

func TestLoweringAParentNeverRaisesAChild(t *testing.T) {
	law(t, func(t *rapid.T, d drawing) {
		parent, child := d.complete(), d.declared()
		lowered := bctrl.Chain{parent, d.complete()}.Effective()
		before := d.o.permitted(bctrl.Chain{parent, child}.Effective())
		after := d.o.permitted(bctrl.Chain{lowered, child}.Effective())
		require.True(t, after.within(before))
		require.True(t, after.within(d.o.permitted(lowered)))
	})
}

func TestAChainPermitsWhatEveryLevelPermits(t *testing.T) {
	law(t, func(t *rapid.T, d drawing) {
		chain := bctrl.Chain{d.complete(), d.declared(), d.declared()}
		effective := chain.Effective()
		for action, want := range d.o.permitted(effective) {
			require.Equal(t, want, chain.Allows(action), "%v", action)
			decision := chain.Explain(action)
			require.Equal(t, want, decision.Allowed, "%v", action)
			require.NotEmpty(t, decision.Reason)
			require.NotEmpty(t, decision.Field)
			level := chain[decision.Level]
			if decision.Level == 0 && !want {
				require.False(t, level.Explain(action).Allowed)
			}
			if want && !chain[0].Explain(action).Allowed {
				t.Fatalf("%v is permitted above its ceiling", action)
			}
		}
	})
}

func TestOrderAndDuplicatesDoNotMatter(t *testing.T) {
	law(t, func(t *rapid.T, d drawing) {
		parent, child := d.complete(), d.declared()
		shuffled := func(m bctrl.Mounts) bctrl.Mounts {
			twice := func(list []string) []string {
				if list == nil {
					return nil
				}
				list = append(slices.Clone(list), list...)
				slices.Reverse(list)
				return list
			}
			if m.AI != nil {
				m.AI = &bctrl.AIMount{Allow: twice(m.AI.Allow), Defaults: m.AI.Defaults}
			}
			if v := m.Vault; v != nil {
				m.Vault = &bctrl.VaultMount{Allow: twice(v.Allow), Deny: twice(v.Deny), AllowRawReads: v.AllowRawReads}
			}
			if m.Capabilities != nil {
				m.Capabilities = &bctrl.CapabilityMount{Allow: twice(m.Capabilities.Allow)}
			}
			if m.Web != nil {
				m.Web = &bctrl.WebMount{Allow: twice(m.Web.Allow), Deny: twice(m.Web.Deny)}
			}
			return m
		}
		require.Equal(t, parent.Normal(), shuffled(parent).Normal())
		one, errOne := parent.Narrow(child)
		two, errTwo := shuffled(parent).Narrow(shuffled(child))
		require.Equal(t, errOne == nil, errTwo == nil)
		if errOne == nil {
			require.Equal(t, one.Normal(), two.Normal())
		}
	})
}

func TestADenyMoreOrAnAllowLessPermitsNothingNew(t *testing.T) {
	law(t, func(t *rapid.T, d drawing) {
		m := d.complete()
		before := d.o.permitted(m)
		denied := m
		denied.Vault = &bctrl.VaultMount{
			Allow: m.Vault.Allow, AllowRawReads: m.Vault.AllowRawReads,
			Deny: append(slices.Clone(m.Vault.Deny), rapid.SampledFrom(d.o.prefixes).Draw(t, "more")),
		}
		denied.Web = &bctrl.WebMount{
			Allow: m.Web.Allow,
			Deny:  append(slices.Clone(m.Web.Deny), rapid.SampledFrom(worldHostPatterns).Draw(t, "more hosts")),
		}
		for action := range before {
			require.False(t, denied.Explain(action).Allowed && !before[action])
		}
		require.True(t, m.Covers(denied))
		if len(m.Vault.Allow) > 0 {
			fewer := m
			fewer.Vault = &bctrl.VaultMount{Allow: m.Vault.Allow[1:], Deny: m.Vault.Deny, AllowRawReads: m.Vault.AllowRawReads}
			require.True(t, m.Covers(fewer))
			require.True(t, d.o.permitted(fewer).within(before))
		}
		if len(m.Web.Allow) > 0 {
			fewer := m
			fewer.Web = &bctrl.WebMount{Allow: m.Web.Allow[1:], Deny: m.Web.Deny}
			require.True(t, m.Covers(fewer))
			require.True(t, d.o.permitted(fewer).within(before))
		}
	})
}

func TestArgumentsAreNeitherChangedNorShared(t *testing.T) {
	law(t, func(t *rapid.T, d drawing) {
		parent, child := d.complete(), d.declared()
		parentText, childText := printed(t, parent), printed(t, child)
		results := []bctrl.Mounts{bctrl.Chain{parent, child}.Effective(), parent.Normal()}
		if narrowed, err := parent.Narrow(child); err == nil {
			results = append(results, narrowed)
		}
		for _, m := range results {
			overwrite(m)
		}
		require.Equal(t, parentText, printed(t, parent))
		require.Equal(t, childText, printed(t, child))
	})
}

// overwrite changes everything that m points to.
func overwrite(m bctrl.Mounts) {
	spoil := func(list []string) {
		for i := range list {
			list[i] = "spoiled"
		}
		_ = append(list, "spoiled")
	}
	if m.AI != nil {
		spoil(m.AI.Allow)
		clear(m.AI.Defaults)
	}
	if m.Vault != nil {
		spoil(m.Vault.Allow)
		spoil(m.Vault.Deny)
		if m.Vault.AllowRawReads != nil {
			*m.Vault.AllowRawReads = !*m.Vault.AllowRawReads
		}
	}
	if m.Storage != nil {
		*m.Storage = bctrl.StorageMount{Workspace: "spoiled"}
	}
	if m.Capabilities != nil {
		spoil(m.Capabilities.Allow)
	}
	if m.Web != nil {
		spoil(m.Web.Allow)
		spoil(m.Web.Deny)
	}
}

func printed(t require.TestingT, m bctrl.Mounts) string {
	data, err := json.Marshal(m)
	require.NoError(t, err)
	return string(data)
}

func TestParseAndPrintAreInverse(t *testing.T) {
	law(t, func(t *rapid.T, d drawing) {
		m := d.declared()
		if m.AI != nil && m.AI.Allow != nil && d.coin("empty defaults") {
			m.AI.Defaults = map[bctrl.AIProvider]string{}
		}
		text := printed(t, m)
		var parsed bctrl.Mounts
		require.NoError(t, json.Unmarshal([]byte(text), &parsed))
		require.Equal(t, m, parsed, "nil and empty survive")
		require.Equal(t, text, printed(t, parsed))
	})
}

func TestDefaultsNeverLeaveTheAllowedCredentials(t *testing.T) {
	law(t, func(t *rapid.T, d drawing) {
		parent, child := d.complete(), d.declared()
		if child.AI != nil && d.coin("defaults") {
			child.AI.Defaults = map[bctrl.AIProvider]string{
				rapid.SampledFrom(worldProviders).Draw(t, "provider"): rapid.SampledFrom(worldIDs).Draw(t, "credential"),
			}
		}
		levels := []bctrl.Mounts{bctrl.Chain{parent, child}.Effective()}
		if narrowed, err := parent.Narrow(child); err == nil {
			levels = append(levels, narrowed)
			require.NoError(t, narrowed.Validate())
		}
		for _, m := range levels {
			for _, id := range m.AI.Defaults {
				require.True(t, m.AllowsCredential(id))
			}
		}
	})
}
