package web

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestATraceIsTakenAsTheRecommendationHasIt(t *testing.T) {
	const trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	for _, tc := range []struct {
		why, header, want string
	}{
		{"as it is sent", "00-" + trace + "-" + parent + "-01", trace},
		{"a later version, with more", "cc-" + trace + "-" + parent + "-01-what-comes", trace},
		{"more than this version has", "00-" + trace + "-" + parent + "-01-x", ""},
		{"the version that is none", "ff-" + trace + "-" + parent + "-01", ""},
		{"no trace", "00-" + strings.Repeat("0", 32) + "-" + parent + "-01", ""},
		{"no parent", "00-" + trace + "-" + strings.Repeat("0", 16) + "-01", ""},
		{"upper case", "00-" + strings.ToUpper(trace) + "-" + parent + "-01", ""},
		{"a line that would forge another", "00-" + trace + "\n" + parent + "-01", ""},
		{"a text", "bctrl_secret", ""},
		{"none", "", ""},
	} {
		require.Equal(t, tc.want, traceID(http.Header{headerTraceParent: {tc.header}}), tc.why)
	}
	twice := http.Header{headerTraceParent: {"00-" + trace + "-" + parent + "-01", "00-" + trace + "-" + parent + "-01"}}
	require.Empty(t, traceID(twice))
	require.Empty(t, traceID(nil))
}
