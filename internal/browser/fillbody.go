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
		return swapForm(body, placeholder, secret)
	case media == "multipart/form-data":
		return swapMultipart(body, params["boundary"], placeholder, secret)
	case json.Valid(body): // scripts often send JSON as text/plain or as nothing
		return swapJSON(body, placeholder, secret)
	case media == "text/plain" || media == "":
		return swapForm(body, placeholder, secret)
	}
	return body, 0
}

func swapForm(body []byte, placeholder, secret string) ([]byte, int) {
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
		pairs[i] = append(append(bytes.Clone(name), '='), url.QueryEscape(secret)...)
		swapped++
	}
	if swapped == 0 {
		return body, 0
	}
	return bytes.Join(pairs, []byte("&")), swapped
}

func swapMultipart(body []byte, boundary, placeholder, secret string) ([]byte, int) {
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
		if !ok || string(content) != placeholder || holdsFile(header) {
			continue
		}
		parts[i] = append(append(bytes.Clone(header), "\r\n\r\n"...), secret...)
		swapped++
	}
	if swapped == 0 {
		return body, 0
	}
	return bytes.Join(parts, delimiter)[len("\r\n"):], swapped
}

func holdsFile(header []byte) bool {
	for line := range strings.SplitSeq(string(header), "\r\n") {
		name, value, _ := strings.Cut(line, ":")
		if !strings.EqualFold(strings.TrimSpace(name), "Content-Disposition") {
			continue
		}
		_, params, err := mime.ParseMediaType(value)
		if _, file := params["filename"]; file || err != nil {
			return true
		}
	}
	return false
}

// swapJSON works on valid JSON. There a string before a colon is a key, and
// outside strings a digit or a minus begins a number.
func swapJSON(body []byte, placeholder, secret string) ([]byte, int) {
	var out []byte
	swapped, copied := 0, 0
	put := func(from, to int, text []byte) {
		out = append(append(out, body[copied:from]...), text...)
		copied = to
		swapped++
	}
	numeric := isDigits(placeholder) && isDigits(secret)
	for i := 0; i < len(body); {
		switch c := body[i]; {
		case c == '"':
			end := stringEnd(body, i)
			if end-i-2 >= len(placeholder) && !isKey(body, end) {
				var plain string
				if json.Unmarshal(body[i:end], &plain) == nil && plain == placeholder {
					put(i, end, quoteJSON(secret))
				}
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
