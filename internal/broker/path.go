package broker

import (
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/bctrl-go/bctrl"
)

// maxPath bounds a request's path, in bytes.
const maxPath = 8 << 10

// maxDecodings is how often a server, with what stands before it, is thought to
// decode a path. Nobody escapes that often in good faith.
const maxDecodings = 4

// reading is one way in which a server can read a path: its segments, decoded.
type reading []piece

// piece is a segment of a reading. An escaped slash may be read as the end of a
// segment, so that several pieces come of one segment as it was sent.
type piece struct {
	text string
	// sent is the number of the segment, as it was sent, that it is or is of.
	sent int
}

// CheckPath refuses a percent-encoded path that somebody on the way could read
// as one that climbs out of where it seems to be.
func CheckPath(path string) error {
	_, err := readPath(path)
	return err
}

func errPath(why string) error {
	return &bctrl.Error{
		Status:  http.StatusBadRequest,
		Code:    "invoke.path_refused",
		Field:   "path",
		Message: "the path is refused: " + why,
	}
}

// readPath returns every way in which servers are known to read a path. The
// first is that of RFC 3986: each segment decoded once. Others take an escaped
// slash for a slash, decode again, take an escaped question mark for where the
// path ends, or cut off what follows a semicolon. It refuses a path that one of
// them takes for a path with dot segments, empty segments, backslashes, control
// characters or bytes that are no text, and one whose slashes are escaped twice.
func readPath(path string) ([]reading, error) {
	if err := checkPathText(path); err != nil {
		return nil, err
	}
	texts := make([]string, 0, countSegments(path))
	for segment := range eachSegment(path) {
		text, err := url.PathUnescape(segment)
		if err != nil {
			return nil, errPath("its percent-encoding is broken")
		}
		texts = append(texts, text)
	}
	var all []reading
	for range maxDecodings {
		joined, split, err := readSegments(texts)
		if err != nil {
			return nil, err
		}
		ways := []reading{joined, split}
		if holdAny(texts, "?") {
			ways = append(ways, joined.upToQuery(), split.upToQuery())
		}
		if holdAny(texts, ";") {
			for _, r := range slices.Clone(ways) {
				ways = append(ways, r.withoutParameters())
			}
		}
		all = append(all, ways...)
		if !holdAny(texts, "%") { // as nearly always: nothing is left to decode
			return all, nil
		}
		decoded := make([]string, len(texts))
		for i, text := range texts {
			decoded[i] = decodeAgain(text)
			if strings.Count(decoded[i], "/") != strings.Count(text, "/") {
				return nil, errPath("it holds a slash that is encoded twice")
			}
		}
		if slices.Equal(decoded, texts) {
			return all, nil
		}
		texts = decoded
	}
	return nil, errPath("it is encoded again and again")
}

