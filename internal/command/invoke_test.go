package command

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestInvokeTellsTheProvidersErrorsFromItsOwn(t *testing.T) {
	d := furnished(t)
	site := []string{"--workspace-id", "sales", "--path", "/repos/acme/site"}
	for _, c := range []struct {
		why            string
		args           []string
		code           int
		stdout, stderr string
	}{
		{"well", append([]string{"invoke", "github/repos"}, site...), 0, `{"full_name":"acme/site"`, ""},
		{"streamed", append([]string{"invoke", "github/repos", "--stream"}, site...), 0, `{"full_name":"acme/site"`, ""},
		{"the provider's 404", []string{"invoke", "github/repos", "--workspace-id", "sales", "--path", "/repos/acme/none"},
			exitFailed, `{"message":"Not Found"}`, "the provider answered 404 Not Found"},
		{"the provider's 404, as JSON", []string{"json", "github/repos", "--workspace-id", "sales", "--path",
			"/repos/acme/none"}, exitFailed, "{\n  \"message\": \"Not Found\"\n}\n", "404"},
		{"no credential there", []string{"invoke", "github/repos", "--path", "/repos/acme/site"}, exitNotFound, "",
			"credentials.none"},
		{"no capability", []string{"invoke", "github/nothing", "--path", "/repos/acme/site"}, exitNotFound, "",
			"capabilities.not_found"},
		{"a path", []string{"invoke", "github/repos", "--workspace-id", "sales", "--path", "/user"}, exitDenied, "",
			"invoke.path_not_allowed"},
		{"a path that climbs", []string{"invoke", "github/repos", "--workspace-id", "sales", "--path", "/repos/../user"},
			exitUsage, "", "invoke.path_refused"},
		{"a header", append([]string{"invoke", "github/repos", "--header", "Authorization: Bearer x"}, site...), exitUsage,
			"", "invoke.auth_refused"},
		{"no header", append([]string{"invoke", "github/repos", "--header", "x"}, site...), exitUsage, "",
			"want \"Name: value\""},
		{"a header twice", append([]string{"invoke", "github/repos", "--header", "A: 1", "--header", "a: 2"}, site...),
			exitUsage, "", "invoke.repeated_header"},
		{"two bodies", append([]string{"invoke", "github/repos", "--body", "{}", "--multipart-field", "a=b"}, site...),
			exitUsage, "", "body"},
		{"a time beyond all times", append([]string{"invoke", "github/repos", "--timeout-ms", "18446744073710"}, site...),
			exitUsage, "", "--timeout-ms"},
		{"a group alone", []string{"invoke", "github/repos", "--group-id", "g"}, exitUsage, "",
			"scope.group_without_workspace"},
		{"a file that is not there", []string{"invoke", "github/repos", "--body-file", "none"}, exitUsage, "", "none"},
	} {
		t.Run(c.why, func(t *testing.T) {
			got := d.run("", c.args...)
			require.Equal(t, c.code, got.code, got.stderr)
			require.Contains(t, got.stdout, c.stdout)
			require.Contains(t, got.stderr, c.stderr)
		})
	}
}

func TestInvokeTakesAWholeRequest(t *testing.T) {
	d := furnished(t)
	require.NoError(t, os.WriteFile("request.json", []byte(`{"path": "/repos/acme/site", "method": "GET", "context": `+
		`{"type": "workspace", "workspaceId": "sales"}}`), 0o600))
	require.Contains(t, d.do("invoke", "github/repos", "--request-file", "request.json"), "acme/site")
	require.Contains(t, d.do("invoke", "github/repos", "--workspace-id", "sales", "--request",
		`{"path": "/repos/acme/site?page=2"}`), "acme/site")
	got := d.run("", "invoke", "github/repos", "--request", `{"url": "https://evil.example/"}`)
	require.Equal(t, exitUsage, got.code)
	require.Contains(t, got.stderr, "url")
	require.NoError(t, os.WriteFile("empty.json", nil, 0o600))
	for _, flags := range [][]string{{"--request-file", "empty.json"}, {"--request-file", ""}, {"--request", ""},
		{"--body-file", ""}} {
		got := d.run("", append([]string{"invoke", "github/repos", "--path", "/repos/acme/empty"}, flags...)...)
		require.Equal(t, exitUsage, got.code, "%q: what was meant is not there", flags)
	}
	require.NotContains(t, d.do("audit", "export"), "/repos/acme/empty")

	calls := d.do("audit", "tail", "--capability", "github/repos", "--output", "credential,method,host,path,status")
	require.Contains(t, calls, "api.github.com\t/repos/{owner}/{repo}\t200\n")
}

func TestMarkdownKeepsTheOrderAndTheLinesOfAnAnswer(t *testing.T) {
	for _, c := range []struct {
		why  string
		m    markdown
		in   string
		want string
	}{
		{"fields", markdown{}, `{"b":1,"a":"x","n":null,"t":true,"big":12345678901234567890}`,
			"- **b**: 1\n- **a**: x\n- **n**: null\n- **t**: true\n- **big**: 12345678901234567890\n"},
		{"nested", markdown{}, `{"a":{"b":["x",{"c":1}]},"e":[],"o":{}}`,
			"- **a**:\n  - **b**:\n    - x\n    -\n      - **c**: 1\n- **e**: []\n- **o**: {}\n"},
		{"lines", markdown{}, `{"a":"x\ny"}`, "- **a**:\n\n  x\n  y\n\n"},
		{"a list", markdown{}, `[1,"x"]`, "- 1\n- x\n"},
		{"a text", markdown{}, `"x"`, "x\n"},
		{"no JSON", markdown{}, "# Title\n\ntext\n", "# Title\n\ntext\n"},
		{"an excluded field", markdown{exclude: []string{"usage"}}, `{"usage":{"n":1},"a":{"usage":2,"b":3}}`,
			"- **a**:\n  - **b**: 3\n"},
		{"a wrapped field", markdown{wrap: []string{"content"}}, `{"content":"# a\n` + "```" + `\nb"}`,
			"- **content**:\n\n````\n# a\n```\nb\n````\n\n"},
		{"a namespace", markdown{namespace: "data"}, `{"a":1}`, "<begin data>\n- **a**: 1\n</end data>\n"},
		{"what steers a terminal", markdown{}, `{"a":"\u001b[2J"}`, "- **a**: \\u001b[2J\n"},
	} {
		require.Equal(t, c.want, c.m.text([]byte(c.in)), c.why)
	}
}
