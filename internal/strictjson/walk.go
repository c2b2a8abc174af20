package strictjson

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// walker reads JSON text beside the shape it is meant for. Its methods return
// with pos behind what they read. Nothing is allocated unless something is
// wrong, a name holds an escape or an object has no Go type.
type walker struct {
	data  []byte
	pos   int
	depth int
	probe bool // decode each leaf, to find the one that encoding/json refused
	// syntax leaves it at the grammar: a name may be there twice.
	syntax bool
}

func (w *walker) fail(code string) *Error { return &Error{Code: code, Offset: w.pos} }

// document reads one value and nothing else.
func (w *walker) document(s *shape) *Error {
	w.space()
	if err := w.value(s); err != nil {
		return err
	}
	w.space()
	if w.pos < len(w.data) {
		return w.fail(CodeTrailingBytes)
	}
	return nil
}

func (w *walker) space() {
	for w.pos < len(w.data) {
		switch w.data[w.pos] {
		case ' ', '\t', '\r', '\n':
			w.pos++
		default:
			return
		}
	}
}

// peek returns the next byte, or 0 at the end: JSON text holds no NUL.
func (w *walker) peek() byte {
	if w.pos < len(w.data) {
		return w.data[w.pos]
	}
	return 0
}

// value reads a value of shape s.
func (w *walker) value(s *shape) *Error {
	start := w.pos
	got, ok := kindOf(w.peek())
	if !ok {
		return w.fail(CodeInvalidJSON)
	}
	if w.peek() == 'n' {
		if err := w.literal("null"); err != nil {
			return err
		}
		if !s.nullable && !s.loose {
			w.pos = start
			return w.fail(CodeAmbiguousNull)
		}
		return nil
	}
	if s.kind != anything && s.kind != got && !(s.kind == dictionary && got == record) {
		// The syntax comes first: what is not JSON has no type.
		if err := w.untyped(got); err != nil {
			return err
		}
		w.pos = start
		return w.fail(CodeWrongType)
	}
	var err *Error
	switch s.kind {
	case list:
		return w.list(s)
	case record, dictionary:
		return w.object(s)
	default:
		err = w.untyped(got)
	}
	if err == nil && w.probe {
		err = w.probeLeaf(s, start)
	}
	return err
}

// kindOf tells what value begins with c.
func kindOf(c byte) (kind, bool) {
	switch c {
	case '{':
		return record, true
	case '[':
		return list, true
	case '"':
		return text, true
	case 't', 'f':
		return boolean, true
	case 'n':
		return anything, true
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return number, true
	}
	return anything, false
}

// free is the shape of values that have no Go type.
var free = &shape{kind: anything, length: -1, loose: true}

// freeList and freeObject hold such values.
var (
	freeList   = &shape{kind: list, length: -1, elem: free}
	freeObject = &shape{kind: dictionary, length: -1, elem: free}
)

// untyped reads a value that begins like a got, whatever is in it.
func (w *walker) untyped(got kind) *Error {
	switch got {
	case record:
		return w.object(freeObject)
	case list:
		return w.list(freeList)
	case text:
		_, _, err := w.text()
		return err
	case number:
		return w.number()
	default:
		if w.peek() == 't' {
			return w.literal("true")
		}
		return w.literal("false")
	}
}

func (w *walker) literal(want string) *Error {
	if !bytes.HasPrefix(w.data[w.pos:], []byte(want)) {
		return w.fail(CodeInvalidJSON)
	}
	w.pos += len(want)
	return nil
}

func (w *walker) enter() *Error {
	if w.depth++; w.depth > MaxDepth {
		return w.fail(CodeTooDeep)
	}
	w.pos++
	w.space()
	return nil
}

// more reads what follows an element: a comma, or the end of its container.
func (w *walker) more(end byte) (bool, *Error) {
	w.space()
	switch w.peek() {
	case ',':
		w.pos++
		w.space()
		return true, nil
	case end:
		w.pos++
		w.depth--
		return false, nil
	}
	return false, w.fail(CodeInvalidJSON)
}

func (w *walker) list(s *shape) *Error {
	start, n := w.pos, 0
	if err := w.enter(); err != nil {
		return err
	}
	if w.peek() == ']' {
		w.pos++
		w.depth--
	} else {
		for more := true; more; n++ {
			err := w.value(s.elem)
			if err == nil {
				more, err = w.more(']')
			}
			if err != nil {
				return err.inside("[" + strconv.Itoa(n) + "]")
			}
		}
	}
	if s.length >= 0 && s.length != n {
		w.pos = start
		return w.fail(CodeWrongType)
	}
	return nil
}

func (w *walker) object(s *shape) *Error {
	if err := w.enter(); err != nil {
		return err
	}
	if w.peek() == '}' {
		w.pos++
		w.depth--
		return nil
	}
	var seen names
	for more := true; more; {
		start := w.pos
		if w.peek() != '"' {
			return w.fail(CodeInvalidJSON)
		}
		raw, escaped, err := w.text()
		if err != nil {
			return err
		}
		member := s.elem
		if !w.syntax {
			if escaped {
				raw = unescape(w.data[start:w.pos])
			}
			if member, err = s.member(raw, &seen); err != nil {
				err.Offset = start
			}
		}
		if err == nil {
			err = w.member(member)
		}
		if err == nil {
			more, err = w.more('}')
		}
		if err != nil {
			return err.inside(printable(raw))
		}
	}
	return nil
}

