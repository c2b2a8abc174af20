package command

import (
	"testing"

	"github.com/stretchr/testify/assert"
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
	} {
		got := d.run("", append(line, flag, "")...)
		assert.Equal(t, exitUsage, got.code, "%s %s", line, flag)
		assert.Contains(t, got.stderr, flag+" is empty", "%s", line)
	}
}
