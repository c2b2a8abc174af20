package template

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMatchIsTheReverseOfExpand(t *testing.T) {
	for _, c := range []struct {
		why, template, text string
		want                map[string]string // nil where it does not match
	}{
		{"a field alone", "{a}", "one", map[string]string{"a": "one"}},
		{"a scheme", "Bot {a}", "Bot one", map[string]string{"a": "one"}},
		{"a scheme in another case", "Bot {a}", "bot one", map[string]string{"a": "one"}},
		{"text on both sides", "x={a};v=1", "x=one;v=1", map[string]string{"a": "one"}},
		{"two fields", "{a}:{b}", "one:two:three", map[string]string{"a": "one", "b": "two:three"}},
		{"no field", "2023-06-01", "2023-06-01", map[string]string{}},
		{"the text means itself", "a.b{a}", "axbone", nil},
		{"another scheme", "Bot {a}", "Bearer one", nil},
		{"nothing in the field", "Bot {a}", "Bot ", nil},
		{"more than the template", "{a};v=1", "one;v=12", nil},
	} {
		tmpl, err := Parse(c.template)
		require.NoError(t, err, c.why)
		got, ok := tmpl.Match(c.text)
		require.Equal(t, c.want != nil, ok, c.why)
		require.Equal(t, c.want, got, c.why)
	}
}
