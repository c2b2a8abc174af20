package calls

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/server/web"
)

// TestAQueryFitsALine: what would end the line of a request is refused. All else
// is between the caller and the provider.
func TestAQueryFitsALine(t *testing.T) {
	for _, query := range []string{"a=b c", "a=\x01", "a=\x7f", "a=b\r\nHost: x", "\t"} {
		sent := sentRequest{method: "GET", path: "/v1/things", query: query, header: http.Header{}}
		_, err := sent.permittedBy(bctrl.Capability{Methods: []string{"GET"}, Paths: []string{"/v1/things"}})
		require.Equal(t, "request.query", web.AsError(err).Code, query)
	}
}
