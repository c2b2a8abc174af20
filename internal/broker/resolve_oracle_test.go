package broker

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bctrl-go/bctrl"
)

// oracle resolves by walking through semantics 4 as it is written: a question
// for each tier in turn, and for bindings one for every place they can be at.
type oracle struct {
	State
	q Query
}

// answer is what oracle and Resolve are compared by.
func (o oracle) answer() string {
	c, tier, code := o.choose()
	if code != "" {
		return code
	}
	switch {
	case c.Tampered:
		return "credentials.tampered"
	case o.q.Provider != "" && o.q.Provider != c.Provider:
		return "credentials.wrong_provider"
	case c.Disabled:
		return "credentials.disabled"
	}
	for _, id := range c.Secrets {
		if s, ok := o.secret(id); ok && s.Provider != "" && s.Provider != c.Provider {
			return "secrets.pinned"
		}
	}
	out := []string{c.ID, string(tier)}
	for _, field := range slices.Sorted(maps.Keys(c.Secrets)) {
		b, bound := o.binding(c, tier, field)
		switch s, _ := o.secret(b.Secret); {
		case bound && b.Tampered:
			return "credentials.tampered"
		case bound && s.Provider != "" && s.Provider != c.Provider:
			return "secrets.pinned"
		case bound:
			out = append(out, field+"="+b.Secret+" by "+b.UID)
		default:
			out = append(out, field+"="+c.Secrets[field])
		}
	}
	return strings.Join(out, " ")
}

func (o oracle) choose() (Credential, Tier, string) {
	if o.q.Credential != "" {
		return o.named()
	}
	for _, tier := range []Tier{TierGroup, TierAttached, TierWorkspace, TierGlobal} {
		var in []Credential
		for _, c := range o.Credentials {
			if !c.AI && c.Provider == o.q.Provider && o.at(c, tier) {
				in = append(in, c)
			}
		}
		if len(in) == 0 {
			continue
		}
		highest := slices.MaxFunc(in, func(a, b Credential) int { return a.Priority - b.Priority }).Priority
		uids := map[string]Credential{}
		for _, c := range in {
			if c.Priority == highest {
				uids[c.UID] = c
			}
		}
		if len(uids) > 1 {
			ids := []string{}
			for _, c := range uids {
				ids = append(ids, c.ID)
			}
			slices.Sort(ids)
			return Credential{}, tier, "credentials.credential_ambiguous " + strings.Join(ids, ", ")
		}
		for _, c := range uids {
			return c, tier, ""
		}
	}
	return Credential{}, "", "credentials.none"
}

func (o oracle) named() (Credential, Tier, string) {
	for _, c := range o.Credentials {
		if c.ID != o.q.Credential {
			continue
		}
		for _, tier := range []Tier{TierGroup, TierAttached, TierWorkspace, TierGlobal} {
			if o.at(c, tier) {
				return c, tier, ""
			}
		}
		for _, id := range c.Secrets {
			if _, ok := o.secret(id); id != "" && !ok && o.sees(c.Scope) {
				return Credential{}, "", "credentials.revoked"
			}
		}
	}
	return Credential{}, "", "credentials.not_found"
}

// at reports whether a credential is a match of one tier.
func (o oracle) at(c Credential, tier Tier) bool {
	attached := false
	for _, id := range c.Secrets {
		if id != "" && !o.seesSecret(id) {
			return false
		}
		s, _ := o.secret(id)
		attached = attached || o.attached(s)
	}
	ws := o.q.Context.WorkspaceID()
	switch tier {
	case TierGroup:
		return o.q.Context.GroupID() != "" && c.Scope == o.q.Context
	case TierAttached:
		return attached && (c.Provisioned || o.sees(c.Scope))
	case TierWorkspace:
		return ws != "" && c.Scope == bctrl.InWorkspace(ws)
	}
	return c.Scope == bctrl.Global()
}

func (o oracle) sees(scope bctrl.Scope) bool {
	ws := o.q.Context.WorkspaceID()
	return scope == bctrl.Global() || ws != "" && scope == bctrl.InWorkspace(ws) ||
		o.q.Context.GroupID() != "" && scope == o.q.Context
}

func (o oracle) secret(id string) (Secret, bool) {
	for _, s := range o.Secrets {
		if s.ID == id && id != "" {
			return s, true
		}
	}
	return Secret{}, false
}

func (o oracle) attached(s Secret) bool {
	for _, at := range s.Attached {
		if at == o.q.Context {
			return true
		}
	}
	return false
}

