package broker

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

// resolveCase is a change to what is stored, a query, and what it comes to.
type resolveCase struct {
	why    string
	change func(*State)
	q      Query
	want   string
}

// The contexts of these tests.
func aWorkspace() bctrl.Scope { return bctrl.InWorkspace("w") }
func aGroup() bctrl.Scope     { return bctrl.InGroup("w", "g") }
func otherGroup() bctrl.Scope { return bctrl.InGroup("w", "h") }
func elsewhere() bctrl.Scope  { return bctrl.InGroup("v", "g") }

// ownCredential is a credential of the provider "p" with a secret of its own.
func ownCredential(id string, scope bctrl.Scope) Credential {
	return Credential{
		UID:      id,
		ID:       id,
		Provider: "p",
		Scope:    scope,
		Secrets:  map[string]string{"key": "s-" + id},
	}
}

func aiCredential() Credential {
	return Credential{
		UID:      "u",
		ID:       "ai",
		Provider: "p",
		AI:       true,
		Scope:    bctrl.Global(),
		Secrets:  map[string]string{"apiKey": ""},
	}
}

func binding(uid string, scope bctrl.Scope, target, secret string) Binding {
	return Binding{
		UID:    uid,
		Scope:  scope,
		Target: target,
		Secret: secret,
	}
}

// resolveEach resolves each case in a state of its own: one credential with its
// secret in each tier.
func resolveEach(t *testing.T, cases []resolveCase) {
	t.Helper()
	for _, c := range cases {
		state := State{Credentials: []Credential{
			ownCredential("of-all", bctrl.Global()), ownCredential("of-ws", aWorkspace()), ownCredential("of-group", aGroup()),
		}}
		for _, of := range state.Credentials {
			state.Secrets = append(state.Secrets, Secret{ID: "s-" + of.ID, Scope: of.Scope})
		}
		if c.change != nil {
			c.change(&state)
		}
		if c.q.Provider == "" {
			c.q.Provider = "p"
		}
		require.Equal(t, c.want, shown(Resolve(state, c.q)), c.why)
	}
}

func TestTheMostSpecificScopeIsUsed(t *testing.T) {
	group, other := aGroup(), otherGroup()
	resolveEach(t, []resolveCase{
		{"the group's own", nil, Query{Context: group}, "of-group group key=s-of-group"},
		{"another group has its workspace's", nil, Query{Context: other}, "of-ws workspace key=s-of-ws"},
		{"no context is the global one", nil, Query{}, "of-all global key=s-of-all"},
		{"another workspace has the global one", nil, Query{Context: elsewhere()}, "of-all global key=s-of-all"},
		{"a disabled one is never passed over", func(s *State) { s.Credentials[2].Disabled = true }, Query{Context: group},
			"credentials.disabled"},
		{"nor is a changed one", func(s *State) { s.Credentials[2].Tampered = true }, Query{Context: group},
			"credentials.tampered"},
		{"nor one whose secret is another provider's", func(s *State) { s.Secrets[2].Provider = "q" },
			Query{Context: group}, "secrets.pinned"},
		{"one whose secret is gone is not there", func(s *State) { s.Secrets = s.Secrets[:2] }, Query{Context: group},
			"of-ws workspace key=s-of-ws"},
		{"unless it is named", func(s *State) { s.Secrets = s.Secrets[:2] }, Query{Context: group, Credential: "of-group"},
			"credentials.revoked"},
		{"the higher priority", func(s *State) {
			more := ownCredential("of-all-2", bctrl.Global())
			more.Priority, more.Secrets = 1, map[string]string{"key": "s-of-all"}
			s.Credentials = append(s.Credentials, more)
		}, Query{}, "of-all-2 global key=s-of-all"},
		{"two alike", func(s *State) {
			more := ownCredential("also", bctrl.Global())
			more.Secrets = map[string]string{"key": "s-of-all"}
			s.Credentials = append(s.Credentials, more)
		}, Query{}, "credentials.credential_ambiguous also, of-all"},
		{"two alike further away are nothing to the group", func(s *State) {
			more := ownCredential("also", bctrl.Global())
			more.Secrets = map[string]string{"key": "s-of-all"}
			s.Credentials = append(s.Credentials, more)
		}, Query{Context: group}, "of-group group key=s-of-group"},
		{"a name chooses a less specific one", nil, Query{Context: group, Credential: "of-all"},
			"of-all global key=s-of-all"},
		{"a name outside the context is no credential", nil, Query{Context: other, Credential: "of-group"},
			"credentials.not_found"},
		{"a named one of another provider", nil, Query{Provider: "q", Credential: "of-all"}, "credentials.wrong_provider"},
		{"attaching brings a secret's global credential before the workspace's",
			func(s *State) { s.Secrets[0].Attached = []bctrl.Scope{other} },
			Query{Context: other}, "of-all attached key=s-of-all"},
		{"but not before the group's own", func(s *State) { s.Secrets[0].Attached = []bctrl.Scope{group} },
			Query{Context: group}, "of-group group key=s-of-group"},
		{"a provisioned one is brought from another workspace", func(s *State) {
			s.Credentials[2].Provisioned = true
			s.Secrets[2].Attached = []bctrl.Scope{elsewhere()}
		}, Query{Context: elsewhere()}, "of-group attached key=s-of-group"},
		{"one made by hand stays in its scope",
			func(s *State) { s.Secrets[2].Attached = []bctrl.Scope{elsewhere()} },
			Query{Context: elsewhere()}, "of-all global key=s-of-all"},
		{"attached only is not there by scope", func(s *State) { s.Secrets[0].AttachedOnly = true },
			Query{}, "credentials.none"},
	})
}

