package scrub

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"unicode/utf16"
	"unicode/utf8"
)

// spelling is one way to write one character. The letter case of an escape's
// hexadecimal digits is free.
type spelling struct {
	text string
	fold bool
}

// pattern is a value to look for. It keeps little more than the value: it is
// made for every call of a provider, and looked for where its first byte is.
type pattern struct {
	text string
	// escaped says that each character of text may be spelled in its own way.
	// Otherwise text is looked for as it is, or in either letter case.
	escaped, fold bool
	// first holds the bytes that a match can begin with.
	first [256]bool
}

// patternsOf returns every pattern by which value is found.
func patternsOf(value string) []pattern {
	patterns := []pattern{newEscaped(value), newLiteral(hex.EncodeToString([]byte(value)), true)}
	seen := make(map[string]bool)
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for offset := range 3 {
			if text := base64At(encoding, value, offset); !seen[text] {
				seen[text] = true
				patterns = append(patterns, newLiteral(text, false))
			}
		}
	}
	return patterns
}

// base64At returns the characters of a base64 text that value alone decides
// when it begins offset bytes into a group of three.
func base64At(encoding *base64.Encoding, value string, offset int) string {
	text := encoding.EncodeToString([]byte(strings.Repeat("\x00", offset) + value))
	shared := [3]int{0, 2, 3}[offset] // characters that the bytes before share
	if (offset+len(value))%3 != 0 {
		text = text[:len(text)-1] // the last one is shared with the bytes behind
	}
	return text[shared:]
}

func newLiteral(text string, fold bool) pattern {
	p := pattern{text: text, fold: fold}
	p.begins(spelling{text[:1], fold})
	return p
}

// newEscaped returns the pattern of a value whose characters may each be
// escaped.
func newEscaped(value string) pattern {
	p := pattern{text: value, escaped: true}
	_, spellings := nextChar(value)
	p.begins(spellings...)
	return p
}

func (p *pattern) begins(spellings ...spelling) {
	for _, s := range spellings {
		p.first[s.text[0]] = true
		if s.fold {
			p.first[upper(s.text[0])] = true
		}
	}
}

// nextChar returns the length of the first character of text and the ways to
// write it.
func nextChar(text string) (size int, spellings []spelling) {
	if c := text[0]; c < utf8.RuneSelf {
		return 1, asciiSpellings()[c]
	}
	r, size := utf8.DecodeRuneInString(text)
	return size, spell(r, text[:size])
}

// asciiSpellings are the ways to write each character of ASCII.
var asciiSpellings = sync.OnceValue(func() *[utf8.RuneSelf][]spelling {
	var all [utf8.RuneSelf][]spelling
	for c := range all {
		all[c] = spell(rune(c), string(rune(c)))
	}
	return &all
})

func spell(r rune, raw string) []spelling {
	return append([]spelling{{raw, false}}, escapes(r, raw)...)
}

func escapes(r rune, raw string) []spelling {
	var percent, backslashX strings.Builder
	for i := range len(raw) {
		fmt.Fprintf(&percent, "%%%02x", raw[i])
		fmt.Fprintf(&backslashX, `\x%02x`, raw[i])
	}
	all := []spelling{{percent.String(), true}, {backslashX.String(), true}}
	if r == utf8.RuneError && len(raw) == 1 {
		return all // not UTF-8: the escapes below name characters
	}
	unit := fmt.Sprintf(`\u%04x`, r)
	if hi, lo := utf16.EncodeRune(r); hi != utf8.RuneError {
		unit = fmt.Sprintf(`\u%04x\u%04x`, hi, lo)
	}
	all = append(all, spelling{unit, true}, spelling{fmt.Sprintf("&#%d;", r), false}, spelling{fmt.Sprintf("&#x%x;", r), true})
	for _, short := range shortEscapes[r] {
		all = append(all, spelling{short, false})
	}
	return all
}

