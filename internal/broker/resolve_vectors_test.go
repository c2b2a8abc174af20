package broker

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/vectors"
)

func TestWhatACallIsMadeWithIsAsTheVectorsHaveIt(t *testing.T) {
	cases, err := vectors.Resolves()
	require.NoError(t, err)
	for _, c := range cases {
		got := vectorAnswer(Resolve(vectorState(c), Query{
			Provider:   "p",
			Capability: c.Capability,
			Credential: c.Credential,
			Consumer:   c.Consumer,
			Context:    vectorScope(c.Context),
		}))
		require.Equal(t, c.Want, got, "%s: %s", c.ID, c.Why)
	}
}

func vectorState(c vectors.Resolve) (state State) {
	for id, scope := range c.Secrets {
		s := Secret{ID: id, Scope: vectorScope(scope)}
		if id == c.Attached {
			s.Attached = []bctrl.Scope{vectorScope(c.Context)}
		}
		state.Secrets = append(state.Secrets, s)
	}
	for _, k := range c.Credentials {
		state.Credentials = append(state.Credentials, Credential{
			UID:      k.ID,
			ID:       k.ID,
			Provider: "p",
			Scope:    vectorScope(k.Scope),
			AI:       k.AI,
			Disabled: k.Disabled,
			Secrets:  map[string]string{"key": k.Secret},
		})
	}
	for _, b := range c.Bindings {
		state.Bindings = append(state.Bindings, Binding{
			UID:      b.ID,
			Scope:    vectorScope(b.Scope),
			Target:   b.Target,
			Consumer: b.Consumer,
			Secret:   b.Secret,
		})
	}
	return state
}

func vectorScope(text string) bctrl.Scope {
	workspace, group, inGroup := strings.Cut(text, "/")
	switch {
	case text == "global":
		return bctrl.Global()
	case inGroup:
		return bctrl.InGroup(workspace, group)
	}
	return bctrl.InWorkspace(workspace)
}

func vectorAnswer(r Resolved, err error) string {
	if e, ok := errors.AsType[*bctrl.Error](err); ok {
		return e.Code
	}
	used := r.Secrets["key"]
	if used == "" {
		used = "key" // an AI credential's own
	}
	out := r.Credential.ID + " " + string(r.Tier) + " " + used
	if b, bound := r.Bindings["key"]; bound {
		out += " by " + b.UID
	}
	return out
}
