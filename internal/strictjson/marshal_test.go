package strictjson_test

import (
	"encoding/base64"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bctrl-go/bctrl/internal/strictjson"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// latin1 is "café" in ISO 8859-1, which is no UTF-8.
const latin1 = "caf\xe9"

// Types that write themselves: one by way of encoding/json, one in base64, one
// as text that somebody else has written, and one as text.
type (
	hidden  struct{ text string }
	encoded string
	foreign struct{ text string }
	worded  string
)

func (h hidden) MarshalJSON() ([]byte, error) { return json.Marshal(map[string]string{"a": h.text}) }
func (e encoded) MarshalJSON() ([]byte, error) {
	return json.Marshal(base64.StdEncoding.EncodeToString([]byte(e)))
}
func (f *foreign) MarshalJSON() ([]byte, error) { return []byte(f.text), nil }
func (w worded) MarshalText() ([]byte, error)   { return []byte(w), nil }

func TestMarshalRefusesWhatIsNotUTF8AndNamesTheField(t *testing.T) {
	for _, c := range []struct {
		why   string
		in    any
		field string
	}{
		{"a string", latin1, ""},
		{"a field", request{ID: latin1}, "id"},
		{"a field of a pointer", &request{ID: latin1}, "id"},
		{"a promoted field", request{Base: Base{Kind: latin1}}, "kind"},
		{"a secret", request{Secret: wire.NewValue(latin1)}, "secret"},
		{"an element", request{Tags: []string{"a", latin1}}, "tags[1]"},
		{"a value of a map", request{Headers: map[string]string{"X-A": latin1}}, "headers.X-A"},
		{"a name of a map", request{Headers: map[string]string{latin1: "a"}}, "headers.?"},
		{"what is nested", request{Nested: map[string][]inner{"x": {{}, {Allow: []string{latin1}}}}}, "nested.x[1].allow[0]"},
		{"an interface", request{Any: map[string]any{"a": []any{1, latin1}}}, "any.a[1]"},
		{"a pointer in an interface", request{Any: &request{ID: latin1}}, "any.id"},
		{"itself", request{Self: &request{Self: &request{ID: latin1}}}, "self.self.id"},
		{"raw bytes", request{Args: json.RawMessage(`{"a":"` + latin1 + `"}`)}, "args.a"},
		{"half a surrogate pair in raw text", request{Args: json.RawMessage(`{"a":["\ud800"]}`)}, "args.a[0]"},
		{"raw bytes by a pointer", &struct{ A *json.RawMessage }{new(json.RawMessage(`"` + latin1 + `"`))}, "A"},
		{"a nullable", request{Label: strictjson.Nullable[string]{Set: true, Value: latin1}}, "label.Value"},
		{"a type that writes itself by encoding/json", struct{ A hidden }{hidden{latin1}}, "A.text"},
		{"a type that writes foreign text", &struct{ A foreign }{foreign{`["` + latin1 + `"]`}}, "A[0]"},
		{"a type that writes text", struct{ A worded }{latin1}, "A"},
		{"such a type as a name", map[worded]int{latin1: 1}, "?"},
		{"an unexported struct that is embedded", struct{ lower }{lower{latin1}}, "ID"},
		{"a lone byte", "\xff", ""},
		{"a surrogate in UTF-8's clothes", "\xed\xa0\x80", ""},
		{"an overlong slash", "\xc0\xaf", ""},
		{"a character that is cut", "caf\xc3", ""},
		{"UTF-16", "\xff\xfea\x00", ""},
	} {
		_, err := strictjson.Marshal(c.in)
		var e *strictjson.Error
		require.ErrorAs(t, err, &e, c.why)
		require.Equal(t, strictjson.CodeInvalidUTF8, e.Code, c.why)
		require.Equal(t, c.field, e.Field, c.why)
		require.NotContains(t, err.Error(), "caf", c.why)
	}
}

type lower struct{ ID string }

func TestMarshalKeepsWhatIsText(t *testing.T) {
	for _, c := range []struct {
		why  string
		in   any
		want string
	}{
		{"nothing", nil, "null"},
		{"U+FFFD itself", "a\ufffd", "\"a\ufffd\""},
		{"the text of its escape", `\ufffd`, `"\\ufffd"`},
		{"raw text, whose escapes are another's", json.RawMessage(`{"a":"\ufffd"}`), `{"a":"\ufffd"}`},
		{"foreign text with the escape", &foreign{`"\ufffd"`}, `"\ufffd"`},
		{"bytes", []byte(latin1), `"Y2Fm6Q=="`},
		{"bytes that write themselves", encoded(latin1), `"Y2Fm6Q=="`},
		{"an array of bytes", [2]byte{0xff, 1}, "[255,1]"},
		{"what is not encoded", struct {
			A string `json:"-"`
			b string
		}{latin1, latin1}, "{}"},
		{"controls and a NUL", "\x00\r\n\t\x7f", `"\u0000\r\n\t` + "\x7f\""},
		{"a byte order mark", "\ufeffa", "\"\ufeffa\""},
		{"nil pointers", request{}.Self, "null"},
		{"a type of another package", netip.MustParseAddr("::1"), `"::1"`},
	} {
		got, err := strictjson.Marshal(c.in)
		require.NoError(t, err, c.why)
		require.Equal(t, c.want, string(got), c.why)
	}
	_, err := strictjson.Marshal(func() {})
	require.Error(t, err)
	circle := map[string]any{}
	circle["a"] = circle
	_, err = strictjson.Marshal(circle)
	require.Error(t, err)
}

// TestWhatMarshalWritesIsReadBack holds for every string of bytes: it comes
// back as it was, or is refused.
func TestWhatMarshalWritesIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := request{
			ID:      string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")),
			Tags:    []string{rapid.String().Draw(t, "text")},
			Secret:  wire.NewValue(rapid.StringMatching(`([a-z<&\\"]|\x00|\xE9){0,9}`).Draw(t, "secret")),
			Pair:    [2]int{1, 2},
			Number:  "1",
			Enabled: new(true),
		}
		text, err := strictjson.Marshal(struct {
			ID     string     `json:"id"`
			Tags   []string   `json:"tags"`
			Secret wire.Value `json:"secret,omitzero"`
		}{in.ID, in.Tags, in.Secret})
		if err != nil {
			require.NotEqual(t, strings.ToValidUTF8(in.ID, ""), in.ID)
			return
		}
		var back request
		require.NoError(t, strictjson.Unmarshal(text, &back))
		require.Equal(t, in.ID, back.ID)
		require.Equal(t, in.Tags, back.Tags)
		require.True(t, in.Secret.Reveal() == back.Secret.Reveal(), "a secret came back as another")
	})
}
