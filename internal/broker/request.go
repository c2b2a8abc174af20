package broker

import (
	"net/http"
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
	// stands for one segment, whatever it is; "{+name}" for one whose escaped
	// slashes the provider takes for part of a name.
	Paths []string
}

// Match returns the longest prefix that permits a request. It refuses a request that
// the rule does not permit, and one whose path can be read as one that it does not
// permit; the path is as it is sent, percent-encoded.
func (r Rule) Match(method, path string) (template string, err error) {
	if !slices.Contains(r.Methods, method) {
		return "", &bctrl.Error{
			Status:  http.StatusForbidden,
			Code:    "invoke.method_not_allowed",
			Field:   "method",
			Message: "the capability does not permit this method",
			Hint:    "it permits " + strings.Join(r.Methods, ", "),
		}
	}
	readings, err := readPath(path)
	if err != nil {
		return "", err
	}
	longest := -1
	for _, prefix := range r.Paths {
		if n := countSegments(prefix); n > longest && readings[0].isUnder(prefix) {
			template, longest = prefix, n
		}
	}
	if longest < 0 {
		return "", r.errOutside("the capability does not permit this path")
	}
	for _, read := range readings {
		if !slices.ContainsFunc(r.Paths, read.isUnder) {
			return "", r.errOutside("the capability does not permit this path as it is read where escapes mean something else")
		}
	}
	return template, nil
}

func (r Rule) errOutside(message string) error {
	return &bctrl.Error{
		Status:  http.StatusForbidden,
		Code:    "invoke.path_not_allowed",
		Field:   "path",
		Message: message,
		Hint:    "it permits what is at or below " + strings.Join(r.Paths, ", "),
	}
}

// authWords are in the names of headers that carry somebody's authentication.
var authWords = []string{
	"authorization", "api-key", "apikey", "access-token", "auth-token", "private-token", "job-token",
	"security-token", "session-token",
	"client-secret", "csrf-token", "xsrf-token", "cookie", "access-key",
}

// CarriesAuth reports whether a header, by its name, may carry somebody's
// authentication.
func CarriesAuth(name string) bool { return holdsWord(hyphened(name), authWords) }

// CheckHeader refuses headers that a caller may not send, whatever credential
// is used: those of HTTP's own authentication and its state, and those that
// change what was checked. Those of the credential are for [Places.Check]. Names
// are as net/http has them.
func CheckHeader(h http.Header) error {
	for name, values := range h {
		lower := hyphened(name)
		switch {
		case !httpguts.ValidHeaderFieldName(name) ||
			slices.ContainsFunc(values, func(v string) bool { return !httpguts.ValidHeaderFieldValue(v) }):
			return &bctrl.Error{
				Status:  http.StatusBadRequest,
				Code:    "invoke.header_refused",
				Field:   "headers",
				Message: "a header's name or value holds a character that no header can carry",
			}
		case slices.Contains(callerHeaders, lower):
			return AuthRefused("header", name)
		case changesProtocol(lower, values):
			return &bctrl.Error{
				Status: http.StatusBadRequest,
				Code:   "invoke.upgrade_refused",
				Field:  "headers",
				Message: "the request asks for another protocol, as a websocket does: a request and its answer is " +
					"all that is passed on",
				Hint: "use the provider's HTTP API; answers stream, as server-sent events do",
			}
		case changesRequest(lower):
			return &bctrl.Error{
				Status:  http.StatusBadRequest,
				Code:    "invoke.header_refused",
				Field:   "headers",
				Message: "the header " + lower + " would change what is asked after it was checked",
				Hint:    "leave it out; method, path and host have fields of their own",
			}
		}
	}
	return nil
}

// callerHeaders say who calls, to every server that knows HTTP (RFC 9110 §11,
// RFC 6265).
var callerHeaders = []string{"authorization", "proxy-authorization", "cookie"}

// hyphened is a header's name in lower case, with hyphens for underscores, as
// CGI and what came of it take them.
func hyphened(name string) string { return strings.ReplaceAll(strings.ToLower(name), "_", "-") }

// sameName reports whether two names of headers are the same [hyphened].
func sameName(a, b string) bool {
	return strings.EqualFold(a, b) ||
		(strings.Contains(a, "_") || strings.Contains(b, "_")) && hyphened(a) == hyphened(b)
}

// ruleParameters change what was checked.
var ruleParameters = []string{"_method", "x-http-method-override", "$method"}

// CheckQuery refuses a query that cannot be sent as it is, or with a parameter
// that would change what was checked. Those of the credential are for
// [Places.Check].
func CheckQuery(raw string) error {
	if raw == "" { // as nearly always
		return nil
	}
	for i := range len(raw) {
		if raw[i] <= ' ' || raw[i] == 0x7f { // as HTTP/2 may bring it
			return &bctrl.Error{
				Status:  http.StatusBadRequest,
				Code:    "request.query",
				Field:   "query",
				Message: "the query is malformed: it holds a space or a control character",
			}
		}
	}
	for name := range parameterNames(raw) {
		if slices.ContainsFunc(ruleParameters, func(other string) bool { return strings.EqualFold(name, other) }) {
			return &bctrl.Error{
				Status:  http.StatusBadRequest,
				Code:    "invoke.parameter_refused",
				Field:   "query",
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
		Status:  http.StatusBadRequest,
		Code:    "invoke.auth_refused",
		Field:   field,
		Message: "the request brings its own authentication: the " + kind + " " + strings.ToLower(name),
		Hint: "leave it out: the broker adds what the credential needs. Where a provider's SDK calls the proxy, a key " +
			"or token of this server stands there",
	}
}

// hopByHop are the headers that end at the next hop (RFC 9110 §7.6.1), with
// those that HTTP libraries set themselves.
var hopByHop = []string{
	"Connection", "Proxy-Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Expect",
	"Content-Length", "Http2-Settings",
	"Forwarded", "X-Real-Ip", "Via", "Proxy-Authenticate",
}

// DropHopByHop deletes the headers that are meant for the next hop alone, those
// that Connection names among them.
func DropHopByHop(h http.Header) {
	for _, value := range h["Connection"] {
		for name := range strings.SplitSeq(value, ",") {
			h.Del(strings.TrimSpace(name))
		}
	}
	for name := range h {
		if slices.Contains(hopByHop, name) || isForwarded(name) {
			delete(h, name)
		}
	}
}

// isForwarded reports whether a header says by which host or path a request came.
func isForwarded(name string) bool {
	const prefix = "X-Forwarded-"
	return len(name) >= len(prefix) && sameName(name[:len(prefix)], prefix)
}
