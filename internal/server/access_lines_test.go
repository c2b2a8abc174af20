package server

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

// accessLines are the rights that the SDK's comments name, by method.
func accessLines(t *testing.T) map[string]string {
	t.Helper()
	root := filepath.Join("..", "..")
	entries, err := os.ReadDir(root)
	require.NoError(t, err)
	lines := map[string]string{}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, e.Name()), nil, parser.ParseComments)
		require.NoError(t, err)
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv == nil {
				continue
			}
			recv := fn.Recv.List[0].Type
			if star, ok := recv.(*ast.StarExpr); ok {
				recv = star.X
			}
			for line := range strings.Lines(fn.Doc.Text()) {
				if right, ok := strings.CutPrefix(line, "Access: "); ok {
					lines[recv.(*ast.Ident).Name+"."+fn.Name.Name] = strings.TrimSpace(right)
				}
			}
		}
	}
	return lines
}

// drain reads a list to its end.
func drain[T any](list iter.Seq2[T, error]) error {
	for _, err := range list {
		if err != nil {
			return err
		}
	}
	return nil
}

// failing keeps a call's error alone.
func failing[T any](_ T, err error) error { return err }

// aiCredentials are the calls about AI credentials.
func (s *surface) aiCredentials() []methodCall {
	ctx := s.Context()
	p := bctrl.PageOptions{}
	return []methodCall{
		{"AICredentialsService.Create", func() error {
			c := s.create
			c.ID = "other"
			return failing(s.client.AICredentials.Create(ctx, c))
		}},
		{"AICredentialsService.Get", func() error { return failing(s.client.AICredentials.Get(ctx, "mine")) }},
		{"AICredentialsService.List", func() error { return drain(s.client.AICredentials.List(ctx)) }},
		{"AICredentialsService.Page", func() error { return failing(s.client.AICredentials.Page(ctx, p)) }},
		{"AICredentialsService.Update", func() error {
			return failing(s.client.AICredentials.Update(ctx, "mine", bctrl.AICredentialUpdate{Label: new("l")}))
		}},
		{"AICredentialsService.Test", func() error { return failing(s.client.AICredentials.Test(ctx, "mine")) }},
		{"AICredentialsService.Delete", func() error { return s.client.AICredentials.Delete(ctx, "other") }},
		{"RuntimeAI.Get", func() error { return failing(s.rt.AI.Get(ctx, "mine")) }},
		{"RuntimeAI.List", func() error { return drain(s.rt.AI.List(ctx)) }},
	}
}

// vaults are the calls about logins.
func (s *surface) vaults() []methodCall {
	ctx := s.Context()
	p := bctrl.PageOptions{}
	return []methodCall{
		{"VaultService.Set", func() error { return failing(s.client.Vault.Set(ctx, "k", s.login)) }},
		{"VaultService.Get", func() error { return failing(s.client.Vault.Get(ctx, "k")) }},
		{"VaultService.TOTP", func() error { return failing(s.client.Vault.TOTP(ctx, "k")) }},
		{"VaultService.List", func() error { return drain(s.client.Vault.List(ctx, "")) }},
		{"VaultService.KeysPage", func() error { return failing(s.client.Vault.KeysPage(ctx, "", p)) }},
		{"VaultService.Entries", func() error { return drain(s.client.Vault.Entries(ctx, bctrl.VaultFilter{})) }},
		{"VaultService.EntriesPage", func() error {
			return failing(s.client.Vault.EntriesPage(ctx, bctrl.VaultFilter{}, p))
		}},
		{"VaultService.Delete", func() error { return s.client.Vault.Delete(ctx, "k") }},
		{"RuntimeVault.Get", func() error { return failing(s.rt.Vault.Get(ctx, "prod/k")) }},
		{"RuntimeVault.TOTP", func() error { return failing(s.rt.Vault.TOTP(ctx, "prod/k")) }},
		{"RuntimeVault.List", func() error { return drain(s.rt.Vault.List(ctx, "")) }},
		{"RuntimeVault.Entries", func() error { return drain(s.rt.Vault.Entries(ctx, bctrl.VaultFilter{})) }},
	}
}

