package template

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func values(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	}
}

func TestExpand(t *testing.T) {
	for _, c := range []struct {
		why, text, want string
		present         bool
		err             error
	}{
		{"no field", "2023-06-01", "2023-06-01", true, nil},
		{"nothing", "", "", true, nil},
		{"a field", "Bearer {a}", "Bearer one", true, nil},
		{"two, and one twice", "{a}:{b}:{a}", "one:{a}:one", true, nil},
		{"an optional one that has a value", "x{a?}", "xone", true, nil},
		{"an optional one that has none", "x{c?}", "", false, nil},
		{"a required one that has none", "x{c}", "", false, ErrMissing},
		{"a required one that has none, behind an optional one", "{d?}{c}", "", false, ErrMissing},
	} {
		tmpl, err := Parse(c.text)
		require.NoError(t, err, c.why)
		got, present, err := tmpl.Expand(values("a", "one", "b", "{a}"))
		require.ErrorIs(t, err, c.err, c.why)
		require.Equal(t, c.present, present, c.why)
		require.Equal(t, c.want, got, c.why)
	}
}

func TestMalformedTemplatesAreRefusedUnquoted(t *testing.T) {
	for _, text := range []string{
		"{", "}", "{}", "{?}", "{a", "a}", "{{a}}", "{a b}", "{a}}", "{a.b}", "{1a}", "{a??}", "{?a}", "{é}",
		"{" + strings.Repeat("a", 65) + "}",
		"é", "a\tb", "a\r\nb", "\x00", "\x7f", strings.Repeat("a", MaxBytes+1),
	} {
		_, err := Parse(text)
		require.Error(t, err, "%q", text)
		if len(text) > 3 {
			require.NotContains(t, err.Error(), text)
		}
	}
	_, err := Parse("a\nb")
	require.ErrorIs(t, err, errBytes)
	_, err = ParseLines("{a}\n{b}")
	require.NoError(t, err)
	_, err = ParseLines("{a}\r{b}")
	require.ErrorIs(t, err, errBytes)
}

func TestFieldsAreEachNamedOnce(t *testing.T) {
	tmpl, err := Parse("{a?} {b} {a} {c?} {c?}")
	require.NoError(t, err)
	require.Equal(t, []Field{{"a", false}, {"b", false}, {"c", true}}, tmpl.Fields())
}

// FuzzExpand compares with plain replacement of text, one field at a time.
func FuzzExpand(f *testing.F) {
	for _, seed := range []string{"Bearer {key}", "{key}{key}", "{user}:{key}", "{{key}}", "{key", "plain", "{other?}"} {
		f.Add(seed, "value")
	}
	f.Fuzz(func(t *testing.T, text, value string) {
		tmpl, err := Parse(text)
		if err != nil {
			return
		}
		got, present, err := tmpl.Expand(values("key", value))
		needs, offers := false, false
		for _, field := range tmpl.Fields() {
			if field.Name != "key" {
				needs, offers = needs || !field.Optional, offers || field.Optional
			}
		}
		switch {
		case needs != (err != nil):
			t.Fatalf("%q: needs another field: %v, error %v", text, needs, err)
		case needs:
		case present == offers:
			t.Fatalf("%q: present %v", text, present)
		case present:
			if want := strings.ReplaceAll(strings.ReplaceAll(text, "{key}", value), "{key?}", value); !strings.Contains(value,
				"{key") && got != want {
				t.Fatalf("%q: %q, want %q", text, got, want)
			}
		}
	})
}
