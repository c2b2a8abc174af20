package scrub

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math"
	"math/bits"
	"slices"
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

// pattern is a value to look for, with what tells where it is worth to look.
type pattern struct {
	text string
	// escaped says that each character of text may be spelled in its own way.
	// Otherwise text is looked for as it is, or in either letter case.
	escaped, fold bool
	// wrapped says that lines may break between characters, as in base64 of mail.
	wrapped bool
	form    form
	begin   beginning
}

// depth is to how many bytes it is known what a match can begin with. None is shorter.
const depth = MinLength

// beginning holds, for each of the first bytes, which ones a match can have there.
type beginning [depth]byteSet

// add adds a text, which may end sooner.
func (b *beginning) add(text string, fold bool) {
	for i := range min(len(text), depth) {
		b[i].add(text[i], fold)
	}
}

// follow adds what can follow the first n bytes.
func (b *beginning) follow(n int, by beginning) {
	for i := n; i < depth; i++ {
		b[i].join(&by[i-n])
	}
}

// byteSet is a set of bytes.
type byteSet [4]uint64

func (s *byteSet) add(b byte, fold bool) {
	s[b>>6] |= 1 << (b & 63)
	if fold {
		s.add(upper(b), false)
	}
}

func (s *byteSet) join(other *byteSet) {
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
	p.begin.add(p.text, true)
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
	p.begin = p.beginningOf(value, depth)
	return p
}

// addPairs adds the pairs of bytes that a match can have where a stride looks at it.
func (p *pattern) addPairs(to *pairSet) {
	if !p.escaped {
		one := spellingsOf([]spelling{{p.text, p.fold}})
		one.addPairs(to, 0, &byteSet{})
		return
	}
	for rest, at := p.text, 0; rest != "" && at < stride; {
		c := nextChar(rest, p.form)
		var next byteSet // after c
		if rest = rest[c.size:]; rest != "" {
			next = nextChar(rest, p.form).begin[0]
			if breaks := &lineBreaks()[p.form]; p.wrapped {
				breaks.addPairs(to, at+c.least, &next)
				next.join(&breaks.begin[0])
			}
		}
		c.addPairs(to, at, &next)
		at += c.least
	}
}

// beginningOf is what the rest of p's text can begin with, as far as need.
func (p *pattern) beginningOf(rest string, need int) beginning {
	if need <= 0 || rest == "" {
		return beginning{}
	}
	c := nextChar(rest, p.form)
	if c.least >= need {
		return c.begin
	}
	next := p.beginningOf(rest[c.size:], need-c.least)
	if p.wrapped {
		broken := lineBreaks()[p.form].before(next)
		next.follow(0, broken)
	}
	return c.before(next)
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
	size int // in bytes, of the value
	spellings
}

// spellings are ways to write the same.
type spellings struct {
	all   []spelling
	begin beginning
	least int // bytes in the shortest
	// short are the lengths of those that end before depth, and last the bytes that these end with.
	short []int
	last  [depth]byteSet
	// pairs are those within the spellings, by where the second byte is.
	pairs [depth][]pair
}

// pair are two bytes, one behind the other.
type pair struct{ b, next byte }

func spellingsOf(all []spelling) spellings {
	s := spellings{all: all, least: math.MaxInt}
	for _, one := range all {
		s.begin.add(one.text, one.fold)
		s.least = min(s.least, len(one.text))
		for i := 1; i < min(len(one.text), depth); i++ {
			for _, p := range one.pairsAt(i) {
				if !slices.Contains(s.pairs[i], p) {
					s.pairs[i] = append(s.pairs[i], p)
				}
			}
		}
		if n := len(one.text); n < depth {
			if !slices.Contains(s.short, n) {
				s.short = append(s.short, n)
			}
			s.last[n].add(one.text[n-1], one.fold)
		}
	}
	return s
}

// pairsAt are the two bytes up to i, in either letter case where that is free.
func (s spelling) pairsAt(i int) []pair {
	b, next := s.text[i-1], s.text[i]
	if !s.fold {
		return []pair{{b, next}}
	}
	return []pair{{b, next}, {upper(b), next}, {b, upper(next)}, {upper(b), upper(next)}}
}

// addPairs adds the pairs of spellings that begin at a place of a match, with what can follow them.
func (s *spellings) addPairs(to *pairSet, at int, next *byteSet) {
	for i := 1; at+i < depth; i++ {
		for _, p := range s.pairs[i] {
			to[p.b].add(p.next, false)
		}
		s.last[i].each(func(b byte) { to[b].join(next) })
	}
}

// before is what the spellings begin with where something follows.
func (s *spellings) before(next beginning) beginning {
	begin := s.begin
	for _, n := range s.short {
		begin.follow(n, next)
	}
	return begin
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
	return charOf{len(raw), spellingsOf(spell(r, raw, f))}
}

func spell(r rune, raw string, f form) []spelling {
	all := append([]spelling{{raw, false}}, escapes(r, raw)...)
	for i := range all {
		all[i].text = f.of(all[i].text)
	}
	return all
}

// lineBreaks stand in base64 that is wrapped, as it is or in a text of JSON.
var lineBreaks = sync.OnceValue(func() *[forms]spellings {
	var all [forms]spellings
	for f := range forms {
		var breaks []spelling
		for _, text := range []string{"\n", "\r\n", `\n`, `\r\n`} {
			breaks = append(breaks, spelling{text: f.of(text)})
		}
		all[f] = spellingsOf(breaks)
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
			spellings, rest = asciiChars()[p.form][c].all, rest[1:]
		} else {
			char := nextChar(rest, p.form)
			spellings, rest = char.all, rest[char.size:]
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
		for _, s := range lineBreaks()[p.form].all {
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
