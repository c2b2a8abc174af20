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
		sent := sentRequest{
			method: "GET",
			path:   "/v1/things",
			query:  query,
			header: http.Header{},
		}
		_, err := sent.permittedBy(bctrl.Capability{Methods: []string{"GET"}, Paths: []string{"/v1/things"}})
		require.Equal(t, "request.query", web.AsError(err).Code, query)
	}
}

func TestTheCapabilityWithTheLongestPathIsChosenElseTheNearestRefusal(t *testing.T) {
	all := []bctrl.Capability{
		{ID: "acme/all", Methods: []string{"GET"}, Paths: []string{"/v1"}},
		{ID: "acme/things", Methods: []string{"GET", "POST"}, Paths: []string{"/v1/things"}},
		{
			ID:      "acme/uploads",
			Methods: []string{"PUT"},
			Paths:   []string{"/v1/files"},
			Hosts:   []string{"up.acme.example"},
		},
	}
	for _, tc := range []struct {
		why         string
		sent        sentRequest
		chosen, err string
	}{
		{"the longest", sentRequest{method: "GET", path: "/v1/things/1"}, "acme/things", ""},
		{"the only one", sentRequest{method: "GET", path: "/v1/other"}, "acme/all", ""},
		{"another method", sentRequest{method: "DELETE", path: "/v1/things"}, "", "invoke.method_not_allowed"},
		{"another path", sentRequest{method: "GET", path: "/v2"}, "", "invoke.path_not_allowed"},
		{"another host", sentRequest{method: "PUT", path: "/v1/files", host: "x.y"}, "", "invoke.host_not_allowed"},
	} {
		got, err := tc.sent.chooseCapability(all)
		require.Equal(t, tc.chosen, got.ID, tc.why)
		if tc.err != "" {
			require.Equal(t, tc.err, web.AsError(err).Code, tc.why)
		}
	}
	_, err := sentRequest{method: "GET", path: "/v1"}.chooseCapability(nil)
	require.Equal(t, "capabilities.not_found", web.AsError(err).Code, "there is none")
}
