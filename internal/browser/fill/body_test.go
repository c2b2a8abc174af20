package fill

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const (
	formType = "application/x-www-form-urlencoded"
	jsonType = "application/json"
	partType = `multipart/form-data; boundary="x-y"`
)

// TestSwapBodyReplacesWholeValuesOnly is a table of bodies.
func TestSwapBodyReplacesWholeValuesOnly(t *testing.T) {
	const ph, secret = "pLac3-h0lder.~x", `s€cret & "x"`
	for _, c := range []struct{ contentType, body, want, why string }{
		{formType, "u=a&p=" + ph + "&r=1", "u=a&p=s%E2%82%ACcret+%26+%22x%22&r=1", "a field"},
		{formType + "; charset=UTF-8", "p=" + ph, "p=s%E2%82%ACcret+%26+%22x%22", "a parameter of the type"},
		{formType, "p=%70Lac3%2Dh0lder.%7Ex", "p=s%E2%82%ACcret+%26+%22x%22", "escapes that are not needed"},
		{formType, ph + "=1&p=x" + ph + "&q=" + ph + "x&" + ph, "", "a name, parts of values, no value"},
		{formType, "p=%zz" + ph, "", "a broken escape"},
		{formType, `{"p":"` + ph + `"}`, `{"p":"s€cret & \"x\""}`, "JSON that is called a form"},
		{formType, ` [{"p":"` + ph + `=1"}]`, "", "a part of a string in such JSON"},
		{formType, "{p}=" + ph, "{p}=s%E2%82%ACcret+%26+%22x%22", "a form that begins as JSON does"},
		{formType, "p=" + strings.ToUpper(ph), "", "another letter case"},
		{jsonType, `{"p": "` + ph + `" , "n": [1, "` + ph + `"]}`, `{"p": "s€cret & \"x\"" , "n": [1, "s€cret & \"x\""]}`,
			"strings at any depth"},
		{jsonType, `{"` + ph + `" : "x"}`, "", "a key"},
		{jsonType, `"` + ph + `"`, `"s€cret & \"x\""`, "nothing but a string"},
		{jsonType, `{"p":"\u0070Lac3-h0lder.~x"}`, `{"p":"s€cret & \"x\""}`, "an escaped string"},
		{jsonType, `{"p":"x` + ph + `","q":"{\"p\":\"` + ph + `\"}"}`, "", "parts of strings"},
		{jsonType, `{"p":"` + ph + `"`, "", "no valid JSON"},
		{"application/vnd.api+json", `["` + ph + `"]`, `["s€cret & \"x\""]`, "a kind of JSON"},
		{"text/plain;charset=UTF-8", `{"p":"` + ph + `"}`, `{"p":"s€cret & \"x\""}`,
			"JSON that a script sent without a type"},
		{"text/plain;charset=UTF-8", "u=1&p=" + ph, "u=1&p=s%E2%82%ACcret+%26+%22x%22",
			"a form that a script sent without a type"},
		{"", "p=" + ph, "p=s%E2%82%ACcret+%26+%22x%22", "no type"},
		{"text/xml", "<p>" + ph + "</p>", "", "another language"},
		{partType, "--x-y\r\nContent-Disposition: form-data; name=\"p\"\r\n\r\n" + ph + "\r\n--x-y--\r\n",
			"--x-y\r\nContent-Disposition: form-data; name=\"p\"\r\n\r\n" + secret + "\r\n--x-y--\r\n", "a part"},
		{partType, "--x-y\r\nContent-Disposition: form-data; name=\"p\"; filename=\"a\"\r\n\r\n" + ph + "\r\n--x-y--\r\n",
			"", "a file"},
		{partType, "--x-y\r\nContent-Disposition: form-data; name=\"p\"\r\n\r\n" + ph + "\r\n", "", "a part without end"},
		{"multipart/form-data", "--x-y\r\nContent-Disposition: form-data; name=\"p\"\r\n\r\n" + ph + "\r\n--x-y--\r\n", "",
			"no boundary"},
	} {
		want, n := c.want, strings.Count(c.want, "cret")
		if want == "" {
			want = c.body
		}
		got, swapped := swapBody(c.contentType, []byte(c.body), ph, secret)
		require.Equal(t, want, string(got), c.why)
		require.Equal(t, n, swapped, c.why)
	}
	for _, c := range []struct{ body, secret, want string }{
		{`{"c":123456}`, "654321", `{"c":654321}`},
		{`{"c":123456}`, "004321", `{"c":4321}`},
		{`[123456,-123456,1123456,123456.0,"123456"]`, "000000", `[0,-123456,1123456,123456.0,"000000"]`},
		{`{"c":123456}`, "letters", `{"c":123456}`},
	} {
		got, _ := swapBody(jsonType, []byte(c.body), "123456", c.secret)
		require.Equal(t, c.want, string(got))
	}
}

