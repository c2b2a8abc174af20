package otlp

import (
	"bytes"
	"context"
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestWhatCannotBeReadIsRefusedWithoutItsValue starts the real program.
func TestWhatCannotBeReadIsRefusedWithoutItsValue(t *testing.T) {
	canary := "canary" + strings.ToLower(rand.Text())
	noPEM := filepath.Join(t.TempDir(), canary)
	require.NoError(t, os.WriteFile(noPEM, []byte(canary), 0o600))
	for _, tc := range []struct{ name, value string }{
		{"ENDPOINT", "https://" + canary + "%zz/"},
		{"ENDPOINT", "collector:4318/" + canary},
		{"TRACES_ENDPOINT", "https://a.example/\x7f" + canary},
		{"HEADERS", canary},
		{"HEADERS", "api-key=a, x-" + canary + " b=" + canary},
		{"HEADERS", "api-key=" + canary + "%zz"},
		{"TRACES_HEADERS", "api-key=a%0a" + canary},
		{"CERTIFICATE", noPEM},
		{"TRACES_CERTIFICATE", noPEM + "none"},
		{"CLIENT_CERTIFICATE", noPEM},
		{"TRACES_CLIENT_KEY", noPEM},
		{"TIMEOUT", canary},
		{"PROTOCOL", canary},
	} {
		t.Run(tc.name, func(t *testing.T) {
			name := "OTEL_EXPORTER_OTLP_" + tc.name
			code, out := run(t, "bctrl", name+"="+tc.value)
			require.NotContains(t, out, canary)
			require.Contains(t, out, name)
			require.Contains(t, out, ": want ")
			require.NotZero(t, code)
		})
	}
}

func TestWhatOpenTelemetrySaysOfItselfIsWrittenNowhere(t *testing.T) {
	canary := "canary" + strings.ToLower(rand.Text())
	code, out := run(t, "quarreler", "CANARY="+canary)
	require.NotContains(t, out, canary)
	require.Contains(t, out, "OpenTelemetry has met an error")
	require.Zero(t, code, out)
}

// run runs the test program as something else, and returns what it wrote.
func run(t *testing.T, as string, env ...string) (code int, out string) {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	dir := t.TempDir()
	cmd := exec.CommandContext(ctx, program, "serve", "--address", "127.0.0.1:0", "--data-dir", filepath.Join(dir, "data"))
	cmd.Env = append(os.Environ(), append(env, runAs+"="+as, "HOME="+dir, "XDG_CONFIG_HOME="+dir)...)
	var wrote bytes.Buffer
	cmd.Stdout, cmd.Stderr = &wrote, &wrote
	err = cmd.Run()
	if failed := (*exec.ExitError)(nil); err != nil {
		require.ErrorAs(t, err, &failed)
	}
	require.NoError(t, ctx.Err(), "it did not end")
	return cmd.ProcessState.ExitCode(), wrote.String()
}

func TestWhatCanBeReadIsNotRefused(t *testing.T) {
	for _, prefix := range []string{"OTEL_EXPORTER_OTLP_", "OTEL_EXPORTER_OTLP_TRACES_"} {
		t.Setenv(prefix+"ENDPOINT", " HTTPS://collector.example:4318/a ")
		t.Setenv(prefix+"HEADERS", " api-key = a%20b=c , x-b=%C3%A9,")
		t.Setenv(prefix+"TIMEOUT", "100")
		t.Setenv(prefix+"PROTOCOL", "http/protobuf")
	}
	wanted, err := isWanted()
	require.NoError(t, err)
	require.True(t, wanted)
}