func TestABindingReplacesTheSecretOfWhatIsNoMoreSpecific(t *testing.T) {
	ws, group, other := aWorkspace(), aGroup(), otherGroup()
	resolveEach(t, []resolveCase{
		{"a binding replaces the secret", func(s *State) {
			s.Bindings = []Binding{binding("b", ws, "of-ws", "s-of-all")}
		}, Query{Context: other}, "of-ws workspace key=s-of-all by b"},
		{"but a global one replaces no workspace's", func(s *State) {
			s.Bindings = []Binding{binding("b", bctrl.Global(), "of-ws", "s-of-all")}
		}, Query{Context: other}, "of-ws workspace key=s-of-ws"},
		{"nor a global one of the capability a group's", func(s *State) {
			s.Bindings = []Binding{binding("b", bctrl.Global(), "p/one", "s-of-all")}
			s.Bindings[0].Consumer = "bot"
		}, Query{Context: group, Capability: "p/one", Consumer: "bot"}, "of-group group key=s-of-group"},
		{"nor a workspace's what is attached to the group", func(s *State) {
			s.Secrets[0].Attached = []bctrl.Scope{other}
			s.Bindings = []Binding{binding("b", ws, "of-all", "s-of-ws")}
		}, Query{Context: other}, "of-all attached key=s-of-all"},
		{"which one of the group does", func(s *State) {
			s.Secrets[0].Attached = []bctrl.Scope{other}
			s.Bindings = []Binding{binding("b", other, "of-all", "s-of-ws")}
		}, Query{Context: other}, "of-all attached key=s-of-ws by b"},
		{"a named one is no less specific for that", func(s *State) {
			s.Bindings = []Binding{binding("b", ws, "of-group", "s-of-ws")}
		}, Query{Context: group, Credential: "of-group"}, "of-group group key=s-of-group"},
		{"nor more specific", func(s *State) {
			s.Bindings = []Binding{binding("b", ws, "of-all", "s-of-ws")}
		}, Query{Context: group, Credential: "of-all"}, "of-all global key=s-of-ws by b"},
		{"a less specific one that was changed is not looked at", func(s *State) {
			s.Bindings = []Binding{binding("b", bctrl.Global(), "of-group", "s-of-all")}
			s.Bindings[0].Tampered = true
		}, Query{Context: group}, "of-group group key=s-of-group"},
		{"one whose secret is gone falls through to the next", func(s *State) {
			s.Bindings = []Binding{binding("b", group, "of-all", "gone"), binding("c", ws, "of-all", "s-of-ws")}
		}, Query{Context: group, Credential: "of-all"}, "of-all global key=s-of-ws by c"},
		{"one whose secret is another provider's does not", func(s *State) {
			s.Secrets[2].Provider = "q"
			s.Bindings = []Binding{binding("b", group, "of-all", "s-of-group"), binding("c", ws, "of-all", "s-of-ws")}
		}, Query{Context: group, Credential: "of-all"}, "secrets.pinned"},
	})
}

func TestAnAICredentialCountsAsGlobal(t *testing.T) {
	ws, group := aWorkspace(), aGroup()
	resolveEach(t, []resolveCase{
		{"an AI credential counts as global", func(s *State) {
			s.Credentials = append(s.Credentials, aiCredential())
			s.Bindings = []Binding{binding("b", bctrl.Global(), "ai", "s-of-all")}
		}, Query{Context: group, Credential: "ai"}, "ai global apiKey=s-of-all by b"},
		{"an AI credential has its own key", func(s *State) {
			s.Credentials = append(s.Credentials, aiCredential())
		}, Query{Context: group, Credential: "ai"}, "ai global apiKey="},
		{"or the one bound for it", func(s *State) {
			s.Credentials = append(s.Credentials, aiCredential())
			s.Bindings = []Binding{binding("b", ws, "ai", "s-of-ws"), binding("c", group, "ai", "s-of-group")}
			s.Bindings[1].Field = "apiKey"
		}, Query{Context: group, Credential: "ai"}, "ai global apiKey=s-of-group by c"},
	})
}
