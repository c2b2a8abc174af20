package bctrl

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// hidden is what every printer shows in place of a secret.
const hidden = "[secret]"

// errSecretEncoding is returned by every encoder that meets a [Secret]: losing
// the value silently would be as wrong as writing it down.
var errSecretEncoding = errors.New("bctrl: a Secret is not encoded; call Expose where the value must leave")

// Secret holds a value that must not be printed: an API key, a password, a
// TOTP seed.
//
// The bytes live behind a func, so that fmt, log/slog, testify, spew, go-cmp
// and reflection have nothing to show, also when the Secret is an unexported
// field of another struct. Where a method is reached the text is "[secret]".
// Encoding a Secret as JSON or text fails instead of losing or leaking it.
//
// The zero Secret holds nothing. Compare secrets with [Secret.Equal]:
// reflect.DeepEqual on two set secrets is false, whatever they hold, because
// funcs are never deeply equal.
type Secret struct {
	reveal func() string
}

// NewSecret returns a Secret that holds value. The empty string gives the zero
// Secret.
func NewSecret(value string) Secret {
	if value == "" {
		return Secret{}
	}
	return Secret{reveal: func() string { return value }}
}

// Expose returns the value. It is the only way to the bytes: search a program
// for Expose to see every place where a secret leaves its wrapper.
func (s Secret) Expose() string {
	if s.reveal == nil {
		return ""
	}
	return s.reveal()
}

// IsZero reports whether s holds nothing.
func (s Secret) IsZero() bool { return s.reveal == nil }

// Equal reports whether s and other hold the same value, in time that depends
// on their lengths alone.
func (s Secret) Equal(other Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.Expose()), []byte(other.Expose())) == 1
}

// String returns "[secret]", or "" for the zero Secret.
func (s Secret) String() string {
	if s.reveal == nil {
		return ""
	}
	return hidden
}

// GoString returns what %#v prints: the type and no value.
func (s Secret) GoString() string {
	if s.reveal == nil {
		return "bctrl.Secret{}"
	}
	return "bctrl.Secret{" + hidden + "}"
}

// Format implements [fmt.Formatter], so that no verb reaches the value.
func (s Secret) Format(f fmt.State, verb rune) {
	text := s.String()
	if verb == 'v' && f.Flag('#') {
		text = s.GoString()
	}
	_, _ = io.WriteString(f, text) // a fmt.State keeps its own error
}

// LogValue implements [slog.LogValuer].
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalJSON fails: a Secret is never encoded by accident.
func (s Secret) MarshalJSON() ([]byte, error) { return nil, errSecretEncoding }

// MarshalText fails: a Secret is never encoded by accident.
func (s Secret) MarshalText() ([]byte, error) { return nil, errSecretEncoding }

// UnmarshalJSON fails: fill a Secret with [NewSecret].
func (s *Secret) UnmarshalJSON([]byte) error { return errSecretEncoding }

// UnmarshalText fails: fill a Secret with [NewSecret].
func (s *Secret) UnmarshalText([]byte) error { return errSecretEncoding }