// checkPathText checks a path as it is written, percent-encoded.
func checkPathText(path string) error {
	switch {
	case !strings.HasPrefix(path, "/"):
		return errPath("it does not begin with a slash")
	case len(path) > maxPath:
		return errPath("it is too long")
	case strings.ContainsAny(path, "?#"):
		return errPath("a query has a field of its own")
	case strings.Contains(path, "//"):
		return errPath("it holds an empty segment")
	case strings.Contains(path, `\`):
		return errPath("it holds a backslash")
	}
	for i := range len(path) {
		if !pathByte(path[i]) {
			return errPath("it holds a character that must be percent-encoded")
		}
	}
	return nil
}

// pathByte reports whether b may stand in a path as it is (RFC 3986 §3.3) or
// begins an escape.
func pathByte(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' ||
		strings.IndexByte("/%-._~!$&'()*+,;=:@", b) >= 0
}

// EscapePath escapes the bytes that may not stand in a path as they are. It
// leaves escapes as they are, broken ones too.
func EscapePath(path string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(path) {
		if c := path[i]; pathByte(c) {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	return b.String()
}

// eachSegment goes through the segments of a path; "/" has none.
func eachSegment(path string) iter.Seq[string] {
	return func(yield func(string) bool) {
		path := strings.TrimPrefix(path, "/")
		more := path != ""
		path = strings.TrimSuffix(path, "/")
		for more {
			var segment string
			if segment, path, more = strings.Cut(path, "/"); !yield(segment) {
				return
			}
		}
	}
}

// countSegments is how many segments a path has.
func countSegments(path string) (n int) {
	for range eachSegment(path) {
		n++
	}
	return n
}

// readSegments returns decoded segments as they were sent, and split at the slashes
// that were escaped.
func readSegments(texts []string) (joined, split reading, err error) {
	joined, split = make(reading, 0, len(texts)), make(reading, 0, len(texts))
	for i, text := range texts {
		switch {
		case !utf8.ValidString(text) ||
			strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f || r == utf8.RuneError }):
			return nil, nil, errPath("it holds a control character, or bytes that are no text")
		case strings.Contains(text, `\`):
			return nil, nil, errPath("it holds an encoded backslash")
		}
		joined = append(joined, piece{text, i})
		if i == len(texts)-1 {
			text = strings.TrimSuffix(text, "/") // a path may end in a slash
		}
		for part := range strings.SplitSeq(text, "/") {
			switch {
			case part == "":
				return nil, nil, errPath("an encoded slash makes an empty segment")
			case isDots(part):
				return nil, nil, errPath("it holds a dot segment")
			}
			split = append(split, piece{part, i})
		}
	}
	return joined, split, nil
}

// isDots reports whether some server takes a segment for "." or "..": also with
// a parameter ("..;x"), a query or a fragment ("..?x"), which some cut off, and
// with spaces or dots behind, which Windows does not see.
func isDots(segment string) bool {
	if end := strings.IndexAny(segment, ";?#"); end >= 0 {
		segment = segment[:end]
	}
	return strings.HasPrefix(strings.TrimSpace(segment), ".") && strings.Trim(segment, ". ") == ""
}

// withoutParameters is the reading of servers that know parameters of segments
// (RFC 3986 §3.3), and drop segments of which nothing is left.
func (r reading) withoutParameters() reading {
	var out reading
	for _, p := range r {
		if p.text, _, _ = strings.Cut(p.text, ";"); p.text != "" {
			out = append(out, p)
		}
	}
	return out
}

// upToQuery is the reading of servers, or of what stands before them, that take
// a question mark for the path's end once it is decoded.
func (r reading) upToQuery() reading {
	for i, p := range r {
		switch text, _, found := strings.Cut(p.text, "?"); {
		case found && text == "":
			return slices.Clone(r[:i])
		case found:
			return append(slices.Clone(r[:i]), piece{text, p.sent})
		}
	}
	return r
}

func holdAny(texts []string, part string) bool {
	return slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(text, part) })
}

// decodeAgain decodes a text that has been decoded before. A percent sign that
// begins no escape stands for itself.
func decodeAgain(text string) string {
	if !strings.Contains(text, "%") {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '%' && i+2 < len(text) && isHex(text[i+1]) && isHex(text[i+2]) {
			b.WriteByte(unhex(text[i+1])<<4 | unhex(text[i+2]))
			i += 2
			continue
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

func isHex(b byte) bool {
	return '0' <= b && b <= '9' || 'a' <= b && b <= 'f' || 'A' <= b && b <= 'F'
}

func unhex(b byte) byte {
	switch {
	case b >= 'a':
		return b - 'a' + 10
	case b >= 'A':
		return b - 'A' + 10
	}
	return b - '0'
}

// isUnder reports whether a reading is at or below a prefix, in which {name} is
// any one segment, and {+name} any one as it was sent: the provider is known to
// take the escaped slashes in it for part of a name.
func (r reading) isUnder(prefix string) bool {
	at := 0
	for want := range eachSegment(prefix) {
		if at >= len(r) {
			return false
		}
		switch sent := r[at].sent; {
		case isWild(want) && want[1] == '+':
			if at > 0 && r[at-1].sent == sent {
				return false
			}
			for at < len(r) && r[at].sent == sent {
				at++
			}
			continue
		case !isWild(want) && r[at].text != want:
			return false
		}
		at++
	}
	return true
}

func isWild(segment string) bool {
	return len(segment) > 2 && segment[0] == '{' && segment[len(segment)-1] == '}'
}
