package scrub

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"unicode/utf16"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/bctrl-go/bctrl"
)

// encodings are the ways in which a value may come back.
var encodings = map[string]func(string) string{
	"raw":                  func(v string) string { return v },
	"json":                 func(v string) string { b, _ := json.Marshal(v); return string(b[1 : len(b)-1]) },
	"json slashes":         func(v string) string { return strings.ReplaceAll(v, "/", `\/`) },
	"query":                url.QueryEscape,
	"path":                 url.PathEscape,
	"every percent":        func(v string) string { return perByte(v, "%%%02X") },
	"every percent'":       func(v string) string { return perByte(v, "%%%02x") },
	"every x":              func(v string) string { return perByte(v, `\x%02x`) },
	"html":                 html.EscapeString,
	"hex":                  func(v string) string { return hex.EncodeToString([]byte(v)) },
	"HEX":                  func(v string) string { return strings.ToUpper(hex.EncodeToString([]byte(v))) },
	"base64":               func(v string) string { return base64.StdEncoding.EncodeToString([]byte(v)) },
	"base64 url":           func(v string) string { return base64.URLEncoding.EncodeToString([]byte(v)) },
	"basic auth":           func(v string) string { return base64.StdEncoding.EncodeToString([]byte("user:" + v + "\n")) },
	"base64 mid":           func(v string) string { return base64.StdEncoding.EncodeToString([]byte("ab" + v + "cd")) },
	"x escaped once more":  func(v string) string { return perByte(v, `\\x%02x`) },
	"percent once more":    func(v string) string { return perByte(v, "%%25%02X") },
	"octal":                func(v string) string { return perByte(v, `\%03o`) },
	"quoted printable":     func(v string) string { return perByte(v, "=%02X") },
	"decimal entities":     func(v string) string { return perRune(v, "&#%d;") },
	"zeros in entities":    func(v string) string { return perRune(v, "&#%03d;") },
	"hexadecimal entities": func(v string) string { return perRune(v, "&#X%X;") },
	"entities once more":   func(v string) string { return perRune(v, "&amp;#x%x;") },
	"u in braces":          func(v string) string { return perRune(v, `\u{%x}`) },
	"large U":              func(v string) string { return perRune(v, `\U%08x`) },
	"json in json": func(v string) string {
		inner, _ := json.Marshal(v)
		outer, _ := json.Marshal(string(inner))
		return string(outer[3 : len(outer)-3])
	},
	"base64, slashes escaped": func(v string) string {
		return strings.ReplaceAll(base64.StdEncoding.EncodeToString([]byte(v)), "/", `\/`)
	},
	"base64, in a query": func(v string) string { return url.QueryEscape(base64.StdEncoding.EncodeToString([]byte(v))) },
	"base64, wrapped":    func(v string) string { return wrap(base64.StdEncoding.EncodeToString([]byte(v)), "\r\n") },
	"base64, wrapped in JSON": func(v string) string {
		return wrap(base64.StdEncoding.EncodeToString([]byte("user:"+v)), `\n`)
	},
	"utf-16le": func(v string) string { return utf16Of(v, binary.LittleEndian) },
	"utf-16be": func(v string) string { return utf16Of(v, binary.BigEndian) },
	"json in utf-16": func(v string) string {
		b, _ := json.Marshal(v)
		return utf16Of(string(b[1:len(b)-1]), binary.BigEndian)
	},
	"base64 in utf-16": func(v string) string {
		return utf16Of(base64.StdEncoding.EncodeToString([]byte(v)), binary.LittleEndian)
	},
	"hex in utf-16":      func(v string) string { return utf16Of(hex.EncodeToString([]byte(v)), binary.LittleEndian) },
	"percents in utf-16": func(v string) string { return utf16Of(perByte(v, "%%%02X"), binary.BigEndian) },
	"u escapes": func(v string) string {
		var b strings.Builder
		for _, r := range v {
			if r < 0x10000 {
				fmt.Fprintf(&b, `\u%04X`, r)
			} else {
				b.WriteString(string(r))
			}
		}
		return b.String()
	},
}

