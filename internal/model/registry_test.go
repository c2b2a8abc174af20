package model

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/registry"
)

// TestTheRegistryKnowsTheProvidersOfModels: an agent's model call and a
// brokered one reach the same host, below the same path, with the same field.
func TestTheRegistryKnowsTheProvidersOfModels(t *testing.T) {
	r, err := registry.Builtin()
	require.NoError(t, err)
	served := map[bctrl.AIProvider]bool{}
	for _, p := range r.Providers() {
		if p.AI == "" {
			continue
		}
		served[p.AI] = true
		target := Target(p.AI, BaseURL(p.AI, ""), bctrl.NewSecret(canaryKey))
		u, err := url.Parse(target.BaseURL)
		require.NoError(t, err)
		require.True(t, p.AllowsHost(u.Host), "%s: %s", p.ID, u.Host)
		require.Equal(t, p.Hosts[0], u.Host)
		if p.BasePath != "" {
			require.Equal(t, p.BasePath, u.Path, p.ID)
		}
		require.Equal(t, fieldKey, p.Field(), p.ID)
		if p.AI != bctrl.Google { // whose endpoint in the form of OpenAI takes a bearer token, and whose own another header
			for name := range target.Auth.Headers {
				require.Contains(t, p.Auth.Headers, name, p.ID)
			}
		}
	}
	require.Equal(t, map[bctrl.AIProvider]bool{bctrl.OpenAI: true, bctrl.Anthropic: true, bctrl.Google: true}, served)
}
