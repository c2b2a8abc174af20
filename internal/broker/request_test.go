package broker

import (
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

func TestARequestMustBePermitted(t *testing.T) {
	rule := Rule{Methods: []string{"GET", "POST"}, Paths: []string{"/repos/{owner}/{repo}", "/repos/{owner}/{repo}/issues",
		"/user", "/v1/files/a b",
		"/v4/projects/{project}/issues", "/v5/projects/{+project}/issues"}}
	for _, c := range []struct{ why, method, path, want string }{
		{"the path itself", "GET", "/user", "/user"},
		{"below it", "GET", "/user/emails/1", "/user"},
		{"a trailing slash", "GET", "/user/", "/user"},
		{"the longest prefix", "POST", "/repos/o/r/issues/7", "/repos/{owner}/{repo}/issues"},
		{"any one segment", "GET", "/repos/o/r.js", "/repos/{owner}/{repo}"},
		{"letters that need no escape", "GET", "/us%65r", "/user"},
		{"letters that do", "GET", "/v1/files/a%20b", "/v1/files/a b"},
		{"a percent sign", "GET", "/user/100%25.txt", "/user"},
		{"a percent sign before letters", "GET", "/user/50%25off", "/user"},
		{"a percent sign before digits", "GET", "/user/100%2541.txt", "/user"},
		{"a percent sign at the end", "GET", "/user/100%25", "/user"},
		{"an encoded dot in a name", "GET", "/user/a%2ejs", "/user"},
		{"an encoded slash in what is permitted", "GET", "/user/docs%2Fa.md", "/user"},
		{"an encoded slash at the end", "GET", "/user/docs%2F", "/user"},
		{"an ARN", "GET", "/user/arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Ainference-profile%2Feu.m-v1%3A0/invoke", "/user"},
		{"letters of other languages", "GET", "/user/%C3%A9t%C3%A9", "/user"},

		{"another method", "DELETE", "/user", "!invoke.method_not_allowed"},
		{"a method in lower case", "get", "/user", "!invoke.method_not_allowed"},
		{"no boundary", "GET", "/users", "!invoke.path_not_allowed"},
		{"other letter case", "GET", "/User", "!invoke.path_not_allowed"},
		{"too short", "GET", "/repos/o", "!invoke.path_not_allowed"},
		{"nothing", "GET", "/", "!invoke.path_not_allowed"},

		{"no leading slash", "GET", "user", "!invoke.path_refused"},
		{"no path", "GET", "", "!invoke.path_refused"},
		{"a whole address", "GET", "https://evil.example/user", "!invoke.path_refused"},
		{"a dot segment", "GET", "/user/../admin", "!invoke.path_refused"},
		{"a dot segment at the end", "GET", "/user/..", "!invoke.path_refused"},
		{"a single dot", "GET", "/user/./x", "!invoke.path_refused"},
		{"dots in front of what a server that decodes first takes for a query", "GET", "/user/..%3F", "!invoke.path_refused"},
		{"dots in front of what one takes for a fragment", "GET", "/user/..%23x", "!invoke.path_refused"},
		{"encoded dots", "GET", "/user/%2e%2e/admin", "!invoke.path_refused"},
		{"one encoded dot", "GET", "/user/.%2E/admin", "!invoke.path_refused"},
		{"an encoded dot segment behind an encoded slash", "GET", "/user/a%2F%2e%2e", "!invoke.path_refused"},
		{"an encoded slash behind dots", "GET", "/user/..%2Fadmin", "!invoke.path_refused"},
		{"an encoded slash before dots", "GET", "/user/a%2F..", "!invoke.path_refused"},
		{"dots with a space, which Windows does not see", "GET", "/user/..%20/admin", "!invoke.path_refused"},
		{"three dots", "GET", "/user/.../admin", "!invoke.path_refused"},
		{"two encoded slashes", "GET", "/user/a%2F%2Fb", "!invoke.path_refused"},
		{"an encoded slash beside a slash", "GET", "/user/a%2F/b", "!invoke.path_refused"},
		{"an encoded slash in the place of a slash", "GET", "/user%2fadmin", "!invoke.path_not_allowed"},
		{"an encoded slash that would move what stands behind", "GET", "/repos/o%2Fr/issues", "/repos/{owner}/{repo}"},
		{"an encoded slash in a parameter of the path", "GET", "/v4/projects/group%2Fproject/issues",
			"!invoke.path_not_allowed"},
		{"the same where the provider takes it for a name", "GET", "/v5/projects/group%2Fproject/issues/7",
			"/v5/projects/{+project}/issues"},
		{"and no slash there", "GET", "/v5/projects/7/issues", "/v5/projects/{+project}/issues"},
		{"and a slash that is none of a name", "GET", "/v5/projects/group/project/issues", "!invoke.path_not_allowed"},
		{"and an encoded slash in what follows", "GET", "/v5/projects/7%2Fissues", "!invoke.path_not_allowed"},
		{"a segment of which nothing is left without its parameter", "GET", "/v4/projects/;x/7/issues",
			"!invoke.path_not_allowed"},
		{"a backslash", "GET", `/user\..\admin`, "!invoke.path_refused"},
		{"an encoded backslash", "GET", "/user/%5c..%5cadmin", "!invoke.path_refused"},
		{"a tab", "GET", "/user/\tx", "!invoke.path_refused"},
		{"an encoded tab", "GET", "/user/%09x", "!invoke.path_refused"},
		{"an encoded line end", "GET", "/user/%0d%0aHost:x", "!invoke.path_refused"},
		{"a zero byte", "GET", "/user/%00", "!invoke.path_refused"},
		{"a double slash", "GET", "/user//admin", "!invoke.path_refused"},
		{"a double slash at the beginning", "GET", "//evil.example/user", "!invoke.path_refused"},
		{"double encoding", "GET", "/user/%252e%252e/admin", "!invoke.path_refused"},
		{"an encoded slash in double encoding", "GET", "/user%252fadmin", "!invoke.path_refused"},
		{"threefold encoding", "GET", "/user/%25252e", "!invoke.path_refused"},
		{"a path parameter on dots", "GET", "/user/..;a=1/admin", "!invoke.path_refused"},
		{"a query", "GET", "/user?admin=1", "!invoke.path_refused"},
		{"a fragment", "GET", "/user#x", "!invoke.path_refused"},
		{"a space", "GET", "/user/a b", "!invoke.path_refused"},
		{"a letter beyond ASCII", "GET", "/user/é", "!invoke.path_refused"},
		{"a look-alike of a slash", "GET", "/user/%e2%88%95..", "/user"},
		{"bytes that are no text", "GET", "/user/%c0%ae%c0%ae/admin", "!invoke.path_refused"},
		{"a broken escape", "GET", "/user/%2", "!invoke.path_refused"},
		{"an escape of no digits", "GET", "/user/%zz", "!invoke.path_refused"},
		{"too long", "GET", "/user/" + strings.Repeat("a", maxPath), "!invoke.path_refused"},
	} {
		t.Run(c.why, func(t *testing.T) {
			got, err := rule.Match(c.method, c.path)
			if want, refused := strings.CutPrefix(c.want, "!"); refused {
				require.Equal(t, want, codeOf(err))
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

func TestACallerBringsNoAuthentication(t *testing.T) {
	for _, name := range []string{"Authorization", "authorization", "Proxy-Authorization", "Cookie",
		"Proxy_Authorization"} {
		require.Equal(t, "invoke.auth_refused", codeOf(CheckHeader(http.Header{name: {"x"}})), name)
	}
	for _, name := range []string{"Host", "X-HTTP-Method-Override", "X_HTTP_Method-Override",
		"X-Original-URL", "a b", "a:b", ""} {
		require.Equal(t, "invoke.header_refused", codeOf(CheckHeader(http.Header{name: {"x"}})), name)
	}
	require.Equal(t, "invoke.header_refused", codeOf(CheckHeader(http.Header{"X": {"a\r\nb"}})))
	require.Equal(t, "invoke.parameter_refused", codeOf(CheckQuery("a=1;_method=DELETE")))
	require.Equal(t, "request.query", codeOf(CheckQuery("a=1 b")))
}

// TestOnlyWhatACredentialFillsInIsItsOwn: whatever else has a name that sounds
// like a key belongs to the caller. Here is the name of a cache, there a cursor.
func TestOnlyWhatACredentialFillsInIsItsOwn(t *testing.T) {
	soundsLikeAKey := http.Header{
		"X-Api-Key":       {"a"},
		"X-Csrf-Token":    {"b"},
		"X-Session-Token": {"c"},
		"Access-Key":      {"d"},
		"X-Auth-Token":    {"e"},
		"Job-Token":       {"f"},
		"Accept":          {"g"},
		"Idempotency-Key": {"h"},
		"X-Amz-Server-Side-Encryption-Customer-Key": {"i"},
	}
	require.NoError(t, CheckHeader(soundsLikeAKey))
	query := "key=linux&api_key=&access_token&token=a;b&sig=%zz&signature=1&auth=+&secret=%20&key=mac"
	require.NoError(t, CheckQuery(query))

	has := func(names ...string) func(string) bool {
		return func(f string) bool { return slices.Contains(names, f) }
	}
	for _, test := range []struct {
		why     string
		auth    bctrl.CredentialAuth
		has     func(string) bool
		headers []string
		params  []string
	}{
		{"a header", bctrl.CredentialAuth{Type: bctrl.AuthHeader, Headers: map[string]string{
			"private-token": "{k}",
			"X-Version":     "1",
		}}, has("k"), []string{"Private-Token"}, nil},
		{"a header that may be missing", bctrl.CredentialAuth{
			Type:    bctrl.AuthHeader,
			Headers: map[string]string{"X-Key": "{k}", "X-Org": "{org?}"},
		}, has("k"),
			[]string{"X-Key"}, nil},
		{"and is there", bctrl.CredentialAuth{
			Type:    bctrl.AuthHeader,
			Headers: map[string]string{"X-Key": "{k}", "X-Org": "{org?}"},
		}, has("k", "org"),
			[]string{"X-Key", "X-Org"}, nil},
		{"parameters", bctrl.CredentialAuth{Type: bctrl.AuthQuery, Query: map[string]string{"key": "{k}", "v": "2"}},
			has("k"), nil, []string{"key"}},
		{"a signature", bctrl.CredentialAuth{
			Type:    bctrl.AuthHMAC,
			HMAC:    &bctrl.HMACAuth{Algorithm: "sha256"},
			Headers: map[string]string{"X-Sig": "{signature}"},
		}, has("secret"),
			[]string{"X-Sig"}, nil},
		{"AWS", bctrl.CredentialAuth{Type: bctrl.AuthAWSSigV4, SigV4: &bctrl.SigV4Auth{Service: "s3"}}, has(),
			[]string{"Authorization", "X-Amz-Security-Token"}, signedParameters},
		{"none", bctrl.CredentialAuth{Type: bctrl.AuthNone}, has(), nil, nil},
	} {
		t.Run(test.why, func(t *testing.T) {
			places := PlacesOf(test.auth, test.has)
			require.Equal(t, Places{test.headers, test.params}, places)
			for _, name := range test.headers {
				for _, spelling := range []string{name, strings.ToLower(name), strings.ReplaceAll(name, "-", "_")} {
					require.Equal(t, "invoke.auth_refused", codeOf(places.Check(http.Header{spelling: {"x"}}, "")), spelling)
				}
			}
			for _, name := range test.params {
				for _, query := range []string{name + "=x", strings.ToUpper(name), "a=1;" + name + "=x", "%" +
					hex.EncodeToString([]byte(name[:1])) + name[1:] + "=x", "a&+" + name} {
					require.Equal(t, "invoke.auth_refused", codeOf(places.Check(nil, query)), query)
				}
				require.Equal(t, "a=1&b;c&&d=%zz&e+f", places.Clear(http.Header{}, "a=1&"+name+"=x&b;c&&d=%zz&"+name+"&e+f"))
			}
			if !slices.Contains(test.params, "key") {
				require.NoError(t, places.Check(http.Header{"X-Amz-Date": {"x"}, "X-Api-Key": {"x"}}, "key=x&api_key=y"))
				require.Equal(t, "key=x", places.Clear(http.Header{}, "key=x"))
			}
		})
	}
}

func TestHopByHopHeadersEnd(t *testing.T) {
	h := http.Header{
		"Connection":        {"X-Mine, close"},
		"X-Mine":            {"1"},
		"Te":                {"trailers"},
		"Upgrade":           {"h2c"},
		"Transfer-Encoding": {"chunked"},
		"X-Forwarded-For":   {"10.0.0.1"},
		"Expect":            {"100-continue"},
		"Accept":            {"*/*"},
	}
	DropHopByHop(h)
	require.Equal(t, http.Header{"Accept": {"*/*"}}, h)
}

// TestHeadersAreNamedAsNetHTTPHasThem: they are compared with those of requests and answers as they are.
func TestHeadersAreNamedAsNetHTTPHasThem(t *testing.T) {
	for _, name := range slices.Concat(hopByHop, answeredAuth) {
		require.Equal(t, http.CanonicalHeaderKey(name), name)
	}
}

func TestHeadersOfTheNextHopAreDropped(t *testing.T) {
	h := http.Header{"Connection": {"x-a, Keep-Alive", "X-B"}, "X-A": {"1"}, "X-B": {"1"}, "Keep-Alive": {"1"},
		"Te": {"1"}, "X-Forwarded-For": {"1"}, "X_Forwarded-Host": {"1"}, "x-forwarded_proto": {"1"},
		"X-Forwarded": {"1"}, "X-C": {"1"}}
	DropHopByHop(h)
	require.Equal(t, http.Header{"X-Forwarded": {"1"}, "X-C": {"1"}}, h)
}

// BenchmarkMatch is what a request pays for its path.
func BenchmarkMatch(b *testing.B) {
	rule := Rule{Methods: []string{http.MethodPost}, Paths: []string{"/v1/things", "/v1/repos/{owner}/{repo}"}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := rule.Match(http.MethodPost, "/v1/repos/acme/website/issues"); err != nil {
			b.Fatal(err)
		}
	}
}
