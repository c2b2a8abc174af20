package strictjson_test

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bctrl-go/bctrl/internal/strictjson"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// request has one of everything that a body of ours may hold.
type request struct {
	Base
	*Paging
	ID       string                      `json:"id"`
	Secret   wire.Value                  `json:"secret,omitzero"`
	Enabled  *bool                       `json:"enabled"`
	Tags     []string                    `json:"tags"`
	Pair     [2]int                      `json:"pair"`
	Headers  map[string]string           `json:"headers"`
	Nested   map[string][]inner          `json:"nested"`
	Args     json.RawMessage             `json:"args"`
	Any      any                         `json:"any"`
	When     time.Time                   `json:"when"`
	Label    strictjson.Nullable[string] `json:"label,omitzero"`
	Inner    strictjson.Nullable[inner]  `json:"inner,omitzero"`
	Bytes    []byte                      `json:"bytes"`
	Number   json.Number                 `json:"number"`
	Small    uint8                       `json:"small"`
	Quoted   int                         `json:"quoted,string"`
	Float    float64                     `json:"float"`
	Self     *request                    `json:"self"`
	Hidden   string                      `json:"-"`
	RawReads *bool                       `json:"allowRawReads"`
	private  string                      //nolint:unused // reached by reflection, if at all
}

// Base and Paging are promoted; inner is a list's element.
type (
	Base struct {
		Kind string `json:"kind"`
		ID   string `json:"id"` // hidden by request.ID
	}
	Paging struct {
		Limit int `json:"limit"`
	}
	inner struct {
		Allow []string `json:"allow"`
	}
)

