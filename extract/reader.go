package extract

import (
	"encoding/json"
	"math"
	"math/big"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/bctrl-go/bctrl"
)

// reader reads data beside the schema that was made for it.
type reader struct {
	// base is the address of the page, against which links are resolved.
	base *url.URL
}

// read returns a value with its links absolute, or refuses it with the field where it
// is not as the schema says.
func (r reader) read(s *jsonschema.Schema, value any, field string) (any, error) {
	if s == nil {
		return value, nil
	}
	if kind := kindOf(value); !permits(s, kind) {
		return nil, notOf(field, "it is "+kind)
	}
	switch v := value.(type) {
	case map[string]any:
		return r.object(s, v, field)
	case []any:
		for i, item := range v {
			read, err := r.read(s.Items, item, field+"["+strconv.Itoa(i)+"]")
			if err != nil {
				return nil, err
			}
			v[i] = read
		}
	case json.Number:
		if permits(s, "integer") {
			return wholeNumber(v, field)
		}
	case string:
		if s.Format == formatURI {
			return r.absolute(v, field)
		}
	}
	return value, nil
}

// kindOf is the JSON type of a value.
func kindOf(value any) string {
	switch value.(type) {
	case map[string]any:
		return "object"
	case []any:
		return "array"
	case string:
		return "string"
	case json.Number:
		return "number"
	case bool:
		return "boolean"
	}
	return "null"
}

// permits reports whether a schema takes values of a JSON type. A number may be an
// integer.
func permits(s *jsonschema.Schema, kind string) bool {
	types := s.Types
	if s.Type != "" {
		types = []string{s.Type}
	}
	return len(types) == 0 || slices.Contains(types, kind) || kind == "number" && slices.Contains(types, "integer")
}

// wholeNumber writes an integer in digits alone: 1.0 and 1e3 are integers to JSON Schema,
// and none to encoding/json.
func wholeNumber(n json.Number, field string) (any, error) {
	if !strings.ContainsAny(n.String(), ".eE") {
		return n, nil
	}
	// An exponent of a few digits makes a number of many.
	size, err := n.Float64()
	if err != nil || math.Abs(size) > 1e40 || size != 0 && math.Abs(size) < 1 {
		return nil, notOf(field, "it is no integer")
	}
	whole, ok := new(big.Rat).SetString(n.String())
	if !ok || !whole.IsInt() {
		return nil, notOf(field, "it is no integer")
	}
	return json.Number(whole.Num().String()), nil
}

func (r reader) object(s *jsonschema.Schema, v map[string]any, field string) (any, error) {
	for _, name := range s.Required {
		if _, there := v[name]; !there {
			return nil, notOf(field+"."+name, "it is missing")
		}
	}
	for name, member := range v {
		of := s.Properties[name]
		if of == nil {
			of = s.AdditionalProperties
			if of != nil && of.Not != nil {
				return nil, notOf(field, "it has a field that the type does not have")
			}
		}
		read, err := r.read(of, member, field+"."+name)
		if err != nil {
			return nil, err
		}
		v[name] = read
	}
	return v, nil
}

// absolute resolves a link against the page. Nothing stays nothing.
func (r reader) absolute(link, field string) (string, error) {
	if link == "" {
		return "", nil
	}
	u, err := r.base.Parse(link)
	if err != nil || !u.IsAbs() {
		return "", notOf(field, "it is no address")
	}
	return u.String(), nil
}

// notOf is the refusal of one value.
func notOf(field, why string) *bctrl.Error {
	e := answerRefused(nil)
	e.Field, e.Message = field, e.Message+": "+why
	return e
}
