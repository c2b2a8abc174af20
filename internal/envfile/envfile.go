// Package envfile reads KEY=VALUE lines, as files of environment variables and
// shells have them.
//
// A line is blank, a comment that begins with #, or a name, = and a value,
// perhaps after the word export; spaces and tabs around each are no part of it,
// and a line ends with LF or CRLF. A byte order mark before the first is no part
// of it either.
//
// A value is as it stands up to the end of its line, or to a # after a space or
// tab. In single quotes or backticks it is what stands between them. In double
// quotes \n, \r, \t, \", \\ and \$ stand for a line feed, a carriage return, a
// tab and the character itself. Quoted values may go over several lines. Nothing
// is expanded or run: a $ is a dollar sign.
//
// What is not understood is refused by the number of its line; an error never
// holds any of its text, which may be a secret.
package envfile

import (
	"strconv"
	"strings"
)

// Entry is one assignment.
type Entry struct {
	// Line is where it begins, from 1.
	Line  int
	Name  string
	Value string
}

// Error is a line that is not understood.
type Error struct {
	Line   int
	Reason string
}

// Error names the line and the reason.
func (e *Error) Error() string { return "line " + strconv.Itoa(e.Line) + ": " + e.Reason }

// Parse reads all lines. Its error is an [*Error].
func Parse(text string) ([]Entry, error) {
	p := &parser{rest: strings.TrimPrefix(text, "\ufeff"), line: 1}
	var entries []Entry
	for p.rest != "" {
		entry, err := p.assignment()
		if err != nil {
			return nil, err
		}
		if entry.Name != "" {
			entries = append(entries, entry)
		}
	}
	return entries, nil
}

type parser struct {
	rest string
	line int
}

func (p *parser) fail(line int, reason string) *Error { return &Error{line, reason} }

// assignment reads one, over several lines perhaps; a line without one gives
// the zero Entry.
func (p *parser) assignment() (Entry, error) {
	start := p.line
	p.blanks()
	if p.ended() {
		return Entry{}, nil
	}
	name := p.name()
	if name == "export" && p.blanks() > 0 && !strings.HasPrefix(p.rest, "=") {
		name = p.name()
	}
	p.blanks()
	switch {
	case name == "":
		return Entry{}, p.fail(start, "it does not begin with a name")
	case !strings.HasPrefix(p.rest, "="):
		return Entry{}, p.fail(start, "there is no = after the name")
	}
	p.rest = p.rest[1:]
	value, err := p.value(p.blanks() > 0)
	return Entry{Line: start, Name: name, Value: value}, err
}

// name takes what may stand in a name; who stores it has a grammar of its own.
func (p *parser) name() string {
	end := strings.IndexFunc(p.rest, func(r rune) bool {
		return !(r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' || r == '.' || r == '-')
	})
	if end < 0 {
		end = len(p.rest)
	}
	name := p.rest[:end]
	p.rest = p.rest[end:]
	return name
}

// blanks takes spaces and tabs, and returns how many.
func (p *parser) blanks() int {
	n := len(p.rest) - len(strings.TrimLeft(p.rest, " \t"))
	p.rest = p.rest[n:]
	return n
}

// ended takes the end of the line, with a comment before it, if that is all
// that is left of it.
func (p *parser) ended() bool {
	line, after, more := strings.Cut(p.rest, "\n")
	if text := strings.TrimRight(line, " \t\r"); text != "" && text[0] != '#' {
		return false
	}
	p.rest = after
	if more {
		p.line++
	}
	return true
}

// value reads what follows the = and the blanks after it, if there were any.
func (p *parser) value(spaced bool) (string, error) {
	if p.rest != "" && strings.IndexByte("'\"`", p.rest[0]) >= 0 {
		return p.quoted(p.rest[0])
	}
	line, _, _ := strings.Cut(p.rest, "\n")
	end := len(line)
	for i := range len(line) {
		if line[i] == '#' && (i == 0 && spaced || i > 0 && (line[i-1] == ' ' || line[i-1] == '\t')) {
			end = i
			break
		}
	}
	value := strings.TrimRight(line[:end], " \t\r")
	if strings.ContainsRune(value, '\r') {
		return "", p.fail(p.line, "it holds a carriage return that ends no line")
	}
	p.rest = p.rest[end:]
	p.ended()
	return value, nil
}

func (p *parser) quoted(quote byte) (string, error) {
	start := p.line
	var b strings.Builder
	for i := 1; i < len(p.rest); i++ {
		switch c := p.rest[i]; {
		case c == quote:
			p.rest = p.rest[i+1:]
			if spaced := p.blanks() > 0; !spaced && strings.HasPrefix(p.rest, "#") || !p.ended() {
				return "", p.fail(p.line, "something follows the closing quote")
			}
			return b.String(), nil
		case c == '\\' && quote == '"':
			i++
			escaped, ok := unescape(p.rest[i:])
			if !ok {
				return "", p.fail(p.line, `after a backslash in double quotes there is none of n, r, t, ", \ and $`)
			}
			b.WriteByte(escaped)
		default:
			if c == '\n' {
				p.line++
			}
			b.WriteByte(c)
		}
	}
	return "", p.fail(start, "a quote is not closed")
}

func unescape(rest string) (byte, bool) {
	if rest == "" {
		return 0, false
	}
	switch rest[0] {
	case 'n':
		return '\n', true
	case 'r':
		return '\r', true
	case 't':
		return '\t', true
	case '"', '\\', '$':
		return rest[0], true
	}
	return 0, false
}

// Quote writes a value so that [Parse] reads it back as it is.
func Quote(value string) string {
	return `"` + strings.NewReplacer("\\", `\\`, `"`, `\"`, "$", `\$`, "\n", `\n`, "\r", `\r`, "\t",
		`\t`).Replace(value) + `"`
}
