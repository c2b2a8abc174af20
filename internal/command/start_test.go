package command

import (
	"bytes"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTheStartInitialisesNoHeavyPackage counts what packages allocate before
// main, which tells a package that compiles or parses something there, and does
// not depend on the machine. A JSON Schema compiler had 21,000 allocations and
// took longer than all else; the whole program has 2,840, those of S3 left out, of which
// the most are encoding/gob's, which a reader of PDF registers its answers with.
func TestTheStartInitialisesNoHeavyPackage(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), newPlace(t).built(t).program, "--version")
	cmd.Env = append(cmd.Environ(), "GODEBUG=inittrace=1")
	var trace bytes.Buffer
	cmd.Stderr = &trace
	require.NoError(t, cmd.Run())
	packages, total, aws := 0, 0, 0
	for line := range strings.Lines(trace.String()) {
		words := strings.Fields(line) // init <package> @… ms, … ms clock, … bytes, … allocs
		if len(words) < 3 || words[0] != "init" || words[len(words)-1] != "allocs" {
			continue
		}
		n, err := strconv.Atoi(words[len(words)-2])
		require.NoError(t, err, line)
		if strings.HasPrefix(words[1], "github.com/aws/") {
			aws += n // S3's SDK and those of its credentials each compile their table of regions: 0.8 ms together
			continue
		}
		require.Less(t, n, 450, "%s does at the start what most commands have no use for", words[1])
		packages++
		total += n
	}
	require.Greater(t, packages, 30, "the trace is not as it was")
	require.Less(t, total, 3200)
	require.Less(t, aws, 5000)
}
