package extract

import (
	"encoding"
	"encoding/json"
	"math/big"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/jsonschema-go/jsonschema"

	"github.com/bctrl-go/bctrl"
)

const formatURI = "uri"

// formOf makes the schema of a T.
func formOf[T any]() (form, error) {
	t := reflect.TypeFor[T]()
	kinds := knownTypes()
	if err := (&walk{known: kinds}).look(t, t.String()); err != nil {
		return form{}, err
	}
	schema, err := jsonschema.ForType(t, &jsonschema.ForOptions{TypeSchemas: kinds})
	if err != nil {
		return form{}, unsupported(err)
	}
	withoutNullLists(schema)
	markLinks(t, schema)
	if schema.Type == "object" {
		return form{schema: schema}, nil
	}
	return form{wrapped: true, schema: &jsonschema.Schema{
		Type:                 "object",
		Properties:           map[string]*jsonschema.Schema{wrapper: schema},
		Required:             []string{wrapper},
		AdditionalProperties: &jsonschema.Schema{Not: &jsonschema.Schema{}},
	}}, nil
}

// knownTypes are types whose JSON is not that of their kind.
func knownTypes() map[reflect.Type]*jsonschema.Schema {
	return map[reflect.Type]*jsonschema.Schema{
		reflect.TypeFor[time.Time]():       {Type: "string", Format: "date-time"},
		reflect.TypeFor[json.Number]():     {Type: "number"},
		reflect.TypeFor[json.RawMessage](): {},
		reflect.TypeFor[big.Int]():         {Type: "integer"},
		reflect.TypeFor[[]byte]():          {Type: "string", ContentEncoding: "base64"},
		reflect.TypeFor[URL]():             {Type: "string", Format: formatURI},
	}
}

var (
	textType   = reflect.TypeFor[encoding.TextUnmarshaler]()
	jsonType   = reflect.TypeFor[json.Unmarshaler]()
	netURLType = reflect.TypeFor[url.URL]()
)

// walk looks through a type for what encoding/json could not decode, and for types that
// read themselves, which it adds to known.
type walk struct {
	known map[reflect.Type]*jsonschema.Schema
	open  []reflect.Type
}

// look refuses a type; place is where it stands, in Go's words.
func (w *walk) look(t reflect.Type, place string) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	pointer := reflect.PointerTo(t)
	switch {
	case w.known[t] != nil:
		return nil
	case t == netURLType:
		return unsupportedAt(place, "net/url.URL is not text in JSON: use extract.URL")
	case pointer.Implements(textType):
		w.known[t] = &jsonschema.Schema{Type: "string"}
		return nil
	case pointer.Implements(jsonType):
		w.known[t] = &jsonschema.Schema{} // whatever it reads
		return nil
	case slices.Contains(w.open, t):
		return unsupportedAt(place, "the type contains itself")
	}
	w.open = append(w.open, t)
	defer func() { w.open = w.open[:len(w.open)-1] }()
	switch t.Kind() {
	case reflect.Slice, reflect.Array:
		return w.look(t.Elem(), place+"[]")
	case reflect.Map:
		if t.Key().Kind() != reflect.String || reflect.PointerTo(t.Key()).Implements(textType) {
			return unsupportedAt(place, "the keys of a map are strings")
		}
		return w.look(t.Elem(), place+"[]")
	case reflect.Struct:
		return w.fields(t, place)
	case reflect.Interface:
		if t.NumMethod() > 0 {
			return unsupportedAt(place, "an interface does not say which type is in it")
		}
	case reflect.Chan, reflect.Func, reflect.Complex64, reflect.Complex128, reflect.UnsafePointer:
		return unsupportedAt(place, "a "+t.Kind().String()+" is nothing that JSON can hold")
	}
	return nil
}

func (w *walk) fields(t reflect.Type, place string) error {
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("json")
		name, options, _ := strings.Cut(tag, ",")
		if tag == "-" || !f.IsExported() && !f.Anonymous {
			continue
		}
		at := place + "." + f.Name
		switch {
		case slices.Contains(strings.Split(options, ","), "string"):
			return unsupportedAt(at, "a field tagged string is quoted in JSON, which the schema cannot say")
		case f.Tag.Get("format") == formatURI && leaf(f.Type).Kind() != reflect.String:
			return unsupportedAt(at, "format uri is for strings")
		case f.Anonymous && name == "" && f.Type.Kind() == reflect.Pointer:
			return unsupportedAt(at, "a pointer that is embedded can be nil with all its fields: embed the struct")
		}
		if err := w.look(f.Type, at); err != nil {
			return err
		}
	}
	return nil
}

// leaf is what a type holds in lists, maps and pointers.
func leaf(t reflect.Type) reflect.Type {
	for {
		switch t.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
			t = t.Elem()
		default:
			return t
		}
	}
}

// withoutNullLists has a list that is empty be one: null says nothing more.
func withoutNullLists(s *jsonschema.Schema) {
	if s == nil {
		return
	}
	if slices.Equal(s.Types, []string{"null", "array"}) {
		s.Type, s.Types = "array", nil
	}
	withoutNullLists(s.Items)
	withoutNullLists(s.AdditionalProperties)
	for _, p := range s.Properties {
		withoutNullLists(p)
	}
}

// markLinks gives the strings of fields tagged format:"uri" that format.
func markLinks(t reflect.Type, s *jsonschema.Schema) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case s == nil:
	case t.Kind() == reflect.Slice, t.Kind() == reflect.Array:
		markLinks(t.Elem(), s.Items)
	case t.Kind() == reflect.Map:
		markLinks(t.Elem(), s.AdditionalProperties)
	case t.Kind() == reflect.Struct:
		for _, f := range reflect.VisibleFields(t) {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "" {
				name = f.Name
			}
			p := s.Properties[name]
			if f.Tag.Get("format") == formatURI && p != nil {
				innermost(p).Format = formatURI
			} else {
				markLinks(f.Type, p)
			}
		}
	}
}

// innermost is the schema of what lists and maps hold.
func innermost(s *jsonschema.Schema) *jsonschema.Schema {
	switch {
	case s.Items != nil:
		return innermost(s.Items)
	case s.AdditionalProperties != nil && s.Properties == nil:
		return innermost(s.AdditionalProperties)
	}
	return s
}

// unsupported is the refusal of a type that has no schema.
func unsupported(err error) *bctrl.Error {
	return refusal("extract.unsupported_type", "", "the Go type has no JSON Schema: "+err.Error(),
		"see the package's documentation for the types that can be read")
}

// unsupportedAt says where in the type, and why.
func unsupportedAt(place, why string) *bctrl.Error {
	e := refusal("extract.unsupported_type", place, "the Go type has no JSON Schema: "+why,
		"see the package's documentation for the types that can be read")
	return e
}
