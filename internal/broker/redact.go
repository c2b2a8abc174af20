package broker

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"strings"
)

// Redacted stands in the place of a field's value.
const Redacted = "[redacted]"

// Redactor takes the values of named fields out of JSON, letter case aside: a
// name at any depth, "api_key", or a path from the top, "data.owner.email",
// which arrays do not count in. Nothing is held back: a name goes out as it
// comes, and what follows its colon does not.
type Redactor struct {
	names map[string]bool // in lower case
	paths [][]string
	// longest is how long a name can be written, with every character escaped.
	longest int
}

// NewRedactor returns a Redactor of fields; nil for none.
func NewRedactor(fields []string) *Redactor {
	if len(fields) == 0 {
		return nil
	}
	r := &Redactor{names: map[string]bool{}}
	for _, field := range fields {
		path := strings.Split(strings.ToLower(field), ".")
		if len(path) == 1 {
			r.names[path[0]] = true
		} else {
			r.paths = append(r.paths, path)
		}
		for _, name := range path {
			r.longest = max(r.longest, len("\"\"")+6*len(name)) // \u0061
		}
	}
	return r
}

// Reader returns a reader of body with the fields taken out. It is false for a type
// in which it finds no fields: it reads JSON, lines of JSON and server-sent events
// whose data is JSON.
func (r *Redactor) Reader(body io.Reader, contentType string) (io.Reader, bool) {
	media, params, err := mime.ParseMediaType(contentType)
	charset := strings.ToLower(params["charset"])
	if err != nil || charset != "" && charset != "utf-8" && charset != "us-ascii" {
		return nil, false
	}
	text := &jsonRedactor{r: r}
	f := &byteFilter{src: body, step: text.step, text: text}
	switch {
	case media == "text/event-stream":
		f.step = (&eventLines{text: text}).step
	case media == "application/x-ndjson", media == "application/jsonl":
		text.lines = true
	case media == "application/json-seq":
		text.sequence = true
	case media == "application/json", media == "text/json", strings.HasSuffix(media, "+json"):
	default:
		return nil, false
	}
	return f, true
}

// recordSeparator begins each text of a sequence, also behind one that breaks off (RFC 7464 §2.1).
const recordSeparator = '\x1e'

// byteFilter is a reader that passes each byte to step, which appends to out what
// is to be read.
type byteFilter struct {
	src  io.Reader
	step func(out []byte, b byte) []byte
	// text is what step reads. The filter fails where that is broken.
	text *jsonRedactor

	chunk [16 << 10]byte
	out   []byte
	ready []byte // what of out has not been read
	err   error
}

func (f *byteFilter) Read(p []byte) (int, error) {
	for len(f.ready) == 0 {
		if f.err != nil {
			return 0, f.err
		}
		n, err := f.src.Read(f.chunk[:])
		if bytes.IndexByte(f.chunk[:n], 0) >= 0 {
			n, err = 0, fail(ErrAnswer, "a zero byte where fields of JSON are hidden, as UTF-16 has them")
		}
		f.out = f.out[:0]
		for i := 0; i < n && !f.text.broken; i++ {
			f.out = f.step(f.out, f.chunk[i])
		}
		if f.text.broken {
			err = fail(ErrAnswer, "a line end or a line where nobody can say which fields of JSON are hidden")
		}
		f.ready, f.err = f.out, err
	}
	n := copy(p, f.ready)
	f.ready = f.ready[n:]
	return n, nil
}

// jsonPlace is where a jsonRedactor stands in the text.
type jsonPlace uint8

const (
	outside        jsonPlace = iota // between texts
	inText                          // in one that may be a name
	afterText                       // behind it
	beforeHidden                    // behind the colon of a hidden field
	inHiddenText                    // in a hidden string
	inHiddenWord                    // in a hidden number or word
	inHiddenObject                  // in a hidden object or array
	inTextOfHidden
)