// storages are the calls about files.
func (s *surface) storages() []methodCall {
	ctx := s.Context()
	p := bctrl.PageOptions{}
	files := s.client.Storage("w")
	return []methodCall{
		{"Storage.Upload", func() error { return s.upload(ctx) }},
		{"Storage.Get", func() error { return failing(files.Get(ctx, "f")) }},
		{"Storage.Open", func() error {
			r, err := files.Open(ctx, "f")
			if err != nil {
				return err
			}
			return r.Close()
		}},
		{"Storage.Stat", func() error { return failing(files.Stat(ctx, "f")) }},
		{"Storage.DownloadURL", func() error { return failing(files.DownloadURL(ctx, "f", time.Minute)) }},
		{"Storage.Browse", func() error { return drain(files.Browse(ctx, bctrl.BrowseOptions{})) }},
		{"Storage.BrowsePage", func() error { return failing(files.BrowsePage(ctx, bctrl.BrowseOptions{}, p)) }},
		{"Storage.Objects", func() error { return drain(files.Objects(ctx, bctrl.ObjectFilter{})) }},
		{"Storage.ObjectsPage", func() error { return failing(files.ObjectsPage(ctx, bctrl.ObjectFilter{}, p)) }},
		{"Storage.Delete", func() error { return files.Delete(ctx, "f") }},
	}
}

// profiles are the calls about browser profiles.
func (s *surface) profiles() []methodCall {
	ctx := s.Context()
	p := bctrl.PageOptions{}
	return []methodCall{
		{"BrowserProfilesService.Create", func() error {
			return failing(s.client.Profiles.Create(ctx, bctrl.BrowserProfileCreate{ID: "b"}))
		}},
		{"BrowserProfilesService.Get", func() error { return failing(s.client.Profiles.Get(ctx, "b")) }},
		{"BrowserProfilesService.List", func() error { return drain(s.client.Profiles.List(ctx)) }},
		{"BrowserProfilesService.Page", func() error { return failing(s.client.Profiles.Page(ctx, p)) }},
		{"BrowserProfilesService.Update", func() error {
			return failing(s.client.Profiles.Update(ctx, "b", bctrl.BrowserProfileUpdate{Label: new("l")}))
		}},
		{"BrowserProfilesService.Clone", func() error {
			return failing(s.client.Profiles.Clone(ctx, "b", bctrl.BrowserProfileCreate{ID: "c"}))
		}},
		{"BrowserProfilesService.ExportCookies", func() error {
			return failing(s.client.Profiles.ExportCookies(ctx, "b", bctrl.NewSecret("a long passphrase")))
		}},
		{"BrowserProfilesService.ImportCookies", func() error {
			return failing(s.client.Profiles.ImportCookies(ctx, "b", bctrl.CookieImport{Cookies: []bctrl.Cookie{
				{Name: "n", Value: bctrl.NewSecret("v"), Domain: "example.com"},
			}}))
		}},
		{"BrowserProfilesService.Delete", func() error { return s.client.Profiles.Delete(ctx, "b") }},
	}
}