// shortEscapes are the escapes that JSON, forms and HTML have for some
// characters alone.
var shortEscapes = map[rune][]string{
	'"': {`\"`, "&quot;"}, '\\': {`\\`}, '/': {`\/`}, '\b': {`\b`}, '\f': {`\f`}, '\n': {`\n`}, '\r': {`\r`}, '\t': {`\t`},
	' ': {"+"}, '&': {"&amp;"}, '<': {"&lt;"}, '>': {"&gt;"}, '\'': {"&apos;"},
}

func upper(b byte) byte {
	if 'a' <= b && b <= 'z' {
		return b - 'a' + 'A'
	}
	return b
}

// match returns where the longest match of p at the beginning of text ends, 0
// for none, and whether bytes behind text could make a match or a longer one.
//
// A character may have spellings of several lengths that all fit ("\" and
// "\\"), so every position reached is followed, each once.
func (p *pattern) match(text []byte) (end int, open bool) {
	if !p.escaped {
		switch n, fits := (spelling{p.text, p.fold}).prefix(text); {
		case !fits:
			return 0, false
		case n < len(p.text):
			return 0, true
		default:
			return n, false
		}
	}
	var even, odd [8]int
	reached, ahead := append(even[:0], 0), odd[:0]
	for rest := p.text; rest != ""; {
		size, spellings := nextChar(rest)
		rest = rest[size:]
		ahead = ahead[:0]
		for _, at := range reached {
			for _, s := range spellings {
				n, fits := s.prefix(text[at:])
				switch {
				case !fits:
				case n < len(s.text):
					open = true
				default:
					ahead = insert(ahead, at+n)
				}
			}
		}
		if len(ahead) == 0 {
			return 0, open
		}
		reached, ahead = ahead, reached
	}
	for _, at := range reached {
		end = max(end, at)
	}
	return end, open
}

// prefix returns how many bytes of s text begins with, and whether nothing
// contradicts s: n is short of s only where text ends.
func (s spelling) prefix(text []byte) (n int, fits bool) {
	n = min(len(s.text), len(text))
	for i := range n {
		if b := text[i]; b != s.text[i] && (!s.fold || b != upper(s.text[i])) {
			return 0, false
		}
	}
	return n, true
}

func insert(set []int, v int) []int {
	for _, have := range set {
		if have == v {
			return set
		}
	}
	return append(set, v)
}

// matcher looks for several patterns at once.
type matcher struct {
	patterns []pattern
	// first holds the bytes that any of them can begin with.
	first [256]bool
}

func newMatcher(values []string) *matcher {
	m := new(matcher)
	for _, v := range values {
		m.patterns = append(m.patterns, patternsOf(v)...)
	}
	for i := range m.patterns {
		for b, begins := range m.patterns[i].first {
			m.first[b] = m.first[b] || begins
		}
	}
	return m
}

// replace appends text to out with every match replaced. Unless the text ends
// here, it stops where a match may go on and returns what remains.
func (m *matcher) replace(out, text []byte, end bool) (replaced, rest []byte, found bool) {
	plain := 0 // text[plain:i] is to be copied as it is
	for i := 0; i < len(text); {
		if !m.first[text[i]] {
			i++
			continue
		}
		longest, open := m.at(text[i:])
		if open && !end {
			return append(out, text[plain:i]...), text[i:], found
		}
		if longest == 0 {
			i++
			continue
		}
		out = append(append(out, text[plain:i]...), Mark...)
		found = true
		i += longest
		plain = i
	}
	return append(out, text[plain:]...), nil, found
}

// at is [pattern.match] for all patterns.
func (m *matcher) at(text []byte) (longest int, open bool) {
	for j := range m.patterns {
		if p := &m.patterns[j]; p.first[text[0]] {
			n, more := p.match(text)
			longest = max(longest, n)
			open = open || more
		}
	}
	return longest, open
}
