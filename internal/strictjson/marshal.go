package strictjson

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"
)

// Marshal encodes v as [json.Marshal] does, but refuses a string that is not
// UTF-8 where encoding/json would put U+FFFD in place of its bytes. The error is
// then an [*Error] that names the field; any other is that of encoding/json,
// which may quote what it could not encode.
func Marshal(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err == nil && plainly(text) {
		return text, nil
	}
	if _, refused := errors.AsType[*Error](err); err != nil && !refused {
		return nil, err // also where v goes round in circles, which the walk must not
	}
	if err := notText(reflect.ValueOf(v)); err != nil {
		return nil, err
	}
	return text, err
}

// plainly reports whether JSON text can hold neither a replacement, which is
// written as an escape or as itself, nor half a surrogate pair.
func plainly(text []byte) bool {
	return utf8.Valid(text) && !bytes.Contains(text, []byte(`\u`)) && !bytes.Contains(text, []byte("\ufffd"))
}

// MarshalString writes one string as JSON, and refuses it where it is not
// UTF-8: for the MarshalJSON of types that hold one.
func MarshalString(s string) ([]byte, error) {
	if !utf8.ValidString(s) {
		return nil, &Error{Code: CodeInvalidUTF8}
	}
	return json.Marshal(s)
}

// revealer is a secret, whose text no field shows.
type revealer interface{ Reveal() string }

var (
	marshalerType     = reflect.TypeFor[json.Marshaler]()
	textMarshalerType = reflect.TypeFor[encoding.TextMarshaler]()
)

// notText finds a string that is not UTF-8 in what encoding/json has encoded,
// going by its rules.
func notText(v reflect.Value) *Error {
	if !v.IsValid() {
		return nil
	}
	t := v.Type()
	if v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() {
			return nil
		}
		return notText(v.Elem())
	}
	if reader := readable(v); reader.IsValid() {
		return notTextOf(reader)
	}
	switch v.Kind() {
	case reflect.String:
		return textOnly(v.String())
	case reflect.Struct:
		return notTextField(v)
	case reflect.Map:
		return notTextMember(v)
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 && !writes(t.Elem()) { // base64, or numbers
			return nil
		}
		for i := range v.Len() {
			if err := notText(v.Index(i)); err != nil {
				return err.inside(fmt.Sprintf("[%d]", i))
			}
		}
	}
	return nil
}

func textOnly(s string) *Error {
	if utf8.ValidString(s) {
		return nil
	}
	return &Error{Code: CodeInvalidUTF8}
}

// writes reports whether values of a type write themselves.
func writes(t reflect.Type) bool {
	return t.Implements(marshalerType) || t.Implements(textMarshalerType) ||
		reflect.PointerTo(t).Implements(marshalerType) || reflect.PointerTo(t).Implements(textMarshalerType)
}

// readable is v, or a pointer to it, if encoding/json has it write itself.
func readable(v reflect.Value) reflect.Value {
	if v.CanInterface() {
		for _, of := range []reflect.Type{marshalerType, textMarshalerType} {
			if v.Type().Implements(of) {
				return v
			}
			if v.CanAddr() && reflect.PointerTo(v.Type()).Implements(of) {
				return v.Addr()
			}
		}
	}
	return reflect.Value{}
}

// notTextOf looks at what a value that writes itself has written.
func notTextOf(v reflect.Value) *Error {
	switch w := v.Interface().(type) {
	case revealer:
		return textOnly(w.Reveal())
	case json.RawMessage:
		return notTextRaw(w)
	case *json.RawMessage:
		return notTextRaw(*w)
	case json.Marshaler:
		raw, err := w.MarshalJSON()
		if err != nil {
			return nil //nolint:nilerr // encoding/json has said it
		}
		if err := notTextRaw(raw); err != nil {
			return err
		}
		// It may have used encoding/json itself: then it holds the replacement,
		// and the value what was replaced.
		if bytes.Contains(raw, []byte(`\ufffd`)) {
			return notTextInside(v)
		}
	case encoding.TextMarshaler:
		raw, err := w.MarshalText()
		if err == nil && !utf8.Valid(raw) {
			return &Error{Code: CodeInvalidUTF8}
		}
	}
	return nil
}

// notTextInside looks through the fields of a value, also those that are not
// exported.
func notTextInside(v reflect.Value) *Error {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
	}
	switch v.Kind() {
	case reflect.String:
		return textOnly(v.String())
	case reflect.Struct:
		for i := range v.NumField() {
			if err := notTextInside(v.Field(i)); err != nil {
				return err.inside(fieldName(v.Type().Field(i)))
			}
		}
		return nil
	case reflect.Map:
		return notTextMember(v)
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return nil
		}
		for i := range v.Len() {
			if err := notTextInside(v.Index(i)); err != nil {
				return err.inside(fmt.Sprintf("[%d]", i))
			}
		}
	}
	return nil
}

// notTextRaw looks through JSON text, which is well formed.
func notTextRaw(raw []byte) *Error {
	w := walker{data: raw}
	if err := w.document(free); err != nil && err.Code == CodeInvalidUTF8 {
		return err
	}
	return nil
}

// notTextField looks through the fields of a struct.
func notTextField(v reflect.Value) *Error {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Tag.Get("json") == "-" || !f.IsExported() && !f.Anonymous {
			continue
		}
		err := notText(v.Field(i))
		switch name, _, _ := strings.Cut(f.Tag.Get("json"), ","); {
		case err == nil:
		case f.Anonymous && name == "": // its fields are those of v
			return err
		default:
			return err.inside(fieldName(f))
		}
	}
	return nil
}

func fieldName(f reflect.StructField) string {
	if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
		return name
	}
	return f.Name
}

// notTextMember looks through the names and the values of a map.
func notTextMember(v reflect.Value) *Error {
	for each := v.MapRange(); each.Next(); {
		name := each.Key()
		err := notText(name)
		if err == nil {
			err = notText(each.Value())
		}
		if err != nil {
			return err.inside(printable([]byte(name.String())))
		}
	}
	return nil
}