// workspaces are the calls about workspaces, launches and executions.
func (s *surface) workspaces() []methodCall {
	ctx := s.Context()
	p := bctrl.PageOptions{}
	return []methodCall{
		{"WorkspacesService.Create", func() error {
			return failing(s.client.Workspaces.Create(ctx, bctrl.WorkspaceCreate{Name: "other"}))
		}},
		{"WorkspacesService.Get", func() error { return failing(s.client.Workspaces.Get(ctx, s.ws.ID)) }},
		{"WorkspacesService.GetByName", func() error { return failing(s.client.Workspaces.GetByName(ctx, "w")) }},
		{"WorkspacesService.List", func() error { return drain(s.client.Workspaces.List(ctx)) }},
		{"WorkspacesService.Page", func() error { return failing(s.client.Workspaces.Page(ctx, p)) }},
		{"Workspace.Update", func() error { return s.ws.Update(ctx, bctrl.WorkspaceUpdate{Name: new("w")}) }},
		{"Workspace.Refresh", func() error { return s.ws.Refresh(ctx) }},
		{"Workspace.State", func() error { return failing(s.ws.State(ctx)) }},
		{"Workspace.Execute", func() error { return failing(s.ws.Execute(ctx, s.execution)) }},
		{"Workspace.ExecuteAsync", func() error { return failing(s.ws.ExecuteAsync(ctx, s.execution)) }},
		{"BrowserLauncher.Stagehand", func() error {
			return failing(s.ws.Runtimes.Browser("s").Stagehand(ctx, bctrl.Launch{}))
		}},
		{"BrowserLauncher.Playwright", func() error {
			return failing(s.ws.Runtimes.Browser("pw").Playwright(ctx, bctrl.Launch{}))
		}},
		{"BrowserLauncher.Puppeteer", func() error {
			return failing(s.ws.Runtimes.Browser("pp").Puppeteer(ctx, bctrl.Launch{}))
		}},
		{"BrowserLauncher.Selenium", func() error {
			return failing(s.ws.Runtimes.Browser("se").Selenium(ctx, bctrl.Launch{}))
		}},
	}
}

// runtimes are the calls about runtimes and their tokens.
func (s *surface) runtimes() []methodCall {
	ctx := s.Context()
	p := bctrl.PageOptions{}
	var minted bctrl.Secret
	var opened *bctrl.Connection
	var view *bctrl.LiveView
	return []methodCall{
		{"RuntimesService.Get", func() error { return failing(s.ws.Runtimes.Get(ctx, "r")) }},
		{"RuntimesService.List", func() error { return drain(s.ws.Runtimes.List(ctx)) }},
		{"RuntimesService.Page", func() error { return failing(s.ws.Runtimes.Page(ctx, p)) }},
		{"Runtime.Refresh", func() error { return s.rt.Refresh(ctx) }},
		{"Runtime.ConnectURL", func() error { return failing(s.rt.ConnectURL(ctx)) }},
		{"Runtime.Connect", func() (err error) {
			opened, err = s.rt.Connect(ctx)
			return err
		}},
		{"Runtime.SaveProfile", func() error { return failing(s.rt.SaveProfile(ctx)) }},
		{"Runtime.ConnectURLs", func() error { return failing(s.rt.ConnectURLs(ctx)) }},
		{"Runtime.RevokeConnectURL", func() error { return s.rt.RevokeConnectURL(ctx, opened.ID) }},
		{"Runtime.Live", func() (err error) {
			view, err = s.rt.Live(ctx, bctrl.LiveOptions{})
			return err
		}},
		{"Runtime.LiveViews", func() error { return failing(s.rt.LiveViews(ctx)) }},
		{"LiveView.Revoke", func() error { return view.Revoke(ctx) }},
		{"Runtime.Recording", func() error { return failing(s.rt.Recording(ctx)) }},
		{"Runtime.RecordingWith", func() error {
			return failing(s.rt.RecordingWith(ctx, bctrl.RecordingOptions{TTL: time.Minute}))
		}},
		{"Runtime.Explain", func() error {
			return failing(s.rt.Explain(ctx, bctrl.Action{Verb: bctrl.UseVault, Object: "prod/k"}))
		}},
		{"Runtime.Events", func() error {
			for e, err := range s.rt.Events(ctx) {
				require.NoError(s, err)
				require.Equal(s, bctrl.EventLaunched, e.Type)
				break
			}
			return nil
		}},
		{"Runtime.WaitEvent", func() error {
			return failing(s.rt.WaitEvent(ctx, bctrl.WaitEventOptions{After: bctrl.FirstKept}))
		}},
		{"Client.Updates", func() error {
			for _, err := range s.client.Updates(ctx, bctrl.UpdatesOptions{After: bctrl.FirstKept}) {
				return err
			}
			return nil
		}},
		{"Runtime.Token", func() (err error) {
			minted, err = s.rt.Token(ctx, bctrl.TokenRequest{})
			return err
		}},
		{"Client.RevokeToken", func() error { return s.client.RevokeToken(ctx, tokenID(s.T, minted)) }},
	}
}