func (o oracle) seesSecret(id string) bool {
	s, ok := o.secret(id)
	return ok && (o.attached(s) || !s.AttachedOnly && o.sees(s.Scope))
}

// binding asks from the group outwards, and no further than to where the
// credential is.
func (o oracle) binding(c Credential, tier Tier, field string) (Binding, bool) {
	in := o.q.Context
	var scopes []bctrl.Scope
	if in.GroupID() != "" {
		scopes = append(scopes, in)
	}
	if in.WorkspaceID() != "" && (tier == TierWorkspace || tier == TierGlobal) {
		scopes = append(scopes, bctrl.InWorkspace(in.WorkspaceID()))
	}
	if tier == TierGlobal {
		scopes = append(scopes, bctrl.Global())
	}
	fields := []string{field}
	if len(c.Secrets) == 1 {
		fields = append(fields, "")
	}
	for _, scope := range scopes {
		for _, consumer := range slices.Compact([]string{o.q.Consumer, ""}) {
			for _, target := range []string{o.q.Capability, c.ID} {
				for _, f := range fields {
					for _, b := range o.Bindings {
						if target != "" && b.Scope == scope && b.Consumer == consumer && b.Target == target && b.Field == f &&
							o.seesSecret(b.Secret) {
							return b, true
						}
					}
				}
			}
		}
	}
	return Binding{}, false
}

// shown is the answer of Resolve as the oracle has it.
func shown(r Resolved, err error) string {
	if e, ok := errors.AsType[*bctrl.Error](err); ok {
		if _, list, found := strings.Cut(e.Message, "are visible: "); found {
			return e.Code + " " + list
		}
		return e.Code
	}
	out := []string{r.Credential.ID, string(r.Tier)}
	for _, field := range slices.Sorted(maps.Keys(r.Secrets)) {
		part := field + "=" + r.Secrets[field]
		if b, bound := r.Bindings[field]; bound {
			part += " by " + b.UID
		}
		out = append(out, part)
	}
	return strings.Join(out, " ")
}

// A world small enough that everything meets everything.

func anyOf[T any](values ...T) *rapid.Generator[T] { return rapid.SampledFrom(values) }

func anyScope() *rapid.Generator[bctrl.Scope] {
	return anyOf(bctrl.Global(), bctrl.InWorkspace("a"), bctrl.InWorkspace("b"), bctrl.InGroup("a", "x"),
		bctrl.InGroup("a", "y"), bctrl.InGroup("b", "x"))
}

func often(t *rapid.T, what string) bool { return rapid.IntRange(0, 9).Draw(t, what) > 0 }

func seldom(t *rapid.T, what string) bool { return rapid.IntRange(0, 19).Draw(t, what) == 7 }

func anySecret(id string) *rapid.Generator[Secret] {
	return rapid.Custom(func(t *rapid.T) Secret {
		s := Secret{ID: id, Scope: anyScope().Draw(t, "scope"), AttachedOnly: seldom(t, "attachedOnly")}
		if seldom(t, "pinned") {
			s.Provider = anyOf("p", "q").Draw(t, "pin")
		}
		for range rapid.IntRange(0, 2).Draw(t, "attachments") {
			s.Attached = append(s.Attached, anyOf(bctrl.InGroup("a", "x"), bctrl.InGroup("b", "x")).Draw(t, "group"))
		}
		return s
	})
}

func anyCredential(id string) *rapid.Generator[Credential] {
	return rapid.Custom(func(t *rapid.T) Credential {
		c := Credential{
			UID:         "uid-" + id,
			ID:          id,
			Provider:    anyOf("p", "p", "p", "q").Draw(t, "provider"),
			Scope:       anyScope().Draw(t, "scope"),
			Priority:    rapid.IntRange(0, 2).Draw(t, "priority"),
			Disabled:    seldom(t, "disabled"),
			Tampered:    seldom(t, "tampered"),
			Provisioned: rapid.Bool().Draw(t, "provisioned"),
			Secrets:     map[string]string{},
		}
		if c.AI = seldom(t, "ai"); c.AI {
			c.Scope, c.Provisioned, c.Secrets["key"] = bctrl.Global(), false, ""
			return c
		}
		for _, field := range []string{"key", "id"}[:rapid.IntRange(0, 2).Draw(t, "fields")] {
			c.Secrets[field] = anyOf("s0", "s1", "s2", "s0", "s1", "s2", "gone").Draw(t, "secret")
		}
		return c
	})
}

