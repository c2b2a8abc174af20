package origin_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/publicsuffix"

	"github.com/bctrl-go/bctrl/internal/origin"
)

// host returns a host name of n bytes.
func host(n int) string {
	return strings.Repeat(strings.Repeat("h", 63)+".", 4)[:n-2] + ".c"
}

func TestParse(t *testing.T) {
	for _, c := range []struct{ why, in, want string }{
		{"canonical", "https://login.example.com", "https://login.example.com"},
		{"any letter case", "HTTPS://Login.EXAMPLE.com", "https://login.example.com"},
		{"one trailing slash", "https://example.com/", "https://example.com"},
		{"two trailing slashes", "https://example.com//", ""},
		{"the default port", "https://example.com:443", "https://example.com"},
		{"the default port of http is another's of https", "https://example.com:80", "https://example.com:80"},
		{"the lowest port", "https://example.com:1", "https://example.com:1"},
		{"the highest port", "https://example.com:65535/", "https://example.com:65535"},
		{"a port too high", "https://example.com:65536", ""},
		{"port zero", "https://example.com:0", ""},
		{"an empty port", "https://example.com:", ""},
		{"an empty port and a slash", "https://example.com:/", ""},
		{"a leading zero", "https://example.com:0443", ""},
		{"a sign", "https://example.com:+443", ""},
		{"hexadecimal", "https://example.com:0x1bb", ""},
		{"two ports", "https://example.com:443:443", ""},
		{"a space in the port", "https://example.com: 443", ""},

		{"http", "http://example.com", ""},
		{"http on localhost", "http://localhost", "http://localhost"},
		{"http on localhost with a port", "http://LOCALHOST:8080/", "http://localhost:8080"},
		{"http on localhost with its default port", "http://localhost:80", "http://localhost"},
		{"the default port of https is another's of http", "http://localhost:443", "http://localhost:443"},
		{"http on the loopback address", "http://127.0.0.1:3000", "http://127.0.0.1:3000"},
		{"http on the IPv6 loopback address", "http://[::1]:3000/", "http://[::1]:3000"},
		{"http on the IPv6 loopback address alone", "http://[::1]", "http://[::1]"},
		{"another loopback address", "http://127.0.0.2", ""},
		{"a short loopback address", "http://127.1", ""},
		{"a long IPv6 loopback address", "http://[0:0:0:0:0:0:0:1]", ""},
		{"a name that begins like localhost", "http://localhost.example.com", ""},
		{"localhost with a dot", "http://localhost.", ""},
		{"localhost with an empty port", "http://localhost:", ""},
		{"localhost with a path", "http://localhost/x", ""},
		{"localhost as a user", "http://localhost:1@example.com", ""},
		{"https on localhost has one label", "https://localhost", ""},
		{"https on an address", "https://127.0.0.1", ""},
		{"https on an IPv6 address", "https://[::1]", ""},

		{"one label", "https://com", ""},
		{"no host", "https://", ""},
		{"only a port", "https://:443", ""},
		{"an empty label", "https://a..com", ""},
		{"a trailing dot", "https://example.com.", ""},
		{"a trailing dot before the port", "https://example.com.:443", ""},
		{"a label that starts with a hyphen", "https://-a.com", ""},
		{"a label that ends with a hyphen", "https://a-.com", ""},
		{"hyphens inside", "https://a--b.com", "https://a--b.com"},
		{"punycode", "https://xn--bcher-kva.example", "https://xn--bcher-kva.example"},
		{"punycode in capitals", "https://XN--BCHER-KVA.example", "https://xn--bcher-kva.example"},
		{"punycode that ends with a hyphen", "https://xn--.example", ""},
		{"a letter that is not ASCII", "https://bücher.example", ""},
		{"a letter that lowers to ASCII", "https://\u212Aelvin.example", ""},
		{"a full-width dot", "https://example\uFF0Ecom", ""},
		{"digits but for the last label", "https://123.456.com", "https://123.456.com"},
		{"a last label of digits", "https://example.123", ""},
		{"a last label of hexadecimal digits", "https://example.0x1f", ""},
		{"a last label of 0x", "https://example.0x", ""},
		{"a last label of 0x and letters", "https://example.0xg", "https://example.0xg"},
		{"a last label with a digit", "https://example.c0m", "https://example.c0m"},
		{"an underscore", "https://a_b.com", ""},
		{"a percent", "https://a%2eb.com", ""},
		{"a label of 63 bytes", "https://" + strings.Repeat("l", 63) + ".com", "https://" + strings.Repeat("l", 63) + ".com"},
		{"a label of 64 bytes", "https://" + strings.Repeat("l", 64) + ".com", ""},
		{"a host of 253 bytes", "https://" + host(253), "https://" + host(253)},
		{"a host of 254 bytes", "https://" + host(254), ""},

		{"user info", "https://user@example.com", ""},
		{"an empty user", "https://@example.com", ""},
		{"a path", "https://example.com/login", ""},
		{"a query", "https://example.com?", ""},
		{"a fragment", "https://example.com#", ""},
		{"a backslash", "https://example.com\\", ""},
		{"a space before", " https://example.com", ""},
		{"a space behind", "https://example.com ", ""},
		{"a tab inside", "https://exam\tple.com", ""},
		{"a NUL", "https://example.com\x00", ""},
		{"a wildcard", "https://*.example.com", ""},
		{"no scheme", "example.com", ""},
		{"no slashes", "https:example.com", ""},
		{"another scheme", "ftp://example.com", ""},
		{"websocket", "wss://example.com", ""},
		{"empty", "", ""},
	} {
		t.Run(c.why, func(t *testing.T) {
			got, err := origin.Parse(c.in)
			require.Equal(t, c.want, got)
			require.Equal(t, c.want == "", err != nil)
		})
	}
}

