package registry

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const acme = `{
  "id": "acme", "name": "Acme", "docs": "https://docs.acme.example",
  "hosts": ["api.acme.example", "*.acme.example"], "basePath": "/v2",
  "auth": {"type": "header", "headers": {"X-Acme-Key": "{apiKey}", "X-Acme-Team": "{team?}"}},
  "secrets": [{"name": "ACME_API_KEY", "field": "apiKey"}, {"name": "ACME_TEAM", "field": "team", "optional": true}],
  "capabilities": [` + orders + `]
}`

const orders = `{"id": "acme/orders", "description": "Orders", "methods": ["GET", "POST"],
    "paths": ["/v2/orders", "/v2/{shop}/orders"]}`

// folder is a folder of files, each a name and a text.
func folder(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		require.NoError(t, os.WriteFile(filepath.Join(dir, files[i]), []byte(files[i+1]), 0o600))
	}
	return dir
}

func TestAUsersProviderIsOneLikeTheOthers(t *testing.T) {
	dir := folder(t, "acme.json", acme, "README.md", "not a provider", ".hidden.json", "{")
	require.NoError(t, os.Mkdir(filepath.Join(dir, "old.json"), 0o700))
	r, err := Load(dir)
	require.NoError(t, err)
	p, ok := r.Provider("acme")
	require.True(t, ok)
	require.Equal(t, "Acme", p.Name)
	owner, secret, ok := r.Owner("ACME_TEAM")
	require.True(t, ok)
	require.Equal(t, "acme", owner.ID)
	require.Equal(t, SecretName{"ACME_TEAM", "team", true}, secret)
	_, c, ok := r.Capability("acme/orders")
	require.True(t, ok)
	require.Equal(t, []string{"GET", "POST"}, c.Methods)
	_, ok = r.Provider("openai")
	require.True(t, ok, "the built-in ones are there too")

	_, err = Load(filepath.Join(dir, "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
	r, err = Load(t.TempDir())
	require.NoError(t, err)
	require.Equal(t, len(shipped(t).Providers()), len(r.Providers()))
}

func TestAUsersFileThatBreaksARuleIsRefused(t *testing.T) {
	change := func(old, new string) string {
		require.Contains(t, acme, old)
		return strings.Replace(acme, old, new, 1)
	}
	for _, c := range []struct{ why, text, says string }{
		{"not JSON", "{", "invalid_json"},
		{"a duplicate field", change(`"name": "Acme"`, `"name": "Acme", "name": "A"`), "duplicate_field"},
		{"an unknown field", change(`"name": "Acme"`, `"name": "Acme", "host": "x"`), "unknown_field"},
		{"bytes behind", acme + "x", "trailing_bytes"},
		{"no capabilities", change(orders, ""), "capabilities: it has not"},
		{"no hosts", change(`"hosts": ["api.acme.example", "*.acme.example"], `, ``), "hosts: it has not"},
		{"a host in upper case", change("api.acme.example", "API.acme.example"), "hosts[0]"},
		{"a wildcard over everything", change("*.acme.example", "*.example"), "hosts[1]"},
		{"a host with a path", change("api.acme.example", "api.acme.example/x"), "hosts[0]"},
		{"an address", change("api.acme.example", "169.254.169.254"), "hosts[0]"},
		{"a method that is none", change(`"POST"`, `"CONNECT"`), "capabilities[0].methods[1]"},
		{"a model that no AI credential is for", change(`"paths": [`, `"model": true, "paths": [`), "capabilities[0].model"},
		{"a path that climbs", change("/v2/orders", "/v2/../orders"), "capabilities[0].paths[0]"},
		{"an escaped path", change("/v2/orders", "/v2/%2e%2e"), "capabilities[0].paths[0]"},
		{"a path outside basePath", change("/v2/orders", "/v1/orders"), "capabilities[0].paths[0]"},
		{"a path beside basePath", change("/v2/orders", "/v22/orders"), "capabilities[0].paths[0]"},
		{"another provider's capability", change("acme/orders", "openai/orders"), "capabilities[0].id"},
		{"a host outside the provider's", change(`"methods"`, `"host": "evil.example", "methods"`), "capabilities[0].host"},
		{"a strategy that is none", change(`"type": "header"`, `"type": "headers"`), "auth.type"},
		{"a strategy without its part", change(`"type": "header"`, `"type": "oauth2"`), "auth.oauth2: it is missing"},
		{"a header of the transport", change(`"X-Acme-Team"`, `"Host"`), "auth.headers.Host"},
		{"a template that is none", change("{apiKey}", "{apiKey"), "auth.headers.X-Acme-Key"},
		{"a field without a secret", change("{apiKey}", "{apiKey}{other}"), "no name for the field other"},
		{"a secret without a field", change("{team?}", "team"), "no optional field team"},
		{"an optional secret that is needed", change("{team?}", "{team}"), "no optional field team"},
		{"an optional field without a secret", change(`, {"name": "ACME_TEAM", "field": "team", "optional": true}`, ""),
			"no name for the field team"},
		{"one field under two names", change(`"field": "team", "optional": true`, `"field": "apiKey"`), "there twice"},
		{"a built-in provider's id", change(`"id": "acme"`, `"id": "openai"`), "capabilities[0].id"},
		{"a built-in provider's secret", change("ACME_API_KEY", "OPENAI_API_KEY"), "belongs to the provider openai"},
		{"an AI provider", change(`"basePath"`, `"ai": "openai", "basePath"`), "only built-in"},
		{"another file's name", strings.ReplaceAll(change(`"id": "acme"`, `"id": "acme2"`), "acme/orders",
			"acme2/orders"), "its name is not"},
		{"too long a file", acme + strings.Repeat(" ", maxFile), "longer than"},
	} {
		_, err := Load(folder(t, "acme.json", c.text))
		require.ErrorIs(t, err, ErrProvider, c.why)
		require.Contains(t, err.Error(), "acme.json", c.why)
		require.Contains(t, err.Error(), c.says, c.why)
	}
}

func TestABuiltInProviderCannotBeReplaced(t *testing.T) {
	text, err := files.ReadFile("providers/linear.json")
	require.NoError(t, err)
	_, err = Load(folder(t, "linear.json", strings.Replace(string(text), "api.linear.app", "api.evil.example", 1)))
	require.ErrorIs(t, err, ErrProvider)
	require.Contains(t, err.Error(), "built-in provider with this id")
}

func TestEveryWrongFileIsNamed(t *testing.T) {
	_, err := Load(folder(t, "a.json", "{", "acme.json", acme, "b.json", acme))
	require.ErrorIs(t, err, ErrProvider)
	require.Contains(t, err.Error(), "a.json")
	require.Contains(t, err.Error(), "b.json")
	require.NotContains(t, err.Error(), "acme.json")
}

func TestARefusedFileIsNotQuoted(t *testing.T) {
	const canary = "sk-canary-0123456789"
	for _, place := range []string{`"{apiKey}"`, `"api.acme.example"`, `"ACME_API_KEY"`, `"/v2"`, `"header"`, `"GET"`,
		`"https://docs.acme.example"`, `"apiKey"`} {
		_, err := Load(folder(t, "acme.json", strings.Replace(acme, place, `"`+canary+` {"`, 1)))
		require.Error(t, err, place)
		require.NotContains(t, err.Error(), canary, place)
	}
}

// TestNoFileOutsideTheFolderIsRead follows no link out of it.
func TestNoFileOutsideTheFolderIsRead(t *testing.T) {
	outside := folder(t, "acme.json", acme)
	dir := t.TempDir()
	require.NoError(t, os.Symlink(filepath.Join(outside, "acme.json"), filepath.Join(dir, "acme.json")))
	_, err := Load(dir)
	require.ErrorIs(t, err, ErrProvider)
}