func deep(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

func TestUnmarshalRefusesWhatEncodingJSONRepairs(t *testing.T) {
	for _, c := range []struct{ why, in, code, field string }{
		{"nothing", ``, "invalid_json", ""},
		{"only space", " \n", "invalid_json", ""},
		{"byte order mark", "\xef\xbb\xbf{}", "invalid_json", ""},
		{"two values", `{} {}`, "trailing_bytes", ""},
		{"a NUL behind", "{}\x00", "trailing_bytes", ""},
		{"a top-level null", `null`, "ambiguous_null", ""},
		{"not an object", `[]`, "wrong_type", ""},
		{"not closed", `{"id":"a"`, "invalid_json", "id"},
		{"a comma too many", `{"id":"a",}`, "invalid_json", ""},
		{"a comma too many in a list", `{"tags":["a",]}`, "invalid_json", "tags[1]"},
		{"no colon", `{"id" "a"}`, "invalid_json", "id"},
		{"a number with a leading zero", `{"limit":01}`, "invalid_json", "limit"},
		{"a number without digits", `{"limit":-}`, "invalid_json", "limit"},
		{"a fraction without digits", `{"float":1.}`, "invalid_json", "float"},
		{"an exponent without digits", `{"float":1e}`, "invalid_json", "float"},
		{"a wrong literal", `{"enabled":nul}`, "invalid_json", "enabled"},
		{"a short literal", `{"enabled":tru}`, "invalid_json", "enabled"},
		{"a control byte in a string", "{\"id\":\"a\nb\"}", "invalid_json", "id"},
		{"an unknown escape", `{"id":"\x"}`, "invalid_json", "id"},
		{"a short escape", `{"id":"\u12"}`, "invalid_json", "id"},
		{"a comment", `{/**/}`, "invalid_json", ""},
		{"unknown", `{"ids":"a"}`, "unknown_field", "ids"},
		{"unknown in a list in a map", `{"nested":{"x":[{},{"deny":[]}]}}`, "unknown_field", "nested.x[1].deny"},
		{"a field hidden from JSON", `{"Hidden":"a"}`, "unknown_field", "Hidden"},
		{"an unexported field", `{"private":"a"}`, "unknown_field", "private"},
		{"an embedded struct by its name", `{"Base":{}}`, "unknown_field", "Base"},
		{"a name that could be a secret", `{"` + strings.Repeat("k", 41) + `":1}`, "unknown_field", "?"},
		{"a name that forges a path", `{"a.b":1}`, "unknown_field", "?"},
		{"wrong case", `{"ID":"a"}`, "wrong_case_field", "ID"},
		{"wrong case of a promoted field", `{"Limit":1}`, "wrong_case_field", "Limit"},
		{"long s folds to s", `{"allowRawReadſ":true}`, "wrong_case_field", "?"},
		{"duplicate", `{"id":"a","id":"b"}`, "duplicate_field", "id"},
		{"duplicate of equal values", `{"id":"a","id":"a"}`, "duplicate_field", "id"},
		{"duplicate through an escape", `{"id":"a","\u0069d":"b"}`, "duplicate_field", "id"},
		{"duplicate in a map", `{"headers":{"a":"1","a":"2"}}`, "duplicate_field", "headers.a"},
		{"duplicate in raw data", `{"args":{"a":[{"b":1,"b":2}]}}`, "duplicate_field", "args.a[0].b"},
		{"duplicate in any", `{"any":{"a":1,"a":2}}`, "duplicate_field", "any.a"},
		{"null string", `{"id":null}`, "ambiguous_null", "id"},
		{"null pointer", `{"enabled":null}`, "ambiguous_null", "enabled"},
		{"null list", `{"tags":null}`, "ambiguous_null", "tags"},
		{"null in a list", `{"tags":["a",null]}`, "ambiguous_null", "tags[1]"},
		{"null in a map", `{"headers":{"a":null}}`, "ambiguous_null", "headers.a"},
		{"null for a type with its own decoder", `{"secret":null}`, "ambiguous_null", "secret"},
		{"null time", `{"when":null}`, "ambiguous_null", "when"},
		{"null raw data", `{"args":null}`, "ambiguous_null", "args"},
		{"null any", `{"any":null}`, "ambiguous_null", "any"},
		{"null inside a nullable", `{"inner":{"allow":null}}`, "ambiguous_null", "inner.allow"},
		{"unknown inside a nullable", `{"self":{"inner":{"alow":[]}}}`, "unknown_field", "self.inner.alow"},
		{"invalid UTF-8", "{\"id\":\"\xff\"}", "invalid_utf8", "id"},
		{"invalid UTF-8 in raw data", "{\"args\":\"\xff\"}", "invalid_utf8", "args"},
		{"invalid UTF-8 in a name", "{\"\xff\":1}", "invalid_utf8", ""},
		{"an overlong slash", "{\"id\":\"\xc0\xaf\"}", "invalid_utf8", "id"},
		{"half a surrogate pair", `{"id":"\ud800"}`, "invalid_utf8", "id"},
		{"a pair in the wrong order", `{"id":"\udc00\ud800"}`, "invalid_utf8", "id"},
		{"a string for a list", `{"tags":"a"}`, "wrong_type", "tags"},
		{"a number for a string", `{"id":1}`, "wrong_type", "id"},
		{"a string for a bool", `{"enabled":"true"}`, "wrong_type", "enabled"},
		{"an object for a list", `{"tags":{}}`, "wrong_type", "tags"},
		{"a list for a map", `{"headers":[]}`, "wrong_type", "headers"},
		{"too few elements", `{"pair":[1]}`, "wrong_type", "pair"},
		{"too many elements", `{"pair":[1,2,3]}`, "wrong_type", "pair"},
		{"a number for a time", `{"when":1}`, "invalid_value", "when"},
		{"no time", `{"self":{"when":"soon"}}`, "invalid_value", "self.when"},
		{"out of range", `{"small":256}`, "invalid_value", "small"},
		{"a fraction for a whole number", `{"limit":1.5}`, "invalid_value", "limit"},
		{"not base64", `{"bytes":"!"}`, "invalid_value", "bytes"},
		{"a secret that is no string", `{"secret":5}`, "invalid_value", "secret"},
		{"a wrong nullable", `{"label":5}`, "wrong_type", "label"},
		{"a quoted number that is none", `{"quoted":"x"}`, "invalid_value", ""},
		{"depth 65", `{"any":` + deep(64) + `}`, "too_deep", "any" + strings.Repeat("[0]", 63)},
	} {
		t.Run(c.why, func(t *testing.T) {
			var got request
			err := strictjson.Unmarshal([]byte(c.in), &got)
			var refusal *strictjson.Error
			require.ErrorAs(t, err, &refusal)
			require.Equal(t, c.code, refusal.Code)
			require.Equal(t, c.field, refusal.Field)
		})
	}
}

func TestUnmarshalAcceptsWhatIsMeant(t *testing.T) {
	for _, c := range []struct{ why, in string }{
		{"nothing set", `{}`},
		{"space around everything", " \t\r\n{ \"id\" : \"a\" , \"tags\" : [ ] } \n"},
		{"empty list and map", `{"tags":[],"headers":{}}`},
		{"all of it", `{"kind":"k","id":"i","limit":2,"secret":"s","enabled":true,"tags":["a","b"],"pair":[1,2],
			"headers":{"A":"1","a":"2"},"nested":{"x":[{"allow":[]}]},"args":{"a":null},"any":[null,{"b":1e3}],
			"when":"2026-01-02T03:04:05Z","label":null,"inner":{"allow":["x"]},"bytes":"aGk=","number":12.5,
			"small":255,"quoted":"7","float":-0.5e-2,"self":{"id":"j"},"allowRawReads":false}`},
		{"escapes", `{"id":"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00é😀"}`},
		{"an escaped name", `{"\u0069d":"a"}`},
		{"names in another case are other names of a map", `{"headers":{"ß":"1","SS":"2"}}`},
		{"depth 64", `{"any":` + deep(63) + `}`},
	} {
		t.Run(c.why, func(t *testing.T) {
			var got, want request
			require.NoError(t, strictjson.Unmarshal([]byte(c.in), &got))
			require.NoError(t, json.Unmarshal([]byte(c.in), &want))
			require.Equal(t, want.Secret.Reveal(), got.Secret.Reveal())
			got.Secret, want.Secret = wire.Value{}, wire.Value{} // two funcs are never equal
			require.Equal(t, want, got)
		})
	}
}

func TestNullableTellsAbsentNullAndValueApart(t *testing.T) {
	type patch struct {
		Label strictjson.Nullable[string] `json:"label,omitzero"`
	}
	for _, c := range []struct {
		in   string
		want strictjson.Nullable[string]
	}{
		{`{}`, strictjson.Nullable[string]{}},
		{`{"label":null}`, strictjson.Nullable[string]{Set: true, Null: true}},
		{`{"label":""}`, strictjson.Nullable[string]{Set: true}},
		{`{"label":"x"}`, strictjson.Nullable[string]{Set: true, Value: "x"}},
	} {
		var got patch
		require.NoError(t, strictjson.Unmarshal([]byte(c.in), &got))
		require.Equal(t, c.want, got.Label)
		again, err := json.Marshal(got)
		require.NoError(t, err)
		require.Equal(t, c.in, string(again))
	}
	var pointer struct {
		Label *strictjson.Nullable[string] `json:"label"`
	}
	require.Error(t, strictjson.Unmarshal([]byte(`{"label":null}`), &pointer), "encoding/json would lose the null")
}

func TestErrorsNeverRepeatAValue(t *testing.T) {
	const canary = "hunter2hunter2"
	for _, in := range []string{
		`{"id":"` + canary, `{"when":"` + canary + `"}`, `{"bytes":"` + canary + `!"}`, `{"tags":"` + canary + `"}`,
		`{"secret":["` + canary + `"]}`, `"` + canary + `"`, canary, `{} ` + canary,
	} {
		err := strictjson.Unmarshal([]byte(in), new(request))
		require.Error(t, err)
		require.NotContains(t, err.Error(), canary)
		require.NoError(t, errors.Unwrap(err), "a wrapped error could repeat it")
	}
}

func TestDecodeBoundsWhatItReads(t *testing.T) {
	var got inner
	require.NoError(t, strictjson.Decode(strings.NewReader(`{"allow":[]}`), 12, &got))
	require.Equal(t, inner{Allow: []string{}}, got)

	var refusal *strictjson.Error
	require.ErrorAs(t, strictjson.Decode(strings.NewReader(`{"allow":[]} `), 12, &got), &refusal)
	require.Equal(t, strictjson.CodeTooLarge, refusal.Code)

	endless := iotest.DataErrReader(io.LimitReader(neverEnding('['), 1<<40))
	require.ErrorAs(t, strictjson.Decode(endless, 1<<10, &got), &refusal)
	require.Equal(t, strictjson.CodeTooLarge, refusal.Code)

	broken := errors.New("connection lost")
	require.ErrorIs(t, strictjson.Decode(iotest.ErrReader(broken), 12, &got), broken)
}

type neverEnding byte

func (b neverEnding) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(b)
	}
	return len(p), nil
}

