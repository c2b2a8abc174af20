package main

import (
	"bytes"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAProgramOfWebDriverGoesOnWhereTheAgentHasLoggedIn(t *testing.T) {
	defer http.DefaultClient.CloseIdleConnections()
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), nil, &out), out.String())
	require.Regexp(t, `(?m)^agent: +Logged in\.$`, out.String())
	require.Regexp(t, `(?m)^webdriver: .*: Pipeline`, out.String())
}
