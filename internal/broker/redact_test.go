package broker

import (
	"encoding/json"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func redacted(t require.TestingT, fields []string, contentType, body string, chunk func(io.Reader) io.Reader) string {
	r, ok := NewRedactor(fields).Reader(chunk(strings.NewReader(body)), contentType)
	require.True(t, ok)
	out, err := io.ReadAll(r)
	require.NoError(t, err)
	return string(out)
}

func TestNamedFieldsAreTakenOut(t *testing.T) {
	const gone = `"[redacted]"`
	for _, c := range []struct{ why, fields, media, in, want string }{
		{"a name at any depth", "key", "application/json", `{"key":"v","a":[{"b":{"key":1}}]}`, `{"key":` + gone +
			`,"a":[{"b":{"key":` + gone + `}}]}`},
		{"every kind of value", "k", "application/json", `{"k":{"x":["}"]},"k":[1,"]\""],"k":null,"k":-1e3,"k":true,"z":1}`,
			`{"k":` + gone + `,"k":` + gone + `,"k":` + gone + `,"k":` + gone + `,"k":` + gone + `,"z":1}`},
		{"a name is written in escapes", "key", "application/json", `{"\u006bey":"v"}`, `{"\u006bey":` + gone + `}`},
		{"letter case is no difference", "apiKey", "application/json", `{"APIKEY":"v"}`, `{"APIKEY":` + gone + `}`},
		{"white space around the colon", "key", "application/json", "{\"key\" \n\t: \r\n \"v\"}",
			"{\"key\" \n\t: \r\n " + gone + "}"},
		{"a value that has the name is no field", "key", "application/json", `{"a":"key","b":["key"]}`,
			`{"a":"key","b":["key"]}`},
		{"a longer name is another", "key", "application/json", `{"keys":1,"akey":2}`, `{"keys":1,"akey":2}`},
		{"a quote in a value", "key", "application/json", `{"key":"a\"b\\","c":1}`, `{"key":` + gone + `,"c":1}`},
		{"a path from the top", "a.b.c", "application/json", `{"a":{"b":{"c":1,"d":2},"c":3},"b":{"c":4},"c":5}`,
			`{"a":{"b":{"c":` + gone + `,"d":2},"c":3},"b":{"c":4},"c":5}`},
		{"arrays do not count in a path", "a.c", "application/json", `[{"a":[[{"c":1}],{"c":2}]}]`, `[{"a":[[{"c":` + gone +
			`}],{"c":` + gone + `}]}]`},
		{"a path does not begin deeper", "a.c", "application/json", `{"x":{"a":{"c":1}},"a":{"c":2}}`,
			`{"x":{"a":{"c":1}},"a":{"c":` + gone + `}}`},
		{"lines of JSON", "a.c", "application/x-ndjson", "{\"a\":{\"c\":1}}\n{\"a\":{\"c\":2}}\n", "{\"a\":{\"c\":" + gone +
			"}}\n{\"a\":{\"c\":" + gone + "}}\n"},
		{"a value over several lines", "key", "application/x-ndjson", "{\"a\":\n{\"key\":1}}\n{\"key\":2}\n",
			"{\"a\":\n{\"key\":" + gone + "}}\n{\"key\":" + gone + "}\n"},
		{"a line end behind the last string", "key", "application/jsonl", "{\"key\":1}\r\n{\"a\n",
			"{\"key\":" + gone + "}\r\n{\"a\n"},
		{"the data of events", "key", "text/event-stream", "event: x\ndata: {\"key\":\"v\"}\n\ndata: [DONE]\n\n",
			"event: x\ndata: {\"key\":" + gone + "}\n\ndata: [DONE]\n\n"},
		{"data over several lines", "key", "text/event-stream; charset=utf-8",
			"data: {\"key\":{\ndata:  \"b\":1}\ndata:,\"c\":2}\n\n", "data: {\"key\":" + gone + "\ndata:\ndata:,\"c\":2}\n\n"},
		{"all line ends of events", "key", "text/event-stream", "data: {\"key\":1}\r\rdata:{\"key\":2}\r\n\r\n",
			"data: {\"key\":" + gone + "}\r\rdata:{\"key\":" + gone + "}\r\n\r\n"},
		{"an event that breaks off hides nothing of the next", "key", "text/event-stream",
			"data: {\"key\": \"a\n\ndata: {\"b\":1}\n\n", "data: {\"key\": " + gone + "\n\ndata: {\"b\":1}\n\n"},
		{"an event that breaks off in a string", "key", "text/event-stream",
			"data: {\"a\": \"b\r\n\r\ndata: {\"key\":1}\r\n\r\n",
			"data: {\"a\": \"b\r\n\r\ndata: {\"key\":" + gone + "}\r\n\r\n"},
		{"events behind a byte order mark", "key", "text/event-stream", "\ufeffdata: {\"key\":1}\n\ndata: {\"key\":2}\n\n",
			"\ufeffdata: {\"key\":" + gone + "}\n\ndata: {\"key\":" + gone + "}\n\n"},
		{"what only begins like one", "key", "text/event-stream", "\xef\xbbdata: {\"key\":1}\ndata: {\"key\":2}\n\n",
			"\xef\xbbdata: {\"key\":1}\ndata: {\"key\":" + gone + "}\n\n"},
		{"a sequence of texts", "a.c", "application/json-seq", "\x1e{\"a\":{\"c\":1}}\n\x1e{\"a\":\n{\"c\":2}}\n",
			"\x1e{\"a\":{\"c\":" + gone + "}}\n\x1e{\"a\":\n{\"c\":" + gone + "}}\n"},
		{"a text that breaks off hides nothing of the next", "key", "application/json-seq",
			"\x1e{\"a\":\"b\x1e{\"key\":\"v\x1e{\"key\":3}\n",
			"\x1e{\"a\":\"b\x1e{\"key\":" + gone + "\x1e{\"key\":" + gone + "}\n"},
		{"a path behind a text that breaks off", "a.c", "application/json-seq", "\x1e{\"a\":{\x1e{\"a\":{\"c\":1}}\n",
			"\x1e{\"a\":{\x1e{\"a\":{\"c\":" + gone + "}}\n"},
		{"a text that breaks off with a line end", "key", "application/json-seq", "\x1e{\"a\":\"b\n\x1e{\"key\":1}\n",
			"\x1e{\"a\":\"b\n\x1e{\"key\":" + gone + "}\n"},
		{"other fields of events stay", "key", "text/event-stream", ": {\"key\":1}\nid: {\"key\":1}\ndat: 1\n\n",
			": {\"key\":1}\nid: {\"key\":1}\ndat: 1\n\n"},
	} {
		t.Run(c.why, func(t *testing.T) {
			for name, chunk := range map[string]func(io.Reader) io.Reader{
				"whole":        func(r io.Reader) io.Reader { return r },
				"byte by byte": iotest.OneByteReader,
			} {
				require.Equal(t, c.want, redacted(t, strings.Fields(c.fields), c.media, c.in, chunk), name)
			}
		})
	}
}

// TestALineEndInAStringEndsTheAnswer: it is no JSON, and who takes it for some would read
// a field that was not seen.
func TestALineEndInAStringEndsTheAnswer(t *testing.T) {
	for _, c := range []struct{ why, media, sends string }{
		{"a line feed", "application/json", "{\"note\":\"a\nb\",\"key\":\"v\"}"},
		{"an escaped one", "application/vnd.acme+json", "{\"note\":\"a\\\nb\",\"key\":\"v\"}"},
		{"a carriage return in a name", "text/json; charset=\"UTF-8\"", "{\"no\rte\":\"b\",\"key\":\"v\"}"},
		{"a text of a sequence may have lines", "application/json-seq", "\x1e{\"note\":\"a\nb\",\"key\":\"v\"}\n"},
		{"a reader of values takes lines for none", "application/x-ndjson", "{\"note\":\"a\nb\",\"key\":\"v\"}\n"},
		{"a carriage return ends no line", "application/jsonl", "{\"note\":\"a\rb\",\"key\":\"v\"}\n"},
		{"a reader of lines begins anew", "application/x-ndjson", "{\"key\":\"a\n{\"key\":\"v\"}\n"},
		{"also behind an object that breaks off", "application/x-ndjson", "{\"a\":{\n{\"a\":{\"c\":\"v\"}}\n"},
		{"lines of data are one text", "text/event-stream", "data: {\"note\":\"a\ndata: b\",\"key\":\"v\"}\n\n"},
		{"with other fields between", "text/event-stream", "data: {\"note\":\"a\nid: 1\ndata: b\",\"key\":\"v\"}\n\n"},
		{"and data without a colon", "text/event-stream", "data: {\"note\":\"a\ndata\ndata: b\",\"key\":\"v\"}\n\n"},
		{"or texts of their own", "text/event-stream", "data: {\"key\":\"a\ndata: {\"key\":\"v\"}\n\n"},
		{"a carriage return between them", "text/event-stream", "data: {\"note\":\"a\rdata: b\",\"key\":\"v\"}\n\n"},
		{"which some take for text", "text/event-stream", "data: {\"note\":\"a\rb\",\"key\":\"v\"}\n\n"},
		{"a line of JSON that is no data", "text/event-stream", "id: 1\n{\"key\":\"v\"}\n\n"},
		{"or white space", "text/event-stream", "data: {\"note\":1,\r\"key\":\"v\"}\n\n"},
	} {
		for name, chunk := range map[string]func(io.Reader) io.Reader{
			"whole":        func(r io.Reader) io.Reader { return r },
			"byte by byte": iotest.OneByteReader,
		} {
			r, ok := NewRedactor([]string{"key", "a.c"}).Reader(chunk(strings.NewReader(c.sends)), c.media)
			require.True(t, ok)
			got, err := io.ReadAll(r)
			require.ErrorIs(t, err, ErrAnswer, "%s, %s", c.why, name)
			require.NotContains(t, string(got), "v", "%s, %s", c.why, name)
		}
	}
	got := redacted(t, []string{"key"}, "application/json", "{\"key\":\"a\nb\",\"b\":1}",
		func(r io.Reader) io.Reader { return r })
	require.Equal(t, `{"key":"[redacted]","b":1}`, got, "a hidden value is hidden to its quote")
}

func TestWhatCannotBeReadIsNotTakenForRedacted(t *testing.T) {
	for _, media := range []string{"", "text/plain", "application/octet-stream", "application/xml",
		"application/json; charset=utf-16", "a b"} {
		_, ok := NewRedactor([]string{"key"}).Reader(strings.NewReader(""), media)
		require.False(t, ok, media)
	}
	require.Nil(t, NewRedactor(nil))
}

// TestRedactingIsDecodingAndReplacing compares with an oracle that decodes the
// whole text.
func TestRedactingIsDecodingAndReplacing(t *testing.T) {
	words := rapid.SampledFrom([]string{"a", "b", "key", "K", "é", `"`, `\`, "a.b", ""})
	var value func(depth int) *rapid.Generator[any]
	value = func(depth int) *rapid.Generator[any] {
		leaf := rapid.OneOf(rapid.Map(words, func(s string) any { return s }),
			rapid.Map(rapid.Float64Range(-9, 9), func(f float64) any { return f }),
			rapid.Just[any](nil), rapid.Just[any](true))
		if depth == 0 {
			return leaf
		}
		return rapid.OneOf(leaf, rapid.Map(rapid.SliceOfN(value(depth-1), 0, 3), func(l []any) any { return l }),
			rapid.Map(rapid.MapOfN(words, value(depth-1), 0, 3), func(m map[string]any) any { return m }))
	}
	rapid.Check(t, func(t *rapid.T) {
		fields := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "key", "k", "é", "a.b", "a.key", "b.a.b"}), 1, 3).
			Draw(t, "fields")
		doc := value(4).Draw(t, "doc")
		text, err := json.MarshalIndent(doc, "", rapid.SampledFrom([]string{"", " "}).Draw(t, "indent"))
		require.NoError(t, err)
		var got, want any
		require.NoError(t, json.Unmarshal([]byte(redacted(t, fields, "application/json", string(text), iotest.HalfReader)),
			&got))
		require.NoError(t, json.Unmarshal(text, &want))
		require.Equal(t, without(want, fields, nil), got)
	})
}

// without is the oracle.
func without(v any, fields, at []string) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = without(v[i], fields, at)
		}
	case map[string]any:
		for name, inner := range v {
			here := strings.ToLower(name)
			path := append(append([]string(nil), at...), here)
			v[name] = without(inner, fields, path)
			for _, f := range fields {
				if f == here && !strings.Contains(f, ".") || strings.Contains(f, ".") && samePath(strings.Split(f, "."), path) {
					v[name] = Redacted
				}
			}
		}
	}
	return v
}

func samePath(a, b []string) bool { return strings.Join(a, "\x00") == strings.Join(b, "\x00") }

// TestNoReaderFindsAHiddenField puts answers together from pieces, broken ones too, and reads
// what comes through as readers do that take more than JSON has.
func TestNoReaderFindsAHiddenField(t *testing.T) {
	begins := rapid.SampledFrom([]string{"", "data: ", "\x1e"})
	pieces := rapid.SampledFrom([]string{
		`{"note":"a`, `b","key":"SECRET"}`, `{"key":"SECRET"}`, `{"key":"`, `{"a":{`, `"c":"SECRET"}}`,
		`{"a":{"c":"SECRET"}}`, `"`, "\\", " ", "\n", "\r", "\r\n", "\n\n",
		"data", "\ndata: ", "\rdata:", "\n\ndata: ", "\nid: 1", "\x1e",
	})
	readers := map[string][]func(string) []string{
		"application/json":     {all},
		"application/x-ndjson": {all, linesOf},
		"application/json-seq": {textsOf},
		"text/event-stream":    {dataOf},
	}
	rapid.Check(t, func(t *rapid.T) {
		sends := begins.Draw(t, "begins") + strings.Join(rapid.SliceOfN(pieces, 1, 8).Draw(t, "pieces"), "")
		for media, readers := range readers {
			r, ok := NewRedactor([]string{"key", "a.c"}).Reader(strings.NewReader(sends), media)
			require.True(t, ok)
			got, err := io.ReadAll(r)
			if err != nil {
				require.ErrorIs(t, err, ErrAnswer)
			}
			for _, read := range readers {
				for _, text := range read(string(got)) {
					d := json.NewDecoder(strings.NewReader(escapeLineEnds(text)))
					for v := any(nil); d.Decode(&v) == nil; v = nil {
						before, err := json.Marshal(v)
						require.NoError(t, err)
						after, err := json.Marshal(without(v, []string{"key", "a.c"}, nil))
						require.NoError(t, err)
						require.Equal(t, string(after), string(before), "%s: %q", media, got)
					}
				}
			}
		}
	})
}

func all(s string) []string { return []string{s} }

func linesOf(s string) []string { return strings.Split(s, "\n") }

func textsOf(s string) []string { return strings.Split(s, "\x1e") }

// dataOf reads server-sent events.
func dataOf(s string) []string {
	s = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(s)
	var texts []string
	for _, event := range strings.Split(s, "\n\n") {
		var data []string
		for _, line := range strings.Split(event, "\n") {
			if text, ok := strings.CutPrefix(line, "data:"); ok {
				data = append(data, text)
			}
		}
		texts = append(texts, strings.Join(data, "\n"))
	}
	return texts
}

// escapeLineEnds makes JSON of a text with line ends in strings, as a reader that takes them does.
func escapeLineEnds(s string) string {
	var out strings.Builder
	inString := false
	for i := 0; i < len(s); i++ {
		switch {
		case inString && s[i] == '\\' && i+1 < len(s) && s[i+1] != '\n' && s[i+1] != '\r':
			out.WriteByte(s[i])
			i++
		case inString && (s[i] == '\n' || s[i] == '\r'):
			out.WriteString("\\n")
			continue
		case s[i] == '"':
			inString = !inString
		}
		out.WriteByte(s[i])
	}
	return out.String()
}
