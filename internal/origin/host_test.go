package origin_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bctrl-go/bctrl/internal/origin"
)

func TestAHostPatternIsOneOfThreeForms(t *testing.T) {
	for _, c := range []struct{ why, text, canonical string }{
		{"every host", "*", "*"},
		{"one host", "example.com", "example.com"},
		{"all below one", "*.example.com", "*.example.com"},
		{"letter case", "*.Example.COM", "*.example.com"},
		{"one label", "localhost", "localhost"},
		{"punycode", "xn--bcher-kva.example", "xn--bcher-kva.example"},
		{"a number that is not last", "1.example", "1.example"},
	} {
		got, err := origin.ParseHostPattern(c.text, nil)
		require.NoError(t, err, c.why)
		require.Equal(t, c.canonical, got, c.why)
	}
	for _, c := range []struct{ why, text string }{
		{"nothing", ""},
		{"a scheme", "https://example.com"},
		{"a port", "example.com:443"},
		{"a path", "example.com/"},
		{"user info", "a@example.com"},
		{"a dot at the end", "example.com."},
		{"a dot before", ".example.com"},
		{"two dots", "a..b"},
		{"* inside", "a.*.com"},
		{"* as a part", "*a.com"},
		{"* twice", "*.*.com"},
		{"* and a dot", "*."},
		{"two stars", "**"},
		{"an address", "127.0.0.1"},
		{"an address in octal", "0177.1"},
		{"an address in hexadecimal", "0x7f"},
		{"a number", "8"},
		{"an address of six", "[::1]"},
		{"all below an address", "*.0.0.1"},
		{"an underscore", "a_b.com"},
		{"a hyphen at the end", "a-.com"},
		{"a space", "example.com "},
		{"not ASCII", "bücher.example"},
		{"a full-width dot", "example。com"},
		{"a long label", strings.Repeat("a", 64) + ".com"},
		{"a long host", strings.Repeat("a.", 127) + "com"},
	} {
		_, err := origin.ParseHostPattern(c.text, nil)
		require.Error(t, err, c.why)
		if len(c.text) > 3 {
			require.NotContains(t, err.Error(), c.text, c.why)
		}
	}
	suffix := func(domain string) bool { return domain == "co.uk" }
	_, err := origin.ParseHostPattern("*.co.uk", suffix)
	require.Error(t, err, "anyone can register there")
	_, err = origin.ParseHostPattern("co.uk", suffix)
	require.NoError(t, err, "one host")
}

func TestAHostIsOfAPatternStrictly(t *testing.T) {
	for _, c := range []struct {
		pattern, host string
		want          bool
	}{
		{"*", "a.b", true}, {"*", "127.0.0.1", true},
		{"example.com", "example.com", true}, {"example.com", "EXAMPLE.com", true},
		{"example.com", "a.example.com", false}, {"example.com", "notexample.com", false},
		{"*.example.com", "a.example.com", true}, {"*.example.com", "a.b.example.com", true},
		{"*.example.com", "example.com", false}, {"*.example.com", "notexample.com", false},
		{"*.example.com", ".example.com", false}, {"*.example.com", "example.com.evil.test", false},
		{"localhost", "localhost", true}, {"localhost", "127.0.0.1", false},
	} {
		require.Equal(t, c.want, origin.MatchHost(c.pattern, c.host), "%s of %s", c.host, c.pattern)
	}
}

// TestACanonicalHostPatternParsesAsItself holds for every text that is taken.
func TestACanonicalHostPatternParsesAsItself(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.StringMatching(`(\*\.)?[A-Za-z0-9.*-]{0,12}`).Draw(rt, "text")
		canonical, err := origin.ParseHostPattern(text, nil)
		if err != nil {
			return
		}
		again, err := origin.ParseHostPattern(canonical, nil)
		require.NoError(rt, err)
		require.Equal(rt, canonical, again)
		if host, wild := strings.CutPrefix(canonical, "*."); wild {
			require.False(rt, origin.MatchHost(canonical, host))
			require.True(rt, origin.MatchHost(canonical, "a."+host))
		} else {
			require.True(rt, origin.MatchHost(canonical, host))
		}
	})
}
