package fill

import (
	"bytes"
	"encoding/json"
	"mime"
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// bodyValue is one value of a body: a form's field, a part of a multipart form that
// is not a file, or a string or a number in JSON.
type bodyValue struct {
	// name is that of the field or part, or the JSON key that the value is below.
	name  string
	plain string // the value without its encoding
	// number says that it is a number in JSON.
	number bool
}

// replacement returns the text that takes the place of the value. A number is
// replaced by one, as a script's Number() makes it of the secret; it reports whether
// that can be done.
func (v bodyValue) replacement(secret string) (string, bool) {
	if !v.number {
		return secret, true
	}
	number := strings.TrimLeft(secret, "0")
	if number == "" {
		number = "0"
	}
	return number, isDigits(secret)
}

// is reports whether the value is the placeholder. A page may write the digits of a code
// in groups.
func (v bodyValue) is(placeholder string) bool {
	if placeholder == "" || v.plain == placeholder {
		return placeholder != ""
	}
	if v.number || !isDigits(placeholder) || len(v.plain) < len(placeholder) {
		return false
	}
	return isDigits(v.plain[:1]) && isDigits(v.plain[len(v.plain)-1:]) && withoutGroups(v.plain) == placeholder
}

// withoutGroups takes out what stands between groups of digits.
func withoutGroups(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || unicode.IsSpace(r) {
			return -1
		}
		return r
	}, text)
}

// inFormOf writes the digits of secret in the groups that those of text have. It reports
// whether there are as many.
func inFormOf(text, secret string) (string, bool) {
	var b strings.Builder
	rest := secret
	for _, r := range text {
		switch {
		case r < '0' || r > '9':
			b.WriteRune(r)
		case rest == "":
			return "", false
		default:
			b.WriteByte(rest[0])
			rest = rest[1:]
		}
	}
	return b.String(), rest == ""
}

// swapNamed replaces in body the values of a row of fields that were named names, a digit
// of the placeholder each, by the digits of secret, and returns how many there were. A
// page may send each in a request of its own, or others between them.
func swapNamed(contentType string, body []byte, names []string, placeholder, secret string) ([]byte, int) {
	if len(names) != len(placeholder) || len(secret) != len(placeholder) {
		return body, 0
	}
	seen := map[string]bool{}
	for _, name := range names {
		if name == "" || seen[name] {
			return body, 0
		}
		seen[name] = true
	}
	return swapValues(contentType, body, func(v bodyValue) (string, bool) {
		i := slices.Index(names, v.name)
		if i < 0 || v.plain != placeholder[i:i+1] {
			return "", false
		}
		return v.replacement(secret[i : i+1])
	})
}

// swapBody replaces each value of body that is placeholder, and nothing else, by
// secret, encoded as the content type wants it. It returns the new body and how many
// such values there were. Every other byte stays as it is.
func swapBody(contentType string, body []byte, placeholder, secret string) ([]byte, int) {
	return swapValues(contentType, body, func(v bodyValue) (string, bool) {
		if !v.is(placeholder) {
			return "", false
		}
		if v.plain != placeholder {
			return inFormOf(v.plain, secret)
		}
		return v.replacement(secret)
	})
}

// placesIn returns the names of the values that swapBody would replace.
func placesIn(contentType string, body []byte, placeholder string) []string {
	var names []string
	_, _ = swapValues(contentType, body, func(v bodyValue) (string, bool) {
		if v.is(placeholder) {
			names = append(names, v.name)
		}
		return "", false
	})
	return names
}

// swapRow is swapBody for a code that was typed digit by digit. It replaces the
// values that are the placeholder's digits one after the other, where that is so
// exactly once. It reports whether it is.
func swapRow(contentType string, body []byte, placeholder, secret string) ([]byte, bool) {
	var values strings.Builder // a byte for each value: its digit, or a space
	_, _ = swapValues(contentType, body, func(v bodyValue) (string, bool) {
		if !isDigits(v.plain) || len(v.plain) > 1 {
			v.plain = " "
		}
		values.WriteString(v.plain)
		return "", false
	})
	start := strings.Index(values.String(), placeholder)
	if start < 0 || start != strings.LastIndex(values.String(), placeholder) || len(secret) != len(placeholder) {
		return body, false
	}
	at := -1
	body, n := swapValues(contentType, body, func(bodyValue) (string, bool) {
		if at++; at < start || at >= start+len(secret) {
			return "", false
		}
		return secret[at-start : at-start+1], true
	})
	return body, n == len(secret)
}

// swapValues replaces the values of body for which replace has a text, and returns
// how many those were.
func swapValues(contentType string, body []byte, replace func(bodyValue) (string, bool)) ([]byte, int) {
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		media, _, _ = strings.Cut(contentType, ";")
		media = strings.ToLower(strings.TrimSpace(media))
	}
	switch {
	case media == "application/x-www-form-urlencoded" && !isJSONInParts(body):
		return swapForm(body, replace)
	case media == "multipart/form-data":
		return swapMultipart(body, params["boundary"], replace)
	case json.Valid(body): // scripts often send JSON as text/plain or as nothing
		return swapJSON(body, replace)
	case media == "text/plain" || media == "":
		return swapForm(body, replace)
	}
	return body, 0
}

