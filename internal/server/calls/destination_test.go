package calls

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/registry"
	"github.com/bctrl-go/bctrl/internal/store"
)

func TestAPinnedSecretGoesToNoBaseURLThatIsNotItsProviders(t *testing.T) {
	r, err := registry.Builtin()
	require.NoError(t, err)
	s := &Service{registry: r}
	for _, test := range []struct {
		why, base string
		refused   bool
	}{
		{"the provider's own address", "https://api.openai.com/v1", false},
		{"another path there", "https://API.openai.com:443/v2", false},
		{"somewhere else", "https://models.example.com/v1", true},
		{"a name that only begins alike", "https://api.openai.com.example.com/v1", true},
		{"another port", "https://api.openai.com:8443/v1", true},
		{"in clear", "http://api.openai.com/v1", true},
	} {
		base, err := url.Parse(test.base)
		require.NoError(t, err)
		err = s.checkPins(&Resolution{
			ai: &store.AICredential{}, secrets: map[string]store.Secret{"apiKey": {Provider: "openai"}},
		}, base)
		require.Equal(t, test.refused, err != nil, test.why)
	}
}
