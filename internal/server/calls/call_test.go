package calls

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/broker"
)

func TestAnEventSaysOfACallWhatWasKnownByThen(t *testing.T) {
	asked := providerRequest{
		callIdentity: callIdentity{
			context:    bctrl.InGroup("w", "g"),
			consumer:   "bot",
			capability: bctrl.Capability{ID: "acme/things"},
		},
		sentRequest: sentRequest{method: "GET", template: "/v1/things", host: "asked.example"},
	}
	want := audit.Event{
		Workspace:  "w",
		Group:      "g",
		Capability: "acme/things",
		Consumer:   "bot",
		Method:     "GET",
		Host:       "asked.example",
		Path:       "/v1/things",
	}
	known := callDescription{request: &asked}
	described := func() (ev audit.Event) {
		known.describe(&ev)
		return ev
	}
	require.Equal(t, want, described(), "what was asked")

	known.with = &Resolution{
		Resolved: broker.Resolved{Credential: broker.Credential{ID: "acme"}, Tier: broker.TierGroup},
		uid:      "u",
		version:  3,
	}
	want.Credential, want.Tier, want.UID, want.Version = "acme", "group", "u", 3
	require.Equal(t, want, described(), "with what it would be made")

	known.host = "api.acme.example"
	want.Host = "api.acme.example"
	require.Equal(t, want, described(), "where it would go")

	known.secrets = []bctrl.AuditSecret{{Field: "secret", UID: "s"}}
	want.Secrets = known.secrets
	require.Equal(t, want, described(), "what it uses")
}
