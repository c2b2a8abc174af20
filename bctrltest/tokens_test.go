package bctrltest_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest"
)

// salesRuntime launches a runtime that may use prod/crm/, with a login in it
// and one outside.
func salesRuntime(t *testing.T, client *bctrl.Client) *bctrl.Runtime {
	t.Helper()
	ctx := t.Context()
	for _, key := range []string{"prod/crm/sf", "prod/crm/hubspot", "prod/hr/payroll"} {
		_, err := client.Vault.Set(ctx, key, bctrl.VaultCredential{
			Username: "bot", Password: bctrl.NewSecret("canary-password"),
			TOTP: bctrl.NewSecret("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"),
		})
		require.NoError(t, err)
	}
	ws, err := client.Workspaces.Create(ctx, bctrl.WorkspaceCreate{Name: "sales", Mounts: bctrl.Mounts{
		Vault:   &bctrl.VaultMount{Allow: []string{"prod/crm/"}, AllowRawReads: new(true)},
		Storage: &bctrl.StorageMount{Workspace: "exports"},
	}})
	require.NoError(t, err)
	rt, err := ws.Runtimes.Browser("crm").Stagehand(ctx, bctrl.Launch{})
	require.NoError(t, err)
	return rt
}

func collect[T any](t *testing.T, list func(func(T, error) bool)) (all []T) {
	t.Helper()
	for v, err := range list {
		require.NoError(t, err)
		all = append(all, v)
	}
	return all
}

// TestAnAgentProcessWithATokenIsHeldToIt is another process that was given a
// token and nothing else.
func TestAnAgentProcessWithATokenIsHeldToIt(t *testing.T) {
	srv := bctrltest.New(t)
	owner, ctx := srv.Client(), t.Context()
	rt := salesRuntime(t, owner)
	token, err := rt.Token(ctx, bctrl.TokenRequest{
		Mounts: bctrl.Mounts{Vault: &bctrl.VaultMount{AllowRawReads: new(false)}},
		TTL:    time.Minute,
	})
	require.NoError(t, err)
	agent := srv.Client(bctrl.WithAPIKey(token))

	self, err := agent.Self(ctx)
	require.NoError(t, err)
	require.Equal(t, bctrl.CallerToken, self.Kind)
	require.Equal(t, rt.ID, self.Runtime.ID)
	require.WithinDuration(t, time.Now().Add(time.Minute), self.ExpiresAt, 10*time.Second)
	require.False(t, self.Runtime.Mounts().AllowsRawRead("prod/crm/sf"), "the handle knows what the token may")

	// The plain services are held to the token by the server.
	_, err = agent.Vault.TOTP(ctx, "prod/crm/sf")
	require.NoError(t, err)
	require.Equal(t, []string{"prod/crm/hubspot", "prod/crm/sf"}, collect(t, agent.Vault.List(ctx, "")))
	lacks := func(err error, right string) {
		t.Helper()
		require.ErrorIs(t, err, bctrl.ErrForbidden)
		var e *bctrl.Error
		require.ErrorAs(t, err, &e)
		require.Contains(t, e.Hint, "the missing right is "+right)
		require.NotContains(t, e.Error(), "canary")
	}
	_, err = agent.Vault.Get(ctx, "prod/crm/sf")
	lacks(err, "vault.readRaw")
	_, err = agent.Vault.TOTP(ctx, "prod/hr/payroll")
	lacks(err, "vault.use")
	_, err = agent.Vault.Set(ctx, "prod/crm/sf", bctrl.VaultCredential{Password: bctrl.NewSecret("x")})
	lacks(err, "vault.write")
	_, err = agent.Workspaces.Create(ctx, bctrl.WorkspaceCreate{Name: "mine"})
	lacks(err, "workspace.write")
	_, err = agent.Storage("hr").Get(ctx, "a")
	lacks(err, "storage.get")
	lacks(agent.RevokeToken(ctx, self.TokenID), "token.write")
	_, err = self.Runtime.Token(ctx, bctrl.TokenRequest{})
	lacks(err, "token.write")

	// The runtime handle refuses the same before a request.
	sent := len(srv.Requests())
	_, err = self.Runtime.Vault.Get(ctx, "prod/crm/sf")
	require.ErrorIs(t, err, bctrl.ErrOutsideMount)
	lacks(err, "vault.readRaw")
	_, err = self.Runtime.Vault.TOTP(ctx, "prod/hr/payroll")
	lacks(err, "vault.use")
	require.Len(t, srv.Requests(), sent)

	// And it works.
	_, err = self.Runtime.Vault.TOTP(ctx, "prod/crm/sf")
	require.NoError(t, err)
	_, err = self.Runtime.Storage.Upload(ctx, "a.csv", strings.NewReader("a,b\n"))
	require.NoError(t, err)
	_, err = self.Runtime.Page.Screenshot(ctx, bctrl.ScreenshotArgs{})
	require.NoError(t, err)
	_, err = self.Runtime.ConnectURL(ctx)
	require.NoError(t, err)
	require.NoError(t, self.Runtime.Refresh(ctx))
	require.False(t, self.Runtime.Mounts().AllowsRawRead("prod/crm/sf"), "also after a refresh")
	lower, err := self.Runtime.Narrow(bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: []string{"prod/crm/sf"}}})
	require.NoError(t, err)
	decision, err := lower.Explain(ctx, bctrl.Action{Verb: bctrl.UseVault, Object: "prod/crm/hubspot"})
	require.NoError(t, err)
	require.False(t, decision.Allowed)
	require.Equal(t, 3, decision.Level, "workspace, runtime, token, handle")
	require.Equal(t, []string{"prod/crm/sf"}, collect(t, lower.Vault.List(ctx, "")))

	require.NoError(t, self.Runtime.Stop(ctx))
	require.NoError(t, self.Runtime.Stop(ctx), "the token died with it, which is what stopping means")
	_, err = agent.Self(ctx)
	require.ErrorIs(t, err, bctrl.ErrUnauthorized)
}

