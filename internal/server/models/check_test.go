package models

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
)

func TestAStoredKeyStaysWithTheServerThatItWasStoredFor(t *testing.T) {
	const stored = "https://models.example/v1"
	for _, tc := range []struct {
		why, to string
		same    bool
	}{
		{"another path", "https://models.example/v2", true},
		{"its own port, spelled", "https://models.example:443/v1", true},
		{"a name has no case", "https://MODELS.example", true},
		{"another name", "https://models.example.org/v1", false},
		{"another port", "https://models.example:8443/v1", false},
		{"without TLS", "http://models.example/v1", false},
		{"without TLS on the port of TLS", "http://models.example:443/v1", false},
		{"no address", "https://models.example:port", false},
	} {
		require.Equal(t, tc.same, sameOrigin(stored, tc.to), tc.why)
		require.Equal(t, tc.same, sameOrigin(tc.to, stored), tc.why)
	}
}

func TestOnlyWhatEveryLevelMountsIsAllowed(t *testing.T) {
	mounts := func(ids ...string) bctrl.Mounts { return bctrl.Mounts{AI: &bctrl.AIMount{Allow: ids}} }
	for _, tc := range []struct {
		why   string
		chain bctrl.Chain
		want  []string
	}{
		{"in order and each once", bctrl.Chain{mounts("b", "a", "b")}, []string{"a", "b"}},
		{"a level takes away", bctrl.Chain{mounts("a", "b"), mounts("b")}, []string{"b"}},
		{"a level adds nothing", bctrl.Chain{mounts("a"), mounts("a", "b")}, []string{"a"}},
		{"without a mount", bctrl.Chain{{}}, nil},
	} {
		caller := access.Caller{Org: "o", Runtime: &access.Runtime{Chain: tc.chain, Launched: tc.chain}}
		require.Equal(t, tc.want, AllowedIDs(caller), tc.why)
	}
}
