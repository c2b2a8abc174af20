package fill

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/browser"
)

// TestALoginBelongsToItsOriginsAndPatterns matches as the vault does.
func TestALoginBelongsToItsOriginsAndPatterns(t *testing.T) {
	f := browser.Fill{Origins: []string{goodSite, "http://localhost:8080"}, Patterns: []string{"https://*.corp.example"}}
	for _, at := range []string{goodSite, "http://localhost:8080", "https://a.corp.example"} {
		require.True(t, MayGoTo(f, at), at)
	}
	for _, at := range []string{"", "null", "https://example.com", "https://corp.example", "https://a.b.corp.example",
		"http://a.corp.example", "https://a.corp.example:444", "http://localhost", goodSite + "/"} {
		require.False(t, MayGoTo(f, at), at)
	}
}