// member reads a colon and the value of an object's member.
func (w *walker) member(s *shape) *Error {
	w.space()
	if w.peek() != ':' {
		return w.fail(CodeInvalidJSON)
	}
	w.pos++
	w.space()
	return w.value(s)
}

// names remembers the members of one object: by number those of a record, by
// name those of a dictionary.
type names struct {
	fields uint64
	more   map[string]bool
}

// member returns the shape of the member called name, or says why there is
// none.
func (s *shape) member(name []byte, seen *names) (*shape, *Error) {
	f := s.fields[string(name)]
	switch {
	case s.kind == record && f == nil:
		return nil, &Error{Code: s.missing(string(name))}
	case f != nil && f.index < 64:
		bit := uint64(1) << f.index
		if seen.fields&bit != 0 {
			return nil, &Error{Code: CodeDuplicateField}
		}
		seen.fields |= bit
		return f.shape, nil
	}
	if seen.more[string(name)] {
		return nil, &Error{Code: CodeDuplicateField}
	}
	if seen.more == nil {
		seen.more = map[string]bool{}
	}
	seen.more[string(name)] = true
	if f != nil {
		return f.shape, nil
	}
	return s.elem, nil
}

// missing tells a field in another case from an unknown one. Both are refused;
// encoding/json folds "ALLOW" and "allowRawReadſ" alike.
func (s *shape) missing(name string) string {
	for known := range s.fields {
		if strings.EqualFold(known, name) {
			return CodeWrongCase
		}
	}
	return CodeUnknownField
}

// printable returns name when it looks like one, so that neither a value in the
// place of a name nor a forged path reaches an error.
func printable(name []byte) string {
	const longest = 40
	if len(name) == 0 || len(name) > longest {
		return "?"
	}
	for _, c := range name {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-') {
			return "?"
		}
	}
	return string(name)
}

// unescape returns the text of a valid JSON string.
func unescape(quoted []byte) []byte {
	var s string
	_ = json.Unmarshal(quoted, &s) // walked already
	return []byte(s)
}

// text reads a string and returns its bytes between the quotes, and whether it
// holds escapes.
func (w *walker) text() (raw []byte, escaped bool, err *Error) {
	w.pos++
	start := w.pos
	for w.pos < len(w.data) {
		switch c := w.data[w.pos]; {
		case c == '"':
			w.pos++
			return w.data[start : w.pos-1], escaped, nil
		case c == '\\':
			escaped = true
			if err := w.escape(); err != nil {
				return nil, false, err
			}
		case c < ' ':
			return nil, false, w.fail(CodeInvalidJSON)
		case c < utf8.RuneSelf:
			w.pos++
		default:
			r, size := utf8.DecodeRune(w.data[w.pos:])
			if r == utf8.RuneError && size == 1 {
				return nil, false, w.fail(CodeInvalidUTF8)
			}
			w.pos += size
		}
	}
	return nil, false, w.fail(CodeInvalidJSON)
}

// escape reads a backslash and what it escapes. Half a surrogate pair is no
// text: encoding/json would put U+FFFD in its place.
func (w *walker) escape() *Error {
	if w.pos+1 >= len(w.data) {
		return w.fail(CodeInvalidJSON)
	}
	switch w.data[w.pos+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		w.pos += 2
		return nil
	case 'u':
		first, ok := w.hex()
		if !ok {
			return w.fail(CodeInvalidJSON)
		}
		if !utf16.IsSurrogate(first) {
			return nil
		}
		if second, ok := w.hex(); !ok || utf16.DecodeRune(first, second) == utf8.RuneError {
			return w.fail(CodeInvalidUTF8)
		}
		return nil
	}
	return w.fail(CodeInvalidJSON)
}

// hex reads \uXXXX.
func (w *walker) hex() (rune, bool) {
	if w.pos+6 > len(w.data) || w.data[w.pos] != '\\' || w.data[w.pos+1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range w.data[w.pos+2 : w.pos+6] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	w.pos += 6
	return r, true
}

// number reads a number: -?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?
func (w *walker) number() *Error {
	if w.peek() == '-' {
		w.pos++
	}
	if w.peek() == '0' {
		w.pos++
	} else if !w.digits() {
		return w.fail(CodeInvalidJSON)
	}
	if w.peek() == '.' {
		w.pos++
		if !w.digits() {
			return w.fail(CodeInvalidJSON)
		}
	}
	if c := w.peek(); c == 'e' || c == 'E' {
		w.pos++
		if c := w.peek(); c == '+' || c == '-' {
			w.pos++
		}
		if !w.digits() {
			return w.fail(CodeInvalidJSON)
		}
	}
	return nil
}

func (w *walker) digits() bool {
	start := w.pos
	for w.pos < len(w.data) && w.data[w.pos] >= '0' && w.data[w.pos] <= '9' {
		w.pos++
	}
	return w.pos > start
}
