package command

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

// TestASecretIsStoredToTheByteOrNotAtAll gives values to every way in, that of
// which no other may be made.
func TestASecretIsStoredToTheByteOrNotAtAll(t *testing.T) {
	d := at(t)
	for _, tc := range []struct{ why, value, says string }{
		{"Latin-1", "canary-caf\xe9", "is not UTF-8"},
		{"a surrogate in UTF-8's clothes", "canary\xed\xa0\x80", "is not UTF-8"},
		{"UTF-16 of Windows", "\xff\xfec\x00a\x00n\x00a\x00r\x00y\x00", "UTF-16"},
		{"UTF-16 of others", "\xfe\xff\x00c\x00a\x00n\x00a\x00r\x00y", "UTF-16"},
		{"UTF-16 without a mark", "c\x00a\x00n\x00a\x00r\x00y\x00", "NUL"},
		{"a byte order mark", "\ufeffcanary", "byte order mark"},
		{"bytes", "canary\x80\x81\xff", "is not UTF-8"},
	} {
		require.NoError(t, os.WriteFile("value", []byte(tc.value), 0o600))
		for in, args := range map[string][]string{
			"":                {"secrets", "create", "--name", "KEY", "--scope", "global", "--value-file", "value"},
			tc.value:          {"secrets", "create", "--name", "KEY", "--scope", "global"},
			tc.value + "\n":   {"vault", "set", "a/b"},
			tc.value + "\r\n": {"vault", "set", "a/b", "--multiline"},
			tc.value + "\nA":  {"vault", "set", "a/b", "--totp"},
		} {
			got := d.run(in, args...)
			require.Equal(t, exitUsage, got.code, "%s, %v: %s", tc.why, args, got.stderr)
			require.Contains(t, got.stderr, tc.says, "%s, %v", tc.why, args)
			require.NotContains(t, got.stderr, "canary", tc.why)
		}
	}
	for _, args := range [][]string{
		{"secrets", "create", "--name", "KEY", "--scope", "global", "--value", "canary\xe9"},
		{"secrets", "import", "--scope", "global", "--entry", "KEY=canary\xe9"},
		{"vault", "set", "a/b", "--no-password", "--notes", "canary\xe9"},
		{"vault", "set", "a/b", "--no-password", "--username", "canary\xe9"},
		{"ai", "add", "a", "--provider", "openai", "--label", "canary\xe9"},
		{"vault", "get", "canary\xe9"},
		{"storage", "list", "canary\xe9"},
	} {
		got := d.run("x", args...)
		require.NotZero(t, got.code, "%v", args)
		require.NotContains(t, got.stderr, "\ufffd", "%v", args)
	}
	require.Empty(t, d.do("secrets", "list", "--output", "id"), "nothing was stored")
	require.Empty(t, d.do("vault", "list", "--output", "key"), "nothing was stored")
}

func TestLinesToImportAreTextOrRefusedByTheirNumber(t *testing.T) {
	d := at(t)
	for _, tc := range []struct{ why, text, says string }{
		{"Latin-1", "A=1\nB=canary\xe9\n", "line 2 is not UTF-8"},
		{"a NUL", "A=1\n\nB=canary\x00", "line 3 is not UTF-8"},
		{"UTF-16", "\xff\xfeA\x00=\x001\x00\n\x00", "UTF-16"},
	} {
		require.NoError(t, os.WriteFile(".env", []byte(tc.text), 0o600))
		for in, args := range map[string][]string{"": {".env"}, tc.text: nil} {
			got := d.run(in, append([]string{"secrets", "import", "--scope", "global"}, args...)...)
			require.Equal(t, exitUsage, got.code, tc.why)
			require.Contains(t, got.stderr, tc.says, tc.why)
			require.NotContains(t, got.stderr, "canary", tc.why)
		}
	}
	require.Empty(t, d.do("secrets", "list", "--output", "id"))
	d.run("\ufeffA=1\r\n", "secrets", "import", "--scope", "global").good(t)
	require.Equal(t, "A\n", d.do("secrets", "list", "--output", "name"), "the mark of a file is no part of a name")
}

// TestALineEndIsNoPartOfAPassword keeps what only looks like one.
func TestALineEndIsNoPartOfAPassword(t *testing.T) {
	d := at(t)
	for in, want := range map[string]string{
		"a": "a", "a\n": "a", "a\r\n": "a", "a\r": "a\r", " a\t": " a\t", "a\r\r\n": "a\r", "é": "é",
		"e\u0301\n": "e\u0301", "<&>": "<&>", `\ud800`: `\ud800`,
	} {
		d.run(in, "vault", "set", "k").good(t)
		got, err := d.client.Vault.Get(t.Context(), "k")
		require.NoError(t, err)
		require.True(t, got.Password.Equal(bctrl.NewSecret(want)), "%q was stored as something else", in)
		d.run(in, "vault", "set", "k", "--multiline").good(t)
		got, err = d.client.Vault.Get(t.Context(), "k")
		require.NoError(t, err)
		require.True(t, got.Password.Equal(bctrl.NewSecret(in)), "%q was stored as something else", in)
	}
}

// TestWhatAPromptDropsIsRefused types what the editor of a terminal leaves out
// without a word.
func TestWhatAPromptDropsIsRefused(t *testing.T) {
	d := at(t)
	for why, keys := range map[string]string{
		"Latin-1": "hunter\xe9", "a tab": "hunter\t2", "a control character": "hunter\x072",
		"U+FFFD, which it takes for none": "hunter\ufffd",
		"too long":                        strings.Repeat("h", longestTyped+1),
	} {
		s := d.sitting("vault", "set", "a/b")
		s.sees("Password: ")
		s.types(keys + "\r")
		code, rest := s.ends()
		require.Equal(t, exitUsage, code, "%s: %s", why, rest)
		require.Contains(t, rest, "give it on standard input", why)
		require.NotContains(t, rest, "hunter", why)
	}
	require.Empty(t, d.do("vault", "list", "--output", "key"))
	s := d.sitting("vault", "set", "a/b")
	s.sees("Password: ")
	s.types("x\x15hunterr\x7f\x1b[Dü\x05é\r") // begun again, one taken back, one put before the last
	code, rest := s.ends()
	require.Zero(t, code, rest)
	got, err := d.client.Vault.Get(t.Context(), "a/b")
	require.NoError(t, err)
	require.True(t, got.Password.Equal(bctrl.NewSecret("hunteüré")))
}