// subaccounts are the calls about subaccounts.
func (s *surface) subaccounts() []methodCall {
	ctx := s.Context()
	p := bctrl.PageOptions{}
	var sub *bctrl.Subaccount
	return []methodCall{
		{"SubaccountsService.Create", func() (err error) {
			sub, err = s.client.Subaccounts.Create(ctx, bctrl.SubaccountCreate{Name: "sub"})
			return err
		}},
		{"SubaccountsService.List", func() error { return drain(s.client.Subaccounts.List(ctx)) }},
		{"SubaccountsService.Page", func() error { return failing(s.client.Subaccounts.Page(ctx, p)) }},
		{"SubaccountsService.Delete", func() error { return s.client.Subaccounts.Delete(ctx, sub.ID) }},
	}
}

// secrets are the calls about secrets.
func (s *surface) secrets() []methodCall {
	ctx := s.Context()
	p := bctrl.PageOptions{}
	return []methodCall{
		{"SecretsService.Create", func() (err error) {
			s.secret, err = s.client.Secrets.Create(ctx, bctrl.SecretCreate{Name: "S", Value: bctrl.NewSecret("v"),
				Scope: bctrl.InWorkspace("w")})
			return err
		}},
		{"SecretsService.Get", func() error { return failing(s.client.Secrets.Get(ctx, s.secret.ID)) }},
		{"SecretsService.List", func() error { return drain(s.client.Secrets.List(ctx, bctrl.SecretFilter{})) }},
		{"SecretsService.Page", func() error { return failing(s.client.Secrets.Page(ctx, bctrl.SecretFilter{}, p)) }},
		{"SecretsService.Update", func() error {
			return failing(s.client.Secrets.Update(ctx, s.secret.ID, bctrl.SecretUpdate{Aliases: []string{"a"}}))
		}},
		{"SecretsService.Rotate", func() error {
			return failing(s.client.Secrets.Rotate(ctx, s.secret.ID, bctrl.NewSecret("v2")))
		}},
		{"SecretsService.AttachGroup", func() error {
			return failing(s.client.Secrets.AttachGroup(ctx, s.secret.ID, "w", "g"))
		}},
		{"SecretsService.DetachGroup", func() error {
			return failing(s.client.Secrets.DetachGroup(ctx, s.secret.ID, "w", "g"))
		}},
		{"SecretsService.Import", func() error {
			return failing(s.client.Secrets.Import(ctx, bctrl.SecretImport{Scope: bctrl.Global(), Text: bctrl.NewSecret("A=1")}))
		}},
	}
}