// jsonRedactor hides the values of fields. It knows strings and brackets, not all of
// JSON's grammar: in valid JSON a string before a colon is a field's name and
// nothing else is. A line end in a string is no JSON, and who reads it all the same may
// take the string to go on: nobody can say which fields follow, and nothing more comes out.
type jsonRedactor struct {
	r *Redactor
	// sequence is set where each text begins behind a [recordSeparator].
	sequence bool
	// lines is set where each line is a text. Some readers begin anew behind one that breaks
	// off, others read on.
	lines bool
	// cut is set behind a line end that no text may hold, and broken where the text goes on
	// all the same. Nothing comes out any more then.
	cut, broken bool

	at      jsonPlace
	escaped bool
	text    []byte // the last one, with its quotes, as much as a name can be
	depth   int    // of the brackets in a hidden value

	// within are the objects and arrays around, as far as a path leads into
	// them; below counts those further in.
	within []level
	below  int
}

// level is an object, or arrays that stand directly inside each other.
type level struct {
	arrays int // 0 for an object
	// paths are what is left of those that lead here, and next of those that
	// lead into the value that follows.
	paths, next [][]string
}

// pathsInto is what is left of the paths that lead into the next value.
func (x *jsonRedactor) pathsInto() [][]string {
	if len(x.within) == 0 {
		return x.r.paths
	}
	top := &x.within[len(x.within)-1]
	if top.arrays > 0 {
		return top.paths
	}
	return top.next
}

func (x *jsonRedactor) openLevel(b byte) {
	paths := x.pathsInto()
	switch {
	case x.below > 0 || len(paths) == 0:
		x.below++
	case b == '{':
		x.within = append(x.within, level{paths: paths})
	case len(x.within) > 0 && x.within[len(x.within)-1].arrays > 0:
		x.within[len(x.within)-1].arrays++
	default:
		x.within = append(x.within, level{paths: paths, arrays: 1})
	}
}

func (x *jsonRedactor) closeLevel() {
	switch {
	case x.below > 0:
		x.below--
	case len(x.within) == 0:
	case x.within[len(x.within)-1].arrays > 1:
		x.within[len(x.within)-1].arrays--
	default:
		x.within = x.within[:len(x.within)-1]
	}
}

// isHidden reports whether the value of a field is hidden, and follows the paths
// that lead on from it.
func (x *jsonRedactor) isHidden(name string) bool {
	if x.r.names[name] {
		return true
	}
	if x.below > 0 || len(x.within) == 0 {
		return false
	}
	top := &x.within[len(x.within)-1]
	top.next = nil
	for _, path := range top.paths {
		switch {
		case path[0] != name:
		case len(path) == 1:
			return true
		default:
			top.next = append(top.next, path[1:])
		}
	}
	return false
}

// step takes the next byte, and appends what comes out.
func (x *jsonRedactor) step(out []byte, b byte) []byte {
	switch {
	case x.sequence && b == recordSeparator:
		*x = jsonRedactor{r: x.r, sequence: true, text: x.text[:0]}
		return append(out, b)
	case b == '\n' || b == '\r':
		x.cut = x.cut || x.at == inText || x.lines && (x.inString() || b == '\n' && len(x.within) > 0)
	case x.cut:
		x.broken = true
		return out
	}
	if x.at >= inHiddenText {
		return x.stepHidden(out, b)
	}
	switch x.at {
	case inText:
		x.remember(b)
		if x.endsText(b) {
			x.at = afterText
		}
		return append(out, b)
	case beforeHidden:
		return x.stepBeforeValue(out, b)
	case afterText:
		switch {
		case b == ':' && x.isHidden(x.lastName()):
			x.at = beforeHidden
			return append(out, b)
		case b != ' ' && b != '\t' && b != '\r' && b != '\n':
			x.at = outside
		}
	}
	switch b {
	case '"':
		x.at, x.escaped, x.text = inText, false, x.text[:0]
		x.remember(b)
	case '{', '[':
		x.openLevel(b)
	case '}', ']':
		x.closeLevel()
	}
	return append(out, b)
}

// inString reports whether the next byte belongs to a string, a hidden one too.
func (x *jsonRedactor) inString() bool {
	return x.at == inText || x.at == inHiddenText || x.at == inTextOfHidden
}