func perRune(v, format string) string {
	var b strings.Builder
	for _, r := range v {
		fmt.Fprintf(&b, format, r)
	}
	return b.String()
}

func wrap(text, with string) string {
	var b strings.Builder
	for i := range len(text) {
		if i > 0 && i%5 == 0 {
			b.WriteString(with)
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

func utf16Of(text string, order binary.AppendByteOrder) string {
	var out []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		out = order.AppendUint16(out, unit)
	}
	return string(out)
}

func perByte(v, format string) string {
	var b strings.Builder
	for i := range len(v) {
		fmt.Fprintf(&b, format, v[i])
	}
	return b.String()
}

func TestAValueIsFoundInEveryEncoding(t *testing.T) {
	for _, value := range []string{
		"sk-proj-AbC_123-xyz", `p"a\ss/w+o&rd<>' %`, "pässwörd☃😀", "1234", "x\ny\tz\x01", `\\\\"`,
	} {
		set := New(bctrl.NewSecret(value))
		for name, encode := range encodings {
			text := encode(value)
			got := set.String("before " + text + " after")
			require.Contains(t, got, Mark, "%s of %q", name, value)
			require.True(t, strings.HasPrefix(got, "before "), "%s of %q: %q", name, value, got)
			require.NotContains(t, got, text, "%s of %q", name, value)
			require.True(t, set.Holds([]byte(text)))
		}
	}
}

func TestEscapesMayBeMixed(t *testing.T) {
	set := New(bctrl.NewSecret("hunter2/x"))
	require.Equal(t, Mark, set.String(`h%75\u006eter2\/x`))
}

func TestOrdinaryTextIsLeftAlone(t *testing.T) {
	set := New(bctrl.NewSecret("hunter2"), bctrl.NewSecret("abc"), bctrl.Secret{})
	for _, text := range []string{"", "hunter", "hunter3", "HUNTER2", "abc", `{"a":"\u0068"}`, "100 % + é"} {
		require.Equal(t, text, set.String(text))
		require.False(t, set.Holds([]byte(text)))
	}
	require.Equal(t, "hunter2", new(Set).String("hunter2"))
}

func TestTheLongerOfTwoValuesWins(t *testing.T) {
	set := New(bctrl.NewSecret("pass"), bctrl.NewSecret("password1"))
	require.Equal(t, Mark+"!", set.String("password1!"))
	require.Equal(t, Mark+"word", set.String("password"))
}

// TestAChunkBorderHidesNothing reads every split of every encoding.
func TestAChunkBorderHidesNothing(t *testing.T) {
	const value = `k"y/☃ sk-42`
	set := New(bctrl.NewSecret(value))
	for name, encode := range encodings {
		text := "data: " + encode(value) + " tail"
		whole := set.String(text)
		for cut := range len(text) {
			r := set.Reader(io.MultiReader(strings.NewReader(text[:cut]), strings.NewReader(text[cut:])))
			got, err := io.ReadAll(r)
			require.NoError(t, err)
			require.Equal(t, whole, string(got), "%s cut at %d", name, cut)
		}
		got, err := io.ReadAll(iotest.OneByteReader(set.Reader(iotest.OneByteReader(strings.NewReader(text)))))
		require.NoError(t, err)
		require.Equal(t, whole, string(got), name)
	}
}

func TestReaderEqualsStringForAnyText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.StringOfN(rapid.RuneFrom([]rune(`ab\"/%u0é`)), 4, 8, -1).Draw(t, "value")
		set := New(bctrl.NewSecret(value))
		parts := rapid.SliceOf(rapid.OneOf(
			rapid.StringOf(rapid.RuneFrom([]rune(`ab\"/%u0é `))),
			rapid.Custom(func(t *rapid.T) string {
				return encodings[rapid.SampledFrom([]string{"raw", "json", "query", "base64", "u escapes"}).Draw(t,
					"encoding")](value)
			}),
		)).Draw(t, "parts")
		text := strings.Join(parts, "")
		got, err := io.ReadAll(set.Reader(iotest.HalfReader(strings.NewReader(text))))
		if err != nil {
			t.Fatal(err)
		}
		if want := set.String(text); string(got) != want {
			t.Fatalf("reader %q, string %q", got, want)
		}
		if strings.Contains(string(got), value) {
			t.Fatalf("the value is still there")
		}
	})
}

