package catalog

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/registry"
	"github.com/bctrl-go/bctrl/internal/store"
)

func TestAnOwnCapabilityThatMeetsAModelIsOneOfAModel(t *testing.T) {
	r, err := registry.Builtin()
	require.NoError(t, err)
	s := &Service{registry: r}
	describe := func(paths ...string) bctrl.Capability {
		meta := capabilityMeta{Methods: []string{"POST"}, Paths: paths}
		return s.describeOwn(store.Capability{ID: "openai/mine"}, meta)
	}
	require.False(t, describe("/v1/embeddings").Model)
	require.True(t, describe("/v1/embeddings", "/v1/chat").Model, "from before the registry had the provider")
}
