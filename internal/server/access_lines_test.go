package server

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"iter"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

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

// TestEachMethodNamesTheRightThatTheServerChecks calls every method of the SDK
// and compares the right in its comment with that of the routes it used.
func TestEachMethodNamesTheRightThatTheServerChecks(t *testing.T) {
	h := newHarness(t, standingIn(t, acmeHost, func(http.ResponseWriter, *http.Request) {}))
	ctx := t.Context()
	var mu sync.Mutex
	var used []string
	client := h.sdk(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, pattern := h.server.mux.Handler(r)
			i := slices.IndexFunc(h.server.routes, func(rt route) bool { return strings.TrimPrefix(rt.method+" "+rt.path, "ANY ") == pattern })
			mu.Lock()
			if i < 0 {
				used = append(used, "no route: "+pattern)
			} else if right := string(h.server.routes[i].verb); !slices.Contains(used, right) {
				used = append(used, right)
			}
			mu.Unlock()
			next.ServeHTTP(w, r)
		})
	})

	create := bctrl.AICredentialCreate{ID: "mine", Provider: bctrl.OpenAI, APIKey: bctrl.NewSecret("k"), BaseURL: "http://127.0.0.1:9/v1"}
	login := bctrl.VaultCredential{Password: bctrl.NewSecret("p"), TOTP: bctrl.NewSecret("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")}
	require.NoError(t, failing(client.Vault.Set(ctx, "prod/k", login)))
	require.NoError(t, failing(client.AICredentials.Create(ctx, create)))
	ws, err := client.Workspaces.Create(ctx, bctrl.WorkspaceCreate{Name: "w", Mounts: bctrl.Mounts{
		AI: &bctrl.AIMount{Allow: []string{"mine"}}, Vault: &bctrl.VaultMount{Allow: []string{"prod/"}, AllowRawReads: new(true)},
		Capabilities: &bctrl.CapabilityMount{Allow: []string{"acme/"}},
	}})
	require.NoError(t, err)
	rt, err := ws.Runtimes.Browser("r").Stagehand(ctx, bctrl.Launch{})
	require.NoError(t, err)
	step, err := bctrl.GotoStep(bctrl.GotoArgs{URL: "http://127.0.0.1:9"})
	require.NoError(t, err)
	execution := bctrl.Execution{Runtime: "r", Steps: []bctrl.Step{step}}
	op, err := ws.ExecuteAsync(ctx, execution)
	require.NoError(t, err)
	files := client.Storage("w")
	upload := func() error { return failing(files.Upload(ctx, "f", strings.NewReader("x"))) }
	require.NoError(t, upload())
	var minted bctrl.Secret
	var sub *bctrl.Subaccount
	var secret *bctrl.SecretInfo
	p := bctrl.PageOptions{}
	inv := bctrl.Invocation{Capability: "acme/users", Context: bctrl.InWorkspace(ws.ID)}
	target := bctrl.CallTarget{Capability: "acme/users", Context: bctrl.InWorkspace("w")}
	streaming := func(s *bctrl.InvokeStream, err error) error {
		require.NoError(t, err)
		return s.Close()
	}
	asking := func(client *http.Client) error {
		resp, err := client.Get("https://" + acmeHost + "/v1/users")
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, resp.StatusCode)
		return resp.Body.Close()
	}
	calls := []struct {
		method string
		call   func() error
	}{
		{"AICredentialsService.Create", func() error { c := create; c.ID = "other"; return failing(client.AICredentials.Create(ctx, c)) }},
		{"AICredentialsService.Get", func() error { return failing(client.AICredentials.Get(ctx, "mine")) }},
		{"AICredentialsService.List", func() error { return drain(client.AICredentials.List(ctx)) }},
		{"AICredentialsService.Page", func() error { return failing(client.AICredentials.Page(ctx, p)) }},
		{"AICredentialsService.Update", func() error {
			return failing(client.AICredentials.Update(ctx, "mine", bctrl.AICredentialUpdate{Label: new("l")}))
		}},
		{"AICredentialsService.Test", func() error { return failing(client.AICredentials.Test(ctx, "mine")) }},
		{"AICredentialsService.Delete", func() error { return client.AICredentials.Delete(ctx, "other") }},
		{"RuntimeAI.Get", func() error { return failing(rt.AI.Get(ctx, "mine")) }},
		{"RuntimeAI.List", func() error { return drain(rt.AI.List(ctx)) }},
		{"VaultService.Set", func() error { return failing(client.Vault.Set(ctx, "k", login)) }},
		{"VaultService.Get", func() error { return failing(client.Vault.Get(ctx, "k")) }},
		{"VaultService.TOTP", func() error { return failing(client.Vault.TOTP(ctx, "k")) }},
		{"VaultService.List", func() error { return drain(client.Vault.List(ctx, "")) }},
		{"VaultService.KeysPage", func() error { return failing(client.Vault.KeysPage(ctx, "", p)) }},
		{"VaultService.Entries", func() error { return drain(client.Vault.Entries(ctx, bctrl.VaultFilter{})) }},
		{"VaultService.EntriesPage", func() error { return failing(client.Vault.EntriesPage(ctx, bctrl.VaultFilter{}, p)) }},
		{"VaultService.Delete", func() error { return client.Vault.Delete(ctx, "k") }},
		{"RuntimeVault.Get", func() error { return failing(rt.Vault.Get(ctx, "prod/k")) }},
		{"RuntimeVault.TOTP", func() error { return failing(rt.Vault.TOTP(ctx, "prod/k")) }},
		{"RuntimeVault.List", func() error { return drain(rt.Vault.List(ctx, "")) }},
		{"RuntimeVault.Entries", func() error { return drain(rt.Vault.Entries(ctx, bctrl.VaultFilter{})) }},
		{"Storage.Upload", upload},
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
		{"BrowserProfilesService.Create", func() error {
			return failing(client.Profiles.Create(ctx, bctrl.BrowserProfileCreate{ID: "b"}))
		}},
		{"BrowserProfilesService.Get", func() error { return failing(client.Profiles.Get(ctx, "b")) }},
		{"BrowserProfilesService.List", func() error { return drain(client.Profiles.List(ctx)) }},
		{"BrowserProfilesService.Page", func() error { return failing(client.Profiles.Page(ctx, p)) }},
		{"BrowserProfilesService.Update", func() error {
			return failing(client.Profiles.Update(ctx, "b", bctrl.BrowserProfileUpdate{Label: new("l")}))
		}},
		{"BrowserProfilesService.Delete", func() error { return client.Profiles.Delete(ctx, "b") }},
		{"WorkspacesService.Create", func() error {
			return failing(client.Workspaces.Create(ctx, bctrl.WorkspaceCreate{Name: "other"}))
		}},
		{"WorkspacesService.Get", func() error { return failing(client.Workspaces.Get(ctx, ws.ID)) }},
		{"WorkspacesService.GetByName", func() error { return failing(client.Workspaces.GetByName(ctx, "w")) }},
		{"WorkspacesService.List", func() error { return drain(client.Workspaces.List(ctx)) }},
		{"WorkspacesService.Page", func() error { return failing(client.Workspaces.Page(ctx, p)) }},
		{"Workspace.Update", func() error { return ws.Update(ctx, bctrl.WorkspaceUpdate{Name: new("w")}) }},
		{"Workspace.Refresh", func() error { return ws.Refresh(ctx) }},
		{"Workspace.State", func() error { return failing(ws.State(ctx)) }},
		{"Workspace.Execute", func() error { return failing(ws.Execute(ctx, execution)) }},
		{"Workspace.ExecuteAsync", func() error { return failing(ws.ExecuteAsync(ctx, execution)) }},
		{"BrowserLauncher.Stagehand", func() error { return failing(ws.Runtimes.Browser("s").Stagehand(ctx, bctrl.Launch{})) }},
		{"BrowserLauncher.Playwright", func() error { return failing(ws.Runtimes.Browser("pw").Playwright(ctx, bctrl.Launch{})) }},
		{"BrowserLauncher.Puppeteer", func() error { return failing(ws.Runtimes.Browser("pp").Puppeteer(ctx, bctrl.Launch{})) }},
		{"RuntimesService.Get", func() error { return failing(ws.Runtimes.Get(ctx, "r")) }},
		{"RuntimesService.List", func() error { return drain(ws.Runtimes.List(ctx)) }},
		{"RuntimesService.Page", func() error { return failing(ws.Runtimes.Page(ctx, p)) }},
		{"Runtime.Refresh", func() error { return rt.Refresh(ctx) }},
		{"Runtime.ConnectURL", func() error { return failing(rt.ConnectURL(ctx)) }},
		{"Runtime.Explain", func() error {
			return failing(rt.Explain(ctx, bctrl.Action{Verb: bctrl.UseVault, Object: "prod/k"}))
		}},
		{"Runtime.Token", func() (err error) {
			minted, err = rt.Token(ctx, bctrl.TokenRequest{})
			return err
		}},
		{"Client.RevokeToken", func() error { return client.RevokeToken(ctx, tokenID(t, minted)) }},
		{"SubaccountsService.Create", func() (err error) {
			sub, err = client.Subaccounts.Create(ctx, bctrl.SubaccountCreate{Name: "sub"})
			return err
		}},
		{"SubaccountsService.List", func() error { return drain(client.Subaccounts.List(ctx)) }},
		{"SubaccountsService.Page", func() error { return failing(client.Subaccounts.Page(ctx, p)) }},
		{"SubaccountsService.Delete", func() error { return client.Subaccounts.Delete(ctx, sub.ID) }},
		{"SecretsService.Create", func() (err error) {
			secret, err = client.Secrets.Create(ctx, bctrl.SecretCreate{Name: "S", Value: bctrl.NewSecret("v"), Scope: bctrl.InWorkspace("w")})
			return err
		}},
		{"SecretsService.Get", func() error { return failing(client.Secrets.Get(ctx, secret.ID)) }},
		{"SecretsService.List", func() error { return drain(client.Secrets.List(ctx, bctrl.SecretFilter{})) }},
		{"SecretsService.Page", func() error { return failing(client.Secrets.Page(ctx, bctrl.SecretFilter{}, p)) }},
		{"SecretsService.Update", func() error {
			return failing(client.Secrets.Update(ctx, secret.ID, bctrl.SecretUpdate{Aliases: []string{"a"}}))
		}},
		{"SecretsService.Rotate", func() error { return failing(client.Secrets.Rotate(ctx, secret.ID, bctrl.NewSecret("v2"))) }},
		{"SecretsService.AttachGroup", func() error { return failing(client.Secrets.AttachGroup(ctx, secret.ID, "w", "g")) }},
		{"SecretsService.DetachGroup", func() error { return failing(client.Secrets.DetachGroup(ctx, secret.ID, "w", "g")) }},
		{"SecretsService.Import", func() error {
			return failing(client.Secrets.Import(ctx, bctrl.SecretImport{Scope: bctrl.Global(), Text: bctrl.NewSecret("A=1")}))
		}},
		{"CredentialsService.Create", func() error {
			return failing(client.Credentials.Create(ctx, bctrl.CredentialCreate{ID: "acme", Provider: "acme", SecretRef: "vault:secret:" + secret.ID, Scope: bctrl.InWorkspace("w"),
				Auth: &bctrl.CredentialAuth{Type: bctrl.AuthHeader, Headers: map[string]string{"X-Key": "{secret}"}}, Hosts: []string{"api.acme.example"}}))
		}},
		{"CredentialsService.Get", func() error { return failing(client.Credentials.Get(ctx, "acme")) }},
		{"CredentialsService.List", func() error { return drain(client.Credentials.List(ctx)) }},
		{"CredentialsService.Page", func() error { return failing(client.Credentials.Page(ctx, p)) }},
		{"CredentialsService.Update", func() error {
			return failing(client.Credentials.Update(ctx, "acme", bctrl.CredentialUpdate{Priority: new(1)}))
		}},
		{"CapabilitiesService.Create", func() error {
			return failing(client.Capabilities.Create(ctx, bctrl.CapabilityCreate{ID: "acme/users", Methods: []string{"GET"}, Paths: []string{"/v1/users"}}))
		}},
		{"CapabilitiesService.List", func() error { return drain(client.Capabilities.List(ctx, bctrl.CapabilityFilter{Provider: "acme"})) }},
		{"CapabilitiesService.Page", func() error { return failing(client.Capabilities.Page(ctx, bctrl.CapabilityFilter{}, p)) }},
		{"CapabilitiesService.Describe", func() error { return failing(client.Capabilities.Describe(ctx, "acme/users")) }},
		{"CapabilitiesService.SetPolicy", func() error {
			return failing(client.Capabilities.SetPolicy(ctx, "acme/users", bctrl.CapabilityPolicy{CallsPerMinute: 100}))
		}},
		{"CapabilitiesService.Bind", func() error {
			return failing(client.Capabilities.Bind(ctx, bctrl.Binding{Credential: "acme", SecretRef: "vault:secret:" + secret.ID, Scope: bctrl.InWorkspace("w")}))
		}},
		{"CapabilitiesService.Bindings", func() error { return drain(client.Capabilities.Bindings(ctx, bctrl.BindingFilter{})) }},
		{"CapabilitiesService.BindingsPage", func() error {
			return failing(client.Capabilities.BindingsPage(ctx, bctrl.BindingFilter{Credential: "acme"}, p))
		}},
		{"CapabilitiesService.Unbind", func() error {
			return client.Capabilities.Unbind(ctx, bctrl.Binding{Credential: "acme", Scope: bctrl.InWorkspace("w")})
		}},
		{"CapabilitiesService.Invoke", func() error { return failing(client.Capabilities.Invoke(ctx, inv)) }},
		{"CapabilitiesService.Stream", func() error { return streaming(client.Capabilities.Stream(ctx, inv)) }},
		{"CapabilitiesService.HTTPClient", func() error { return asking(client.Capabilities.HTTPClient(target)) }},
		{"RuntimeCapabilities.Invoke", func() error { return failing(rt.Capabilities.Invoke(ctx, inv)) }},
		{"RuntimeCapabilities.Stream", func() error { return streaming(rt.Capabilities.Stream(ctx, inv)) }},
		{"RuntimeCapabilities.HTTPClient", func() error { return asking(rt.Capabilities.HTTPClient(bctrl.CallTarget{Capability: "acme/"})) }},
		{"CapabilitiesService.Delete", func() error { return client.Capabilities.Delete(ctx, "acme/users") }},
		{"CredentialsService.Delete", func() error { return client.Credentials.Delete(ctx, "acme") }},
		{"SecretsService.Delete", func() error { return client.Secrets.Delete(ctx, secret.ID) }},
		{"SealService.Status", func() error { return failing(client.Seal.Status(ctx)) }},
		{"SealService.Rotate", func() error { return failing(client.Seal.Rotate(ctx, bctrl.SealKey{})) }},
		{"SealService.Lock", func() error { return failing(client.Seal.Lock(ctx)) }},
		{"SealService.Unlock", func() error { return failing(client.Seal.Unlock(ctx, bctrl.SealKey{})) }},
		{"Client.Self", func() error { return failing(client.Self(ctx)) }},
		{"Stagehand.Act", func() error {
			_, err := rt.Stagehand.Act(ctx, "x")
			require.Error(t, err, "the model is not there")
			return nil
		}},
		{"Stagehand.ActAsync", func() error { return failing(rt.Stagehand.ActAsync(ctx, "x")) }},
		{"BrowserPage.Goto", func() error { return failing(rt.Page.Goto(ctx, "http://127.0.0.1:9")) }},
		{"BrowserPage.Screenshot", func() error { return failing(rt.Page.Screenshot(ctx, bctrl.ScreenshotArgs{})) }},
		{"OperationsService.Get", func() error { return failing(client.Operations.Get(ctx, op.ID)) }},
		{"Operation.Wait", func() error { return failing(op.Wait(ctx)) }},
		{"Operation.Progress", func() error { return drain(op.Progress(ctx)) }},
		{"Operation.Cancel", func() error { return failing(op.Cancel(ctx)) }},
		{"AuditService.Events", func() error { return drain(client.Audit.Events(ctx, bctrl.AuditFilter{})) }},
		{"AuditService.Page", func() error { return failing(client.Audit.Page(ctx, bctrl.AuditFilter{}, p)) }},
		{"AuditService.Verify", func() error { return failing(client.Audit.Verify(ctx)) }},
		{"AuditService.Export", func() error { return client.Audit.Export(ctx, io.Discard, bctrl.AuditFilter{}) }},
		{"AuditService.Tail", func() error {
			ctx, leave := context.WithTimeout(ctx, 100*time.Millisecond)
			defer leave()
			require.ErrorIs(t, drain(client.Audit.Tail(ctx, bctrl.AuditFilter{})), context.DeadlineExceeded)
			return nil
		}},
		{"Runtime.Stop", func() error { return rt.Stop(ctx) }},
		{"WorkspacesService.Delete", func() error { return client.Workspaces.Delete(ctx, ws.ID, bctrl.WithForce()) }},
	}
	lines := accessLines(t)
	delete(lines, "Client.Do") // as the route says
	for _, c := range calls {
		mu.Lock()
		used = nil
		mu.Unlock()
		require.NoError(t, c.call(), c.method)
		mu.Lock()
		got := slices.Clone(used)
		mu.Unlock()
		require.Equal(t, []string{lines[c.method]}, got, "%s: the rights of the routes it used", c.method)
		delete(lines, c.method)
	}
	require.Empty(t, lines, "these are not called here")
}