// broker are the calls about credentials, capabilities and bindings, and those that go through the broker.
func (s *surface) broker() []methodCall {
	ctx := s.Context()
	p := bctrl.PageOptions{}
	inv := bctrl.Invocation{Capability: "acme/users", Context: bctrl.InWorkspace(s.ws.ID)}
	target := bctrl.CallTarget{Capability: "acme/users", Context: bctrl.InWorkspace("w")}
	return []methodCall{
		{"CredentialsService.Create", func() error {
			return failing(s.client.Credentials.Create(ctx, bctrl.CredentialCreate{
				ID:        "acme",
				Provider:  "acme",
				SecretRef: "vault:secret:" + s.secret.ID,
				Scope:     bctrl.InWorkspace("w"),
				Auth:      &bctrl.CredentialAuth{Type: bctrl.AuthHeader, Headers: map[string]string{"X-Key": "{secret}"}},
				Hosts:     []string{"api.acme.example"},
			}))
		}},
		{"CredentialsService.Get", func() error { return failing(s.client.Credentials.Get(ctx, "acme")) }},
		{"CredentialsService.List", func() error { return drain(s.client.Credentials.List(ctx)) }},
		{"CredentialsService.Page", func() error { return failing(s.client.Credentials.Page(ctx, p)) }},
		{"CredentialsService.Update", func() error {
			return failing(s.client.Credentials.Update(ctx, "acme", bctrl.CredentialUpdate{Priority: new(1)}))
		}},
		{"CapabilitiesService.Create", func() error {
			return failing(s.client.Capabilities.Create(ctx, bctrl.CapabilityCreate{ID: "acme/users", Methods: []string{"GET"},
				Paths: []string{"/v1/users"}}))
		}},
		{"CapabilitiesService.List", func() error {
			return drain(s.client.Capabilities.List(ctx, bctrl.CapabilityFilter{Provider: "acme"}))
		}},
		{"CapabilitiesService.Page", func() error {
			return failing(s.client.Capabilities.Page(ctx, bctrl.CapabilityFilter{}, p))
		}},
		{"CapabilitiesService.Describe", func() error { return failing(s.client.Capabilities.Describe(ctx, "acme/users")) }},
		{"CapabilitiesService.SetPolicy", func() error {
			return failing(s.client.Capabilities.SetPolicy(ctx, "acme/users", bctrl.CapabilityPolicy{CallsPerMinute: 100}))
		}},
		{"CapabilitiesService.Bind", func() error {
			return failing(s.client.Capabilities.Bind(ctx,
				bctrl.Binding{Credential: "acme", SecretRef: "vault:secret:" + s.secret.ID, Scope: bctrl.InWorkspace("w")}))
		}},
		{"CapabilitiesService.Bindings", func() error {
			return drain(s.client.Capabilities.Bindings(ctx, bctrl.BindingFilter{}))
		}},
		{"CapabilitiesService.BindingsPage", func() error {
			return failing(s.client.Capabilities.BindingsPage(ctx, bctrl.BindingFilter{Credential: "acme"}, p))
		}},
		{"CapabilitiesService.Unbind", func() error {
			return s.client.Capabilities.Unbind(ctx, bctrl.Binding{Credential: "acme", Scope: bctrl.InWorkspace("w")})
		}},
		{"CapabilitiesService.Invoke", func() error { return failing(s.client.Capabilities.Invoke(ctx, inv)) }},
		{"CapabilitiesService.Stream", func() error { return s.closed(s.client.Capabilities.Stream(ctx, inv)) }},
		{"CapabilitiesService.HTTPClient", func() error { return s.asked(s.client.Capabilities.HTTPClient(target)) }},
		{"RuntimeCapabilities.Invoke", func() error { return failing(s.rt.Capabilities.Invoke(ctx, inv)) }},
		{"RuntimeCapabilities.Stream", func() error { return s.closed(s.rt.Capabilities.Stream(ctx, inv)) }},
		{"RuntimeCapabilities.HTTPClient", func() error {
			return s.asked(s.rt.Capabilities.HTTPClient(bctrl.CallTarget{Capability: "acme/"}))
		}},
		{"CapabilitiesService.Delete", func() error { return s.client.Capabilities.Delete(ctx, "acme/users") }},
		{"CredentialsService.Delete", func() error { return s.client.Credentials.Delete(ctx, "acme") }},
		{"SecretsService.Delete", func() error { return s.client.Secrets.Delete(ctx, s.secret.ID) }},
	}
}

// seals are the calls about the master key, and about the nodes of a cluster.
func (s *surface) seals() []methodCall {
	ctx := s.Context()
	return []methodCall{
		{"SealService.Status", func() error { return failing(s.client.Seal.Status(ctx)) }},
		{"SealService.Rotate", func() error { return failing(s.client.Seal.Rotate(ctx, bctrl.SealKey{})) }},
		{"NodesService.List", func() error { return failing(s.client.Nodes.List(ctx)) }},
		{"NodesService.Drain", func() error {
			require.ErrorIs(s, failing(s.client.Nodes.Drain(ctx, uuid.NewString())), bctrl.ErrNotFound, "it is in no cluster")
			return nil
		}},
		{"SealService.Lock", func() error { return failing(s.client.Seal.Lock(ctx)) }},
		{"SealService.Unlock", func() error { return failing(s.client.Seal.Unlock(ctx, bctrl.SealKey{})) }},
	}
}

// withoutModel is a call of an agent whose model is not there.
func (s *surface) withoutModel(call func() error) func() error {
	return func() error {
		require.Error(s, call())
		return nil
	}
}

