package catalog

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAPathHasOneForm(t *testing.T) {
	for path, want := range map[string]bool{
		"/":                       true,
		"/v1":                     true,
		"/v1/things/{id}":         true,
		"/v1/{+name}/x":           true,
		"/v1/a:b,c@d":             true,
		"":                        false,
		"v1":                      false,
		"/v1/":                    false,
		"/v1//x":                  false,
		"/v1/.":                   false,
		"/v1/../x":                false,
		"/v1/%2e":                 false,
		"/v1/a b":                 false,
		"/v1/{}":                  false,
		"/v1?x":                   false,
		"/v1/ä":                   false,
		strings.Repeat("/a", 256): true,
		strings.Repeat("/a", 257): false,
	} {
		require.Equal(t, want, canonicalPath(path), path)
	}
}

func TestPrefixesMeetWhereOnePathIsBelowBoth(t *testing.T) {
	for _, tc := range []struct {
		why, a, b string
		want      bool
	}{
		{"the same", "/v1/chat", "/v1/chat", true},
		{"one below the other", "/v1", "/v1/chat", true},
		{"all paths", "/", "/v1/chat", true},
		{"beside each other", "/v1/chat", "/v1/embeddings", false},
		{"not on a boundary", "/v1/chat", "/v1/chats", false},
		{"a segment that may be any", "/v1/{what}", "/v1/chat", true},
		{"two that may be any", "/{a}/chat", "/v1/{b}", true},
		{"different further on", "/{a}/chat", "/v1/embeddings", false},
		{"behind encoded slashes any", "/v1/{+name}/x", "/v1/models/y", true},
	} {
		require.Equal(t, tc.want, pathsMeet(tc.a, tc.b), tc.why)
		require.Equal(t, tc.want, pathsMeet(tc.b, tc.a), tc.why)
	}
}
