package calls

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/registry"
	"github.com/bctrl-go/bctrl/internal/server/catalog"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

func TestTheRegistrySaysHowAndWhereItsProvidersAreCalled(t *testing.T) {
	r, err := registry.Builtin()
	require.NoError(t, err)
	s := &Service{registry: r}
	github, _ := r.Provider("github")
	shopify, _ := r.Provider("shopify")
	own := bctrl.CredentialAuth{Type: bctrl.AuthHeader, Headers: map[string]string{"X-Key": "{secret}"}}
	for _, tc := range []struct {
		why, provider string
		meta          catalog.CredentialMeta
		want          endpoint
		code          string
	}{
		{
			why:      "all of it",
			provider: "github",
			want:     endpoint{Auth: github.Auth, Hosts: github.Hosts, BasePath: github.BasePath},
		},
		{
			why:      "whatever is stored of how",
			provider: "github",
			meta:     catalog.CredentialMeta{Auth: &own},
			want:     endpoint{Auth: github.Auth, Hosts: github.Hosts, BasePath: github.BasePath},
		},
		{
			why:      "of its hosts a credential may name one",
			provider: "shopify",
			meta:     catalog.CredentialMeta{Hosts: []string{"mine.myshopify.com"}},
			want:     endpoint{Auth: shopify.Auth, Hosts: []string{"mine.myshopify.com"}, BasePath: shopify.BasePath},
		},
		{
			why:      "and none beside them",
			provider: "github",
			meta:     catalog.CredentialMeta{Hosts: []string{"evil.example"}},
			code:     "credentials.host_not_allowed",
		},
		{
			why:      "another provider's credential says it itself",
			provider: "acme",
			meta:     catalog.CredentialMeta{Auth: &own, Hosts: []string{"api.acme.example"}},
			want:     endpoint{Auth: own, Hosts: []string{"api.acme.example"}},
		},
		{
			why:      "or is of no use",
			provider: "acme",
			meta:     catalog.CredentialMeta{Hosts: []string{"api.acme.example"}},
			code:     "credentials.unknown_provider",
		},
	} {
		meta, err := json.Marshal(tc.meta)
		require.NoError(t, err)
		got, err := s.endpointOf(store.Credential{ID: "one", Provider: tc.provider, Meta: meta})
		if tc.code != "" {
			require.Equal(t, tc.code, web.AsError(err).Code, tc.why)
			continue
		}
		require.NoError(t, err, tc.why)
		require.Equal(t, tc.want, got, tc.why)
	}
}
