package compat

import (
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// TestMain takes out of the environment what the SDKs would read there.
func TestMain(m *testing.M) {
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		for _, prefix := range []string{"OPENAI_", "ANTHROPIC_", "AWS_"} {
			if strings.HasPrefix(name, prefix) {
				_ = os.Unsetenv(name) // the name is one of the environment's
			}
		}
	}
	goleak.VerifyTestMain(m)
}