func anyBinding(uid string) *rapid.Generator[Binding] {
	return rapid.Custom(func(t *rapid.T) Binding {
		return Binding{
			UID:      uid,
			Scope:    anyScope().Draw(t, "scope"),
			Target:   anyOf("p/one", "p/two", "c0", "c1").Draw(t, "target"),
			Consumer: anyOf("", "bot", "crm").Draw(t, "consumer"),
			Field:    anyOf("", "key", "id").Draw(t, "field"),
			Secret:   anyOf("s0", "s1", "s2", "s0", "s1", "s2", "gone").Draw(t, "secret"),
			Tampered: seldom(t, "tampered"),
		}
	})
}

// sameKey reports whether two bindings cannot both be stored.
func sameKey(a, b Binding) bool {
	return a.Scope == b.Scope && a.Target == b.Target && a.Consumer == b.Consumer && a.Field == b.Field
}

func anyState() *rapid.Generator[State] {
	return rapid.Custom(func(t *rapid.T) (state State) {
		for i := range rapid.IntRange(2, 3).Draw(t, "secrets") {
			state.Secrets = append(state.Secrets, anySecret(fmt.Sprintf("s%d", i)).Draw(t, "secret"))
		}
		for i := range rapid.IntRange(1, 4).Draw(t, "credentials") {
			state.Credentials = append(state.Credentials, anyCredential(fmt.Sprintf("c%d", i)).Draw(t, "credential"))
		}
		for i := range rapid.IntRange(0, 6).Draw(t, "bindings") {
			b := anyBinding(fmt.Sprintf("b%d", i)).Draw(t, "binding")
			if !slices.ContainsFunc(state.Bindings, func(o Binding) bool { return sameKey(b, o) }) {
				state.Bindings = append(state.Bindings, b)
			}
		}
		return state
	})
}

func anyQuery() *rapid.Generator[Query] {
	return rapid.Custom(func(t *rapid.T) Query {
		q := Query{
			Provider:   anyOf("p", "p", "p", "q").Draw(t, "provider"),
			Capability: anyOf("", "p/one", "p/two").Draw(t, "capability"),
			Consumer:   anyOf("", "bot", "crm").Draw(t, "consumer"),
			Context: anyOf(bctrl.Scope{}, bctrl.Global(), bctrl.InWorkspace("a"), bctrl.InGroup("a", "x"),
				bctrl.InGroup("a", "x"), bctrl.InGroup("b", "x")).Draw(t, "context"),
		}
		if !often(t, "unnamed") || rapid.Bool().Draw(t, "named") && rapid.Bool().Draw(t, "named2") {
			q.Credential = anyOf("c0", "c1", "nobody").Draw(t, "name")
		}
		return q
	})
}

func TestResolveIsTheOracle(t *testing.T) {
	seen := map[string]int{}
	for range 150 { // a hundred cases each
		rapid.Check(t, func(t *rapid.T) {
			state, q := anyState().Draw(t, "state"), anyQuery().Draw(t, "query")
			want := oracle{state, q}.answer()
			require.Equal(t, want, shown(Resolve(state, q)))
			kind, _, _ := strings.Cut(want, " ")
			if strings.Contains(want, " by ") {
				kind = "bound"
			}
			seen[kind]++
		})
	}
	for _, kind := range []string{
		"bound", "credentials.none", "credentials.credential_ambiguous", "credentials.not_found", "credentials.revoked",
		"credentials.disabled",
		"credentials.tampered", "credentials.wrong_provider", "secrets.pinned",
	} {
		require.NotZero(t, seen[kind], "no case came to %s", kind)
	}
}

func TestOrderAndRepeatsDoNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		state, q := anyState().Draw(t, "state"), anyQuery().Draw(t, "query")
		want := shown(Resolve(state, q))
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		require.Equal(t, want, shown(Resolve(State{
			mixed(r, state.Credentials), mixed(r, state.Secrets), mixed(r, state.Bindings),
		}, q)))
	})
}

