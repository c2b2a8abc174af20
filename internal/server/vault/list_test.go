package vault

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/store"
)

// TestAListLooksOnceWhereAKeyMayLie holds the ranges that a list reads to what
// access permits: each key that it may show lies in one of them, and in no other.
func TestAListLooksOnceWhereAKeyMayLie(t *testing.T) {
	segment := rapid.SampledFrom([]string{"a", "b", "a0", "a.b"})
	key := rapid.Map(rapid.SliceOfN(segment, 1, 4), func(s []string) string { return strings.Join(s, "/") })
	prefix := rapid.OneOf(key, rapid.Map(key, func(k string) string { return k + "/" }), rapid.Just("/"))
	rapid.Check(t, func(rt *rapid.T) {
		c := access.Caller{Org: "o"}
		if rapid.Bool().Draw(rt, "runtime") {
			mounts := rapid.Custom(func(rt *rapid.T) bctrl.Mounts {
				return bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: rapid.SliceOfN(prefix, 1, 4).Draw(rt, "allow")}}
			})
			chain := bctrl.Chain(rapid.SliceOfN(mounts, 1, 3).Draw(rt, "chain"))
			c.Runtime = &access.Runtime{Chain: chain, Launched: chain}
		}
		asked := prefix.Draw(rt, "asked")
		ranges := keyRanges(c, asked)
		for i := 1; i < len(ranges); i++ {
			before := ranges[i-1].To
			require.True(rt, before != "" && before <= ranges[i].From, "in order and disjoint: %v", ranges)
		}
		k := key.Draw(rt, "key")
		listed := isBelow(asked, k) && access.Decide(c, access.Action{Verb: bctrl.ListVault, Object: k})
		found := 0
		for _, r := range ranges {
			if inRange(r, k) {
				found++
			}
		}
		require.LessOrEqual(rt, found, 1, "%q in %v", k, ranges)
		if listed {
			require.Equal(rt, 1, found, "%q in %v", k, ranges)
		}
		if !isBelow(asked, k) {
			require.Zero(rt, found, "%q in %v", k, ranges)
		}
	})
}

// isBelow is what a prefix means: all, what is below a segment, or that and the
// segment itself.
func isBelow(prefix, key string) bool {
	switch {
	case prefix == "/":
		return true
	case strings.HasSuffix(prefix, "/"):
		return strings.HasPrefix(key, prefix)
	}
	return key == prefix || strings.HasPrefix(key, prefix+"/")
}

func inRange(r store.VaultRange, key string) bool { return key >= r.From && (r.To == "" || key < r.To) }
