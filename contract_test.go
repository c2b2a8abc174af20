package bctrl_test

import (
	"context"
	"iter"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

// program is the program of the API's contract, word for word but for the
// errors that it leaves out.
func program(ctx context.Context, client *bctrl.Client) (err error) {
	_, err = client.AICredentials.Create(ctx, bctrl.AICredentialCreate{
		ID:       "openai-prod",
		Provider: bctrl.OpenAI,
		Label:    "Production",
		APIKey:   bctrl.NewSecret(os.Getenv("OPENAI_API_KEY")),
	})
	if err != nil {
		return err
	}
	_, err = client.Vault.Set(ctx, "prod/crm/salesforce", bctrl.VaultCredential{
		Username: "bot@company.com",
		Password: bctrl.NewSecret(os.Getenv("SF_PASSWORD")),
		TOTP:     bctrl.NewSecret(os.Getenv("SF_TOTP_SEED")),
		Origins:  []string{"https://login.salesforce.com"},
	})
	if err != nil {
		return err
	}
	ws, err := client.Workspaces.Create(ctx, bctrl.WorkspaceCreate{
		Name: "sales-pipeline",
		Mounts: bctrl.Mounts{
			AI: &bctrl.AIMount{Allow: []string{"openai-prod"},
				Defaults: map[bctrl.Provider]string{bctrl.OpenAI: "openai-prod"}},
			Vault:   &bctrl.VaultMount{Allow: []string{"prod/crm/"}},
			Storage: &bctrl.StorageMount{Workspace: "sales-exports"},
		},
	})
	if err != nil {
		return err
	}
	rt, err := ws.Runtimes.Browser("crm").Stagehand(ctx, bctrl.Launch{Mode: bctrl.ModeProfile, ProfileID: "sf-bot"})
	if err != nil {
		return err
	}
	defer rt.Stop(context.WithoutCancel(ctx)) //nolint:errcheck // the contract in its own words
	_, err = rt.Stagehand.Act(ctx, "Log in to Salesforce and export Q1 pipeline")
	return err
}

func TestTheProgramOfTheContractCompilesAndRuns(t *testing.T) {
	require.NoError(t, program(t.Context(), exampleClient()))
}

// The other signatures of the contract, for the compiler to hold.
func _(ctx context.Context, client *bctrl.Client, rt *bctrl.Runtime, ws *bctrl.Workspace, op *bctrl.Operation) {
	var _ func(...bctrl.Option) (*bctrl.Client, error) = bctrl.New
	var _ func(string) *bctrl.Storage = client.Storage
	var _ func(context.Context, string, []string, any, any, ...bctrl.CallOption) error = client.Do
	var _ iter.Seq2[string, error] = client.Vault.List(ctx, "prod/")
	var _ iter.Seq2[bctrl.VaultEntry, error] = client.Vault.Entries(ctx,
		bctrl.VaultFilter{Prefix: "prod/", HasTOTP: new(true)})
	var _ iter.Seq2[bctrl.StorageItem, error] = client.Storage("ns").Browse(ctx,
		bctrl.BrowseOptions{Prefix: "a/", Delimiter: "/"})
	var _ iter.Seq2[bctrl.StorageObject, error] = client.Storage("ns").Objects(ctx, bctrl.ObjectFilter{})
	var _ iter.Seq2[bctrl.OperationProgress, error] = op.Progress(ctx)
	var _ iter.Seq2[bctrl.Update, error] = client.Updates(ctx)
	_ = client.Updates(ctx, bctrl.UpdatesOptions{After: 7}, bctrl.WithCallTimeout(time.Minute))
	_ = client.Secrets.List(ctx, bctrl.ScopeFilter{Scope: bctrl.Global()})
	var _ func(bctrl.Mounts) (*bctrl.Runtime, error) = rt.Narrow
	var _ bctrl.Mounts = rt.Mounts()
	var _ []bctrl.Option = []bctrl.Option{
		bctrl.WithAPIKey(bctrl.Secret{}), bctrl.WithBaseURL(""), bctrl.WithHTTPClient(nil), bctrl.WithMaxRetries(2),
		bctrl.WithRetryWait(time.Second, time.Second), bctrl.WithTimeout(time.Second), bctrl.WithLogger(nil),
		bctrl.WithHook(nil),
		bctrl.WithApplication("n", "v"), bctrl.WithInsecureHTTP(),
	}
	_, _, _, _, _ = rt.ID, rt.Alias, rt.Status, rt.Driver, rt.Stop
	_, _, _, _ = ws.ID, ws.Name, ws.Mounts, ws.Version
	_, _ = client.Storage("ns").DownloadURL(ctx, "a", time.Minute)
	_ = client.AICredentials.Delete(ctx, "a", bctrl.WithForce())
	_ = ws.Runtimes.Browser("crm").Narrow(bctrl.Mounts{}).Group("g")
}
