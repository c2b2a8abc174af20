package fill

import (
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/origin"
)

// The fields of a login.
const (
	Username = "username"
	Password = "password"
	TOTP     = "totp"
)

// InputTypes returns the types of inputs that a field of a login may be filled into:
// a password never into one that shows what is typed. It returns nil when field is
// no field of a login.
func InputTypes(field string) []string {
	switch field {
	case Username:
		return []string{"text", "email", "tel", "search", "number"}
	case Password:
		return []string{"password"}
	case TOTP:
		return []string{"text", "tel", "number", "search", "password"}
	}
	return nil
}

// Check refuses a fill that no page could take.
func Check(f browser.Fill) error {
	if InputTypes(f.Field) == nil {
		return browser.BadRequest("vault.wrong_field", "a login has the fields username, password and totp", "")
	}
	value := f.Value.Expose()
	if value == "" {
		return browser.NotFound("vault.field_empty", "the login has no "+f.Field, "")
	}
	if !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl) {
		return browser.Conflict("vault.fill_impossible", "the value has characters that an input does not take", "")
	}
	if len(f.Origins)+len(f.Patterns) == 0 {
		return browser.Forbidden("vault.origin_mismatch", "the login has no origins, so it is filled nowhere",
			"add the site's origin to the entry")
	}
	return nil
}

// MayGoTo reports whether the login may go to an origin in canonical form.
func MayGoTo(f browser.Fill, at string) bool {
	matches := func(allowed string) bool { return origin.Match(allowed, at) }
	return at != "" && (slices.ContainsFunc(f.Origins, matches) || slices.ContainsFunc(f.Patterns, matches))
}

// CanonicalOrigin returns the origin of a URL, or of an origin as the browser writes
// it, in the form that package origin compares; empty when it has none.
func CanonicalOrigin(s string) string {
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
