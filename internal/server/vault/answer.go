package vault

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"

	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// encodedLogin is a [wire.VaultCredential] as JSON, which it does not print.
type encodedLogin []byte

// Encode is what is answered.
func (l encodedLogin) Encode() ([]byte, error) { return l, nil }

// Format implements [fmt.Formatter].
func (l encodedLogin) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[secret]") }

// LogValue implements [slog.LogValuer].
func (l encodedLogin) LogValue() slog.Value { return slog.StringValue("[secret]") }

// noPassword is in a [Meta] as it is stored that has what no answer has.
var noPassword = []byte(`"noPassword":true`)

// encodeLogin encodes an entry with what was sealed of it. The two are JSON with the fields of the answer,
// as this server wrote and sealed them: they are put together as they are, which saves a tenth of what a
// read costs. Where the seed is left out, they are taken apart.
func encodeLogin(e store.VaultEntry, plain []byte, withSeed bool) (encodedLogin, error) {
	if withSeed && isObject(e.Meta) && isObject(plain) && !bytes.Contains(e.Meta, noPassword) {
		return joinObjects(e.Meta, plain), nil
	}
	l, err := openedLogin(e, plain)
	if err != nil {
		return nil, err
	}
	out := wire.VaultCredential{
		Username:       l.Meta.Username,
		Password:       l.secrets.Password,
		Origins:        l.Meta.Origins,
		OriginPatterns: l.Meta.OriginPatterns,
		Label:          l.Meta.Label,
		Notes:          l.secrets.Notes,
		Fill:           string(l.Meta.Fill),
	}
	if withSeed {
		out.TOTP = l.secrets.TOTP
	}
	return json.Marshal(out)
}

// isObject reports whether JSON without space around it is an object.
func isObject(text []byte) bool { return len(text) > 1 && text[0] == '{' && text[len(text)-1] == '}' }

// joinObjects makes one JSON object of two that have no field in common.
func joinObjects(a, b []byte) []byte {
	out := make([]byte, 0, len(a)+len(b))
	out = append(out, a[:len(a)-1]...)
	if len(a) > len("{}") && len(b) > len("{}") {
		out = append(out, ',')
	}
	return append(out, b[1:]...)
}
