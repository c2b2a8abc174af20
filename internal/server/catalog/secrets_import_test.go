package catalog

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/wire"
)

func TestAnImportIsRefusedByTheNumberOfALineAndNeverByItsText(t *testing.T) {
	const canary = "canary-4711"
	tooLong := strings.Repeat("x", maxSecretValue)
	for _, tc := range []struct{ why, text, code, line string }{
		{"a name that is none", "A=1\nno name=" + canary, "secrets.malformed_line", "line 2: "},
		{"a name of no secret", "A=1\n\n1A=" + canary, "secrets.invalid_name", "line 3: "},
		{"a line without a value", "A=1\n" + canary, "secrets.malformed_line", "line 2: "},
		{"a name that is there twice", "A=1\nB=2\nA=" + canary, "secrets.duplicate_name", "line 3: "},
		{"a value that is too long", "A=" + canary + tooLong, "request.too_long", "line 1: "},
	} {
		_, err := parseLines(wire.NewValue(tc.text))
		e := web.AsError(err)
		require.Equal(t, tc.code, e.Code, tc.why)
		require.Equal(t, "text", e.Field, tc.why)
		require.True(t, strings.HasPrefix(e.Message, tc.line), tc.why)
		require.False(t, strings.Contains(e.Message+e.Hint, canary), tc.why)
	}
	_, err := parseLines(wire.NewValue(strings.Repeat("A=\n", maxImport+1)))
	require.Equal(t, "request.too_long", web.AsError(err).Code, "more lines than one import may have")
}
