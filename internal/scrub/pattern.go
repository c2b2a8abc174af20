package scrub

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/bits"
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
	// wrapped says that lines may break between characters, as in base64 of mail.
	wrapped bool
	form    form
	// first holds the bytes that a match can begin with, second those that can
	// follow.
	first, second byteSet
}

// byteSet is a set of bytes.
type byteSet [4]uint64

func (s *byteSet) add(b byte, fold bool) {
	s[b>>6] |= 1 << (b & 63)
	if fold {
		s.add(upper(b), false)
	}
}

func (s *byteSet) join(other byteSet) {
	for i, bits := range other {
		s[i] |= bits
	}
}

// each calls f with the bytes of the set.
func (s *byteSet) each(f func(b byte)) {
	for i, word := range s {
		for ; word != 0; word &= word - 1 {
			f(byte(i<<6 | bits.TrailingZeros64(word)))
		}
	}
}

// patternsOf returns every pattern by which value is found.
func patternsOf(value string) []pattern {
	seen := make(map[string]bool)
	var encoded []string
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for offset := range 3 {
			if text := base64At(encoding, value, offset); !seen[text] {
				seen[text] = true
				encoded = append(encoded, text)
			}
		}
	}
	var patterns []pattern
	for _, f := range []form{bytewise, littleEndian, bigEndian} {
		if f != bytewise && !utf8.ValidString(value) {
			break // not a text
		}
		patterns = append(patterns, newEscaped(value, f, false), newLiteral(hex.EncodeToString([]byte(value)), f))
		for _, text := range encoded {
			patterns = append(patterns, newEscaped(text, f, true))
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

// newLiteral returns the pattern of a text that is written in one way, but for
// the letter case.
func newLiteral(text string, f form) pattern {
	p := pattern{text: f.of(text), fold: true, form: f}
	p.first.add(p.text[0], true)
	p.second.add(p.text[1], true)
	return p
}

// newEscaped returns the pattern of a value whose characters may each be
// escaped. It has more than one.
func newEscaped(value string, f form, wrapped bool) pattern {
	p := pattern{
		text:    value,
		escaped: true,
		form:    f,
		wrapped: wrapped,
	}
	c, next := nextChar(value, f), charOf{}
	if c.size < len(value) {
		next = nextChar(value[c.size:], f)
	}
	p.first, p.second = c.first, c.second
	if c.single {
		p.second.join(next.first)
		if wrapped {
			for _, s := range lineBreaks()[f] {
				p.second.add(s.text[0], false)
			}
		}
	}
	return p
}

// form is how the characters of a text are bytes.
type form uint8

const (
	bytewise     form = iota // as they are: UTF-8
	littleEndian             // UTF-16
	bigEndian
	forms
)

// of returns text in the form.
func (f form) of(text string) string {
	if f == bytewise {
		return text
	}
	var out []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		if f == littleEndian {
			out = append(out, byte(unit), byte(unit>>8))
		} else {
			out = append(out, byte(unit>>8), byte(unit))
		}
	}
	return string(out)
}

// charOf is a character and the ways to write it.
type charOf struct {
	size      int // in bytes, of the value
	spellings []spelling
	// first and second hold the bytes that the spellings begin with. single is
	// set where one has a single byte.
	first, second byteSet
	single        bool
}

// nextChar returns the first character of text.
func nextChar(text string, f form) charOf {
	if c := text[0]; c < utf8.RuneSelf {
		return asciiChars()[f][c]
	}
	r, size := utf8.DecodeRuneInString(text)
	return newChar(r, text[:size], f)
}

// asciiChars are the characters of ASCII.
var asciiChars = sync.OnceValue(func() *[forms][utf8.RuneSelf]charOf {
	var all [forms][utf8.RuneSelf]charOf
	for f := range forms {
		for c := range rune(utf8.RuneSelf) {
			all[f][c] = newChar(c, string(c), f)
		}
	}
	return &all
})

func newChar(r rune, raw string, f form) charOf {
	c := charOf{size: len(raw), spellings: spell(r, raw, f)}
	for _, s := range c.spellings {
		c.first.add(s.text[0], s.fold)
		if len(s.text) > 1 {
			c.second.add(s.text[1], s.fold)
		} else {
			c.single = true
		}
	}
	return c
}

func spell(r rune, raw string, f form) []spelling {
	all := append([]spelling{{raw, false}}, escapes(r, raw)...)
	for i := range all {
		all[i].text = f.of(all[i].text)
	}
	return all
}

// lineBreaks stand in base64 that is wrapped, as it is or in a text of JSON.
var lineBreaks = sync.OnceValue(func() *[forms][]spelling {
	var all [forms][]spelling
	for f := range forms {
		for _, text := range []string{"\n", "\r\n", `\n`, `\r\n`} {
			all[f] = append(all[f], spelling{text: f.of(text)})
		}
	}
	return &all
})

func escapes(r rune, raw string) []spelling {
	var all []spelling
	for _, each := range []string{"%%%02x", "%%25%02x", `\x%02x`, `\\x%02x`, "=%02x", `\%03o`} {
		var text strings.Builder
		for i := range len(raw) {
			fmt.Fprintf(&text, each, raw[i])
		}
		all = append(all, spelling{text.String(), true})
	}
	if r == utf8.RuneError && len(raw) == 1 {
		return all // not UTF-8: the escapes below name characters
	}
	unit := fmt.Sprintf(`\u%04x`, r)
	if hi, lo := utf16.EncodeRune(r); hi != utf8.RuneError {
		unit = fmt.Sprintf(`\u%04x\u%04x`, hi, lo)
	}
	all = append(all, spelling{unit, true}, spelling{strings.ReplaceAll(unit, `\`, `\\`), true})
	for _, each := range []string{"#%d;", "#%03d;", "#x%x;", "#x%04x;"} {
		for _, amp := range []string{"&", "&amp;"} {
			all = append(all, spelling{amp + fmt.Sprintf(each, r), true})
		}
	}
	all = append(all, spelling{fmt.Sprintf(`\u{%x}`, r), true}, spelling{fmt.Sprintf(`\U%08x`, r), false})
	for _, short := range shortEscapes[r] {
		all = append(all, spelling{short, false})
		once := strings.NewReplacer("&", "&amp;", `\`, `\\`).Replace(short)
		for _, again := range []string{once, strings.ReplaceAll(once, `"`, `\"`)} {
			if again != short {
				all = append(all, spelling{again, false})
			}
		}
	}
	return all
}

// shortEscapes are the escapes that JSON, forms and HTML have for some
// characters alone.
var shortEscapes = map[rune][]string{
	'"': {`\"`, "&quot;"}, '\\': {`\\`}, '/': {`\/`}, '\b': {`\b`}, '\f': {`\f`}, '\n': {`\n`}, '\r': {`\r`}, '\t': {`\t`},
	' ': {"+"}, '&': {"&amp;"}, '<': {"&lt;"}, '>': {"&gt;"}, '\'': {"&apos;", `\'`},
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
		switch n, fits := (spelling{p.text, p.fold}).prefix(text); { // in its form
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
		if p.wrapped && len(rest) < len(p.text) {
			var more bool
			reached, more = p.overBreaks(text, reached)
			open = open || more
		}
		var spellings []spelling
		if c := rest[0]; c < utf8.RuneSelf {
			spellings, rest = asciiChars()[p.form][c].spellings, rest[1:]
		} else {
			char := nextChar(rest, p.form)
			spellings, rest = char.spellings, rest[char.size:]
		}
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

// overBreaks adds to the positions that were reached those behind a line break.
func (p *pattern) overBreaks(text []byte, reached []int) (all []int, open bool) {
	for _, at := range reached {
		for _, s := range lineBreaks()[p.form] {
			switch n, fits := s.prefix(text[at:]); {
			case !fits:
			case n < len(s.text):
				open = true
			default:
				reached = insert(reached, at+n)
			}
		}
	}
	return reached, open
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
	// words is how many words hold a bit for each pattern. first and second have
	// as many for each byte: which patterns can begin with it, and which can have
	// it next.
	words         int
	first, second []uint64
	// anyFirst and anySecond are first and second of all words together: where they
	// share no bit no pattern begins, which is nearly everywhere.
	anyFirst, anySecond *[256]uint64
}

func newMatcher(values []string) *matcher {
	m := new(matcher)
	for _, v := range values {
		m.patterns = append(m.patterns, patternsOf(v)...)
	}
	m.words = (len(m.patterns) + 63) / 64
	m.first, m.second = make([]uint64, 256*m.words), make([]uint64, 256*m.words)
	for i := range m.patterns {
		word, bit := i/64, uint64(1)<<(i%64)
		m.patterns[i].first.each(func(b byte) { m.first[int(b)*m.words+word] |= bit })
		m.patterns[i].second.each(func(b byte) { m.second[int(b)*m.words+word] |= bit })
	}
	m.anyFirst, m.anySecond = m.together(m.first), m.together(m.second)
	return m
}

// together is a table with all words of a byte in one.
func (m *matcher) together(table []uint64) *[256]uint64 {
	if m.words == 1 {
		return (*[256]uint64)(table)
	}
	all := new([256]uint64)
	for i, bits := range table {
		all[i/m.words] |= bits
	}
	return all
}

// marking appends what stands in the place of n bytes.
type marking func(out []byte, n int) []byte

// named is [Mark], however long the value was.
func named(out []byte, _ int) []byte { return append(out, Mark...) }

// masked is as long as the value was.
func masked(out []byte, n int) []byte {
	if n >= len(Mark) {
		out, n = append(out, Mark...), n-len(Mark)
	}
	for range n {
		out = append(out, '*')
	}
	return out
}

// replace appends text to out with every match replaced. Unless the text ends
// here, it stops where a match may go on and returns what remains.
func (m *matcher) replace(out, text []byte, end bool, mark marking) (replaced, rest []byte, found bool) {
	plain := 0 // text[plain:i] is to be copied as it is
	for i := 0; i < len(text); {
		at, n, open := m.next(text[i:], end)
		i += at
		if open {
			return append(out, text[plain:i]...), text[i:], found
		}
		if n == 0 {
			break
		}
		out = mark(append(out, text[plain:i]...), n)
		found = true
		i += n
		plain = i
	}
	return append(out, text[plain:]...), nil, found
}

// next returns where the first match in text is and how long, or where one may
// begin of which the rest is to come.
func (m *matcher) next(text []byte, end bool) (at, n int, open bool) {
	for i := 0; i < len(text); i++ {
		if i = m.skip(text, i); i == len(text) {
			break
		}
		longest, open := m.at(text[i:])
		switch {
		case open && !end:
			return i, 0, true
		case longest > 0:
			return i, longest, false
		}
	}
	return len(text), 0, false
}

// skip returns the first place from i on where two bytes are as some pattern begins,
// or the last byte may be the first of one; the text's length where there is none.
func (m *matcher) skip(text []byte, i int) int {
	if i >= len(text) {
		return len(text)
	}
	first := m.anyFirst[text[i]]
	for _, b := range text[i+1:] {
		if first&m.anySecond[b] != 0 {
			return i
		}
		first = m.anyFirst[b]
		i++
	}
	if first != 0 {
		return i
	}
	return len(text)
}

// at is [pattern.match] for all patterns.
func (m *matcher) at(text []byte) (longest int, open bool) {
	for word := range m.words {
		may := m.first[int(text[0])*m.words+word]
		if len(text) > 1 {
			may &= m.second[int(text[1])*m.words+word]
		}
		for ; may != 0; may &= may - 1 {
			n, more := m.patterns[word*64+bits.TrailingZeros64(may)].match(text)
			longest = max(longest, n)
			open = open || more
		}
	}
	return longest, open
}
