package broker

import (
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/bctrl-go/bctrl"
)

// Rule is what a capability permits of a request.
type Rule struct {
	// Methods are upper-case.
	Methods []string
	// Paths are prefixes that end at a slash or at the path's end. "{name}"
	// stands for one segment, whatever it is.
	Paths []string
}

// Admit refuses a request that the rule does not permit, or whose path can be
// read in more than one way; the path is as it is sent, percent-encoded. It
// returns the prefix that permits it: the longest.
func (r Rule) Admit(method, path string) (template string, err error) {
	if !slices.Contains(r.Methods, method) {
		return "", &bctrl.Error{
			Status: http.StatusForbidden, Code: "invoke.method_not_allowed", Field: "method",
			Message: "the capability does not permit this method", Hint: "it permits " + strings.Join(r.Methods, ", "),
		}
	}
	if err := CheckPath(path); err != nil {
		return "", err
	}
	longest := -1
	for _, prefix := range r.Paths {
		if n := matches(prefix, path); n > longest {
			template, longest = prefix, n
		}
	}
	if longest < 0 {
		return "", &bctrl.Error{
			Status: http.StatusForbidden, Code: "invoke.path_not_allowed", Field: "path",
			Message: "the capability does not permit this path", Hint: "it permits what is at or below " + strings.Join(r.Paths, ", "),
		}
	}
	return template, nil
}

// matches returns how many segments of path prefix covers, or -1. An encoded
// segment is compared as what it stands for: CheckPath has seen to it that it
// stands for no slash, no dot and no other encoding.
func matches(prefix, path string) int {
	want, have := segments(prefix), segments(path)
	if len(want) > len(have) {
		return -1
	}
	for i, segment := range want {
		wild := strings.HasPrefix(segment, "{") && strings.HasSuffix(segment, "}")
		text, err := url.PathUnescape(have[i])
		if err != nil || text == "" || !wild && text != segment {
			return -1
		}
	}
	return len(want)
}

// segments splits a path; "/" has none.
func segments(path string) []string {
	path = strings.TrimPrefix(path, "/")
	if path == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(path, "/"), "/")
}

// maxPath bounds a request's path, in bytes.
const maxPath = 8 << 10