// TestNothingIsSkipped: what is looked for is found where each pattern is tried at each place. Values have
// as few bytes as can be, in as few characters, or are no text; each character is spelled in a way of its own.
func TestNothingIsSkipped(t *testing.T) {
	characters := rapid.SampledFrom([][]string{
		{"a", "b", `\`, `"`, "/", "%", "u", "0", "é"}, {"0", "1", "2"}, {"😀"}, {"é", "ü"}, {"☃", "A", " "},
		{"\xff", "a"}, {"\n", `\`, "n", "r", "\r"}, {"&", "a", "m", "p", ";", "#", "x"}, {`\`}, {"\x00", "k"},
	})
	value := rapid.Custom(func(t *rapid.T) (value string) {
		some := characters.Draw(t, "characters")
		for least := rapid.IntRange(MinLength, 8).Draw(t, "bytes"); len(value) < least; {
			value += rapid.SampledFrom(some).Draw(t, "character")
		}
		return value
	})
	rapid.Check(t, func(t *rapid.T) {
		m := newMatcher(rapid.SliceOfN(value, 1, 4).Draw(t, "values"))
		m.worthPairs = 0
		var text []byte
		for range rapid.IntRange(1, 30).Draw(t, "parts") {
			text = append(text, rapid.StringOfN(rapid.SampledFrom([]rune(`\nru%&#;06 x`)), 0, 6, -1).Draw(t, "between")...)
			spelled := spelledAnew(t, rapid.SampledFrom(m.patterns).Draw(t, "pattern"))
			n, _ := m.at(spelled)
			require.NotZero(t, n, "%q", spelled)
			if rapid.Bool().Draw(t, "is cut") {
				spelled = spelled[:rapid.IntRange(0, len(spelled)).Draw(t, "cut")]
			}
			text = append(text, spelled...)
		}
		for rest := text; len(rest) > 0; { // from each match on, so that none hides the others
			end := rapid.Bool().Draw(t, "ends")
			wantAt, wantN, wantOpen := nextOfAll(m.patterns, rest, end)
			at, n, open := m.next(rest, end)
			if at != wantAt || n != wantN || open != wantOpen {
				t.Fatalf("%q: at %d of %d, open %t, want %d of %d, %t", rest, at, n, open, wantAt, wantN, wantOpen)
			}
			rest = rest[min(at+max(n, 1), len(rest)):]
		}
	})
}

// spelledAnew is a match of a pattern.
func spelledAnew(t *rapid.T, p pattern) (text []byte) {
	put := func(s spelling) {
		for _, b := range []byte(s.text) {
			if s.fold && rapid.Bool().Draw(t, "is in upper case") {
				b = upper(b)
			}
			text = append(text, b)
		}
	}
	if !p.escaped {
		put(spelling{p.text, p.fold})
		return text
	}
	for rest := p.text; rest != ""; {
		if p.wrapped && len(text) > 0 && rapid.Bool().Draw(t, "is broken") {
			put(rapid.SampledFrom(lineBreaks()[p.form].all).Draw(t, "break"))
		}
		c := nextChar(rest, p.form)
		put(rapid.SampledFrom(c.all).Draw(t, "spelling"))
		rest = rest[c.size:]
	}
	return text
}

// nextOfAll is [matcher.next] without leaving anything out.
func nextOfAll(patterns []pattern, text []byte, end bool) (at, longest int, open bool) {
	for at := range text {
		longest, open := 0, false
		for _, p := range patterns {
			n, more := p.match(text[at:])
			longest, open = max(longest, n), open || more
		}
		if open && !end {
			return at, 0, true
		}
		if longest > 0 {
			return at, longest, false
		}
	}
	return len(text), 0, false
}

func TestAStreamIsNotHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := New(bctrl.NewSecret("sk-0123456789abcdef"))
		pr, pw := io.Pipe()
		defer pr.Close()
		go func() { _, _ = pw.Write([]byte("data: {\"delta\":\"hello\"}\n\n")) }()
		buf := make([]byte, 100)
		n, err := set.Reader(pr).Read(buf) // deadlocks, and so fails, if it waits for more
		require.NoError(t, err)
		require.Equal(t, "data: {\"delta\":\"hello\"}\n\n", string(buf[:n]))
	})
}

