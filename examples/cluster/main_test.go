package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bctrl-go/bctrl/internal/store/pgtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main{M: m}) }

// TestThreeNodesAreOneServer runs the example, whose own checks fail it.
func TestThreeNodesAreOneServer(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), &out), out.String())
	require.Contains(t, out.String(), "(runtimes.node_lost)")
	require.Regexp(t, `\d+ events and \d+ records, verified by the second node`, out.String())
}
