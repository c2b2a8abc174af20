// Package schema checks JSON values against JSON Schemas that people from outside
// write, of values that a language model writes. It is safe with both: a schema is
// bounded in size, never fetches anything and cannot run for ever, and what is said of
// a value that does not validate never quotes it.
//
// It reads draft 2020-12, and of drafts 2019-09 and 7 what they write otherwise. It
// knows every keyword of the core, applicator, unevaluated and validation vocabularies
// but "$dynamicRef" and "$recursiveRef", which are refused, as is a "$ref" to another
// document. "format" is an annotation, as the draft has it. Patterns are regular
// expressions of Go, which match in linear time.
//
// # Why not a library
//
// The well-kept validators run as long as a schema has them: one of a kilobyte, in
// which each of 26 definitions refers to the next one twice, took 42 seconds, and
// {"$ref":"#"} ends the process by a stack overflow that no one can recover from.
// Neither can be stopped by a context. This one counts its work. Their verdicts are
// its oracle in the tests.
package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"regexp"
	"strings"
)

// Limits of schemas and values.
const (
	// MaxBytes bounds the text of a schema.
	MaxBytes = 64 << 10
	// MaxDepth bounds how deep a schema or a value is nested.
	MaxDepth = 64

	maxPattern      = 1 << 10 // bytes of one pattern
	maxInstructions = 4 << 10 // of one pattern's program
	maxNumber       = 300     // bytes of a number, and the size of its exponent
	// maxWork bounds what validating one value takes, in units of about 100 ns.
	maxWork = 1_000_000
	// maxReasons bounds what is said of one value.
	maxReasons = 20
)

// Error refuses a text that is no schema, or none that is known here.
type Error struct {
	// Place is a JSON pointer into the schema.
	Place string
	// Problem says what is wrong there.
	Problem string
}

func (e *Error) Error() string {
	if e.Place == "" {
		return e.Problem
	}
	return "at " + e.Place + ": " + e.Problem
}

// Schema is a schema that can be used. It is safe for concurrent use.
type Schema struct {
	root *node
	text json.RawMessage
	// selfContained says that the schema can stand inside another one: nothing in it
	// refers or is referred to.
	selfContained bool
}

// Text is the schema without insignificant space.
func (s *Schema) Text() json.RawMessage { return s.text }

// SelfContained reports whether the schema means the same inside another one.
func (s *Schema) SelfContained() bool { return s.selfContained }

// node is one schema of a document. A nil field is a keyword that is absent.
type node struct {
	// never is the schema false.
	never bool

	ref                                              *node
	types                                            []string
	enum                                             map[string]bool
	constant                                         *string
	multipleOf                                       *big.Rat
	minimum, maximum, exclusiveMinimum, exclusiveMax *big.Rat
	minLength, maxLength, minItems, maxItems         *int
	minContains, maxContains                         *int
	minProperties, maxProperties                     *int
	pattern                                          *pattern
	uniqueItems                                      bool
	required                                         []string
	dependentRequired                                map[string][]string

	allOf, anyOf, oneOf       []*node
	not, ifs, then, otherwise *node
	prefixItems               []*node
	items, contains           *node
	properties                map[string]*node
	patternProperties         []patternNode
	additionalProperties      *node
	propertyNames             *node
	dependentSchemas          map[string]*node
	unevaluatedItems          *node
	unevaluatedProperties     *node
	inPlace                   []*node // all that apply to the same value
	visiting, visited         bool    // while cycles are looked for
}

type patternNode struct {
	pattern *pattern
	node    *node
}

// pattern is a regular expression, and what matching costs a byte.
type pattern struct {
	*regexp.Regexp
	instructions int
}

// decodeValue decodes one JSON value, its numbers as they are written.
func decodeValue(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, errors.New("this is no JSON")
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("there is more than one JSON value")
	}
	if tooDeep(v, 0) {
		return nil, fmt.Errorf("it is nested deeper than %d", MaxDepth)
	}
	return v, nil
}

func tooDeep(v any, depth int) bool {
	if depth > MaxDepth {
		return true
	}
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			if tooDeep(e, depth+1) {
				return true
			}
		}
	case map[string]any:
		for _, e := range v {
			if tooDeep(e, depth+1) {
				return true
			}
		}
	}
	return false
}

// number reads a number exactly. One that is larger than any use of it is none: its
// exact value would take all memory.
func number(n json.Number) (*big.Rat, bool) {
	text := string(n)
	if len(text) > maxNumber {
		return nil, false
	}
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		exponent := strings.TrimLeft(strings.TrimLeft(text[i+1:], "+-"), "0")
		if len(exponent) > 3 || len(exponent) == 3 && exponent > fmt.Sprint(maxNumber) {
			return nil, false
		}
	}
	return new(big.Rat).SetString(text)
}

// canonical writes a value so that equal values have equal texts: 1 and 1.0 are equal.
func canonical(b *strings.Builder, v any) {
	switch v := v.(type) {
	case json.Number:
		if r, ok := number(v); ok {
			b.WriteString(r.RatString())
		} else {
			b.WriteString("?" + string(v))
		}
	case []any:
		b.WriteByte('[')
		for _, e := range v {
			canonical(b, e)
			b.WriteByte(',')
		}
		b.WriteByte(']')
	case map[string]any:
		b.WriteByte('{')
		for _, name := range sortedNames(v) {
			canonical(b, name)
			b.WriteByte(':')
			canonical(b, v[name])
			b.WriteByte(',')
		}
		b.WriteByte('}')
	default: // a string, a boolean or null
		text, err := json.Marshal(v)
		if err == nil {
			b.Write(text)
		}
	}
}

func canonicalText(v any) string {
	var b strings.Builder
	canonical(&b, v)
	return b.String()
}
