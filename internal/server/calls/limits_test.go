package calls

import (
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/server/web"
)

func TestACallIsRecordedUnderTheCapabilityOfThatMoment(t *testing.T) {
	var asked providerRequest
	asked.capability = bctrl.Capability{ID: "acme/things", Methods: []string{"GET"}, Paths: []string{"/v1/things"}}
	asked.maxAnswer = 100
	limited := asked.capability
	limited.Policy = &bctrl.CapabilityPolicy{MaxRequestBytes: 3, MaxResponseBytes: 7}
	now, err := asked.limitedBy(limited)
	require.NoError(t, err)
	require.EqualValues(t, 7, now.maxAnswer, "limits that came after the request was permitted")
	now, err = now.limitedBy(asked.capability)
	require.NoError(t, err)
	require.Nil(t, now.capability.Policy, "a policy that was taken back")

	asked.body = heldBody([]byte("four"))
	_, err = asked.limitedBy(limited)
	require.Equal(t, "invoke.request_too_large", web.AsError(err).Code)
	asked.body = nil
	limited.Paths = []string{"/v1/repos"}
	_, err = asked.limitedBy(limited)
	require.Equal(t, "capabilities.changed", web.AsError(err).Code)
}

// TestAQueryFitsALine: what would end the line of a request is refused. All else
// is between the caller and the provider.
func TestAQueryFitsALine(t *testing.T) {
	for _, query := range []string{"a=b c", "a=\x01", "a=\x7f", "a=b\r\nHost: x", "\t"} {
		sent := sentRequest{method: "GET", path: "/v1/things", query: query, header: http.Header{}}
		_, err := sent.permittedBy(bctrl.Capability{Methods: []string{"GET"}, Paths: []string{"/v1/things"}})
		require.Equal(t, "request.query", web.AsError(err).Code, query)
	}
}

// TestABodyIsWholeOnlyWhenNothingFollows: over HTTP/1 a provider that knows the
// length would take it for whole before.
func TestABodyIsWholeOnlyWhenNothingFollows(t *testing.T) {
	const part = "--b\r\nContent-Disposition: form-data; name=\"body\"\r\n\r\n"
	for _, content := range []string{"", "x", "xy", strings.Repeat("many ", 1<<14)} {
		for _, slow := range []func(io.Reader) io.Reader{iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader} {
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
