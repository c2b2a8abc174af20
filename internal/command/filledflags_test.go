package command

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestAnEmptyChoiceIsNotAllOfThem: a variable that is not set must neither list
// everything, bind a secret for everybody nor call with another credential.
func TestAnEmptyChoiceIsNotAllOfThem(t *testing.T) {
	d := furnished(t)
	bind := []string{"capability", "bind", "--capability", "github/repos", "--secret-ref", "vault:secret:x"}
	for flag, line := range map[string][]string{
		"--name":       {"secrets", "list"},
		"--status":     {"capability", "list"},
		"--provider":   {"capability", "list", "--output", "id"},
		"--workspace":  {"audit", "tail"},
		"--action":     {"audit", "export"},
		"--since":      {"audit", "tail"},
		"--consumer":   bind,
		"--field":      {"capability", "unbind", "--capability", "github/repos"},
		"--capability": {"capability", "bindings"},
		"--credential": {"invoke", "github/repos", "--path", "/repos/acme/site"},
		"--host":       {"json", "github/repos", "--path", "/repos/acme/site"},
		"--runtime":    {"access", "explain", "vault.use", "prod/crm/salesforce"},
		"--model":      {"runtime", "act", "sales/crm", "hello"},
		"--group":      {"runtime", "launch", "sales/other"},
		"--data-dir":   {"keys", "list"},
		"--to-files":   {"move"},
		"--files":      {"audit", "verify"},
		"--deny-vault": {"workspace", "update", "sales", "--allow-vault", "prod/crm/"},
		"--deny-host":  {"workspace", "create", "other"},
		"--type":       {"webhook", "add", "http://localhost:9/in"},
		"--base-url":   {"vault", "list"},
		"--key-source": {"serve"},
		"--endpoint":   {"ai", "add", "x", "--provider", "openai"},
		"--origin":     {"vault", "set", "prod/other", "--username", "u"},
		"--output":     {"workspace", "list"},
	} {
		got := d.run("", append(line, flag, "")...)
		assert.Equal(t, exitUsage, got.code, "%s %s", line, flag)
		assert.Contains(t, got.stderr, flag+" is empty", "%s", line)
	}
}

// TestWhatIsForPeopleMayBeEmpty, and what is taken away so.
func TestWhatIsForPeopleMayBeEmpty(t *testing.T) {
	d := furnished(t)
	d.run("key-0123456789", "ai", "add", "x", "--provider", "openai", "--label", "")
	got := d.run("", "ai", "update", "x", "--label", "", "--endpoint", "", "--default-model", "")
	require.Zero(t, got.code, got.stderr)
	got = d.run("", "profile", "create", "p", "--label", "")
	require.Zero(t, got.code, got.stderr)
}