// TestAMaskIsAsLongAsTheValue holds for every encoding and every split.
func TestAMaskIsAsLongAsTheValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.StringOfN(rapid.RuneFrom([]rune(`ab\"/%u0é`)), 4, 8, -1).Draw(t, "value")
		name := rapid.SampledFrom(slices.Sorted(maps.Keys(encodings))).Draw(t, "encoding")
		before := rapid.StringOf(rapid.RuneFrom([]rune(`xy `))).Draw(t, "before")
		text := before + encodings[name](value) + " after"
		got, err := io.ReadAll(New(bctrl.NewSecret(value)).Mask(iotest.HalfReader(strings.NewReader(text))))
		if err != nil || len(got) != len(text) {
			t.Fatalf("%d bytes of %d, %v", len(got), len(text), err)
		}
		if New(bctrl.NewSecret(value)).Holds(got) {
			t.Fatal("the value is still there")
		}
	})
}

func TestAFinderFindsWhatIsReplaced(t *testing.T) {
	set := New(bctrl.NewSecret("hunter2/x"))
	for name, encode := range encodings {
		text := "a " + encode("hunter2/x")
		for cut := range len(text) {
			f := set.Finder()
			_, _ = f.Write([]byte(text[:cut]))
			require.LessOrEqual(t, f.Open(), cut)
			_, _ = f.Write([]byte(text[cut:]))
			require.True(t, f.End(), "%s cut at %d", name, cut)
		}
	}
	f := set.Finder()
	_, _ = f.Write([]byte("hunter2/"))
	require.False(t, f.End())
}

func TestAReadErrorComesAfterTheText(t *testing.T) {
	broken := errors.New("broken")
	set := New(bctrl.NewSecret("hunter2"))
	got, err := io.ReadAll(set.Reader(io.MultiReader(strings.NewReader("text hunt"), iotest.ErrReader(broken))))
	require.ErrorIs(t, err, broken)
	require.Equal(t, "text ", string(got))
}

func TestNoPrinterShowsTheValues(t *testing.T) {
	set := New(bctrl.NewSecret("hunter2"))
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("set", "set", set)
	for _, text := range []string{fmt.Sprint(set), fmt.Sprintf("%+v %#v %q %x", set, set, set, set), log.String()} {
		require.NotContains(t, text, "hunter2")
		require.NotContains(t, text, hex.EncodeToString([]byte("hunter2")))
	}
}

func TestManyBackslashesStayCheap(t *testing.T) {
	set := New(bctrl.NewSecret(strings.Repeat(`\`, 64)))
	require.Contains(t, set.String(strings.Repeat(`\`, 20000)), Mark)
}

func BenchmarkString(b *testing.B) {
	set := New(bctrl.NewSecret("sk-proj-0123456789abcdefghijklmnopqrstuvwxyz"), bctrl.NewSecret("hunter2hunter2"),
		bctrl.NewSecret("123456"))
	text := strings.Repeat("[e12] link \"Pipeline of the first quarter\"\n", 1000)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		set.String(text)
	}
}
