package calls

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/registry"
	"github.com/bctrl-go/bctrl/internal/server/web"
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

func TestAHostIsOneThatCredentialAndCapabilityPermit(t *testing.T) {
	for _, tc := range []struct {
		why, asked             string
		capability, credential []string
		want                   string // empty: refused
	}{
		{"the first of the credential", "", nil, []string{"*.b.example", "a.example", "c.example"}, "a.example"},
		{"only patterns, and none is named", "", nil, []string{"*.b.example"}, ""},
		{"one that a pattern matches", "X.B.example:443", nil, []string{"*.b.example"}, "x.b.example"},
		{"none of the credential's", "d.example", nil, []string{"a.example"}, ""},
		{"one of both", "", []string{"c.example"}, []string{"a.example", "c.example"}, "c.example"},
		{"none of the capability's", "a.example", []string{"c.example"}, []string{"a.example", "c.example"}, ""},
		{"none of both", "", []string{"c.example"}, []string{"a.example"}, ""},
		{"one of the capability's pattern", "", []string{"*.b.example"}, []string{"x.b.example"}, "x.b.example"},
		{"another port", "a.example:8443", nil, []string{"a.example"}, ""},
		{"not a host", "a.example/x", nil, []string{"a.example"}, ""},
	} {
		got, err := pickHost(tc.asked, tc.capability, tc.credential)
		require.Equal(t, tc.want, got, tc.why)
		if tc.want == "" {
			require.Equal(t, "invoke.host_not_allowed", web.AsError(err).Code, tc.why)
		}
	}
}
