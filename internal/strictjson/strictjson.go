// Package strictjson decodes JSON that comes from outside, refusing whatever
// encoding/json would silently repair: unknown, duplicate and wrong-case
// fields, nulls, invalid UTF-8, a byte order mark, bytes after the value and
// deep nesting.
//
// The text is walked once beside the Go type it is meant for, and handed to
// encoding/json only when nothing is wrong with it. So what this package
// accepts, encoding/json accepts with the same result. An error names the
// field and the kind of problem, and never repeats what was sent.
//
// # Null
//
// A null is refused wherever a Go type is waiting for a value, because it could
// mean "absent" as well as "empty". A field of type [Nullable] takes it. Inside
// values that have no Go type yet (any, [json.RawMessage] and types with their
// own UnmarshalJSON) a null is data and passes.
//
// # Names
//
// A field has its name in one spelling. Names of a map are compared as text; a
// map keyed by something else than strings could hold one key in two spellings,
// so use string keys.
package strictjson

import (
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strconv"
)

// MaxDepth is how many arrays and objects may be nested in each other.
const MaxDepth = 64

// The codes of an [Error].
const (
	CodeInvalidJSON    = "invalid_json"
	CodeInvalidUTF8    = "invalid_utf8"
	CodeTrailingBytes  = "trailing_bytes"
	CodeTooDeep        = "too_deep"
	CodeTooLarge       = "too_large"
	CodeUnknownField   = "unknown_field"
	CodeDuplicateField = "duplicate_field"
	CodeWrongCase      = "wrong_case_field"
	CodeAmbiguousNull  = "ambiguous_null"
	CodeWrongType      = "wrong_type"
	CodeInvalidValue   = "invalid_value"
)

// Error is a refusal. It holds no part of any value, and of a name only what
// looks like one.
type Error struct {
	// Code is one of the Code constants.
	Code string
	// Field is the path of the offending value, "mounts.vault.allow[0]", and
	// empty for the value as a whole.
	Field string
	// Offset is the byte at which the problem was noticed.
	Offset int
}

// Error returns the code, the field and the offset in one line.
func (e *Error) Error() string {
	text := "json: " + e.Code
	if e.Field != "" {
		text += " at " + e.Field
	}
	return text + " (byte " + strconv.Itoa(e.Offset) + ")"
}

// inside returns e with its field placed under a field or index of its parent.
func (e *Error) inside(parent string) *Error {
	switch {
	case e.Field == "":
		e.Field = parent
	case parent != "" && e.Field[0] == '[':
		e.Field = parent + e.Field
	case parent != "":
		e.Field = parent + "." + e.Field
	}
	return e
}

// Unmarshal decodes data into v, a non-nil pointer, merging into what v holds
// as encoding/json does. The error is an [*Error]; v is not to be used then.
func Unmarshal(data []byte, v any) error {
	target := reflect.ValueOf(v)
	if target.Kind() != reflect.Pointer || target.IsNil() {
		return &json.InvalidUnmarshalError{Type: reflect.TypeOf(v)}
	}
	shape := shapeOf(target.Type().Elem())
	w := walker{data: data}
	if err := w.document(shape); err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return locate(data, shape)
	}
	return nil
}

// Valid is [json.Valid]. Of what is also UTF-8 it takes a fraction of the time.
func Valid(data []byte) bool {
	w := walker{data: data, syntax: true}
	return w.document(free) == nil || json.Valid(data)
}

// Decode reads r to its end and decodes it like [Unmarshal]. More than limit
// bytes are refused with [CodeTooLarge]; errors of r are returned as they are.
func Decode(r io.Reader, limit int64, v any) error {
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return err
	}
	if int64(len(data)) > limit {
		return &Error{Code: CodeTooLarge, Offset: len(data) - 1}
	}
	return Unmarshal(data, v)
}

// locate finds the value that encoding/json refused in data, by decoding every
// leaf on its own.
func locate(data []byte, shape *shape) *Error {
	w := walker{data: data, probe: true}
	if err := w.document(shape); err != nil {
		return err
	}
	return &Error{Code: CodeInvalidValue} // a map key, which has no path of its own
}

// probeLeaf decodes data[start:w.pos] into a new value of the leaf's type.
func (w *walker) probeLeaf(leaf *shape, start int) *Error {
	if leaf.goType == nil {
		return nil
	}
	err := json.Unmarshal(w.data[start:w.pos], reflect.New(leaf.goType).Interface())
	if err == nil {
		return nil
	}
	if inner, ok := errors.AsType[*Error](err); ok { // a decoder that uses this package itself
		return &Error{Code: inner.Code, Field: inner.Field, Offset: start + inner.Offset}
	}
	return &Error{Code: CodeInvalidValue, Offset: start}
}