func TestUnmarshalNeedsAPointer(t *testing.T) {
	require.Error(t, strictjson.Unmarshal([]byte(`{}`), request{}))
	require.Error(t, strictjson.Unmarshal([]byte(`{}`), (*request)(nil)))
	require.Error(t, strictjson.Unmarshal([]byte(`{}`), nil))
}

// twice has two embedded structs that share a name, which hides it, and one
// whose tag wins.
type twice struct {
	Left
	Right
}

type (
	Left struct {
		Both   string
		Tagged string
	}
	Right struct {
		Both string
		Own  string `json:"Tagged"`
	}
)

func TestPromotedFieldsAreThoseOfEncodingJSON(t *testing.T) {
	var got twice
	require.NoError(t, strictjson.Unmarshal([]byte(`{"Tagged":"x"}`), &got))
	require.Equal(t, twice{Right: Right{Own: "x"}}, got)
	require.Error(t, strictjson.Unmarshal([]byte(`{"Both":"x"}`), &got), "encoding/json ignores it")
}

func FuzzUnmarshal(f *testing.F) {
	f.Add([]byte(`{"id":"a","tags":[],"self":{"any":[1,null]},"label":null}`))
	f.Add([]byte(`{"secret":"s","when":"2026-01-02T03:04:05Z","nested":{"a":[{"allow":["x"]}]}}`))
	f.Add([]byte(`{"id":"\ud83d\ude00","ID":null,"args":{"a":1,"a":2}}`))
	f.Add([]byte("\xef\xbb\xbf[[[\"\xff\"]]]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var got, want request
		if strictjson.Unmarshal(data, &got) == nil {
			require.NoError(t, json.Unmarshal(data, &want))
			require.Equal(t, want.Secret.Reveal(), got.Secret.Reveal())
			got, want = withoutSecrets(got), withoutSecrets(want)
			require.Equal(t, want, got)
		}
		var free any
		require.Equal(t, json.Valid(data), strictjson.Valid(data))
		if strictjson.Unmarshal(data, &free) == nil {
			require.True(t, json.Valid(data))
			again, err := json.Marshal(free)
			require.NoError(t, err)
			require.NoError(t, strictjson.Unmarshal(again, &free), "what it accepts, it accepts again")
		}
	})
}