// isJSONInParts reports whether a body is an object or a list of JSON, which libraries
// send as a form where a page gives no type.
func isJSONInParts(body []byte) bool {
	start := bytes.TrimLeft(body, " \t\r\n")
	return len(start) > 0 && (start[0] == '{' || start[0] == '[') && json.Valid(body)
}

func swapForm(body []byte, replace func(bodyValue) (string, bool)) ([]byte, int) {
	swapped := 0
	pairs := bytes.Split(body, []byte("&"))
	for i, pair := range pairs {
		name, value, ok := bytes.Cut(pair, []byte("="))
		plain, err := url.QueryUnescape(string(value))
		if !ok || err != nil {
			continue
		}
		plainName, _ := url.QueryUnescape(string(name)) // one that cannot be read is empty
		if text, ok := replace(bodyValue{name: plainName, plain: plain}); ok {
			pairs[i] = append(append(bytes.Clone(name), '='), url.QueryEscape(text)...)
			swapped++
		}
	}
	if swapped == 0 {
		return body, 0
	}
	return bytes.Join(pairs, []byte("&")), swapped
}

func swapMultipart(body []byte, boundary string, replace func(bodyValue) (string, bool)) ([]byte, int) {
	if boundary == "" {
		return body, 0
	}
	// The first delimiter has no line break before it. One is added, so that all
	// delimiters are alike.
	delimiter := []byte("\r\n--" + boundary)
	parts := bytes.Split(append([]byte("\r\n"), body...), delimiter)
	swapped := 0
	for i := 1; i < len(parts)-1; i++ { // what is before the first and after the last delimiter is no part
		header, content, ok := bytes.Cut(parts[i], []byte("\r\n\r\n"))
		if !ok {
			continue
		}
		name, file := partHeader(header)
		if file {
			continue
		}
		text, ok := replace(bodyValue{name: name, plain: string(content)})
		if !ok || strings.Contains("\r\n"+text, string(delimiter)) {
			continue
		}
		parts[i] = append(append(bytes.Clone(header), "\r\n\r\n"...), text...)
		swapped++
	}
	if swapped == 0 {
		return body, 0
	}
	return bytes.Join(parts, delimiter)[len("\r\n"):], swapped
}

// partHeader returns the name of a part of a form, and whether the part is, or may
// be, a file.
func partHeader(header []byte) (name string, file bool) {
	for line := range strings.SplitSeq(string(header), "\r\n") {
		field, value, _ := strings.Cut(line, ":")
		if !strings.EqualFold(strings.TrimSpace(field), "Content-Disposition") {
			continue
		}
		_, params, err := mime.ParseMediaType(value)
		if _, file := params["filename"]; file || err != nil {
			return "", true
		}
		name = params["name"]
	}
	return name, false
}

// swapJSON works on valid JSON. There a string before a colon is a key, and
// outside strings a digit or a minus begins a number.
func swapJSON(body []byte, replace func(bodyValue) (string, bool)) ([]byte, int) {
	var out []byte
	swapped, copied := 0, 0
	keys := []string{""} // of the values at each depth
	value := func(from, to int, plain string, number bool) {
		text, ok := replace(bodyValue{keys[len(keys)-1], plain, number})
		if !ok {
			return
		}
		written := []byte(text)
		if !number {
			written = quoteJSON(text)
		}
		out = append(append(out, body[copied:from]...), written...)
		copied = to
		swapped++
	}
	for i := 0; i < len(body); {
		switch c := body[i]; {
		case c == '{' || c == '[':
			keys = append(keys, keys[len(keys)-1]) // a list's values go by the list's key
			i++
		case c == '}' || c == ']':
			keys = keys[:max(1, len(keys)-1)]
			i++
		case c == '"':
			end := StringEnd(body, i)
			var plain string
			switch err := json.Unmarshal(body[i:end], &plain); {
			case err != nil:
			case isKey(body, end):
				keys[len(keys)-1] = plain
			default:
				value(i, end, plain, false)
			}
			i = end
		case c == '-' || c >= '0' && c <= '9':
			end := i + 1
			for end < len(body) && strings.IndexByte("0123456789+-.eE", body[end]) >= 0 {
				end++
			}
			value(i, end, string(body[i:end]), true)
			i = end
		default:
			i++
		}
	}
	if swapped == 0 {
		return body, 0
	}
	return append(out, body[copied:]...), swapped
}

// StringEnd returns the index behind the string that begins at start.
func StringEnd(body []byte, start int) int {
	for i := start + 1; i < len(body); i++ {
		switch body[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(body)
}

func isKey(body []byte, end int) bool {
	rest := bytes.TrimLeft(body[end:], " \t\r\n")
	return len(rest) > 0 && rest[0] == ':'
}

// quoteJSON writes a string as scripts do, without escaping for HTML.
func quoteJSON(s string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string always encodes
	return bytes.TrimRight(b.Bytes(), "\n")
}
