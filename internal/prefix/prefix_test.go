package prefix_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bctrl-go/bctrl/internal/prefix"
)

// segments is what a prefix stands for, said once more without its text: the
// segments above every key that it holds, and whether the key of just those is
// among them.
func segments(p string) (above []string, itself bool) {
	if p == "/" {
		return nil, false
	}
	above = strings.Split(strings.TrimSuffix(p, "/"), "/")
	return above, !strings.HasSuffix(p, "/")
}

// oracle says whether outer holds all that inner stands for, by segments.
func oracle(outer, inner string) bool {
	above, itself := segments(outer)
	below, key := segments(inner)
	if len(below) < len(above) || !slices.Equal(above, below[:len(above)]) {
		return false
	}
	return outer == "/" || len(below) > len(above) || itself || !key
}

// drawn makes prefixes of few and short segments, so that many are nested and
// many begin alike.
var drawn = rapid.Custom(func(t *rapid.T) string {
	if rapid.IntRange(0, 9).Draw(t, "kind") == 0 {
		return "/"
	}
	parts := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "ab", "aaaaaaaa", "aaaaaaab"}), 1, 4).Draw(t, "segments")
	return strings.Join(parts, "/") + rapid.SampledFrom([]string{"", "/"}).Draw(t, "end")
})

func TestAPrefixHoldsWhatItsSegmentsHold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawn.Draw(t, "a"), drawn.Draw(t, "b")
		require.Equal(t, oracle(a, b), prefix.Holds(a, b), "%s holds %s", a, b)

		list := rapid.SliceOfN(drawn, 0, 20).Draw(t, "list")
		require.Equal(t, slices.IndexFunc(list, func(p string) bool { return oracle(p, b) }), prefix.Index(list, b))
		require.Equal(t, prefix.Index(list, b), prefix.IndexFold(list, strings.ToUpper(b)))
		require.Equal(t, prefix.Index(list, b) >= 0, prefix.NewSet(list).Covers(b))
		require.Equal(t, prefix.Index(list, b) >= 0, prefix.NewFoldSet(list).Covers(strings.ToUpper(b)))
	})
}

func TestTheDeeperOfTwoPrefixesIsWhatBothHold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, key := drawn.Draw(t, "a"), drawn.Draw(t, "b"), drawn.Draw(t, "key")
		deeper, ok := prefix.Deeper(a, b)
		require.Equal(t, prefix.Meet([]string{a}, []string{b}), slices.DeleteFunc([]string{deeper}, func(string) bool {
			return !ok
		}))
		require.Equal(t, oracle(a, key) && oracle(b, key), ok && oracle(deeper, key))
	})
}

func TestAPathIsWithinItsBaseBySegments(t *testing.T) {
	for _, c := range []struct {
		why, base, path string
		within          bool
	}{
		{"the base itself", "/v1", "/v1", true},
		{"below it", "/v1", "/v1/users", true},
		{"the base with a slash behind it", "/v1", "/v1/", true},
		{"a base that ends in a slash", "/v1/", "/v1/users", true},
		{"a base that ends in a slash, and the path does not", "/v1/", "/v1", true},
		{"a name that goes on", "/v1", "/v1beta", false},
		{"above it", "/v1/users", "/v1", false},
		{"beside it", "/v1", "/v2/v1", false},
		{"in other letters", "/v1", "/V1/users", false},
		{"no base", "", "/users", true},
		{"no base and no path", "", "", true},
		{"no base and no slash", "", "users", false},
		{"the root", "/", "/users", true},
		{"no path below a base", "/v1", "", false},
	} {
		require.Equal(t, c.within, prefix.PathWithin(c.base, c.path), c.why)
	}
}
