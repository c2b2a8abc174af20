package strictjson

import "encoding/json"

// acceptsNull marks the types for which null is a value.
type acceptsNull interface{ acceptsNull() }

// Nullable is a field for which null says something: it tells absent, null and
// a value apart. Tag it "omitzero" to leave it out when it is absent.
type Nullable[T any] struct {
	// Set reports whether the field was there, as null or as a value.
	Set bool
	// Null reports whether it was null.
	Null bool
	// Value is the value when Set and not Null.
	Value T
}

func (*Nullable[T]) acceptsNull() {}

// IsZero reports whether the field was absent.
func (n Nullable[T]) IsZero() bool { return !n.Set }

// UnmarshalJSON decodes null or a T, as strictly as [Unmarshal].
func (n *Nullable[T]) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		*n = Nullable[T]{Set: true, Null: true}
		return nil
	}
	var value T
	if err := Unmarshal(data, &value); err != nil {
		return err
	}
	*n = Nullable[T]{Set: true, Value: value}
	return nil
}

// MarshalJSON writes null or the value.
func (n Nullable[T]) MarshalJSON() ([]byte, error) {
	if !n.Set || n.Null {
		return []byte("null"), nil
	}
	return json.Marshal(n.Value)
}
