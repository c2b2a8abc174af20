package strictjson

import (
	"encoding"
	"encoding/json"
	"reflect"
	"strings"
	"sync"
)

// kind is what JSON a Go type waits for.
type kind uint8

const (
	anything kind = iota // any, json.RawMessage, a type with its own UnmarshalJSON
	text
	number
	boolean
	list
	record // a struct
	dictionary
)

// shape is what the walk needs to know of a Go type.
type shape struct {
	kind     kind
	goType   reflect.Type // of a leaf; nil when a leaf cannot be decoded alone
	elem     *shape       // of a list or dictionary
	length   int          // of an array, else -1
	fields   map[string]*field
	nullable bool // null is one of its values
	loose    bool // any or json.RawMessage: null is data there
}

// field is a field of a record.
type field struct {
	name  string
	index int
	shape *shape
}

// shapes caches the shape of every type decoded into: reflect.Type to *shape.
var shapes sync.Map

func shapeOf(t reflect.Type) *shape {
	if known, ok := shapes.Load(t); ok {
		return known.(*shape)
	}
	built, _ := shapes.LoadOrStore(t, (&builder{}).build(t))
	return built.(*shape)
}

var (
	unmarshalerType = reflect.TypeFor[json.Unmarshaler]()
	textType        = reflect.TypeFor[encoding.TextUnmarshaler]()
	nullableType    = reflect.TypeFor[acceptsNull]()
	rawType         = reflect.TypeFor[json.RawMessage]()
	numberType      = reflect.TypeFor[json.Number]()
)

// builder makes a shape; it remembers what it has begun, for recursive types.
type builder struct{ begun map[reflect.Type]*shape }

func (b *builder) build(t reflect.Type) *shape {
	if s, ok := b.begun[t]; ok {
		return s
	}
	if b.begun == nil {
		b.begun = map[reflect.Type]*shape{}
	}
	if t.Kind() == reflect.Pointer {
		return b.pointer(t)
	}
	s := &shape{goType: t, length: -1}
	b.begun[t] = s
	switch pointer := reflect.PointerTo(t); {
	case t == rawType:
		s.loose = true
	case pointer.Implements(unmarshalerType):
		s.nullable = pointer.Implements(nullableType)
	case t == numberType:
		s.kind = number
	case pointer.Implements(textType):
		s.kind = text
	default:
		b.byKind(s, t)
	}
	return s
}

// pointer returns the shape of what t points to. Its null would be a nil
// pointer, which says "absent", so a pointer never takes one.
func (b *builder) pointer(t reflect.Type) *shape {
	elem := b.build(t.Elem())
	if !elem.nullable && !elem.loose {
		return elem
	}
	return elem.withoutNull()
}

// withoutNull returns a leaf like s that refuses null.
func (s *shape) withoutNull() *shape {
	leaf := *s
	leaf.nullable, leaf.loose = false, false
	return &leaf
}

func (b *builder) byKind(s *shape, t reflect.Type) {
	switch t.Kind() {
	case reflect.String:
		s.kind = text
	case reflect.Bool:
		s.kind = boolean
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr,
		reflect.Float32, reflect.Float64:
		s.kind = number
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 && !reflect.PointerTo(t.Elem()).Implements(unmarshalerType) &&
			!reflect.PointerTo(t.Elem()).Implements(textType) {
			s.kind = text // base64
			return
		}
		s.kind, s.elem = list, b.build(t.Elem())
	case reflect.Array:
		s.kind, s.elem, s.length = list, b.build(t.Elem()), t.Len()
	case reflect.Map:
		s.kind, s.elem = dictionary, b.build(t.Elem())
	case reflect.Struct:
		s.kind, s.fields = record, b.fields(t)
	default: // an interface, or what encoding/json refuses
		s.loose = true
	}
}

// candidate is a field that may be visible under its name.
type candidate struct {
	field  reflect.StructField
	tagged bool
	quoted bool
}

// fields returns the fields that encoding/json sees in a struct: those of
// embedded structs are promoted, the shallowest of a name wins, a tagged one
// wins among equals, and two equals hide each other.
func (b *builder) fields(t reflect.Type) map[string]*field {
	fields := map[string]*field{}
	hidden := map[string]bool{}
	visited := map[reflect.Type]bool{}
	for level := []reflect.Type{t}; len(level) > 0; {
		found := map[string][]candidate{}
		var next []reflect.Type
		for _, owner := range level {
			if !visited[owner] {
				next = append(next, collect(owner, found)...)
			}
		}
		for _, owner := range level {
			visited[owner] = true
		}
		for name, candidates := range found {
			if fields[name] != nil || hidden[name] {
				continue
			}
			winner, ok := dominant(candidates)
			if !ok {
				hidden[name] = true
				continue
			}
			fields[name] = &field{name: name, index: len(fields), shape: b.fieldShape(winner)}
		}
		level = next
	}
	return fields
}

// collect adds the named fields of owner to found and returns its embedded
// structs.
func collect(owner reflect.Type, found map[string][]candidate) []reflect.Type {
	var embedded []reflect.Type
	for i := range owner.NumField() {
		f := owner.Field(i)
		base := f.Type
		if f.Anonymous && base.Kind() == reflect.Pointer {
			base = base.Elem()
		}
		promotes := f.Anonymous && base.Kind() == reflect.Struct
		tag, hasTag := f.Tag.Lookup("json")
		if tag == "-" || !f.IsExported() && !promotes {
			continue
		}
		name, options, _ := strings.Cut(tag, ",")
		if promotes && name == "" {
			embedded = append(embedded, base)
			continue
		}
		c := candidate{field: f, tagged: hasTag && name != "", quoted: hasOption(options, "string")}
		if name == "" {
			name = f.Name
		}
		found[name] = append(found[name], c)
	}
	return embedded
}

func dominant(candidates []candidate) (candidate, bool) {
	if len(candidates) == 1 {
		return candidates[0], true
	}
	var tagged []candidate
	for _, c := range candidates {
		if c.tagged {
			tagged = append(tagged, c)
		}
	}
	if len(tagged) == 1 {
		return tagged[0], true
	}
	return candidate{}, false
}

func (b *builder) fieldShape(c candidate) *shape {
	s := b.build(c.field.Type)
	if c.quoted && (s.kind == text || s.kind == number || s.kind == boolean) {
		return &shape{kind: text, length: -1} // a scalar inside a string
	}
	if s.loose { // null and absent would be the same
		return s.withoutNull()
	}
	return s
}

func hasOption(options, want string) bool {
	for option := range strings.SplitSeq(options, ",") {
		if option == want {
			return true
		}
	}
	return false
}
