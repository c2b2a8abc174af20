package bctrl

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// locate fills u with the address of a route. Each value becomes exactly one
// segment of the path, percent-encoded; values that a server or a proxy on the
// way could take for more than that are refused.
func locate(u *url.URL, base *url.URL, template string, params []string) error {
	u.Scheme, u.Host = base.Scheme, base.Host
	escaped, differ := make([]string, len(params)), false
	for i, value := range params {
		escaped[i] = url.PathEscape(value)
		differ = differ || escaped[i] != value
	}
	var err error
	if u.Path, err = fill(base.Path, template, params, checkSegment); err == nil && differ {
		u.RawPath, err = fill(base.EscapedPath(), template, escaped, nil)
	}
	return err
}

// fill puts values in the places of a template's variables, each checked by its name unless check is nil.
func fill(prefix, template string, values []string, check func(name, value string) error) (string, error) {
	var b strings.Builder
	b.Grow(len(prefix) + len(template) + 64)
	b.WriteString(prefix)
	for segment := range strings.SplitSeq(strings.TrimPrefix(template, "/"), "/") {
		b.WriteByte('/')
		if name, ok := strings.CutPrefix(segment, "{"); ok {
			segment, values = values[0], values[1:]
			if check != nil {
				if err := check(strings.TrimSuffix(name, "}"), segment); err != nil {
					return "", err
				}
			}
		}
		b.WriteString(segment)
	}
	return b.String(), nil
}

// checkSegment refuses values that no name of any kind may hold. The grammars
// of keys, names and paths refuse more; this holds for every variable.
func checkSegment(name, value string) error {
	var message string
	switch {
	case value == "":
		message = "the " + name + " is empty"
	case hasControl(value):
		message = "the " + name + " holds a control character"
	case unsafeSegments(value):
		message = "the " + name + " holds a dot segment or an empty one"
	case !utf8.ValidString(value):
		return notText(name)
	default:
		return nil
	}
	return refusal(http.StatusBadRequest, "request.invalid_"+strings.ReplaceAll(name, "-", "_"), name, message)
}

// unsafeSegments reports whether a piece of s between slashes is empty, "." or
// "..", also when dots and slashes are escaped, once or more often, or slashes
// are backslashes: decoding anywhere on the way must not move a path.
func unsafeSegments(s string) bool {
	if strings.ContainsAny(s, `%\`) {
		s = unescaped(s)
	}
	for piece := range strings.SplitSeq(s, "/") {
		if piece == "" || piece == "." || piece == ".." {
			return true
		}
	}
	return false
}

// unescaped decodes what could become a dot or a slash, as often as it takes.
func unescaped(s string) string {
	decode := strings.NewReplacer("%2e", ".", "%2E", ".", "%2f", "/", "%2F", "/", "%5c", "/", "%5C", "/", `\`, "/", "%25",
		"%")
	for {
		next := decode.Replace(s)
		if next == s {
			return s
		}
		s = next
	}
}

// queryOf makes a query of names and values; empty values are left out.
func queryOf(pairs ...string) url.Values {
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	return q
}

// listQuery adds a page's options to a query.
func listQuery(q url.Values, p PageOptions) url.Values {
	if p.Limit != 0 {
		q.Set("limit", strconv.Itoa(p.Limit))
	}
	if p.Cursor != "" {
		q.Set("cursor", string(p.Cursor))
	}
	return q
}

// boolText is "" for nil, so that queryOf leaves it out.
func boolText(b *bool) string {
	if b == nil {
		return ""
	}
	return strconv.FormatBool(*b)
}

func millisText(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return strconv.FormatInt(millis(d), 10)
}
