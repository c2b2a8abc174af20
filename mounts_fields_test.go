package bctrl_test

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

// TestNoMountIsLeftOutOfTheAlgebra asks of each field of Mounts what is asked of
// all of them. A new one fails here until it is part of every answer.
func TestNoMountIsLeftOutOfTheAlgebra(t *testing.T) {
	fields := map[string]struct {
		mounts bctrl.Mounts
		action bctrl.Action
		// lowered is a level that gives up all of it.
		lowered bctrl.Mounts
	}{
		"AI": {
			bctrl.Mounts{AI: &bctrl.AIMount{Allow: []string{"openai-prod"}}},
			bctrl.Action{Verb: bctrl.UseAI, Object: "openai-prod"},
			bctrl.Mounts{AI: &bctrl.AIMount{Allow: []string{}}},
		},
		"Vault": {
			bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: []string{"prod/"}}},
			bctrl.Action{Verb: bctrl.UseVault, Object: "prod/crm"},
			bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: []string{}}},
		},
		"Storage": {
			bctrl.Mounts{Storage: &bctrl.StorageMount{Workspace: "files"}},
			bctrl.Action{Verb: bctrl.GetStorage, Object: "files"},
			bctrl.Mounts{Storage: &bctrl.StorageMount{Access: bctrl.StorageNone}},
		},
		"Capabilities": {
			bctrl.Mounts{Capabilities: &bctrl.CapabilityMount{Allow: []string{"github/"}}},
			bctrl.Action{Verb: bctrl.InvokeCapability, Object: "github/repos"},
			bctrl.Mounts{Capabilities: &bctrl.CapabilityMount{Allow: []string{}}},
		},
		"Web": {
			bctrl.Mounts{Web: &bctrl.WebMount{Allow: []string{"*.example.com"}}},
			bctrl.Action{Verb: bctrl.VisitHost, Object: "www.example.com"},
			bctrl.Mounts{Web: &bctrl.WebMount{Allow: []string{}}},
		},
	}
	for i := range reflect.TypeFor[bctrl.Mounts]().NumField() {
		field := reflect.TypeFor[bctrl.Mounts]().Field(i).Name
		one, ok := fields[field]
		require.True(t, ok, "%s is a new mount: say here what it permits", field)
		m, nothing := one.mounts, bctrl.Mounts{Web: &bctrl.WebMount{Allow: []string{}}}
		if m.Web == nil { // else it would permit every host beside
			m.Web = nothing.Web
		}
		require.NoError(t, m.Validate(), field)
		require.True(t, m.Explain(one.action).Allowed, "%s: what it permits is decided", field)

		require.False(t, nothing.Covers(m), "%s: nothing covers it", field)
		_, err := nothing.Narrow(m)
		require.ErrorIs(t, err, bctrl.ErrWidening, field)
		require.NotEqual(t, nothing.Normal(), m.Normal(), "%s: it is in the normal form", field)

		kept, err := m.Narrow(bctrl.Mounts{})
		require.NoError(t, err, field)
		require.Equal(t, m, kept, "%s: a level that says nothing inherits it", field)
		kept, err = m.Narrow(m)
		require.NoError(t, err, field)
		require.True(t, kept.Covers(m), "%s: a level may declare all of it", field)
		require.Equal(t, m.Normal(), bctrl.Chain{m, m, {}}.Effective().Normal(), "%s: it is met level by level", field)
		kept, err = m.Narrow(one.lowered)
		require.NoError(t, err, field)
		require.Equal(t, nothing.Normal(), kept.Normal(), "%s: a level may give it up", field)
		require.Equal(t, nothing.Normal(), bctrl.Chain{m, one.lowered}.Effective().Normal(), field)
		require.False(t, bctrl.Chain{nothing, m}.Allows(one.action), "%s: no level gets what the one above has not", field)
		require.Equal(t, nothing.Normal(), bctrl.Chain{nothing, m}.Effective().Normal(), field)
	}
}
