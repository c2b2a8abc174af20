package main

import (
	"bytes"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTheAgentStaysWhereItMayAndAnswersByTheSchema(t *testing.T) {
	var out bytes.Buffer
	var refused atomic.Bool
	err := run(t.Context(), func(turn modeltest.Turn) modeltest.Call {
		if len(turn.Calls) == 1 { // it has tried to leave
			refused.Store(strings.Contains(turn.Result, "agent.host_not_allowed"))
		}
		return script(turn)
	}, &out) // fails when the model was sent a secret
	require.NoError(t, err, out.String())
	require.True(t, refused.Load(), "the first call is to another host")
	for _, line := range []string{
		`fill .* prod/crm`,
		`totp .* prod/crm`,
		`select +combobox "Quarter" `,
		`visited +http://localhost:\d+/pipeline`,
		`\d+ deals in Q2, after \d+ steps of 12`,
	} {
		require.Regexp(t, `(?m)^`+line+`$`, out.String())
	}
	require.Regexp(t, `(?m)^navigate +https://elsewhere.example/ .*agent.host_not_allowed.*$`, out.String())
	require.NotRegexp(t, `(?m)^visited .*elsewhere`, out.String())
	require.NotContains(t, out.String(), "prod/mail")
}
