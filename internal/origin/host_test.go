package origin_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bctrl-go/bctrl/internal/origin"
	"github.com/bctrl-go/bctrl/internal/prefix"
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

// TestAnAgentMayBeAtTheMachineItself has those who test their own applications name them as
// origins do: exactly, and with a port where they want one.
func TestAnAgentMayBeAtTheMachineItself(t *testing.T) {
	for _, c := range []struct {
		why, entry, canonical string
		at, notAt             []string // hosts and ports
	}{
		{"the name", "LocalHost", "localhost", []string{"localhost 80", "localhost 3000", "LOCALHOST 1"},
			[]string{"127.0.0.1 80", "::1 80", "a.localhost 80", "localhost. 80", "localhost.evil.test 80"}},
		{"the name with a port", "localhost:3000", "localhost:3000", []string{"localhost 3000"},
			[]string{"localhost 80", "localhost 30000", "localhost 300", "127.0.0.1 3000"}},
		{"the address", "127.0.0.1", "127.0.0.1", []string{"127.0.0.1 80", "127.0.0.1 3000"},
			[]string{"127.0.0.2 80", "localhost 80", "127.0.0.1.evil.test 80", "127.1 80"}},
		{"the address with a port", "127.0.0.1:443", "127.0.0.1:443", []string{"127.0.0.1 443"},
			[]string{"127.0.0.1 80"}},
		{"the address of six", "[::1]", "[::1]", []string{"::1 80", "::1 9"}, []string{"::2 80", "::1%lo 80"}},
		{"the address of six with a port", "[::1]:9", "[::1]:9", []string{"::1 9"}, []string{"::1 80"}},
		{"a host that is none of them", "*.Example.com", "*.example.com", []string{"a.example.com 8443"},
			[]string{"example.com 443"}},
		{"every host", "*", "*", []string{"10.0.0.1 80", "::1 80"}, nil},
	} {
		got, err := origin.ParseAllowedHost(c.entry, nil)
		require.NoError(t, err, c.why)
		require.Equal(t, c.canonical, got, c.why)
		for _, want := range []bool{true, false} {
			for _, where := range map[bool][]string{true: c.at, false: c.notAt}[want] {
				host, port, _ := strings.Cut(where, " ")
				require.Equal(t, want, origin.MatchAllowedHost(got, host, port), "%s: %s", c.why, where)
			}
		}
	}
	for _, c := range []struct{ why, entry string }{
		{"another address of the machine", "127.0.0.2"},
		{"an address of a network", "10.0.0.1"},
		{"with a port", "192.168.1.1:80"},
		{"a short one", "127.1"},
		{"as a number", "2130706433"},
		{"in hexadecimal", "0x7f000001"},
		{"a long one of six", "[0:0:0:0:0:0:0:1]"},
		{"one of six without brackets", "::1"},
		{"another of six", "[::2]"},
		{"all below one", "*.127.0.0.1"},
		{"all ports", "localhost:*"},
		{"no port", "localhost:"},
		{"port zero", "localhost:0"},
		{"a port with a zero", "localhost:080"},
		{"a port too high", "localhost:65536"},
		{"two ports", "localhost:1:2"},
		{"a path", "127.0.0.1/"},
		{"a path after a port", "localhost:80/"},
		{"a scheme", "http://localhost"},
		{"user info", "localhost@evil.test"},
		{"a password", "localhost:80@evil.test"},
		{"a name with a port", "example.com:443"},
		{"a dot at the end", "localhost."},
		{"a space", "localhost :80"},
	} {
		_, err := origin.ParseAllowedHost(c.entry, nil)
		require.Error(t, err, c.why)
		if len(c.entry) > 3 {
			require.NotContains(t, err.Error(), c.entry, c.why)
		}
	}
	suffix := func(domain string) bool { return domain == "co.uk" }
	_, err := origin.ParseAllowedHost("*.co.uk", suffix)
	require.Error(t, err, "anyone can register there")
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

func TestAHostIsAsABrowserHasIt(t *testing.T) {
	for _, host := range []string{"example.com", "EXAMPLE.com", "localhost", "127.0.0.1", "::1", "[::1]", "0", "0x7f.1",
		"1.2", "xn--bcher-kva.example", "::ffff:10.0.0.1"} {
		require.True(t, origin.IsHost(host), host)
		require.Equal(t, 0, origin.IndexHost([]string{"*"}, host), host)
	}
	for _, host := range []string{"", ".", "a.", ".a", "a..b", "a b", "a_b", "-a", "a-", "a:80", "[a]", "[::1", "::1]",
		"fe80::1%lo", "[127.0.0.1]", "\u212A.com", "a/b", "*.a", "*"} {
		require.False(t, origin.IsHost(host), host)
		require.Equal(t, -1, origin.IndexHost([]string{"*", host}, host), host)
	}
}

// TestAnAddressIsHeldByEveryHostAlone also where an entry that is no pattern is the
// address itself.
func TestAnAddressIsHeldByEveryHostAlone(t *testing.T) {
	for _, address := range []string{"127.0.0.1", "::1", "0x7f", "0X7F", "8"} {
		require.Equal(t, -1, origin.IndexHost([]string{address, "*." + address, "*.0.0.1", "*.1"}, address), address)
	}
}

// TestPathsOfHostsHoldAsPatternsDo holds the algebra, which goes by paths, to what decides
// about one host.
func TestPathsOfHostsHoldAsPatternsDo(t *testing.T) {
	labels := rapid.SampledFrom([]string{"a", "B", "b", "ab", "0", "xn--a"})
	name := rapid.Custom(func(rt *rapid.T) string {
		return strings.Join(rapid.SliceOfN(labels, 0, 3).Draw(rt, "labels"), ".") + ".test"
	})
	rapid.Check(t, func(rt *rapid.T) {
		host := strings.TrimPrefix(name.Draw(rt, "host"), ".")
		pattern := strings.TrimPrefix(name.Draw(rt, "pattern"), ".")
		switch rapid.IntRange(0, 4).Draw(rt, "form") {
		case 0:
			pattern = "*"
		case 1, 2:
			pattern = "*." + pattern
		}
		held := origin.IndexHost([]string{pattern}, host) == 0
		require.Equal(rt, held, prefix.Holds(origin.HostPath(pattern), origin.HostPath(host)))
		canonical, err := origin.ParseHostPattern(pattern, nil)
		require.NoError(rt, err)
		require.Equal(rt, canonical, origin.PatternOfPath(origin.HostPath(pattern)))
		require.Equal(rt, held, origin.MatchHost(canonical, strings.ToLower(host)))
	})
}

func FuzzHostPath(f *testing.F) {
	for _, text := range []string{"*", "*.", "*.a", "a.b", "", "/", "=a", "*.*", "a/b", "\u212A.com", "[::1]"} {
		f.Add(text, "a.b")
	}
	f.Fuzz(func(t *testing.T, pattern, host string) {
		held := origin.IndexHost([]string{pattern}, host) == 0
		if !origin.IsHost(host) || origin.HostPattern(host) != nil {
			return // no name
		}
		require.Equal(t, held, prefix.Holds(origin.HostPath(pattern), origin.HostPath(host)), "%q %q", pattern, host)
	})
}
