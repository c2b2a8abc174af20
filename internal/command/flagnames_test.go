package command

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestARefusalNamesTheFlagThatWasTyped and leaves the name of a field where a
// file has it.
func TestARefusalNamesTheFlagThatWasTyped(t *testing.T) {
	d := furnished(t)
	require.NoError(t, os.WriteFile("wrong.json", []byte(`{"vault": {"allow": ["prod//"]}}`), 0o600))
	require.NoError(t, os.WriteFile("no-schema.json", []byte(`{"type": "nothing"}`), 0o600))
	require.NoError(t, os.WriteFile("wrong.env", []byte("A=`x"), 0o600))
	for _, tc := range []struct{ line, says, not string }{
		{"workspace create a --allow-vault /prod/", "--allow-vault", "mounts.vault"},
		{"workspace create a --allow-vault prod/ --allow-vault prod//", "--allow-vault 2", "mounts.vault"},
		{"workspace create a --allow-vault prod/,x//", "--allow-vault 2", "mounts.vault"},
		{"workspace create a --allow-vault prod/ --deny-vault prod//", "--deny-vault", "mounts.vault"},
		{"workspace create a --ai 7", "--ai", "mounts.ai"},
		{"workspace create a --ai openai-prod --ai-default openai=other", "--ai-default", "mounts.ai"},
		{"workspace create a --storage a/b", "--storage", "mounts.storage"},
		{"workspace create a --capability github", "--capability", "mounts.capab"},
		{"workspace create a --allow-host a.test --allow-host https://a.test", "--allow-host 2", "mounts.web"},
		{"workspace create a --allow-host *.com", "--allow-host", "mounts.web"},
		{"workspace create a --allow-host * --deny-host a.*", "--deny-host", "mounts.web"},
		{"workspace create a --mounts wrong.json", "mounts.vault.allow[0]", "--allow-vault"},
		{"runtime launch sales/other --allow-vault prod/", "--allow-vault", "mounts.vault"},
		{"runtime launch sales/other --raw-reads", "--raw-reads", "mounts.vault"},
		{"runtime launch sales/other --ai openai-prod --ai openai-old", "--ai 2", "mounts.ai"},
		{"vault set a/b --no-password --origin nothing", "--origin", "matchOrigins"},
		{"vault set a/b --no-password --origin https://a.example --origin nothing", "--origin 2", "matchOrigins"},
		{"secrets create --name A --workspace-id a/b --value x", "--workspace-id", "scope.workspaceId"},
		{"secrets create --name A --scope global --alias B --alias 7- --value x", "--alias 2", "aliases"},
		{"credential create a --provider github --scope global --secret-ref vault:secret:x", "--secret-ref", "secretRef"},
		{"ai add a --provider openai-compatible --label x --endpoint nothing", "--endpoint", "baseUrl"},
		{"capability create acme/x --method get --path /a", "--method", "methods"},
		{"capability create acme/x --path /a", "--method", "null"},
		{"credential create a --provider github --scope global", "--secret-ref token=…", "secretRefs"},
		{"workspace update sales --rename a/b", "--rename", "--name"},
		{"workspace list --base-url http://10.0.0.1", "--base-url (use https", "WithInsecureHTTP"},
		{"workspace list --base-url ftp://example.com", "--base-url", "BaseURL"},
		{"workspace create a --deny-vault prod/", "--allow-vault", "mounts.vault"},
		{"invoke github/repos --workspace-id sales", "{repo}: --path", "never"},
		{`invoke github/repos --workspace-id sales --request {"method":"GET"}`, "{repo}: path", "--path"},
		{"secrets import wrong.env --scope global", "closed: wrong.env", "text"},
		{"secrets import --entry A=1 --entry A=2 --scope global", "--entry", "text"},
		{"audit tail --workspace nobody", "--workspace nobody", "never"},
		{"capability create acme/x --method GET --path a", "--path", "paths"},
		{"runtime agent sales/crm hello --max-steps 201", "--max-steps", "args"},
		{"runtime agent sales/crm hello --max-cost -1", "--max-cost", "args"},
		{"runtime agent sales/crm hello --look-credential other", "--look-credential", "args"},
		{"runtime agent sales/crm hello --timeout 2h", "--timeout", "steps"},
		{"runtime extract sales/crm hello --vision sharp", "--vision", "args"},
		{"runtime extract sales/crm hello --schema no-schema.json", "--schema", "args"},
		{"runtime observe sales/crm hello --max-candidates 51", "--max-candidates", "args"},
		{"runtime observe sales/crm hello --model other --credential 7", "--credential", "args"},
	} {
		got := d.run("x\n", strings.Fields(tc.line)...)
		assert.NotZero(t, got.code, tc.line)
		assert.Contains(t, got.stderr, tc.says, tc.line)
		assert.NotContains(t, got.stderr, tc.not, tc.line)
	}
}
