package broker

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bctrl-go/bctrl"
)

func codeOf(err error) string {
	var e *bctrl.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func TestARequestMustBePermitted(t *testing.T) {
	rule := Rule{Methods: []string{"GET", "POST"}, Paths: []string{"/repos/{owner}/{repo}", "/repos/{owner}/{repo}/issues", "/user", "/v1/files/a b"}}
	for _, c := range []struct{ why, method, path, want string }{
		{"the path itself", "GET", "/user", "/user"},
		{"below it", "GET", "/user/emails/1", "/user"},
		{"a trailing slash", "GET", "/user/", "/user"},
		{"the longest prefix", "POST", "/repos/o/r/issues/7", "/repos/{owner}/{repo}/issues"},
		{"any one segment", "GET", "/repos/o/r.js", "/repos/{owner}/{repo}"},
		{"letters that need no escape", "GET", "/us%65r", "/user"},
		{"letters that do", "GET", "/v1/files/a%20b", "/v1/files/a b"},

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
		{"encoded dots", "GET", "/user/%2e%2e/admin", "!invoke.path_refused"},
		{"one encoded dot", "GET", "/user/.%2E/admin", "!invoke.path_refused"},
		{"an encoded dot in a name", "GET", "/user/a%2ejs", "!invoke.path_refused"},
		{"an encoded slash", "GET", "/user%2fadmin", "!invoke.path_refused"},
		{"an encoded slash, upper case", "GET", "/repos/o%2Fp/r", "!invoke.path_refused"},
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
			got, err := rule.Admit(c.method, c.path)
			if want, refused := strings.CutPrefix(c.want, "!"); refused {
				require.Equal(t, want, codeOf(err))
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

// TestNoPathLeavesWhatIsPermitted decodes an admitted path as a lenient server
// might, as often as that changes it, and resolves its dots: it must still be
// at or below a permitted prefix.
func TestNoPathLeavesWhatIsPermitted(t *testing.T) {
	rule := Rule{Methods: []string{"GET"}, Paths: []string{"/a/b"}}
	pieces := []string{"/", "a", "b", "c", ".", "..", "%2e", "%2E", "%2f", "%25", "2e", "2f", `\`, "%5c", ";", "//", "%09", "\t", "%00", "%61", "+", "%c0%af", "%ef%bc%8f"}
	rapid.Check(t, func(t *rapid.T) {
		path := "/a/b" + strings.Join(rapid.SliceOf(rapid.SampledFrom(pieces)).Draw(t, "pieces"), "")
		if _, err := rule.Admit("GET", path); err != nil {
			return
		}
		for {
			var stack []string
			for _, s := range strings.FieldsFunc(path, func(r rune) bool { return r == '/' || r == '\\' }) {
				switch s, _, _ := strings.Cut(s, ";"); s {
				case ".":
				case "..":
					stack = stack[:max(len(stack)-1, 0)]
				default:
					stack = append(stack, s)
				}
			}
			require.True(t, len(stack) >= 2 && stack[0] == "a" && stack[1] == "b", path)
			decoded, err := url.PathUnescape(path)
			if err != nil || decoded == path {
				return
			}
			path = decoded
		}
	})
}

func TestACallerBringsNoAuthentication(t *testing.T) {
	for _, name := range []string{
		"Authorization", "authorization", "Proxy-Authorization", "X-Api-Key", "api-key", "X-Goog-Api-Key", "Xi-Api-Key", "X-Auth-Token", "Private-Token",
		"X-Amz-Security-Token", "X-Shopify-Access-Token", "Cookie", "X-Csrf-Token", "X_Api_Key",
	} {
		require.Equal(t, "invoke.auth_refused", codeOf(CheckHeader(http.Header{name: {"x"}})), name)
	}
	for _, name := range []string{"Host", "X-HTTP-Method-Override", "X_HTTP_Method-Override", "X-Original-URL", "a b", "a:b", ""} {
		require.Equal(t, "invoke.header_refused", codeOf(CheckHeader(http.Header{name: {"x"}})), name)
	}
	require.Equal(t, "invoke.header_refused", codeOf(CheckHeader(http.Header{"X": {"a\r\nb"}})))
	require.NoError(t, CheckHeader(http.Header{"Accept": {"a"}, "Content-Type": {"b"}, "Idempotency-Key": {"c"}, "Openai-Beta": {"d"}}))

	for _, name := range []string{"key", "API_KEY", "access_token", "token", "X-Amz-Signature", "sig", "appid"} {
		require.Equal(t, "invoke.auth_refused", codeOf(CheckQuery(url.Values{name: {"x"}}, "appid")), name)
	}
	require.Equal(t, "invoke.parameter_refused", codeOf(CheckQuery(url.Values{"_method": {"DELETE"}})))
	require.NoError(t, CheckQuery(url.Values{"q": {"key"}, "page": {"2"}, "pageToken": {"t"}}))
}

func TestHopByHopHeadersEnd(t *testing.T) {
	h := http.Header{
		"Connection": {"X-Mine, close"}, "X-Mine": {"1"}, "Te": {"trailers"}, "Upgrade": {"h2c"}, "Transfer-Encoding": {"chunked"},
		"X-Forwarded-For": {"10.0.0.1"}, "Expect": {"100-continue"}, "Accept": {"*/*"},
	}
	DropHopByHop(h)
	require.Equal(t, http.Header{"Accept": {"*/*"}}, h)
}
