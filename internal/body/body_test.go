package body

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestAReadingGivesAllWhateverThoseBeforeItRead: net/http may still read for an attempt that has failed
// when the next one reads.
func TestAReadingGivesAllWhateverThoseBeforeItRead(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.StringN(0, 40, -1).Draw(rt, "text")
		source := rapid.SampledFrom([]func() *Source{
			func() *Source { return Of(strings.NewReader(text)) },
			func() *Source { return Of(struct{ io.ReadSeeker }{strings.NewReader(text)}) },
			func() *Source {
				return Reopened(int64(len(text)), func() (io.Reader, error) { return bytes.NewBufferString(text), nil })
			},
		}).Draw(rt, "source")()
		var got []byte
		var readings []io.Reader
		for range rapid.IntRange(1, 3).Draw(rt, "attempts") {
			r, err := source.Reading(context.Background())
			require.NoError(rt, err)
			readings, got = append(readings, r), nil
			for range rapid.IntRange(0, 8).Draw(rt, "reads") {
				i := rapid.IntRange(0, len(readings)-1).Draw(rt, "of")
				b := make([]byte, rapid.IntRange(0, 10).Draw(rt, "bytes"))
				n, err := readings[i].Read(b)
				if i == len(readings)-1 {
					require.True(rt, err == nil || err == io.EOF, err)
					got = append(got, b[:n]...)
				}
			}
		}
		rest, err := io.ReadAll(readings[len(readings)-1])
		require.NoError(rt, err)
		require.Equal(rt, text, string(got)+string(rest))
		require.EqualValues(rt, len(text), source.Sent())
	})
}