// agents are the calls of agents and about operations.
func (s *surface) agents() []methodCall {
	ctx := s.Context()
	return []methodCall{
		{"Client.Self", func() error { return failing(s.client.Self(ctx)) }},
		{"Stagehand.Act", s.withoutModel(func() error { return failing(s.rt.Stagehand.Act(ctx, "x")) })},
		{"Stagehand.Observe", s.withoutModel(func() error { return failing(s.rt.Stagehand.Observe(ctx, "x")) })},
		{"Stagehand.Extract", s.withoutModel(func() error { return failing(s.rt.Stagehand.Extract(ctx, "x")) })},
		{"Stagehand.Agent", s.withoutModel(func() error { return failing(s.rt.Stagehand.Agent(ctx, "x")) })},
		{"BrowserUse.Agent", s.withoutModel(func() error { return failing(s.rt.BrowserUse.Agent(ctx, "x")) })},
		{"Stagehand.ActAsync", func() error { return failing(s.rt.Stagehand.ActAsync(ctx, "x")) }},
		{"Stagehand.ObserveAsync", func() error { return failing(s.rt.Stagehand.ObserveAsync(ctx, "x")) }},
		{"Stagehand.ExtractAsync", func() error { return failing(s.rt.Stagehand.ExtractAsync(ctx, "x")) }},
		{"Stagehand.AgentAsync", func() error { return failing(s.rt.Stagehand.AgentAsync(ctx, "x")) }},
		{"BrowserUse.AgentAsync", func() error { return failing(s.rt.BrowserUse.AgentAsync(ctx, "x")) }},
		{"BrowserPage.Goto", func() error { return failing(s.rt.Page.Goto(ctx, "http://127.0.0.1:9")) }},
		{"RuntimeFiles.Stage", func() error { return failing(s.rt.Files.Stage(ctx, "q1.pdf", strings.NewReader("x"))) }},
		{"BrowserPage.PDF", func() error { return failing(s.rt.Page.PDF(ctx, bctrl.PDFOptions{})) }},
		{"BrowserPage.Screenshot", func() error { return failing(s.rt.Page.Screenshot(ctx, bctrl.ScreenshotArgs{})) }},
		{"BrowserPages.Open", func() error { return failing(s.rt.Pages.Open(ctx, "http://127.0.0.1:9")) }},
		{"BrowserPages.List", func() error { return failing(s.rt.Pages.List(ctx)) }},
		{"BrowserPages.Activate", func() error { return s.rt.Pages.Activate(ctx, "t1") }},
		{"BrowserPages.Close", func() error { return s.rt.Pages.Close(ctx, "t1") }},
		{"BrowserPage.Fill", s.withoutModel(func() error {
			box := &bctrl.ElementDescription{Role: "textbox"}
			return failing(s.rt.Page.Fill(ctx, bctrl.FillArgs{Key: "prod/k", Password: box}))
		})},
		{"OperationsService.Get", func() error { return failing(s.client.Operations.Get(ctx, s.op.ID)) }},
		{"OperationsService.List", func() error { return drain(s.client.Operations.List(ctx, bctrl.OperationFilter{})) }},
		{"OperationsService.Page", func() error {
			return failing(s.client.Operations.Page(ctx, bctrl.OperationFilter{}, bctrl.PageOptions{}))
		}},
		{"Runtime.Replay", s.withoutModel(func() error { return failing(s.rt.Replay(ctx, []bctrl.TranscriptStep{{}})) })},
		{"Operation.Wait", func() error { return failing(s.op.Wait(ctx)) }},
		{"Operation.Progress", func() error { return drain(s.op.Progress(ctx)) }},
		{"Operation.Transcript", func() error { return drain(s.op.Transcript(ctx)) }},
		{"Operation.TranscriptPage", func() error { return failing(s.op.TranscriptPage(ctx, bctrl.PageOptions{})) }},
		{"Operation.Replay", func() error { return failing(s.op.Replay(ctx, s.rt)) }},
		{"Operation.Cancel", func() error { return failing(s.op.Cancel(ctx)) }},
	}
}

