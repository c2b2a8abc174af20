package vault

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// fieldsOf are the names that a type has in JSON.
func fieldsOf(of reflect.Type) (names []string) {
	for f := range of.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}

// TestWhatIsStoredOfALoginIsWhatIsAnswered holds for each field that may be added.
func TestWhatIsStoredOfALoginIsWhatIsAnswered(t *testing.T) {
	stored := append(fieldsOf(reflect.TypeFor[Meta]()), fieldsOf(reflect.TypeFor[secrets]())...)
	answered := fieldsOf(reflect.TypeFor[wire.VaultCredential]())
	require.ElementsMatch(t, append(answered, "noPassword"), append(stored, "matchOrigins"), // which only a set has
		"a field that is stored and not answered needs a case in encodeLogin")
}

// TestALoginIsAnsweredAsItWasWritten, put together or taken apart.
func TestALoginIsAnsweredAsItWasWritten(t *testing.T) {
	text := rapid.OneOf(rapid.Just(""), rapid.String(), rapid.SampledFrom([]string{
		`"`, `","noPassword":true`, `{}`, "<&>\u2028", `\`, "}", "{",
	}))
	rapid.Check(t, func(t *rapid.T) {
		meta := Meta{
			Username: text.Draw(t, "username"), Label: text.Draw(t, "label"), Fill: bctrl.FillDirect,
			Origins: rapid.SliceOfN(text, 0, 2).Draw(t, "origins"), NoPassword: rapid.Bool().Draw(t, "noPassword"),
		}
		sealed := secrets{Notes: text.Draw(t, "notes")}
		for _, v := range []struct {
			name string
			of   *wire.Value
		}{{"password", &sealed.Password}, {"totp", &sealed.TOTP}} {
			*v.of = wire.NewValue(text.Draw(t, v.name))
		}
		listed, err := json.Marshal(meta)
		require.NoError(t, err)
		plain, err := json.Marshal(sealed)
		require.NoError(t, err)
		want := wire.VaultCredential{
			Username: meta.Username, Password: sealed.Password, TOTP: sealed.TOTP, Origins: meta.Origins, Label: meta.Label,
			Notes: sealed.Notes, Fill: string(meta.Fill),
		}
		for _, withSeed := range []bool{true, false} {
			if !withSeed {
				want.TOTP = wire.Value{}
			}
			expected, err := json.Marshal(want)
			require.NoError(t, err)
			got, err := encodeLogin(store.VaultEntry{Meta: listed}, plain, withSeed)
			require.NoError(t, err)
			require.JSONEq(t, string(expected), string(got))
		}
	})
}

// TestWhatIsStoredAsNoObjectIsTakenApart or refused, and never put into an answer.
func TestWhatIsStoredAsNoObjectIsTakenApart(t *testing.T) {
	for _, plain := range []string{"", "null", " {}", "{}\n", "[]", "{"} {
		got, err := encodeLogin(store.VaultEntry{Meta: []byte(`{"fill":"swap"}`)}, []byte(plain), true)
		if err == nil {
			require.JSONEq(t, `{"fill":"swap"}`, string(got), "%q", plain)
		}
	}
}

func TestAnEncodedLoginPrintsNothing(t *testing.T) {
	l := encodedLogin(`{"password":"hunter2"}`)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		require.Equal(t, "[secret]", fmt.Sprintf(verb, l))
	}
	var out strings.Builder
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "login", l)
	require.False(t, strings.Contains(out.String(), "hunter2"))
}
