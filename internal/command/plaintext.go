package command

import (
	"errors"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// byteOrderMark begins files that some programs of Windows write.
const byteOrderMark = "\ufeff"

// textOnly refuses what would not be stored as it is, or hardly is what is
// meant: a value is kept to the byte, and what stores it takes UTF-8 alone.
func textOnly(name, text string) error {
	switch {
	case strings.HasPrefix(text, "\xff\xfe"), strings.HasPrefix(text, "\xfe\xff"):
		return usagef("the %s is UTF-16, as some programs of Windows write it: save it as UTF-8", name)
	case !utf8.ValidString(text):
		return usagef("the %s is not UTF-8 text: save it as UTF-8; what is not text is kept as text, such as its base64",
			name)
	case strings.HasPrefix(text, byteOrderMark):
		return usagef("the %s begins with a byte order mark: save it without", name)
	case strings.ContainsRune(text, 0):
		return usagef("the %s holds a NUL byte, as UTF-16 and what is not text do: save it as UTF-8", name)
	}
	return nil
}

// linesOnly is textOnly for lines, which a mark may begin: it says in which one.
func linesOnly(name, text string) error {
	text = strings.TrimPrefix(text, byteOrderMark)
	if strings.HasPrefix(text, "\xff\xfe") || strings.HasPrefix(text, "\xfe\xff") {
		return textOnly(name, text)
	}
	n := 0
	for line := range strings.Lines(text) {
		n++
		if !utf8.ValidString(line) || strings.ContainsRune(line, 0) {
			return usagef("%s: line %d is not UTF-8 text", name, n)
		}
	}
	return nil
}

// longestTyped is how many characters [term.Terminal] takes in a line; it drops
// the others without a word.
const longestTyped = 4096

// typing reads what somebody types, and notes what [term.Terminal] drops without
// a word: tabs, most control characters and what is not UTF-8. A secret without
// them is another one.
type typing struct {
	io.Reader
	io.Writer
	// rest is the beginning of a character.
	rest []byte
	// tab and strange are set once such a character was dropped.
	tab, strange bool
}

// newScreen reads lines of a raw terminal, and shows them on standard error.
func newScreen(cmd *cobra.Command, prompt string) (*term.Terminal, *typing) {
	t := &typing{Reader: cmd.InOrStdin(), Writer: cmd.ErrOrStderr()}
	return term.NewTerminal(t, prompt), t
}

// Read implements [io.Reader]. It gives whole characters alone: at a byte that is
// none [term.Terminal] would wait for another key before it goes on.
func (t *typing) Read(p []byte) (int, error) {
	if len(p) <= utf8.UTFMax {
		return 0, io.ErrShortBuffer // a key's sequence without an end
	}
	for {
		n, err := t.Reader.Read(p[:len(p)-len(t.rest)])
		seen, whole := slices.Concat(t.rest, p[:n]), p[:0]
		for len(seen) > 0 && utf8.FullRune(seen) {
			r, size := utf8.DecodeRune(seen)
			t.tab = t.tab || r == '\t'
			t.strange = t.strange || r == utf8.RuneError || r < ' ' && r != '\t' && !edits(r)
			if r != utf8.RuneError {
				whole = append(whole, seen[:size]...)
			}
			seen = seen[size:]
		}
		t.rest = seen
		if len(whole) > 0 || err != nil {
			return len(whole), err
		}
	}
}

// edits reports whether a control character ends, edits or leaves the line, or
// begins a key's sequence.
func edits(r rune) bool {
	return r != 0 && strings.ContainsRune("\x01\x02\x03\x04\x05\x06\x08\n\x0b\x0c\r\x0e\x10\x14\x15\x17\x1b", r)
}

// checkComplete refuses a secret that is not all that was typed.
func (t *typing) checkComplete(name, text string) error {
	switch {
	case t.tab || t.strange:
		return usagef("the %s: a tab, a control character or a byte that is not UTF-8 was typed, which a prompt does not "+
			"take: give it on standard input", name)
	case utf8.RuneCountInString(text) >= longestTyped:
		return usagef("the %s is longer than what a prompt takes: give it on standard input", name)
	}
	return nil
}

// plain refuses a line of which something was dropped; tabs, which people type
// to have names completed, are no part of one.
func (t *typing) plain(line string) error {
	strange := t.strange
	t.tab, t.strange = false, false
	if strange || utf8.RuneCountInString(line) >= longestTyped {
		return errors.New("not done: the line holds a control character, is not UTF-8 or is too long")
	}
	return nil
}