// audits are the calls about the audit log.
func (s *surface) audits() []methodCall {
	ctx := s.Context()
	p := bctrl.PageOptions{}
	return []methodCall{
		{"AuditService.Events", func() error { return drain(s.client.Audit.Events(ctx, bctrl.AuditFilter{})) }},
		{"AuditService.Page", func() error { return failing(s.client.Audit.Page(ctx, bctrl.AuditFilter{}, p)) }},
		{"AuditService.Verify", func() error { return failing(s.client.Audit.Verify(ctx)) }},
		{"AuditService.Export", func() error { return s.client.Audit.Export(ctx, io.Discard, bctrl.AuditFilter{}) }},
		{"AuditService.Tail", func() error {
			ctx, leave := context.WithTimeout(ctx, 100*time.Millisecond)
			defer leave()
			require.ErrorIs(s, drain(s.client.Audit.Tail(ctx, bctrl.AuditFilter{})), context.DeadlineExceeded)
			return nil
		}},
	}
}

// webhooks are the calls about webhooks.
func (s *surface) webhooks() []methodCall {
	ctx := s.Context()
	p := bctrl.PageOptions{}
	var made *bctrl.NewWebhook
	var sent *bctrl.WebhookDelivery
	return []methodCall{
		{"WebhooksService.Create", func() (err error) {
			made, err = s.client.Webhooks.Create(ctx, bctrl.WebhookCreate{URL: "http://127.0.0.1:9/"})
			return err
		}},
		{"WebhooksService.Get", func() error { return failing(s.client.Webhooks.Get(ctx, made.ID)) }},
		{"WebhooksService.List", func() error { return drain(s.client.Webhooks.List(ctx)) }},
		{"WebhooksService.Page", func() error { return failing(s.client.Webhooks.Page(ctx, p)) }},
		{"WebhooksService.Update", func() error {
			return failing(s.client.Webhooks.Update(ctx, made.ID, bctrl.WebhookUpdate{Description: new("d")}))
		}},
		{"WebhooksService.Test", func() (err error) {
			sent, err = s.client.Webhooks.Test(ctx, made.ID)
			return err
		}},
		{"WebhooksService.Redeliver", func() error { return failing(s.client.Webhooks.Redeliver(ctx, made.ID, sent.ID)) }},
		{"WebhooksService.Deliveries", func() error { return drain(s.client.Webhooks.Deliveries(ctx, made.ID)) }},
		{"WebhooksService.DeliveriesPage", func() error {
			return failing(s.client.Webhooks.DeliveriesPage(ctx, made.ID, p))
		}},
		{"WebhooksService.RotateSecret", func() error {
			return failing(s.client.Webhooks.RotateSecret(ctx, made.ID, bctrl.WebhookRotation{}))
		}},
		{"WebhooksService.Delete", func() error { return s.client.Webhooks.Delete(ctx, made.ID) }},
	}
}

// endings are the calls that end what the others are about.
func (s *surface) endings() []methodCall {
	ctx := s.Context()
	return []methodCall{
		{"Runtime.Stop", func() error { return s.rt.Stop(ctx) }},
		{"WorkspacesService.Delete", func() error { return s.client.Workspaces.Delete(ctx, s.ws.ID, bctrl.WithForce()) }},
	}
}

// TestEachMethodNamesTheRightThatTheServerChecks calls every method of the SDK
// and compares the right in its comment with that of the routes it used.
func TestEachMethodNamesTheRightThatTheServerChecks(t *testing.T) {
	t.Parallel() // it waits for a model that is not there
	s := newSurface(t)
	lines := accessLines(t)
	delete(lines, "Client.Do") // as the route says
	for _, calls := range []func() []methodCall{
		s.aiCredentials, s.vaults, s.storages, s.profiles, s.workspaces, s.runtimes, s.subaccounts, s.secrets, s.broker,
		s.seals, s.agents, s.audits, s.webhooks, s.endings,
	} {
		for _, c := range calls() {
			used, err := s.rights(c.call)
			require.NoError(t, err, c.method)
			require.Equal(t, []string{lines[c.method]}, used, "%s: the rights of the routes it used", c.method)
			delete(lines, c.method)
		}
	}
	require.Empty(t, lines, "these are not called here")
}
