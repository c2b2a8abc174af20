package registry

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/strictjson"
)

// TestTheExamplesOfTheDocumentationWork loads the file that docs/providers.md
// shows, and checks every auth beside it.
func TestTheExamplesOfTheDocumentationWork(t *testing.T) {
	text, err := os.ReadFile("../../docs/providers.md")
	require.NoError(t, err)
	shown := map[bctrl.AuthType]bool{}
	loaded := false
	for i, part := range strings.Split(string(text), "```json\n") {
		block, _, ended := strings.Cut(part, "```")
		if i == 0 || !ended {
			continue
		}
		if strings.Contains(block, `"capabilities"`) {
			r, err := Load(folder(t, "acme.json", block))
			require.NoError(t, err)
			_, _, loaded = r.Capability("acme/orders")
			continue
		}
		var auth bctrl.CredentialAuth
		require.NoError(t, strictjson.Unmarshal([]byte(block), &auth), block)
		require.NoError(t, auth.Validate(), block)
		shown[auth.Type] = true
	}
	require.True(t, loaded)
	for _, of := range []bctrl.AuthType{
		bctrl.AuthNone, bctrl.AuthHeader, bctrl.AuthQuery, bctrl.AuthPath, bctrl.AuthBasic, bctrl.AuthOAuth2,
		bctrl.AuthAWSSigV4, bctrl.AuthHMAC, bctrl.AuthMTLS,
	} {
		require.True(t, shown[of], "an example of %s", of)
	}
}

func TestEverySecretNameCanBeStored(t *testing.T) {
	for _, p := range shipped(t).Providers() {
		for _, s := range p.Secrets {
			require.NoError(t, bctrl.ValidSecretName(s.Name))
		}
	}
}
