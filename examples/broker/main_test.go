package main

import (
	"bytes"
	"context"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// payers are who paid, call by call, in what was printed.
func payers(printed string) []string {
	var all []string
	for _, m := range regexp.MustCompile(`The account (\w+) pays`).FindAllStringSubmatch(printed, -1) {
		all = append(all, m[1])
	}
	return all
}

func played(t *testing.T, what func(context.Context, *stage) error) string {
	t.Helper()
	var out bytes.Buffer
	err := run(t.Context(), &out, what)
	require.NoError(t, err, out.String()) // of which run itself says that it holds no key
	require.Contains(t, out.String(), "None of the 6 keys was printed")
	return out.String()
}

func TestTheMostSpecificScopePays(t *testing.T) {
	printed := played(t, program)
	require.Equal(t, []string{"group", "workspace", "workspace", "company", "partner", "workspace", "company", "research",
		"workspace"}, payers(printed))
	for _, line := range []string{
		`group(my-workspace, guests)          -> tier attached  "The account partner pays."`,
		"It deletes the repository: refused, capability.outside_mount.",
		"Another asks for Stripe at its launch: refused, mounts.scope_widening.",
	} {
		require.Contains(t, printed, line)
	}
	logged := regexp.MustCompile(`(?m)^   \d\d:\d\d:\d\d  (openai|github)/.*(ok|outside_mount)$`)
	require.Len(t, logged.FindAllString(printed, -1), 11, "the log has each call")
}

func TestTheScriptSaysTheSame(t *testing.T) {
	printed := played(t, runScript)
	require.Equal(t, []string{"group", "workspace", "workspace", "company", "partner", "workspace", "company", "research",
		"workspace"}, payers(printed))
	require.Contains(t, printed, "The door squeaks")
	require.Contains(t, printed, "capability.outside_mount: the mounts do not permit capability.invoke here")
	require.Regexp(t, `(?m)^Log: +whole$`, printed)
	require.Regexp(t, `(?m)^github/repos\t.*\tcapability\.outside_mount$`, printed)
}