func withoutSecrets(r request) request {
	r.Secret = wire.Value{}
	if r.Self != nil {
		self := withoutSecrets(*r.Self)
		r.Self = &self
	}
	return r
}

func TestValidIsThatOfEncodingJSON(t *testing.T) {
	for _, in := range []string{
		`{"a":1,"a":2}`, `{"\u0061":1,"a":2}`, `"\ud800"`, "\"\xff\"", "{\"\xff\":1}", deep(64), deep(65), deep(9_999),
		strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001), "", " ", "1 2", "{}\n{}", "\ufeff{}", `{"a"}`, `[1,]`,
	} {
		require.Equal(t, json.Valid([]byte(in)), strictjson.Valid([]byte(in)), "%.40q", in)
	}
	token := rapid.SampledFrom([]string{"{", "}", "[", "]", ",", ":", `"a"`, `"é"`, `"\n"`, `"\u00"`, `"`, "\xff", "\x00",
		"0", "-", "1", ".5", "e", "E+2", "true", "nul", "null", " ", "\n", "\t", "\v"})
	value := rapid.SampledFrom([]string{"null", "true", "false", "0", "-1.5e+3", `""`, `"\"\\\u00e9"`, `"é"`})
	for range 3 {
		inner := value
		value = rapid.Custom(func(t *rapid.T) string {
			parts := rapid.SliceOfN(inner, 0, 3).Draw(t, "parts")
			if rapid.Bool().Draw(t, "list") {
				return "[" + strings.Join(parts, ", ") + "]"
			}
			for i, part := range parts {
				parts[i] = `"a":` + part
			}
			return "{" + strings.Join(parts, " ,") + "}"
		})
	}
	rapid.Check(t, func(t *rapid.T) {
		text := value.Draw(t, "value")
		if rapid.Bool().Draw(t, "is broken") {
			at := rapid.IntRange(0, len(text)).Draw(t, "at")
			text = text[:at] + token.Draw(t, "token") + text[min(len(text), at+rapid.IntRange(0, 2).Draw(t, "without")):]
		}
		if json.Valid([]byte(text)) != strictjson.Valid([]byte(text)) {
			t.Fatalf("%q", text)
		}
	})
}

// BenchmarkValid is what an answer of a provider costs that is put into another.
func BenchmarkValid(b *testing.B) {
	text := []byte(`{"object":"thing","count":[1,2.5,true],"text":"` + strings.Repeat("lorem ipsum ", 80) + `"}`)
	for _, c := range []struct {
		name  string
		valid func([]byte) bool
	}{{"strictjson", strictjson.Valid}, {"encoding-json", json.Valid}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if !c.valid(text) {
					b.Fatal("refused")
				}
			}
		})
	}
}

func BenchmarkUnmarshal(b *testing.B) {
	type credential struct {
		Username string     `json:"username"`
		Password wire.Value `json:"password"`
		TOTP     wire.Value `json:"totp"`
		Origins  []string   `json:"origins"`
		Notes    string     `json:"notes"`
	}
	body := []byte(`{"username":"bot@company.com","password":"correct horse battery","totp":"JBSWY3DPEHPK3PXP",` +
		`"origins":["https://login.salesforce.com"],"notes":"shared by the sales team"}`)
	for _, c := range []struct {
		name   string
		decode func([]byte, any) error
	}{{"strictjson", strictjson.Unmarshal}, {"encoding-json", json.Unmarshal}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var v credential
				if err := c.decode(body, &v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
