package command

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestASecretIsTakenFromWhereItIsSaidAndNeverShown(t *testing.T) {
	d := furnished(t)
	require.NoError(t, os.WriteFile("lf", []byte("canary-file\n"), 0o600))
	require.NoError(t, os.WriteFile("crlf", []byte("canary-file\r\n"), 0o600))
	for i, tc := range []struct {
		why, in string
		args    []string
	}{
		{"standard input", "canary-stdin", nil},
		{"a line end that closes it is no part", "canary-stdin\n", nil},
		{"lines in it are", "canary-stdin\nsecond\n", nil},
		{"a file", "not this", []string{"--value-file", "lf"}},
		{"a file of Windows", "", []string{"--value-file", "crlf"}},
		{"a flag", "", []string{"--value", "canary-flag"}},
	} {
		name := "KEY" + string(rune('A'+i))
		got := d.run(tc.in, append([]string{"secrets", "create", "--name", name, "--scope", "global"}, tc.args...)...)
		require.Equal(t, 0, got.code, "%s: %s", tc.why, got.stderr)
		require.NotContains(t, got.stdout+got.stderr, "canary", tc.why)
		require.Equal(t, len(tc.args) == 2 && tc.args[0] == "--value", strings.Contains(got.stderr, "Warning"), tc.why)
	}
	require.NotContains(t, d.do("secrets", "list", "-v"), "canary")
}

func TestWhatIsWrongWithASecretIsSaidBeforeItIsAskedFor(t *testing.T) {
	d := furnished(t)
	for _, tc := range []struct {
		why  string
		args []string
		says string
		code int
	}{
		{"no scope", []string{"create", "--name", "A"}, "say where it lives", exitUsage},
		{"a group without a workspace", []string{"create", "--name", "A", "--group-id", "g"}, "scope.group_without_workspace",
			exitUsage},
		{"a blank workspace", []string{"create", "--name", "A", "--workspace-id", " "}, "scope.blank_id", exitUsage},
		{"a global group", []string{"create", "--name", "A", "--scope", "global", "--group-id", "g"}, "no --workspace-id",
			exitUsage},
		{"a workspace's group", []string{"create", "--name", "A", "--scope", "workspace", "--workspace-id", "sales",
			"--group-id", "g"}, "no --group-id", exitUsage},
		{"an unknown scope", []string{"create", "--name", "A", "--scope", "team"}, "global, workspace or group", exitUsage},
		{"no name", []string{"create", "--scope", "global"}, "secrets.invalid_name", exitUsage},
		{"two values", []string{"create", "--name", "A", "--scope", "global", "--value", "canary", "--value-file", "f"},
			"value-file", exitUsage},
		{"a file that is not there", []string{"create", "--name", "A", "--scope", "global", "--value-file", "f"},
			"no such file", exitUsage},
		{"no value", []string{"create", "--name", "A", "--scope", "global", "--value", ""}, "--value is empty", exitUsage},
		{"an unknown workspace", []string{"create", "--name", "A", "--workspace-id", "salse", "--value", "canary"},
			"scope.workspace_not_found", exitNotFound},
		{"no id", []string{"rotate"}, "--id is missing", exitUsage},
		{"an id that is none", []string{"delete", "--id", "GITHUB_TOKEN"}, "request.invalid_id", exitUsage},
		{"nothing to change", []string{"update", "--id", someID}, "nothing to change", exitUsage},
		{"no group", []string{"attach-group", "--id", someID, "--workspace-id", "sales"}, "scope.blank_id", exitUsage},
		{"an entry without =", []string{"import", "--scope", "global", "--entry", "canary"}, "--entry 1", exitUsage},
		{"a malformed line", []string{"import", "--scope", "global"}, "line 2: there is no = after the name", exitUsage},
	} {
		got := d.run("A=1\ncanary\n", append([]string{"secrets"}, tc.args...)...)
		require.Equal(t, tc.code, got.code, "%s: %s", tc.why, got.stderr)
		require.Contains(t, got.stderr, tc.says, tc.why)
		require.NotContains(t, got.stdout+got.stderr, "canary", tc.why)
	}
	require.Len(t, strings.Fields(d.do("secrets", "list", "--output", "id")), 2, "nothing was stored")
}

func TestAnEntryIsTakenAsItStands(t *testing.T) {
	text, err := linesOf([]string{`A="q" $x #c\n`, "B=", "C=a=b\nc"})
	require.NoError(t, err)
	require.Equal(t, `A="\"q\" \$x #c\\n"`+"\nB=\"\"\nC=\"a=b\\nc\"\n", text)
}
