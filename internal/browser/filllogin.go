package browser

import (
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/bctrl-go/bctrl/internal/origin"
)

// The fields of a login.
const (
	fieldUsername = "username"
	fieldPassword = "password"
	fieldTOTP     = "totp"
)

// inputTypes are those that a field of a login may go into: a password never
// into one that shows what is typed. None are of no field of a login.
func inputTypes(field string) []string {
	switch field {
	case fieldUsername:
		return []string{"text", "email", "tel", "search", "number"}
	case fieldPassword:
		return []string{"password"}
	case fieldTOTP:
		return []string{"text", "tel", "number", "search", "password"}
	}
	return nil
}

// checkFill refuses what can never be filled.
func checkFill(f Fill) error {
	if inputTypes(f.Field) == nil {
		return refuse(400, "vault.wrong_field", "a login has the fields username, password and totp", "")
	}
	value := f.Value.Expose()
	if value == "" {
		return refuse(404, "vault.field_empty", "the login has no "+f.Field, "")
	}
	if !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl) {
		return refuse(409, "vault.fill_impossible", "the value has characters that an input does not take", "")
	}
	if len(f.Origins)+len(f.Patterns) == 0 {
		return refuse(403, "vault.origin_mismatch", "the login has no origins, so it is filled nowhere", "add the site's origin to the entry")
	}
	return nil
}

// mayGoTo reports whether the login may go to an origin in canonical form.
func mayGoTo(f Fill, at string) bool {
	matches := func(allowed string) bool { return origin.Match(allowed, at) }
	return at != "" && (slices.ContainsFunc(f.Origins, matches) || slices.ContainsFunc(f.Patterns, matches))
}

// canonicalOrigin returns the origin of a URL or an origin as the browser
// writes it, in the canonical form of semantics 2.2; empty when it has none.
func canonicalOrigin(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil && u.Scheme == "" {
		return ""
	}
	scheme := strings.ToLower(u.Scheme)
	host := strings.ToLower(u.Host)
	switch {
	case scheme == "https":
		host = strings.TrimSuffix(host, ":443")
	case scheme == "http":
		host = strings.TrimSuffix(host, ":80")
	default:
		return ""
	}
	return scheme + "://" + host
}
