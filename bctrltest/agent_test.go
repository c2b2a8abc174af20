package bctrltest_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest"
	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
	"github.com/bctrl-go/bctrl/internal/democrm"
)

// TestAnAgentLogsInWithASecretItNeverSees is the main job: a real browser, a
// login with a code, an export that lands in storage.
func TestAnAgentLogsInWithASecretItNeverSees(t *testing.T) {
	for _, tc := range []struct {
		provider bctrl.AIProvider
		fill     bctrl.VaultFill
	}{{bctrl.OpenAI, bctrl.FillSwap}, {bctrl.Anthropic, bctrl.FillDirect}} {
		t.Run(string(tc.provider)+" "+string(tc.fill), func(t *testing.T) { mainJob(t, tc.provider, tc.fill) })
	}
}

// TestTheMainJobIsDoneByModelsAsTheyAnswerInPractice logs in once and exports once,
// however the answers come: a question that is put again repeats no action.
func TestTheMainJobIsDoneByModelsAsTheyAnswerInPractice(t *testing.T) {
	for _, tc := range []struct {
		provider bctrl.AIProvider
		forms    []modeltest.Form
	}{
		{bctrl.OpenAICompatible, []modeltest.Form{modeltest.RefusesTools}},
		{bctrl.Anthropic, []modeltest.Form{modeltest.RefusesTools, modeltest.RefusesPictures}},
		{bctrl.OpenAICompatible, []modeltest.Form{modeltest.CallsInText, modeltest.Events}},
		{bctrl.Google, []modeltest.Form{modeltest.EmptyFirst, modeltest.LooseCalls}},
		{bctrl.OpenAI, []modeltest.Form{modeltest.Events, modeltest.CutFirst}},
	} {
		t.Run(fmt.Sprint(tc.provider, tc.forms), func(t *testing.T) { mainJob(t, tc.provider, bctrl.FillSwap, tc.forms...) })
	}
}

func mainJob(t *testing.T, provider bctrl.AIProvider, fill bctrl.VaultFill, forms ...modeltest.Form) {
	t.Helper()
	const seed = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
	password := bctrl.NewSecret("canary-Password-71")
	crm, err := democrm.New(democrm.Config{Username: "bot@company.com", Password: password,
		TOTPSeed: bctrl.NewSecret(seed)})
	require.NoError(t, err)
	site := httptest.NewServer(crm)
	t.Cleanup(site.Close)
	srv := bctrltest.New(t, bctrltest.WithBrowser(), bctrltest.WithModel(modeltest.LogInAndExport("quarter", "Q1"),
		forms...))
	client, ctx := srv.Client(bctrl.WithTimeout(2*time.Minute)), t.Context()

	credential := srv.ModelCredential("prod")
	credential.Provider = provider
	_, err = client.AICredentials.Create(ctx, credential)
	require.NoError(t, err)
	_, err = client.Vault.Set(ctx, "prod/crm/salesforce", bctrl.VaultCredential{
		Username: "bot@company.com",
		Password: password,
		TOTP:     bctrl.NewSecret(seed),
		Origins:  []string{site.URL},
		Fill:     fill,
	})
	require.NoError(t, err)
	ws, err := client.Workspaces.Create(ctx, bctrl.WorkspaceCreate{Name: "sales-pipeline", Mounts: bctrl.Mounts{
		AI:      &bctrl.AIMount{Allow: []string{"prod"}},
		Vault:   &bctrl.VaultMount{Allow: []string{"prod/crm/"}},
		Storage: &bctrl.StorageMount{Workspace: "sales-exports"},
	}})
	require.NoError(t, err)
	rt, err := ws.Runtimes.Browser("crm").Stagehand(ctx, bctrl.Launch{Mode: bctrl.ModeProfile, ProfileID: "sf-bot"})
	require.NoError(t, err)

	_, err = rt.Page.Goto(ctx, site.URL)
	require.NoError(t, err)
	if len(forms) > 0 {
		srv.Model().Fail(2, http.StatusServiceUnavailable) // a busy provider besides
	}
	result, err := rt.Stagehand.Act(ctx, "Log in to the CRM and export Q1 pipeline")
	require.NoError(t, err)
	require.True(t, result.Success, "%+v", result)
	require.Len(t, result.Downloads, 1)
	text, err := client.Storage("sales-exports").Get(ctx, result.Downloads[0].LogicalPath)
	require.NoError(t, err)
	require.Contains(t, string(text), "Q1")
	require.NoError(t, rt.Stop(ctx))

	require.Equal(t, 1, crm.Counts().Logins)
	require.Zero(t, crm.Counts().WrongLogins)
	require.Equal(t, 1, crm.Counts().Exports)
	require.NotEmpty(t, srv.Model().Requests())
	for _, r := range srv.Model().Requests() {
		require.False(t, bytes.Contains(r.Body, []byte(password.Expose())), "the model was sent the password")
		require.False(t, bytes.Contains(r.Body, []byte(seed)), "the model was sent the seed")
	}
}
