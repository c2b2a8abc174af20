package body

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestAPatientReaderGivesWhatItsReaderGives(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.StringN(0, 3*patientBuffer, -1).Draw(rt, "text")
		failure := rapid.SampledFrom([]error{io.EOF, errors.New("disk gone")}).Draw(rt, "failure")
		r := io.MultiReader(strings.NewReader(text), iotest.ErrReader(failure))
		if rapid.Bool().Draw(rt, "half at a time") {
			r = iotest.HalfReader(r)
		}
		if rapid.Bool().Draw(rt, "error with the last bytes") && failure == io.EOF {
			r = iotest.DataErrReader(r)
		}
		p := &patient{ctx: context.Background(), r: r, done: make(chan taken, 1)}
		var got []byte
		size := rapid.IntRange(1, 2*patientBuffer).Draw(rt, "size")
		for b := make([]byte, size); ; {
			n, err := p.Read(b)
			got = append(got, b[:n]...)
			if err != nil {
				require.Equal(rt, failure, err)
				break
			}
		}
		require.Equal(rt, text, string(got))
	})
}
