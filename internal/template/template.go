// Package template expands the texts in which an auth strategy names the
// secrets that it needs: "Bearer {apiKey}".
//
// A field stands in braces: {name} must have a value, and {name?} may have
// none, in which case the whole text is left out, as an optional header is.
// Braces have no other meaning and cannot be escaped. What a field expands to
// is not looked at again.
package template

import (
	"errors"
	"slices"
	"strings"

	"github.com/bctrl-go/bctrl/internal/names"
)

// MaxBytes is the length of the longest template.
const MaxBytes = 1024

// The reasons for a refusal. None quotes the text: a secret may have been
// written where its field's name belongs.
var (
	errLength = errors.New("it is longer than 1024 bytes")
	errBytes  = errors.New("it holds a byte that is not printable ASCII")
	errBraces = errors.New("braces enclose the name of a field, {name} or {name?}, and nothing else")
	errName   = errors.New("the name of a field is not ^[A-Za-z][A-Za-z0-9_-]{0,63}$")
)

// ErrMissing: a field that must have a value has none.
var ErrMissing = errors.New("a field has no value")

// Template is a parsed text. The zero Template is the empty text.
type Template struct{ parts []part }

// part is text, or a field where name is set.
type part struct {
	text, name string
	optional   bool
}

// Field is a field that a template names.
type Field struct {
	Name     string
	Optional bool
}

// Parse parses one line of text.
func Parse(text string) (Template, error) {
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
		return Template{}, errBytes
	}
	return parse(text)
}

// ParseLines is [Parse] for text that may hold line feeds, as what is signed
// does.
func ParseLines(text string) (Template, error) {
	if strings.ContainsFunc(text, func(r rune) bool { return (r < ' ' && r != '\n') || r > '~' }) {
		return Template{}, errBytes
	}
	return parse(text)
}

func parse(text string) (Template, error) {
	if len(text) > MaxBytes {
		return Template{}, errLength
	}
	var t Template
	for text != "" {
		plain, rest, opened := strings.Cut(text, "{")
		if strings.Contains(plain, "}") {
			return Template{}, errBraces
		}
		if plain != "" {
			t.parts = append(t.parts, part{text: plain})
		}
		if !opened {
			break
		}
		inner, behind, closed := strings.Cut(rest, "}")
		if !closed {
			return Template{}, errBraces
		}
		name, optional := strings.CutSuffix(inner, "?")
		if names.CredentialID(name) != nil { // a field's name has the form of an id
			return Template{}, errName
		}
		t.parts = append(t.parts, part{name: name, optional: optional})
		text = behind
	}
	return t, nil
}

// Fields returns the fields by first appearance, each once. One that must have
// a value anywhere is not optional.
func (t Template) Fields() []Field {
	var fields []Field
	for _, p := range t.parts {
		if p.name == "" {
			continue
		}
		i := slices.IndexFunc(fields, func(f Field) bool { return f.Name == p.name })
		if i < 0 {
			fields = append(fields, Field{p.name, p.optional})
		} else if !p.optional {
			fields[i].Optional = false
		}
	}
	return fields
}

// Expand returns the text with what value returns in the place of each field.
// ok is false when an optional field has no value, the text then is to be left
// out; the error is [ErrMissing] when another has none.
func (t Template) Expand(value func(name string) (text string, ok bool)) (text string, ok bool, err error) {
	var b strings.Builder
	present := true
	for _, p := range t.parts {
		if p.name == "" {
			b.WriteString(p.text)
			continue
		}
		v, known := value(p.name)
		switch {
		case known:
			b.WriteString(v)
		case p.optional:
			present = false
		default:
			return "", false, ErrMissing
		}
	}
	if !present {
		return "", false, nil
	}
	return b.String(), true, nil
}
