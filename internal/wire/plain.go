package wire

import (
	"bytes"
	"strconv"
	"unicode/utf8"
)

// Plain reads JSON as servers of ours write it: without white space between values,
// fractions, and escapes in strings but those of quotes. It meets anything else by not being [Plain.OK],
// and who reads starts anew with encoding/json then: so that long answers are read in
// a fraction of its time, and none in another way.
type Plain struct {
	text []byte
	at   int
	odd  bool
}

// NewPlain reads text.
func NewPlain(text []byte) *Plain { return &Plain{text: text} }

// OK reports whether all that was read is plain, and nothing follows.
func (p *Plain) OK() bool { return !p.odd && p.at == len(p.text) }

// Fail says that a value is not what its reader takes.
func (p *Plain) Fail() { p.odd = true }

func (p *Plain) next(b byte) bool {
	if p.odd || p.at >= len(p.text) || p.text[p.at] != b {
		return false
	}
	p.at++
	return true
}

func (p *Plain) want(b byte) {
	if !p.next(b) {
		p.odd = true
	}
}

// Members reads an object; value reads that of each member.
func (p *Plain) Members(value func(name []byte)) {
	p.want('{')
	if p.next('}') {
		return
	}
	for !p.odd {
		name := p.Text()
		p.want(':')
		if p.odd {
			return
		}
		value(name)
		if p.next('}') {
			return
		}
		p.want(',')
	}
}

// Elements reads an array; value reads each of its elements.
func (p *Plain) Elements(value func()) {
	p.want('[')
	if p.next(']') {
		return
	}
	for !p.odd {
		value()
		if p.next(']') {
			return
		}
		p.want(',')
	}
}

// Text reads a string, in which quotes alone may be escaped, as they are in an ETag.
// Its bytes may be those of the text that is read.
func (p *Plain) Text() []byte {
	p.want('"')
	from, escapes, ascii := p.at, 0, true
	for !p.odd && p.at < len(p.text) {
		c := p.text[p.at]
		p.at++
		switch {
		case c == '"':
			s := p.text[from : p.at-1]
			p.odd = !ascii && !utf8.Valid(s)
			if escapes > 0 {
				s = bytes.ReplaceAll(s, []byte(`\"`), []byte(`"`))
			}
			return s
		case c == '\\' && p.next('"'):
			escapes++
		case c < ' ' || c == '\\':
			p.odd = true
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	p.odd = true
	return nil
}

// Number reads a whole number of at most 18 digits that is not negative.
func (p *Plain) Number() int64 {
	from := p.at
	for p.at < len(p.text) && '0' <= p.text[p.at] && p.text[p.at] <= '9' {
		p.at++
	}
	digits := p.text[from:p.at]
	if len(digits) == 0 || len(digits) > 18 || digits[0] == '0' && len(digits) > 1 {
		p.odd = true
		return 0
	}
	n, err := strconv.ParseInt(string(digits), 10, 64)
	p.odd = p.odd || err != nil
	return n
}

// Null reads null where it is next.
func (p *Plain) Null() bool {
	if !p.odd && bytes.HasPrefix(p.text[p.at:], []byte("null")) {
		p.at += len("null")
		return true
	}
	return false
}
