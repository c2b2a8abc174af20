package command

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

// People are shown names, programs ids.
func TestPeopleAreShownNamesAndProgramsIDs(t *testing.T) {
	d := furnished(t)
	ids := regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`)
	token := d.do("secrets", "list", "--name", "GITHUB_TOKEN", "--output", "id")
	other := d.do("secrets", "list", "--name", "ACME_KEY", "--output", "id")
	_, err := d.client.Capabilities.Bind(t.Context(), bctrl.Binding{
		Credential: "acme-key", SecretRef: "vault:secret:" + other[:36], Scope: bctrl.InGroup("sales", "emea"),
	})
	require.NoError(t, err)

	bindings := d.do("capability", "bindings")
	require.Contains(t, bindings, "group(sales, emea)")
	require.Contains(t, bindings, "ACME_KEY")
	require.NotRegexp(t, ids, bindings)
	require.NotRegexp(t, ids, d.do("credential", "list"))
	require.NotRegexp(t, ids, d.do("credential", "get", "acme-key"))
	require.Contains(t, d.do("secrets", "get", "--id", token[:36]), "workspace(sales)")
	require.NotRegexp(t, ids, d.do("capability", "list"))
	require.Regexp(t, ids, d.do("capability", "bindings", "--json"), "programs")
	require.Regexp(t, ids, d.do("capability", "bindings", "--output", "scope"))

	d.do("invoke", "github/repos", "--workspace-id", "sales", "--group-id", "emea", "--path", "/repos/acme/site")
	shown := d.do("audit", "tail", "--capability", "github/repos", "--workspace", "sales", "-n", "1")
	require.Regexp(t, `in sales, group emea  by key:\S+  with github\S* \(workspace\)  GET api.github.com`, shown)
	require.NotRegexp(t, ids, shown)
	require.Regexp(t, ids, d.do("audit", "tail", "--capability", "github/repos", "--output", "workspaceId,caller"))

	_, err = d.client.Capabilities.Bind(t.Context(), bctrl.Binding{
		Capability: "github/repos", SecretRef: "vault:secret:" + other[:36], Scope: bctrl.InGroup("sales", "emea"),
	})
	require.NoError(t, err)
	d.run("", "invoke", "github/repos", "--workspace-id", "sales", "--group-id", "emea", "--path", "/repos/acme/site")
	require.Contains(t, d.do("audit", "tail", "--capability", "github/repos", "-n", "1"), ", bound token ACME_KEY (group)")
	require.NotRegexp(t, ids, d.do("audit", "tail", "--action", "secret.write"), "secrets by name")

	none := d.run("", "audit", "tail", "--workspace", "nobody")
	require.NotZero(t, none.code)
}

// An error says which command helps.
func TestWhatIsMissingIsSaidWithTheCommandThatMakesIt(t *testing.T) {
	d := at(t)
	for _, c := range []struct {
		why  string
		args []string
		want string
	}{
		{"a workspace", []string{"secrets", "create", "--name", "A", "--workspace-id", "none", "--value", "v"},
			"bctrl workspace list"},
		{"a secret", []string{"invoke", "github/repos", "--path", "/repos/acme/site"},
			"bctrl secrets create --name GITHUB_TOKEN --scope global"},
		{"two", []string{"invoke", "trello/boards", "--path", "/1/boards/x"},
			"bctrl secrets create --name TRELLO_TOKEN --scope global"},
	} {
		got := d.run("", c.args...)
		require.NotZero(t, got.code, c.why)
		require.Contains(t, got.stderr, c.want, c.why)
	}
}
