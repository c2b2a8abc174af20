package command

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

func TestALoginMovesByAFile(t *testing.T) {
	d := at(t)
	const phrase = "canary horse battery"
	require.NoError(t, os.WriteFile("cookies.json", []byte(
		`[{"name": "sid", "value": "canary-cookie", "domain": "app.example.com", "expires": -1, "sameSite": "Lax"},
		  {"name": "old", "value": "canary-cookie", "domain": "app.example.com", "expires": 1000}]`), 0o600))
	require.NoError(t, os.WriteFile("bad.json", []byte(
		`[{"name": "sid", "value": "canary-cookie", "domain": "https://app.example.com"}]`), 0o600))
	require.NoError(t, os.WriteFile("none.json", []byte(`canary-cookie`), 0o600))
	d.do("profile", "create", "from")
	d.do("profile", "create", "to")
	done := d.do("profile", "import", "from", "cookies.json", "--output", "imported,expired,cookies")
	require.Equal(t, "1\t1\t1\n", done)
	got := d.run(phrase+"\n", "profile", "export", "from", "from.cookies")
	require.Equal(t, 0, got.code, got.stderr)
	require.Contains(t, got.stderr, "Wrote 1 cookie to from.cookies.")
	bundle, err := os.ReadFile("from.cookies")
	require.NoError(t, err)
	require.NotContains(t, string(bundle), "canary")
	require.NoError(t, os.WriteFile("cut", bundle[:len(bundle)-1], 0o600))

	got = d.run(phrase+"\n", "profile", "import", "to", "from.cookies", "--replace", "--output", "cookies")
	require.Equal(t, "1\n", got.stdout, got.stderr)
	ws, err := d.client.Workspaces.Create(t.Context(), bctrl.WorkspaceCreate{Name: "w"})
	require.NoError(t, err)
	_, err = ws.Runtimes.Browser("a").Stagehand(t.Context(), bctrl.Launch{Mode: bctrl.ModeProfile, ProfileID: "to"})
	require.NoError(t, err)
	require.Equal(t, "to\t1\n", d.do("profile", "save", "w/a", "--output", "profileId,cookies"))

	for _, tc := range []struct {
		why, in string
		args    []string
		says    string
		code    int
	}{
		{"another passphrase", "canary horse batterx", []string{"import", "from", "from.cookies"},
			"profiles.wrong_passphrase", exitUsage},
		{"a file that was cut", phrase, []string{"import", "from", "cut"}, "profiles.bundle_damaged", exitUsage},
		{"both from standard input", string(bundle), []string{"import", "from", "-"}, "name its file", exitUsage},
		{"a domain that is none", "", []string{"import", "from", "bad.json"}, "cookies[0].domain", exitUsage},
		{"no cookies", "", []string{"import", "from", "none.json"}, "profiles.invalid_cookies", exitUsage},
		{"no file", "", []string{"import", "from", "nothing"}, "no such file", exitUsage},
		{"a profile in use", "", []string{"import", "to", "cookies.json"}, "profiles.in_use", exitFailed},
		{"a short passphrase", "short", []string{"export", "from", "another"}, "profiles.invalid_passphrase", exitUsage},
		{"no passphrase", "", []string{"export", "from", "another"}, "the new passphrase is empty", exitUsage},
		{"a file that is there", phrase, []string{"export", "from", "from.cookies"}, "is there already", exitUsage},
		{"no profile", phrase, []string{"export", "nobody", "another"}, "profiles.not_found", exitNotFound},
		{"a runtime without a profile", "", []string{"save", "w/b"}, "runtimes.not_found", exitNotFound},
		{"a profile that is deleted while in use", "", []string{"delete", "to"}, "profiles.in_use", exitFailed},
	} {
		got := d.run(tc.in, append([]string{"profile"}, tc.args...)...)
		require.Equal(t, tc.code, got.code, "%s: %s", tc.why, got.stderr)
		require.Contains(t, got.stderr, tc.says, tc.why)
		require.NotContains(t, got.stdout+got.stderr, "canary", tc.why)
	}
	require.NoFileExists(t, "another", "a refusal leaves no file")
}