// mixed repeats some of a list and puts it into another order.
func mixed[T any](r *rand.Rand, list []T) []T {
	out := slices.Clone(list)
	for _, v := range list {
		if r.IntN(2) == 0 {
			out = append(out, v)
		}
	}
	r.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// Whatever is added that is less specific than what decided, be it a credential
// or a binding, every answer stays what it was: also a refusal, unless that says
// that nothing was found.
func TestALessSpecificEntryNeverChangesAResult(t *testing.T) {
	held := map[string]int{}
	for range 60 { // a hundred cases each
		rapid.Check(t, func(t *rapid.T) {
			state, q := anyState().Draw(t, "state"), anyQuery().Draw(t, "query")
			c, tier, code := oracle{state, q}.choose()
			if code == "credentials.none" || code == "credentials.not_found" {
				return
			}
			before := shown(Resolve(state, q))
			more := state
			more.Credentials = append(slices.Clone(state.Credentials), anyCredential("later").Draw(t, "credential"))
			if !(oracle{more, q}).within(more.Credentials[len(more.Credentials)-1], tier) {
				require.Equal(t, before, shown(Resolve(more, q)), "a credential")
				held["credential"]++
			}
			if code != "" {
				return
			}
			// For each field a binding decides, else the credential.
			decided := TierGroup
			for field := range c.Secrets {
				of := tier
				if b, bound := (oracle{state, q}).binding(c, tier, field); bound {
					of = scopeTier(b.Scope)
				}
				if of.rank() > decided.rank() {
					decided = of
				}
			}
			less := anyBinding("later").Draw(t, "binding")
			if scopeTier(less.Scope).rank() > decided.rank() {
				more = state
				more.Bindings = append(slices.Clone(state.Bindings), less)
				require.Equal(t, before, shown(Resolve(more, q)), "a binding")
				held["binding"]++
			}
		})
	}
	require.Greater(t, held["credential"], 300)
	require.Greater(t, held["binding"], 300)
}

// within reports whether a credential is at a tier or at a more specific one.
func (o oracle) within(c Credential, tier Tier) bool {
	for _, at := range []Tier{TierGroup, TierAttached, TierWorkspace, TierGlobal} {
		if at.rank() <= tier.rank() && o.at(c, at) {
			return true
		}
	}
	return false
}

func scopeTier(scope bctrl.Scope) Tier {
	return map[bctrl.ScopeType]Tier{
		bctrl.ScopeGroup:     TierGroup,
		bctrl.ScopeWorkspace: TierWorkspace,
		bctrl.ScopeGlobal:    TierGlobal,
	}[scope.Type()]
}

func TestDeletingTheMoreSpecificFallsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		state, q := anyState().Draw(t, "state"), anyQuery().Draw(t, "query")
		q.Credential = ""
		before, err := Resolve(state, q)
		if err != nil {
			return
		}
		fewer := state
		fewer.Credentials = slices.DeleteFunc(slices.Clone(state.Credentials),
			func(c Credential) bool { return c.UID == before.Credential.UID })
		after, err := Resolve(fewer, q)
		if err == nil {
			require.NotEqual(t, before.Credential.UID, after.Credential.UID)
			require.LessOrEqual(t, before.Tier.rank(), after.Tier.rank())
		}
		require.Equal(t, oracle{fewer, q}.answer(), shown(after, err))
		fewer.Credentials = append(fewer.Credentials, before.Credential)
		require.Equal(t, shown(before, nil), shown(Resolve(fewer, q)), "and it comes back")
	})
}

// Here one credential is always found, so that it is the bindings that decide.
func TestBindingsAreTheOracles(t *testing.T) {
	bound := 0
	for range 20 {
		rapid.Check(t, func(t *rapid.T) {
			state, q := State{}, anyQuery().Draw(t, "query")
			c := Credential{
				UID:      "uid-c0",
				ID:       "c0",
				Provider: "p",
				Scope:    bctrl.Global(),
				Secrets:  map[string]string{"key": "s0"},
			}
			if rapid.Bool().Draw(t, "two fields") {
				c.Secrets["id"] = "s1"
			}
			state.Credentials, q.Provider, q.Credential = []Credential{c}, "p", ""
			for _, id := range []string{"s0", "s1", "s2"} {
				state.Secrets = append(state.Secrets, Secret{ID: id, Scope: bctrl.Global()})
			}
			for i := range rapid.IntRange(0, 20).Draw(t, "bindings") {
				b := anyBinding(fmt.Sprintf("b%d", i)).Draw(t, "binding")
				if !slices.ContainsFunc(state.Bindings, func(o Binding) bool { return sameKey(b, o) }) {
					state.Bindings = append(state.Bindings, b)
				}
			}
			r, err := Resolve(state, q)
			require.Equal(t, oracle{state, q}.answer(), shown(r, err))
			bound += len(r.Bindings)
		})
	}
	require.Greater(t, bound, 300)
}
