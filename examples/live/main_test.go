package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAnAgentIsWatchedAndRecorded(t *testing.T) {
	var out bytes.Buffer
	movie := filepath.Join(t.TempDir(), "recording.mov")
	require.NoError(t, run(t.Context(), options{movie: movie}, &out), out.String())
	require.Regexp(t, `(?m)^watch: +http://127\.0\.0\.1:\d+/embed/live/`, out.String())
	require.Regexp(t, `(?m)^agent: +Exported Q1 as .*\.csv\.$`, out.String())
	require.Regexp(t, `(?m)^recording: \d.*, \d+ marks$`, out.String())
	kept, err := os.ReadFile(movie)
	require.NoError(t, err)
	require.Greater(t, len(kept), 10_000)
	require.Equal(t, "ftyp", string(kept[4:8]), "a QuickTime movie begins with its type")
}
