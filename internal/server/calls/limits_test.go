package calls

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/server/web"
)

func TestACallIsRecordedUnderTheCapabilityOfThatMoment(t *testing.T) {
	var asked providerRequest
	asked.capability = bctrl.Capability{ID: "acme/things", Methods: []string{"GET"}, Paths: []string{"/v1/things"}}
	asked.maxAnswer = 100
	limited := asked.capability
	limited.Policy = &bctrl.CapabilityPolicy{MaxRequestBytes: 3, MaxResponseBytes: 7}
	now, err := asked.limitedBy(limited)
	require.NoError(t, err)
	require.EqualValues(t, 7, now.maxAnswer, "limits that came after the request was permitted")
	now, err = now.limitedBy(asked.capability)
	require.NoError(t, err)
	require.Nil(t, now.capability.Policy, "a policy that was taken back")

	asked.body = heldBody([]byte("four"))
	_, err = asked.limitedBy(limited)
	require.Equal(t, "invoke.request_too_large", web.AsError(err).Code)
	asked.body = nil
	limited.Paths = []string{"/v1/repos"}
	_, err = asked.limitedBy(limited)
	require.Equal(t, "capabilities.changed", web.AsError(err).Code)
}