// TestSwapBodyKeepsTheStructure builds bodies at random and finds them again,
// decoded, with nothing changed but the value.
func TestSwapBodyKeepsTheStructure(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ph := Placeholders("secret", false, 0, 0)[rapid.IntRange(0, 1).Draw(t, "kind")]
		secret := rapid.StringN(1, 40, -1).Draw(t, "secret")
		secret = strings.ToValidUTF8(secret, "")
		value := rapid.OneOf(rapid.Just(ph), rapid.String(), rapid.Just("x"+ph), rapid.Just(ph+" "))
		swap := func(s string) string {
			if s == ph {
				return secret
			}
			return s
		}

		form, want := url.Values{}, url.Values{}
		for i, v := range rapid.SliceOf(value).Draw(t, "fields") {
			name := fmt.Sprintf("f%d", i%3)
			form.Add(name, v)
			want.Add(name, swap(v))
		}
		got, _ := swapBody(formType, []byte(form.Encode()), ph, secret)
		fields, err := url.ParseQuery(string(got))
		require.NoError(t, err)
		require.Equal(t, want, fields)

		tree := jsonTree(value, 3).Draw(t, "json")
		raw, err := json.Marshal(tree)
		require.NoError(t, err)
		got, _ = swapBody(jsonType, raw, ph, secret)
		var decoded, expected any
		require.NoError(t, json.Unmarshal(got, &decoded))
		plain, err := json.Marshal(mapStrings(decodedCopy(t, raw), swap))
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(plain, &expected))
		require.Equal(t, expected, decoded)

		var body, wanted bytes.Buffer
		one, two := multipart.NewWriter(&body), multipart.NewWriter(&wanted)
		require.NoError(t, two.SetBoundary(one.Boundary()))
		for i, v := range rapid.SliceOf(value).Draw(t, "parts") {
			require.NoError(t, one.WriteField(fmt.Sprint(i), v))
			require.NoError(t, two.WriteField(fmt.Sprint(i), swap(v)))
		}
		require.NoError(t, one.Close())
		require.NoError(t, two.Close())
		got, _ = swapBody(one.FormDataContentType(), body.Bytes(), ph, secret)
		require.Equal(t, wanted.String(), string(got))
	})
}

func jsonTree(leaf *rapid.Generator[string], depth int) *rapid.Generator[any] {
	leaves := leaf.AsAny()
	if depth == 0 {
		return leaves
	}
	below := rapid.Deferred(func() *rapid.Generator[any] { return jsonTree(leaf, depth-1) })
	return rapid.OneOf(leaves, rapid.SliceOfN(below, 0, 3).AsAny(), rapid.MapOfN(leaf, below, 0, 3).AsAny(),
		rapid.Float64Range(-1e9, 1e9).AsAny(), rapid.Just[any](nil))
}

func decodedCopy(t require.TestingT, raw []byte) any {
	var out any
	require.NoError(t, json.Unmarshal(raw, &out))
	return out
}

// mapStrings applies fn to every string but keys.
func mapStrings(v any, fn func(string) string) any {
	switch v := v.(type) {
	case string:
		return fn(v)
	case []any:
		for i := range v {
			v[i] = mapStrings(v[i], fn)
		}
	case map[string]any:
		for key := range v {
			v[key] = mapStrings(v[key], fn)
		}
	}
	return v
}

// FuzzSwapBody gives swapBody anything: without the placeholder not a byte
// changes, and with it nothing but the placeholder does.
func FuzzSwapBody(f *testing.F) {
	const ph, secret = "pLac3-h0lder.~x", "the-secret"
	for _, contentType := range []string{formType, jsonType, partType, "text/plain", "", "multipart/form-data; boundary=",
		"\x00"} {
		for _, body := range []string{"", "p=" + ph, `{"p":"` + ph + `"}`, `{"p":"\`, `"`,
			"--x-y\r\n\r\n" + ph + "\r\n--x-y--", "&&==&", "--x-y"} {
			f.Add(contentType, []byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		before := bytes.Clone(body)
		got, n := swapBody(contentType, body, ph, secret)
		require.Equal(t, before, body, "the input is not written to")
		if n == 0 {
			require.Equal(t, body, got)
			return
		}
		back, again := swapBody(contentType, got, secret, ph)
		require.GreaterOrEqual(t, again, n)
		if json.Valid(body) {
			require.True(t, json.Valid(got))
		}
		require.GreaterOrEqual(t, len(back)+3*len(ph)*again, len(got)-len(secret)*n)
	})
}

// TestPlaceholdersPassForWhatTheyStandFor draws limits at random.
func TestPlaceholdersPassForWhatTheyStandFor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shortest, longest := rapid.IntRange(0, 60).Draw(t, "shortest"), rapid.IntRange(0, 60).Draw(t, "longest")
		all := Placeholders("a secret 123", false, shortest, longest)
		if longest > 0 && (longest < minPlaceholder || longest < shortest) {
			require.Empty(t, all)
			return
		}
		require.Len(t, all, 3)
		for _, p := range all {
			require.GreaterOrEqual(t, len(p), max(shortest, minPlaceholder))
			require.True(t, longest == 0 || len(p) <= longest)
			require.Equal(t, p, url.QueryEscape(p), "needs no escape")
		}
		for _, class := range []string{lowers, uppers, digits, symbols} {
			require.True(t, strings.ContainsAny(all[0], class))
		}
		code := rapid.StringMatching(`[0-9]{4,10}`).Draw(t, "code")
		codes := Placeholders(code, true, 0, len(code))
		require.Len(t, codes, 1)
		require.Len(t, codes[0], len(code))
		require.True(t, isDigits(codes[0]) && codes[0] != code && codes[0][0] != '0')
		require.Empty(t, Placeholders(code, true, 0, len(code)-1), "a code that does not fit")
	})
}