func isPublicSuffix(domain string) bool {
	suffix, _ := publicsuffix.PublicSuffix(domain)
	return suffix == domain
}

func TestParsePattern(t *testing.T) {
	for _, c := range []struct{ why, in, want string }{
		{"one label above two", "https://*.salesforce.com", "https://*.salesforce.com"},
		{"above three", "https://*.my.salesforce.com", "https://*.my.salesforce.com"},
		{"what an origin may be written like", "HTTPS://*.Salesforce.com:443/", "https://*.salesforce.com"},
		{"a port", "https://*.salesforce.com:8443", "https://*.salesforce.com:8443"},
		{"no wildcard", "https://salesforce.com", ""},
		{"above one label", "https://*.com", ""},
		{"alone", "https://*", ""},
		{"above nothing", "https://*.", ""},
		{"part of a label", "https://a*.salesforce.com", ""},
		{"with a label before", "https://a.*.salesforce.com", ""},
		{"twice", "https://*.*.salesforce.com", ""},
		{"two stars", "https://**.salesforce.com", ""},
		{"http", "http://*.localhost", ""},
		{"http above names", "http://*.salesforce.com", ""},
		{"no scheme", "*.salesforce.com", ""},
		{"above a registry", "https://*.co.uk", ""},
		{"above a wildcard registry", "https://*.foo.ck", ""},
		{"above a host where anyone has pages", "https://*.github.io", ""},
		{"above a name below it", "https://*.bctrl.github.io", "https://*.bctrl.github.io"},
		{"above an address", "https://*.0.0.1", ""},
		{"a host of 253 bytes", "https://*." + host(251), "https://*." + host(251)},
		{"a host of 254 bytes", "https://*." + host(252), ""},
	} {
		t.Run(c.why, func(t *testing.T) {
			got, err := origin.ParsePattern(c.in, isPublicSuffix)
			require.Equal(t, c.want, got)
			require.Equal(t, c.want == "", err != nil)
		})
	}
	got, err := origin.ParsePattern("https://*.co.uk", nil)
	require.NoError(t, err, "nobody asked about public suffixes")
	require.Equal(t, "https://*.co.uk", got)
}

func TestMatch(t *testing.T) {
	const pattern, plain = "https://*.salesforce.com", "https://login.salesforce.com"
	for _, c := range []struct {
		why, allowed, origin string
		want                 bool
	}{
		{"the same", plain, plain, true},
		{"another host", plain, "https://login.salesforce.co", false},
		{"another port", plain, plain + ":8443", false},
		{"the same port", plain + ":8443", plain + ":8443", true},
		{"http", "http://localhost:3000", "http://localhost:3000", true},
		{"another http port", "http://localhost:3000", "http://localhost:3001", false},
		{"an origin that is not canonical", plain, "https://LOGIN.salesforce.com", false},
		{"two that are alike and not canonical", "https://A.com", "https://A.com", false},
		{"two that are no origins", "null", "null", false},
		{"one label", pattern, plain, true},
		{"no label", pattern, "https://salesforce.com", false},
		{"two labels", pattern, "https://a.b.salesforce.com", false},
		{"the end of a label", pattern, "https://evilsalesforce.com", false},
		{"another domain behind", pattern, "https://login.salesforce.com.evil.example", false},
		{"a port that the pattern does not have", pattern, plain + ":8443", false},
		{"the pattern's port", pattern + ":8443", plain + ":8443", true},
		{"a pattern of another port", pattern + ":8443", plain, false},
		{"a pattern is not an origin", pattern, pattern, false},
		{"a pattern that is not canonical", "https://*.Salesforce.com", plain, false},
		{"a pattern above one label", "https://*.com", "https://salesforce.com", false},
		{"a pattern of http", "http://*.0.0.1", "http://127.0.0.1", false},
		{"nothing", "", "", false},
	} {
		t.Run(c.why, func(t *testing.T) {
			require.Equal(t, c.want, origin.Match(c.allowed, c.origin))
		})
	}
}

// What is accepted means the same to net/url, and is accepted again unchanged.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"https://login.example.com:8443/", "http://[::1]:80", "https://*.example.com", "https://a@b.com", "https://0x7f.1",
		"https://b\u00fccher.example",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if canonical, err := origin.Parse(text); err == nil {
			again, err := origin.Parse(canonical)
			require.NoError(t, err)
			require.Equal(t, canonical, again)
			u, err := url.Parse(text)
			require.NoError(t, err)
			require.Equal(t, strings.ToLower(u.Hostname()), requireHost(t, canonical))
			require.True(t, u.User == nil && u.RawQuery == "" && u.Fragment == "" && strings.Trim(u.Path, "/") == "")
			require.True(t, origin.Match(canonical, canonical))
		}
		if pattern, err := origin.ParsePattern(text, nil); err == nil {
			again, err := origin.ParsePattern(pattern, nil)
			require.NoError(t, err)
			require.Equal(t, pattern, again)
			require.True(t, origin.Match(pattern, strings.Replace(pattern, "*", "x", 1)))
			require.False(t, origin.Match(pattern, strings.Replace(pattern, "*", "x.y", 1)))
			_, err = origin.Parse(text)
			require.Error(t, err, "a pattern is no origin")
		}
	})
}

func requireHost(t *testing.T, canonical string) string {
	t.Helper()
	u, err := url.Parse(canonical)
	require.NoError(t, err)
	return u.Hostname()
}
