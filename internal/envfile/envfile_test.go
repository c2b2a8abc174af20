package envfile

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestALineIsReadAsAShellReadsIt(t *testing.T) {
	for _, test := range []struct {
		why, text string
		want      []Entry
	}{
		{"nothing", "", nil},
		{"blank lines and comments", "\n  \n# A=1\n\t# B=2\n", nil},
		{"a value is up to the end of its line", "A=1", []Entry{{1, "A", "1"}}},
		{"an = may be in a value", "A=b=c==", []Entry{{1, "A", "b=c=="}}},
		{"spaces around are no part", "  A = 1 \t\n", []Entry{{1, "A", "1"}}},
		{"spaces within are", "A=one two", []Entry{{1, "A", "one two"}}},
		{"export is no part of the name", "export A=1\n\texport\tB=2", []Entry{{1, "A", "1"}, {2, "B", "2"}}},
		{"export may be a name", "export=1\nexport =2", []Entry{{1, "export", "1"}, {2, "export", "2"}}},
		{"CRLF ends a line", "A=1\r\nB=2\r\n", []Entry{{1, "A", "1"}, {2, "B", "2"}}},
		{"a byte order mark is no part", "\ufeffA=1", []Entry{{1, "A", "1"}}},
		{"nothing is a value", "A=\nB= \nC=''\nD=\"\" # none", []Entry{{1, "A", ""}, {2, "B", ""}, {3, "C", ""},
			{4, "D", ""}}},
		{"a comment after a space", "A=1 # one\nB=1# one\nC= # none\nD=#one", []Entry{{1, "A", "1"}, {2, "B", "1# one"},
			{3, "C", ""}, {4, "D", "#one"}}},
		{"single quotes hold all", `A='a "b" $c \n # d' # e`, []Entry{{1, "A", `a "b" $c \n # d`}}},
		{"backticks hold all, as dotenv has them", "A=`a \"b\" 'c' $d \\n # e` # f\nB=`-\n-`\nC=``",
			[]Entry{{1, "A", `a "b" 'c' $d \n # e`}, {2, "B", "-\n-"}, {4, "C", ""}}},
		{"backticks inside are as they stand", "A=a`b`\nB='`c`'\nC=\"`\"", []Entry{{1, "A", "a`b`"}, {2, "B", "`c`"},
			{3, "C", "`"}}},
		{"double quotes have escapes", `A="a 'b' $c \$c \n\r\t\\\" # d"`, []Entry{{1, "A", "a 'b' $c $c \n\r\t\\\" # d"}}},
		{"quotes inside are as they stand", `A=a"b"`, []Entry{{1, "A", `a"b"`}}},
		{"a quoted value goes over lines", "A=\"-----\nx\n-----\n\"\nB='\n'\nC=1", []Entry{{1, "A", "-----\nx\n-----\n"},
			{5, "B", "\n"}, {7, "C", "1"}}},
		{"any letters are in a value", "A=schlüssel 🔑", []Entry{{1, "A", "schlüssel 🔑"}}},
		{"who stores it checks the name", "1.A-b=1", []Entry{{1, "1.A-b", "1"}}},
	} {
		got, err := Parse(test.text)
		require.NoError(t, err, test.why)
		require.Equal(t, test.want, got, test.why)
	}
}

func TestALineThatIsNotUnderstoodIsRefusedByItsNumber(t *testing.T) {
	const secret = "hunter2"
	for _, test := range []struct {
		why, text string
		line      int
	}{
		{"no assignment", "A=1\n" + secret, 2},
		{"no name", "A=1\n\n=" + secret, 3},
		{"a name with a space", "A B=" + secret, 1},
		{"a name with a sign", "A$" + secret + "=1", 1},
		{"a name in letters beyond ASCII", "Ä=" + secret, 1},
		{"a quoted name", "'A'=" + secret, 1},
		{"export alone", "export", 1},
		{"a quote that is not closed, by where it opens", "A=1\nB='" + secret + "\nC=1\n", 2},
		{"a backtick that is not closed", "A=1\nB=`" + secret + "\n", 2},
		{"text after a backtick", "B=`x`" + secret, 1},
		{"text after a quote", "B=\"x\ny\" " + secret, 2},
		{"text right after a quote", `B='x'` + secret, 1},
		{"a sign that begins no comment", `B='x'#` + secret, 1},
		{"an unknown escape", `B="\x` + secret + `"`, 1},
		{"an escape that ends the text", `B="` + secret + `\`, 1},
		{"a carriage return in a line", "A=x\r" + secret + "\nB=1", 1},
	} {
		entries, err := Parse(test.text)
		var e *Error
		require.ErrorAs(t, err, &e, test.why)
		require.Equal(t, test.line, e.Line, test.why)
		require.NotContains(t, err.Error(), secret, test.why)
		require.Empty(t, entries, test.why)
	}
}

func TestWhatIsQuotedIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.OneOf(rapid.String(), rapid.StringMatching("[\\\\\"'`$#\\n\\r\\t =a]{0,20}")).Draw(t, "value")
		before, after := rapid.IntRange(0, 3).Draw(t, "before"),
			rapid.SampledFrom([]string{"", "\n", "\r\n", " # c\nB=2\n"}).Draw(t, "after")
		got, err := Parse(strings.Repeat("#\n", before) + "A=" + Quote(value) + after)
		require.NoError(t, err)
		require.Equal(t, Entry{before + 1, "A", value}, got[0])
	})
}

func FuzzParse(f *testing.F) {
	f.Add("export A='1' # b\r\nB=\"\\n\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		entries, err := Parse(text)
		if err != nil {
			return
		}
		var b strings.Builder
		for _, e := range entries {
			b.WriteString(e.Name + "=" + Quote(e.Value) + "\n")
		}
		again, err := Parse(b.String())
		require.NoError(t, err)
		require.Len(t, again, len(entries))
		for i := range again {
			require.Equal(t, entries[i].Name, again[i].Name)
			require.Equal(t, entries[i].Value, again[i].Value)
		}
	})
}
