// Package wire holds the JSON shapes that carry secrets between the SDK and
// the server. Their secret fields are [Value]s, which encode to JSON and show
// nothing to any printer; everything without a secret has its shape in the
// root package.
package wire

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"unicode/utf8"

	"github.com/bctrl-go/bctrl/internal/strictjson"
)

// Value is a secret on its way through JSON. The zero Value is left out by
// "omitzero".
type Value struct{ reveal func() string }

// NewValue wraps a secret; the empty string gives the zero Value.
func NewValue(s string) Value {
	if s == "" {
		return Value{}
	}
	return Value{reveal: func() string { return s }}
}

// Reveal returns the secret.
func (v Value) Reveal() string {
	if v.reveal == nil {
		return ""
	}
	return v.reveal()
}

// IsZero reports whether v holds nothing.
func (v Value) IsZero() bool { return v.reveal == nil }

// Format implements [fmt.Formatter]: no verb shows the value.
func (v Value) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[secret]") }

// LogValue implements [slog.LogValuer].
func (v Value) LogValue() slog.Value { return slog.StringValue("[secret]") }

// MarshalJSON writes the secret: these are the shapes of the wire. One that is
// not UTF-8 is refused rather than written as another.
func (v Value) MarshalJSON() ([]byte, error) { return strictjson.MarshalString(v.Reveal()) }

// UnmarshalJSON reads a JSON string. Its error does not repeat the text.
func (v *Value) UnmarshalJSON(data []byte) error {
	if inner, ok := plain(data); ok {
		*v = NewValue(string(inner))
		return nil
	}
	var s string
	if err := json.Unmarshal(data, &s); err != nil {
		return fmt.Errorf("want a string")
	}
	*v = NewValue(s)
	return nil
}

// plain is what is inside a JSON string that is written as it is read: in ASCII, and without an
// escape. All but few secrets are, and need no decoder of their own.
func plain(data []byte) (inner []byte, ok bool) {
	if len(data) < 2 || data[0] != '"' || data[len(data)-1] != '"' {
		return nil, false
	}
	inner = data[1 : len(data)-1]
	for _, c := range inner {
		if c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' {
			return nil, false
		}
	}
	return inner, true
}
