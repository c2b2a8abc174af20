package bctrltest_test

import (
	"fmt"
	"sort"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest"
)

// TestTheLongestMountsOfAHandleArriveAtTheServer holds the bound of the SDK to that of the server.
func TestTheLongestMountsOfAHandleArriveAtTheServer(t *testing.T) {
	srv := bctrltest.New(t)
	ws, err := srv.Client().Workspaces.Create(t.Context(), bctrl.WorkspaceCreate{
		Name: "sales", Mounts: bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: []string{"prod/"}}},
	})
	require.NoError(t, err)
	rt, err := ws.Runtimes.Browser("crm").Stagehand(t.Context(), bctrl.Launch{})
	require.NoError(t, err)
	narrowed := func(keys int) (*bctrl.Runtime, error) {
		allow := make([]string, keys)
		for i := range allow {
			allow[i] = fmt.Sprintf("prod/crm/%04d", i)
		}
		return rt.Narrow(bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: allow}})
	}
	tooMany := sort.Search(10_000, func(n int) bool { _, err := narrowed(n); return err != nil })
	require.Less(t, tooMany, 10_000)
	longest, err := narrowed(tooMany - 1)
	require.NoError(t, err)
	require.NoError(t, longest.Refresh(t.Context()))
	_, err = longest.Explain(t.Context(), bctrl.Action{Verb: bctrl.UseVault, Object: "prod/crm/0001"})
	require.NoError(t, err)
}
