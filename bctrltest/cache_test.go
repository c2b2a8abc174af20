package bctrltest_test

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest"
	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
	"github.com/bctrl-go/bctrl/internal/democrm"
)

// TestATaskIsDoneAgainFromTheCacheOfItsWorkspace logs in and exports three times: with
// the model, without it, and in another workspace, which the cache does not serve.
func TestATaskIsDoneAgainFromTheCacheOfItsWorkspace(t *testing.T) {
	seed, password := bctrl.NewSecret("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"), bctrl.NewSecret("canary-Password-72")
	crm, err := democrm.New(democrm.Config{Username: "bot@company.com", Password: password, TOTPSeed: seed})
	require.NoError(t, err)
	site := httptest.NewServer(crm)
	t.Cleanup(site.Close)
	srv := bctrltest.New(t, bctrltest.WithBrowser(), bctrltest.WithModel(modeltest.LogInAndExport("quarter", "Q1")))
	client, ctx := srv.Client(bctrl.WithTimeout(2*time.Minute)), t.Context()
	_, err = client.AICredentials.Create(ctx, srv.ModelCredential("prod"))
	require.NoError(t, err)
	_, err = client.Vault.Set(ctx, "prod/crm", bctrl.VaultCredential{
		Username: "bot@company.com", Password: password, TOTP: seed, Origins: []string{site.URL},
	})
	require.NoError(t, err)
	export := func(workspace string) *bctrl.ActResult {
		t.Helper()
		mounts := bctrl.Mounts{
			AI:      &bctrl.AIMount{Allow: []string{"prod"}},
			Vault:   &bctrl.VaultMount{Allow: []string{"prod/crm"}},
			Storage: &bctrl.StorageMount{Workspace: workspace},
		}
		ws, err := client.Workspaces.GetByName(ctx, workspace)
		if err != nil {
			ws, err = client.Workspaces.Create(ctx, bctrl.WorkspaceCreate{Name: workspace, Mounts: mounts})
		}
		require.NoError(t, err)
		rt, err := ws.Runtimes.Browser("crm").Stagehand(ctx, bctrl.Launch{Mode: bctrl.ModeEphemeral})
		require.NoError(t, err)
		_, err = rt.Page.Goto(ctx, site.URL)
		require.NoError(t, err)
		result, err := rt.Stagehand.Act(ctx, "Log in and export Q1", bctrl.ActOptions{Cache: bctrl.CacheAuto})
		require.NoError(t, err)
		require.True(t, result.Success, "%+v", result)
		require.NoError(t, rt.Stop(ctx))
		require.Len(t, result.Downloads, 1)
		return result
	}

	require.False(t, export("sales").FromCache)
	again := export("sales")
	require.True(t, again.FromCache)
	require.Zero(t, again.Usage.Calls)
	require.Zero(t, again.Healed)
	require.False(t, export("support").FromCache, "the cache of a workspace serves no other")
	require.Equal(t, 3, crm.Counts().Logins)
}
