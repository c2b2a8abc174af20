package browser

import (
	"bytes"
	"encoding/json"
	"mime"
	"net/url"
	"strings"
)

// swapBody returns body with each whole value that equals placeholder replaced
// by secret, encoded as the content type wants it, and how many there were. A
// value is the value of a form field, a part of a multipart form that is not a
// file, or a string in JSON that is not a key; of a placeholder that is a
// number also a number. Every other byte stays as it is.
func swapBody(contentType string, body []byte, placeholder, secret string) ([]byte, int) {
	return swapNamed(contentType, body, placeholder, secret, func(string) {})
}

// placesIn returns what each place is called that swapBody would swap: the name
// of the form's field or part, in JSON the key that the value is below of.
func placesIn(contentType string, body []byte, placeholder string) []string {
	var names []string
	_, _ = swapNamed(contentType, body, placeholder, placeholder, func(name string) { names = append(names, name) })
	return names
}

// swapNamed is swapBody, and tells found the name of each place.
func swapNamed(contentType string, body []byte, placeholder, secret string, found func(name string)) ([]byte, int) {
	if placeholder == "" {
		return body, 0
	}
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		media, _, _ = strings.Cut(contentType, ";")
		media = strings.ToLower(strings.TrimSpace(media))
	}
	switch {
	case media == "application/x-www-form-urlencoded":
		return swapForm(body, placeholder, secret, found)
	case media == "multipart/form-data":
		return swapMultipart(body, params["boundary"], placeholder, secret, found)
	case json.Valid(body): // scripts often send JSON as text/plain or as nothing
		return swapJSON(body, placeholder, secret, found)
	case media == "text/plain" || media == "":
		return swapForm(body, placeholder, secret, found)
	}
	return body, 0
}

func swapForm(body []byte, placeholder, secret string, found func(string)) ([]byte, int) {
	swapped := 0
	pairs := bytes.Split(body, []byte("&"))
	for i, pair := range pairs {
		name, value, ok := bytes.Cut(pair, []byte("="))
		if !ok || len(value) < len(placeholder) {
			continue
		}
		if plain, err := url.QueryUnescape(string(value)); err != nil || plain != placeholder {
			continue
		}
		plainName, _ := url.QueryUnescape(string(name)) // a name that cannot be read is nobody's
		found(plainName)
		pairs[i] = append(append(bytes.Clone(name), '='), url.QueryEscape(secret)...)
		swapped++
	}
	if swapped == 0 {
		return body, 0
	}
	return bytes.Join(pairs, []byte("&")), swapped
}

func swapMultipart(body []byte, boundary, placeholder, secret string, found func(string)) ([]byte, int) {
	if boundary == "" || strings.Contains("\r\n"+secret, "\r\n--"+boundary) {
		return body, 0
	}
	// The first delimiter needs no line break before it; with one added, all
	// are alike.
	delimiter := []byte("\r\n--" + boundary)
	parts := bytes.Split(append([]byte("\r\n"), body...), delimiter)
	swapped := 0
	for i := 1; i < len(parts)-1; i++ { // before the first and after the last there is no part
		header, content, ok := bytes.Cut(parts[i], []byte("\r\n\r\n"))
		if !ok || string(content) != placeholder {
			continue
		}
		name, file := partHeader(header)
		if file {
			continue
		}
		found(name)
		parts[i] = append(append(bytes.Clone(header), "\r\n\r\n"...), secret...)
		swapped++
	}
	if swapped == 0 {
		return body, 0
	}
	return bytes.Join(parts, delimiter)[len("\r\n"):], swapped
}

// partHeader returns the name of a part of a form, and whether it is a file or
// cannot be told.
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
func swapJSON(body []byte, placeholder, secret string, found func(string)) ([]byte, int) {
	var out []byte
	swapped, copied := 0, 0
	keys := []string{""} // of the values at each depth
	put := func(from, to int, text []byte) {
		found(keys[len(keys)-1])
		out = append(append(out, body[copied:from]...), text...)
		copied = to
		swapped++
	}
	numeric := isDigits(placeholder) && isDigits(secret)
	for i := 0; i < len(body); {
		switch c := body[i]; {
		case c == '{' || c == '[':
			keys = append(keys, keys[len(keys)-1]) // a list's values go by the list's key
			i++
		case c == '}' || c == ']':
			keys = keys[:max(1, len(keys)-1)]
			i++
		case c == '"':
			end := stringEnd(body, i)
			var plain string
			switch err := json.Unmarshal(body[i:end], &plain); {
			case err != nil:
			case isKey(body, end):
				keys[len(keys)-1] = plain
			case plain == placeholder:
				put(i, end, quoteJSON(secret))
			}
			i = end
		case c == '-' || c >= '0' && c <= '9':
			end := i + 1
			for end < len(body) && strings.IndexByte("0123456789+-.eE", body[end]) >= 0 {
				end++
			}
			if numeric && string(body[i:end]) == placeholder {
				number := strings.TrimLeft(secret, "0") // as a script's Number() has it
				if number == "" {
					number = "0"
				}
				put(i, end, []byte(number))
			}
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

// stringEnd returns the index behind the string that begins at start.
func stringEnd(body []byte, start int) int {
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
