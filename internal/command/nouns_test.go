package command

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestACommandMadeAloneIsTheOneAmongAll: which commands are made for a command
// line must not change what any of them is.
func TestACommandMadeAloneIsTheOneAmongAll(t *testing.T) {
	all := Program{}.root().Commands()
	require.Len(t, all, len(nouns()))
	for _, n := range nouns() {
		alone := Program{}.root(n.name).Commands()
		require.Len(t, alone, 1, n.name)
		require.Equal(t, n.name, alone[0].Name())
		for _, other := range all {
			if other.Name() == n.name {
				require.Equal(t, other.UsageString(), alone[0].UsageString())
			}
		}
	}
}

// TestWhatNamesNoCommandSeesThemAll, since it lists or suggests them.
func TestWhatNamesNoCommandSeesThemAll(t *testing.T) {
	for _, args := range [][]string{nil, {"--help"}, {"help", "vault"}, {"valt"}, {"__complete", ""},
		{"completion", "bash"}, {"--version", "vault"}} {
		require.Len(t, Program{}.root(args...).Commands(), len(nouns()), args)
	}
}
