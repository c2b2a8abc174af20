package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAProgramOfWebDriverGoesOnWhereTheAgentHasLoggedIn(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), nil, &out), out.String())
	require.Regexp(t, `(?m)^agent: +Logged in\.$`, out.String())
	require.Regexp(t, `(?m)^webdriver: .*: Pipeline`, out.String())
}
