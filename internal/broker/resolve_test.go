package broker

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

func TestTheMostSpecificScopeIsUsed(t *testing.T) {
	secret := func(id string, scope bctrl.Scope) Secret { return Secret{ID: id, Scope: scope} }
	credential := func(id string, scope bctrl.Scope) Credential {
		return Credential{
			UID:      id,
			ID:       id,
			Provider: "p",
			Scope:    scope,
			Secrets:  map[string]string{"key": "s-" + id},
		}
	}
	ws, group, other := bctrl.InWorkspace("w"), bctrl.InGroup("w", "g"), bctrl.InGroup("w", "h")
	all := State{
		Credentials: []Credential{credential("of-all", bctrl.Global()), credential("of-ws", ws),
			credential("of-group", group)},
		Secrets: []Secret{secret("s-of-all", bctrl.Global()), secret("s-of-ws", ws), secret("s-of-group", group)},
	}
	for _, test := range []struct {
		why    string
		change func(*State)
		q      Query
		want   string
	}{
		{"the group's own", nil, Query{Context: group}, "of-group group key=s-of-group"},
		{"another group has its workspace's", nil, Query{Context: other}, "of-ws workspace key=s-of-ws"},
		{"no context is the global one", nil, Query{}, "of-all global key=s-of-all"},
		{"another workspace has the global one", nil, Query{Context: bctrl.InGroup("v", "g")}, "of-all global key=s-of-all"},
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
			more := credential("of-all-2", bctrl.Global())
			more.Priority, more.Secrets = 1, map[string]string{"key": "s-of-all"}
			s.Credentials = append(s.Credentials, more)
		}, Query{}, "of-all-2 global key=s-of-all"},
		{"two alike", func(s *State) {
			more := credential("also", bctrl.Global())
			more.Secrets = map[string]string{"key": "s-of-all"}
			s.Credentials = append(s.Credentials, more)
		}, Query{}, "credentials.credential_ambiguous also, of-all"},
		{"two alike further away are nothing to the group", func(s *State) {
			more := credential("also", bctrl.Global())
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
			s.Secrets[2].Attached = []bctrl.Scope{bctrl.InGroup("v", "g")}
		}, Query{Context: bctrl.InGroup("v", "g")}, "of-group attached key=s-of-group"},
		{"one made by hand stays in its scope",
			func(s *State) { s.Secrets[2].Attached = []bctrl.Scope{bctrl.InGroup("v", "g")} },
			Query{Context: bctrl.InGroup("v", "g")}, "of-all global key=s-of-all"},
		{"attached only is not there by scope", func(s *State) { s.Secrets[0].AttachedOnly = true },
			Query{}, "credentials.none"},
		{"a binding replaces the secret", func(s *State) {
			s.Bindings = []Binding{{
				UID:    "b",
				Scope:  ws,
				Target: "of-ws",
				Secret: "s-of-all",
			}}
		}, Query{Context: other}, "of-ws workspace key=s-of-all by b"},
		{"but a global one replaces no workspace's", func(s *State) {
			s.Bindings = []Binding{{
				UID:    "b",
				Scope:  bctrl.Global(),
				Target: "of-ws",
				Secret: "s-of-all",
			}}
		}, Query{Context: other}, "of-ws workspace key=s-of-ws"},
		{"nor a global one of the capability a group's", func(s *State) {
			s.Bindings = []Binding{{
				UID:      "b",
				Scope:    bctrl.Global(),
				Target:   "p/one",
				Consumer: "bot",
				Secret:   "s-of-all",
			}}
		}, Query{Context: group, Capability: "p/one", Consumer: "bot"}, "of-group group key=s-of-group"},
		{"nor a workspace's what is attached to the group", func(s *State) {
			s.Secrets[0].Attached = []bctrl.Scope{other}
			s.Bindings = []Binding{{
				UID:    "b",
				Scope:  ws,
				Target: "of-all",
				Secret: "s-of-ws",
			}}
		}, Query{Context: other}, "of-all attached key=s-of-all"},
		{"which one of the group does", func(s *State) {
			s.Secrets[0].Attached = []bctrl.Scope{other}
			s.Bindings = []Binding{{
				UID:    "b",
				Scope:  other,
				Target: "of-all",
				Secret: "s-of-ws",
			}}
		}, Query{Context: other}, "of-all attached key=s-of-ws by b"},
		{"a named one is no less specific for that", func(s *State) {
			s.Bindings = []Binding{{
				UID:    "b",
				Scope:  ws,
				Target: "of-group",
				Secret: "s-of-ws",
			}}
		}, Query{Context: group, Credential: "of-group"}, "of-group group key=s-of-group"},
		{"nor more specific", func(s *State) {
			s.Bindings = []Binding{{
				UID:    "b",
				Scope:  ws,
				Target: "of-all",
				Secret: "s-of-ws",
			}}
		}, Query{Context: group, Credential: "of-all"}, "of-all global key=s-of-ws by b"},
		{"a less specific one that was changed is not looked at", func(s *State) {
			s.Bindings = []Binding{{
				UID:      "b",
				Scope:    bctrl.Global(),
				Target:   "of-group",
				Secret:   "s-of-all",
				Tampered: true,
			}}
		}, Query{Context: group}, "of-group group key=s-of-group"},
		{"one whose secret is gone falls through to the next", func(s *State) {
			s.Bindings = []Binding{{
				UID:    "b",
				Scope:  group,
				Target: "of-all",
				Secret: "gone",
			}, {
				UID:    "c",
				Scope:  ws,
				Target: "of-all",
				Secret: "s-of-ws",
			}}
		}, Query{Context: group, Credential: "of-all"}, "of-all global key=s-of-ws by c"},
		{"one whose secret is another provider's does not", func(s *State) {
			s.Secrets[2].Provider = "q"
			s.Bindings = []Binding{{
				UID:    "b",
				Scope:  group,
				Target: "of-all",
				Secret: "s-of-group",
			}, {
				UID:    "c",
				Scope:  ws,
				Target: "of-all",
				Secret: "s-of-ws",
			}}
		}, Query{Context: group, Credential: "of-all"}, "secrets.pinned"},
		{"an AI credential counts as global", func(s *State) {
			s.Credentials = append(s.Credentials, Credential{
				UID:      "u",
				ID:       "ai",
				Provider: "p",
				AI:       true,
				Scope:    bctrl.Global(),
				Secrets:  map[string]string{"apiKey": ""},
			})
			s.Bindings = []Binding{{
				UID:    "b",
				Scope:  bctrl.Global(),
				Target: "ai",
				Secret: "s-of-all",
			}}
		}, Query{Context: group, Credential: "ai"}, "ai global apiKey=s-of-all by b"},
		{"an AI credential has its own key", func(s *State) {
			s.Credentials = append(s.Credentials, Credential{
				UID:      "u",
				ID:       "ai",
				Provider: "p",
				AI:       true,
				Scope:    bctrl.Global(),
				Secrets:  map[string]string{"apiKey": ""},
			})
		}, Query{Context: group, Credential: "ai"}, "ai global apiKey="},
		{"or the one bound for it", func(s *State) {
			s.Credentials = append(s.Credentials, Credential{
				UID:      "u",
				ID:       "ai",
				Provider: "p",
				AI:       true,
				Scope:    bctrl.Global(),
				Secrets:  map[string]string{"apiKey": ""},
			})
			s.Bindings = []Binding{{
				UID:    "b",
				Scope:  ws,
				Target: "ai",
				Secret: "s-of-ws",
			}, {
				UID:    "c",
				Scope:  group,
				Target: "ai",
				Field:  "apiKey",
				Secret: "s-of-group",
			}}
		}, Query{Context: group, Credential: "ai"}, "ai global apiKey=s-of-group by c"},
	} {
		state := State{
			Credentials: append([]Credential(nil), all.Credentials...),
			Secrets:     append([]Secret(nil), all.Secrets...),
		}
		if test.change != nil {
			test.change(&state)
		}
		if test.q.Provider == "" {
			test.q.Provider = "p"
		}
		require.Equal(t, test.want, shown(Resolve(state, test.q)), test.why)
	}
}