// isOpen reports whether a text has begun and not ended.
func (x *jsonRedactor) isOpen() bool {
	return x.inString() || x.at >= beforeHidden || x.below > 0 || len(x.within) > 0
}

// endsText reports whether b is the quote that ends the text it is in.
func (x *jsonRedactor) endsText(b byte) bool {
	switch {
	case x.escaped:
		x.escaped = false
	case b == '\\':
		x.escaped = true
	case b == '"':
		return true
	}
	return false
}

// remember keeps one byte more than a name can have, so that a longer text is
// none.
func (x *jsonRedactor) remember(b byte) {
	if len(x.text) <= x.r.longest {
		x.text = append(x.text, b)
	}
}

// lastName is the last string, in lower case.
func (x *jsonRedactor) lastName() string {
	var name string
	if json.Unmarshal(x.text, &name) != nil {
		return ""
	}
	return strings.ToLower(name)
}

// stepBeforeValue takes a byte between a field's colon and its hidden value.
func (x *jsonRedactor) stepBeforeValue(out []byte, b byte) []byte {
	switch b {
	case ' ', '\t', '\r', '\n':
		return append(out, b)
	case '"':
		x.at, x.escaped = inHiddenText, false
	case '{', '[':
		x.at, x.depth = inHiddenObject, 1
	default:
		x.at = inHiddenWord
	}
	return append(out, `"`+Redacted+`"`...)
}

// stepHidden takes a byte of a hidden value.
func (x *jsonRedactor) stepHidden(out []byte, b byte) []byte {
	switch x.at {
	case inHiddenText:
		if x.endsText(b) {
			x.at = outside
		}
	case inHiddenWord:
		if strings.IndexByte(",}] \t\r\n", b) >= 0 {
			x.at = outside
			return x.step(out, b)
		}
	case inTextOfHidden:
		if x.endsText(b) {
			x.at = inHiddenObject
		}
	default:
		switch b {
		case '"':
			x.at, x.escaped = inTextOfHidden, false
		case '{', '[':
			x.depth++
		case '}', ']':
			if x.depth--; x.depth == 0 {
				x.at = outside
			}
		}
	}
	return out
}

// eventLines finds the data in server-sent events (WHATWG HTML §9.2). All data
// lines of an event are one text, which an empty line ends. Other lines are no part of it,
// but some readers take no carriage return for a line end, and some a bare line for data: one
// that breaks into a text, or begins like one, ends what comes out.
type eventLines struct {
	text *jsonRedactor
	// read counts the bytes of the line, as far as it may begin with "data:".
	read int
	data bool
	cr   bool // the byte before was a carriage return
	// mark counts the bytes of a byte order mark, which may stand before the first line,
	// and begun is set behind it.
	mark  int
	begun bool
}

const byteOrderMark = "\ufeff"

// dataField begins a line of data.
const dataField = "data:"

// step takes the next byte, and appends what comes out.
func (e *eventLines) step(out []byte, b byte) []byte {
	if !e.begun {
		if e.begun = b != byteOrderMark[e.mark]; !e.begun {
			e.mark++
			e.begun = e.mark == len(byteOrderMark)
			return append(out, b)
		}
		if e.mark > 0 {
			e.read = len(dataField) + 1 // some other text
		}
	}
	second := b == '\n' && e.cr // of a CRLF
	e.cr = b == '\r'
	switch {
	case second:
	case b == '\n' || b == '\r':
		if e.data {
			e.text.cut = e.text.cut || e.text.inString()
			e.text.step(nil, '\n')
		} else if e.read == 0 { // an empty line: the event is over
			*e.text = jsonRedactor{r: e.text.r, text: e.text.text[:0]}
		}
		e.data, e.read = false, 0
	case e.data:
		return e.text.step(out, b)
	case e.read < len(dataField) && b == dataField[e.read]:
		e.read++
		e.data = e.read == len(dataField)
	default:
		e.text.broken = e.text.isOpen() || e.read == 0 && strings.IndexByte("{[ \t", b) >= 0
		e.read = len(dataField) + 1
		if e.text.broken {
			return out
		}
	}
	return append(out, b)
}