// CheckPath refuses a percent-encoded path that could mean another one to
// anybody on the way: dot segments, empty segments, backslashes, control
// characters, and dots, slashes or escapes behind an escape.
func CheckPath(path string) error {
	refused := func(why string) error {
		return &bctrl.Error{Status: http.StatusBadRequest, Code: "invoke.path_refused", Field: "path", Message: "the path is refused: " + why}
	}
	switch {
	case !strings.HasPrefix(path, "/"):
		return refused("it does not begin with a slash")
	case len(path) > maxPath:
		return refused("it is too long")
	case strings.ContainsAny(path, "?#"):
		return refused("a query has a field of its own")
	case strings.Contains(path, "//"):
		return refused("it holds an empty segment")
	case strings.Contains(path, `\`):
		return refused("it holds a backslash")
	}
	for i := range len(path) {
		if !pathByte(path[i]) {
			return refused("it holds a character that must be percent-encoded")
		}
	}
	text, err := url.PathUnescape(path)
	switch {
	case err != nil:
		return refused("its percent-encoding is broken")
	case strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' }):
		return refused("it holds a control character, or bytes that are no text")
	case strings.Contains(text, `\`):
		return refused("it holds an encoded backslash")
	case strings.Count(text, "/") != strings.Count(path, "/"):
		return refused("it holds an encoded slash")
	case strings.Count(text, ".") != strings.Count(path, "."):
		return refused("it holds an encoded dot")
	case hidesEscape(text):
		return refused("it holds an encoded escape")
	case climbs(path):
		return refused("it holds a dot segment")
	}
	return nil
}

// pathByte reports whether b may stand in a path as it is (RFC 3986 §3.3) or
// begins an escape.
func pathByte(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' || strings.IndexByte("/%-._~!$&'()*+,;=:@", b) >= 0
}

// hidesEscape reports whether decoding text, which has been decoded once, would
// change it again.
func hidesEscape(text string) bool {
	for rest := text; ; {
		i := strings.IndexByte(rest, '%')
		if i < 0 {
			return false
		}
		if rest = rest[i+1:]; len(rest) >= 2 && isHex(rest[0]) && isHex(rest[1]) {
			return true
		}
	}
}

func isHex(b byte) bool {
	return '0' <= b && b <= '9' || 'a' <= b && b <= 'f' || 'A' <= b && b <= 'F'
}

// authWords are in the names of headers that carry somebody's authentication.
var authWords = []string{
	"authorization", "api-key", "apikey", "access-token", "auth-token", "private-token", "job-token", "security-token", "session-token",
	"client-secret", "csrf-token", "xsrf-token", "cookie", "access-key",
}

// ruleHeaders would make the provider, or something before it, take the request
// for another one than was checked.
var ruleHeaders = []string{
	"Host", "X-Http-Method", "X-Http-Method-Override", "X-Method-Override", "X-Original-Url", "X-Rewrite-Url", "X-Original-Host", "X-Host",
}

// CarriesAuth reports whether a header, by its name, carries somebody's
// authentication. CGI and what came of it take an underscore for a hyphen.
func CarriesAuth(name string) bool {
	lower := strings.ReplaceAll(strings.ToLower(name), "_", "-")
	return slices.ContainsFunc(authWords, func(word string) bool { return strings.Contains(lower, word) })
}

// CheckHeader refuses headers that a caller may not send: somebody's
// authentication, and those that change what was checked. Names are as
// net/http has them.
func CheckHeader(h http.Header) error {
	for name, values := range h {
		lower := strings.ReplaceAll(strings.ToLower(name), "_", "-")
		switch {
		case !httpguts.ValidHeaderFieldName(name) || slices.ContainsFunc(values, func(v string) bool { return !httpguts.ValidHeaderFieldValue(v) }):
			return &bctrl.Error{Status: http.StatusBadRequest, Code: "invoke.header_refused", Field: "headers", Message: "a header's name or value holds a character that no header can carry"}
		case CarriesAuth(name):
			return AuthRefused("header", name)
		case slices.Contains(ruleHeaders, textproto.CanonicalMIMEHeaderKey(lower)):
			return &bctrl.Error{
				Status: http.StatusBadRequest, Code: "invoke.header_refused", Field: "headers",
				Message: "the header " + lower + " would change what is asked after it was checked", Hint: "leave it out; method, path and host have fields of their own",
			}
		}
	}
	return nil
}

// authParameters are query parameters that authenticate, besides those of the
// credential itself; ruleParameters are those that change what was checked.
var (
	authParameters = append([]string{
		"apitoken", "api_token", "auth", "auth_token", "oauth_token", "authorization", "client_secret", "sig", "signature", "secret",
		"x-amz-signature", "x-amz-credential", "x-amz-security-token", "x-goog-signature", "x-goog-credential", "awsaccesskeyid",
	}, authParams...)
	ruleParameters = []string{"_method", "x-http-method-override", "$method"}
)

// CheckQuery is [CheckHeader] for query parameters. own are the names by which
// the credential itself is sent.
func CheckQuery(q url.Values, own ...string) error {
	for name := range q {
		is := func(other string) bool { return strings.EqualFold(name, other) }
		switch {
		case slices.ContainsFunc(authParameters, is) || slices.ContainsFunc(own, is):
			return AuthRefused("parameter", name)
		case slices.ContainsFunc(ruleParameters, is):
			return &bctrl.Error{
				Status: http.StatusBadRequest, Code: "invoke.parameter_refused", Field: "query",
				Message: "a query parameter would change what is asked after it was checked",
			}
		}
	}
	return nil
}

// AuthRefused refuses a "header" or "parameter" by which a caller brings its own
// authentication.
func AuthRefused(kind, name string) error {
	field := "headers"
	if kind == "parameter" {
		field = "query"
	}
	return &bctrl.Error{
		Status: http.StatusBadRequest, Code: "invoke.auth_refused", Field: field,
		Message: "the request brings its own authentication: the " + kind + " " + strings.ToLower(name),
		Hint:    "leave it out: the broker adds what the credential needs. Where a provider's SDK calls the proxy, a key or token of this server stands there",
	}
}

// hopByHop are the headers that end at the next hop (RFC 9110 §7.6.1), with
// those that HTTP libraries set themselves.
var hopByHop = []string{
	"Connection", "Proxy-Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Expect", "Content-Length", "Accept-Encoding",
	"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Real-Ip", "Via", "Proxy-Authenticate",
}

// DropHopByHop deletes the headers that are meant for the next hop alone, those
// that Connection names among them.
func DropHopByHop(h http.Header) {
	for _, value := range h.Values("Connection") {
		for name := range strings.SplitSeq(value, ",") {
			h.Del(strings.TrimSpace(name))
		}
	}
	for _, name := range hopByHop {
		h.Del(name)
	}
}
