package fill

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// A page may show a password in pieces: character by character, in spans, boxes,
// cells and lines, with signs in between, in another letter case, backwards, or
// most of it ("begins with …"). Whoever reads the pieces one after the other has
// the password, so such echoes are looked for as well.

const (
	// minEchoLength is the length of the shortest echo in pieces, in letters and
	// digits.
	minEchoLength = 6
	// minWordsLength is how long an echo of letters alone has to be where it is a part
	// of a value or one word: else ordinary words would be echoes of a password
	// that is made of them.
	minWordsLength = 12
)

// echo is a filled value in the form that it is looked for in.
type echo struct {
	text string // folded, see [fold]
	// minLength is how many bytes of it in a row count as an echo.
	minLength int
	// digits says that the value is a number.
	digits bool
	// strict says that signs count as well, because the value has few letters and
	// digits.
	strict bool
}

// echoesOf returns the echoes to look for: a value and its reverse. A value of fewer
// than four characters has none.
func echoesOf(value string) []echo {
	e := echo{text: fold([]string{value}, false).text, digits: isDigits(value)}
	if !e.digits && len(e.text) < minEchoLength {
		e = echo{text: fold([]string{value}, true).text, strict: true}
	}
	switch {
	case len(e.text) < 4:
		return nil
	case e.digits || e.strict:
		e.minLength = len(e.text)
	default:
		e.minLength = max(minEchoLength, (2*len(e.text)+2)/3)
	}
	back := e
	runes := []rune(e.text)
	slices.Reverse(runes)
	back.text = string(runes)
	return []echo{e, back}
}

// Span is a range of bytes of a text.
type Span struct{ From, To int }

// foldedText is texts reduced to what echoes are compared by, and for each byte of
// it where it comes from.
type foldedText struct {
	text  string
	bytes []foldedByte
}

type foldedByte struct {
	piece int
	Span
	word int // which run of kept characters it is in
}

// fold reduces texts to their letters and digits in lower case, without marks and
// styles. With strict it keeps every visible character.
func fold(pieces []string, strict bool) foldedText {
	var f foldedText
	var b strings.Builder
	word := 0
	add := func(piece, from, to int, text string) {
		b.WriteString(text)
		for range len(text) {
			f.bytes = append(f.bytes, foldedByte{piece, Span{from, to}, word})
		}
	}
	for i, piece := range pieces {
		word++
		for at := 0; at < len(piece); {
			if strings.HasPrefix(piece[at:], Hidden) {
				add(i, at, at, "\x00") // nothing goes on across what was taken out
				at += len(Hidden)
				continue
			}
			r, size := utf8.DecodeRuneInString(piece[at:])
			kept := foldRune(r, strict)
			if kept == "" && !unicode.In(r, unicode.Mn, unicode.Cf) {
				word++
			}
			add(i, at, at+size, kept)
			at += size
		}
	}
	f.text = b.String()
	return f
}

// foldRune returns what fold keeps of a character.
func foldRune(r rune, strict bool) string {
	if r < utf8.RuneSelf {
		if c := unicode.ToLower(r); unicode.IsLetter(c) || unicode.IsDigit(c) || strict && c > ' ' && c < '\x7f' {
			return string(c)
		}
		return ""
	}
	return strings.Map(func(r rune) rune {
		visible := unicode.IsGraphic(r) && !unicode.In(r, unicode.Mn, unicode.Zs)
		if unicode.IsLetter(r) || unicode.IsDigit(r) || strict && visible {
			return unicode.ToLower(r)
		}
		return -1
	}, norm.NFKD.String(string(r)))
}

// echoSpans returns the spans of each of the pieces that are part of an echo. The
// pieces follow one another on the page.
func echoSpans(echoes []echo, pieces []string) [][]Span {
	out := make([][]Span, len(pieces))
	var folded [2]*foldedText
	for _, e := range echoes {
		i := 0
		if e.strict {
			i = 1
		}
		if folded[i] == nil {
			f := fold(pieces, e.strict)
			folded[i] = &f
		}
		e.findIn(folded[i], func(from, to int) {
			for _, b := range folded[i].bytes[from:to] {
				out[b.piece] = append(out[b.piece], b.Span)
			}
		})
	}
	for i, all := range out {
		out[i] = mergeSpans(all)
	}
	return out
}

// mergeSpans sorts spans and joins those that are at most two bytes apart, which are
// signs in between.
func mergeSpans(all []Span) []Span {
	slices.SortFunc(all, func(a, b Span) int { return a.From - b.From })
	var out []Span
	for _, c := range all {
		if last := len(out) - 1; last >= 0 && c.From <= out[last].To+2 {
			out[last].To = max(out[last].To, c.To)
			continue
		}
		out = append(out, c)
	}
	return out
}

// findIn calls found for each range of f that shows e, or enough of it to count.
func (e echo) findIn(f *foldedText, found func(from, to int)) {
	for at := 0; at+e.minLength <= len(e.text); at++ {
		part := e.text[at : at+e.minLength]
		for start := 0; ; start++ {
			i := strings.Index(f.text[start:], part)
			if i < 0 {
				break
			}
			start += i
			from, to, first := start, start+e.minLength, at
			for from > 0 && first > 0 && f.text[from-1] == e.text[first-1] {
				from, first = from-1, first-1
			}
			for last := at + e.minLength; to < len(f.text) && last < len(e.text) && f.text[to] == e.text[last]; last++ {
				to++
			}
			if e.isEcho(f, from, to) {
				found(from, to)
			}
		}
	}
}

// isEcho reports whether a range that was found is an echo, and not the same by
// chance.
func (e echo) isEcho(f *foldedText, from, to int) bool {
	run, first, last := f.text[from:to], f.bytes[from], f.bytes[to-1]
	words := last.word - first.word + 1
	switch {
	case e.strict:
		return true
	case e.digits:
		// A number of its own, in two halves or digit by digit: pages are full
		// of numbers that make up every other.
		whole := (from == 0 || f.bytes[from-1].word != first.word) && (to == len(f.bytes) || f.bytes[to].word != last.word)
		return whole && (words <= 2 || words >= len(run))
	case len(run) >= minWordsLength || strings.ContainsAny(run, digits):
		return true
	}
	return len(run) == len(e.text) && words > 1
}

// Redact returns text with each span replaced by [Hidden].
func Redact(text string, cuts []Span) string {
	if len(cuts) == 0 {
		return text
	}
	var b strings.Builder
	at := 0
	for _, c := range cuts {
		b.WriteString(text[at:c.From])
		b.WriteString(Hidden)
		at = c.To
	}
	return b.String() + text[at:]
}
