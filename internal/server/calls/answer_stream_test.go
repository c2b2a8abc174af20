package calls

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestHeadersAreNamedAsNetHTTPHasThem: they are compared with those of answers as they are.
func TestHeadersAreNamedAsNetHTTPHasThem(t *testing.T) {
	for _, name := range notForCaller {
		require.Equal(t, http.CanonicalHeaderKey(name), name)
	}
}
