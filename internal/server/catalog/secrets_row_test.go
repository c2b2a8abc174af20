package catalog

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAPinnedSecretIsNothingElse(t *testing.T) {
	for _, tc := range []struct {
		why             string
		pinned          SecretMeta
		provider, field string
		permitted       bool
	}{
		{"not pinned", SecretMeta{}, "github", "token", true},
		{"as it is pinned", SecretMeta{Provider: "github", Field: "token"}, "github", "token", true},
		{"another field", SecretMeta{Provider: "github", Field: "token"}, "github", "other", false},
		{"another provider", SecretMeta{Provider: "github", Field: "token"}, "gitlab", "token", false},
		{"to a provider alone", SecretMeta{Provider: "github"}, "github", "other", true},
		{"to another provider alone", SecretMeta{Provider: "github"}, "gitlab", "other", false},
	} {
		require.Equal(t, tc.permitted, Secret{Meta: tc.pinned}.PinPermits(tc.provider, tc.field), tc.why)
	}
}