func TestAttenuationHoldsOnTheServer(t *testing.T) {
	srv := bctrltest.New(t)
	owner, ctx := srv.Client(), t.Context()
	rt := salesRuntime(t, owner)
	narrowed, err := rt.Narrow(bctrl.Mounts{Storage: &bctrl.StorageMount{Access: bctrl.StorageNone}})
	require.NoError(t, err)
	token, err := narrowed.Token(ctx, bctrl.TokenRequest{})
	require.NoError(t, err)
	_, err = srv.Client(bctrl.WithAPIKey(token)).Storage("exports").Upload(ctx, "a", strings.NewReader("x"))
	require.ErrorIs(t, err, bctrl.ErrOutsideMount, "everything through a lower handle is lower")
	_, err = rt.Token(ctx, bctrl.TokenRequest{Mounts: bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: []string{"prod/"}}}})
	require.ErrorIs(t, err, bctrl.ErrWidening)
	_, err = rt.Token(ctx, bctrl.TokenRequest{TTL: time.Millisecond})
	require.ErrorIs(t, err, bctrl.ErrInvalid)

	before := len(srv.Requests())
	weaker, err := bctrl.Attenuate(token, bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: []string{"prod/crm/sf"}}},
		time.Now().Add(time.Minute))
	require.NoError(t, err)
	require.Len(t, srv.Requests(), before, "without a request")
	for _, tc := range []struct {
		token bctrl.Secret
		key   string
		want  error
	}{
		{token, "prod/crm/hubspot", nil}, {token, "prod/crm/sf", nil}, {token, "prod/hr/payroll", bctrl.ErrOutsideMount},
		{weaker, "prod/crm/hubspot", bctrl.ErrOutsideMount}, {weaker, "prod/crm/sf", nil},
	} {
		_, err := srv.Client(bctrl.WithAPIKey(tc.token)).Vault.Get(ctx, tc.key)
		require.ErrorIs(t, err, tc.want, tc.key)
	}

	// Revoking one ends all that were made of it.
	info, err := bctrl.InspectToken(weaker)
	require.NoError(t, err)
	require.NoError(t, owner.RevokeToken(ctx, info.ID))
	for _, held := range []bctrl.Secret{token, weaker} {
		_, err := srv.Client(bctrl.WithAPIKey(held)).Vault.Get(ctx, "prod/crm/sf")
		require.ErrorIs(t, err, bctrl.ErrUnauthorized)
	}
	self, err := owner.Self(ctx)
	require.NoError(t, err)
	require.Equal(t, bctrl.CallerKey, self.Kind)
	require.Nil(t, self.Runtime)
}

func TestARuntimeHandleWhoseAliasPassedOnMintsNothing(t *testing.T) {
	srv := bctrltest.New(t)
	rt := salesRuntime(t, srv.Client())
	require.NoError(t, rt.Stop(t.Context()))
	ws, err := srv.Client().Workspaces.GetByName(t.Context(), "sales")
	require.NoError(t, err)
	_, err = ws.Runtimes.Browser("crm").Stagehand(t.Context(), bctrl.Launch{})
	require.NoError(t, err)
	_, err = rt.Token(context.WithoutCancel(t.Context()), bctrl.TokenRequest{})
	require.ErrorIs(t, err, bctrl.ErrConflict)
}
