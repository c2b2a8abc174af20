package calls

import (
	"io"
	"mime/multipart"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/server/web"
)

// TestABodyIsWholeOnlyWhenNothingFollows: over HTTP/1 a provider that knows the
// length would take it for whole before.
func TestABodyIsWholeOnlyWhenNothingFollows(t *testing.T) {
	const part = "--b\r\nContent-Disposition: form-data; name=\"body\"\r\n\r\n"
	for _, content := range []string{"", "x", "xy", strings.Repeat("many ", 1<<14)} {
		readers := []func(io.Reader) io.Reader{iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader}
		for _, slow := range readers {
			read := func(text string) (string, error) {
				body, _, _, err := rawPart(multipart.NewReader(strings.NewReader(text), "b"))
				require.NoError(t, err)
				got, err := io.ReadAll(slow(body))
				return string(got), err
			}
			got, err := read(part + content + "\r\n--b--\r\n")
			require.NoError(t, err)
			require.Equal(t, content, got)
			got, err = read(part + content + "\r\n" + part + "more\r\n--b--\r\n")
			require.Equal(t, "invoke.two_bodies", web.AsError(err).Code)
			require.Len(t, got, max(len(content)-1, 0))
		}
	}
}
