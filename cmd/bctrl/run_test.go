package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest"
	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
)

// desk is where somebody sits: a server that has something on it, and a
// directory with files.
type desk struct {
	t      *testing.T
	srv    *bctrltest.Server
	client *bctrl.Client
}

// at sets the environment to a server without anything on it, and the working
// directory to an empty one.
func at(t *testing.T) *desk {
	t.Helper()
	return atWith(t, func(turn modeltest.Turn) modeltest.Call {
		return modeltest.Done(!strings.Contains(turn.Task, "impossible"), "As you said.")
	})
}

// atWith is at a server with a model of the test's own.
func atWith(t *testing.T, model func(modeltest.Turn) modeltest.Call) *desk {
	t.Helper()
	srv := bctrltest.New(t, bctrltest.WithModel(model),
		bctrltest.WithProvider("api.github.com", http.HandlerFunc(github)), bctrltest.WithProvider("api.openai.com",
			http.HandlerFunc(openai)))
	t.Chdir(t.TempDir())
	t.Setenv("BCTRL_API_KEY", srv.APIKey().Expose())
	t.Setenv("BCTRL_BASE_URL", srv.URL)
	t.Setenv("BCTRL_DATA_DIR", "no-data-here") // `keys` must ask the server
	return &desk{t, srv, srv.Client()}
}

// github and openai stand in for those providers.
func github(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if r.URL.Path != "/repos/acme/site" || r.Header.Get("Authorization") != "Bearer ghp_hunter" {
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, `{"message":"Not Found"}`)
		return
	}
	_, _ = io.WriteString(w, `{"full_name":"acme/site","private":false,"owner":{"login":"acme","id":7},`+
		`"topics":["go","web"],"description":"The site.\nIn two lines."}`)
}

func openai(w http.ResponseWriter, r *http.Request) {
	kind, size := r.Header.Get("Content-Type"), 0
	if body, err := io.ReadAll(r.Body); err == nil {
		size = len(body)
	}
	switch {
	case strings.HasSuffix(r.URL.Path, "/transcriptions") && strings.HasPrefix(kind, "multipart/form-data"):
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"text":"Hello."}`)
	case kind != "application/json" || size == 0:
		w.WriteHeader(http.StatusBadRequest)
	default:
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"choices":[{"message":{"role":"assistant","content":"# Hello\n\nHow are `+
			`you?"}}],"usage":{"total_tokens":9}}`)
	}
}

const seed = "JBSWY3DPEHPK3PXP"

// furnished puts on the server and into the directory what the examples in
// the manual speak of.
func furnished(t *testing.T) *desk {
	t.Helper()
	d := at(t)
	d.furnish()
	return d
}

func (d *desk) furnish() {
	t := d.t
	t.Helper()
	ctx := t.Context()
	for _, id := range []string{"openai-prod", "openai-old"} {
		_, err := d.client.AICredentials.Create(ctx, d.srv.ModelCredential(id))
		require.NoError(t, err)
	}
	login := bctrl.VaultCredential{
		Username: "bot@example.com",
		Password: bctrl.NewSecret("hunter2"),
		TOTP:     bctrl.NewSecret(seed),
		Origins:  []string{"https://login.salesforce.com"},
	}
	_, err := d.client.Vault.Set(ctx, "prod/crm/salesforce", login)
	require.NoError(t, err)
	_, err = d.client.Vault.Set(ctx, "prod/crm/admin/root", bctrl.VaultCredential{Password: bctrl.NewSecret("hunter3")})
	require.NoError(t, err)
	for path, content := range map[string]string{"exports/q1.csv": "month,sum\n1,100\n", "old/a.txt": "a",
		"old/b.txt": "b"} {
		_, err := d.client.Storage("sales").Upload(ctx, path, strings.NewReader(content))
		require.NoError(t, err)
	}
	ws, err := d.client.Workspaces.Create(ctx, bctrl.WorkspaceCreate{Name: "sales", Mounts: bctrl.Mounts{
		AI:      &bctrl.AIMount{Allow: []string{"openai-prod"}},
		Vault:   &bctrl.VaultMount{Allow: []string{"prod/crm/"}, Deny: []string{"prod/crm/admin/"}},
		Storage: &bctrl.StorageMount{Workspace: "sales"},
	}})
	require.NoError(t, err)
	_, err = d.client.Workspaces.Create(ctx, bctrl.WorkspaceCreate{Name: "old"})
	require.NoError(t, err)
	_, err = ws.Runtimes.Browser("crm").Stagehand(ctx, bctrl.Launch{})
	require.NoError(t, err)
	_, err = d.client.Secrets.Create(ctx, bctrl.SecretCreate{
		Name:    "GITHUB_TOKEN",
		Value:   bctrl.NewSecret("ghp_hunter"),
		Scope:   bctrl.InWorkspace("sales"),
		Aliases: []string{"gh"},
	})
	require.NoError(t, err)
	key, err := d.client.Secrets.Create(ctx, bctrl.SecretCreate{Name: "ACME_KEY",
		Value: d.srv.ModelCredential("any").APIKey, Scope: bctrl.Global()})
	require.NoError(t, err)
	ref := "vault:secret:" + key.ID
	_, err = d.client.Credentials.Create(ctx, bctrl.CredentialCreate{
		ID:        "acme-key",
		Provider:  "acme",
		SecretRef: ref,
		Scope:     bctrl.Global(),
		Hosts:     []string{"api.acme.example"},
		Auth:      &bctrl.CredentialAuth{Type: bctrl.AuthHeader, Headers: map[string]string{"X-Api-Key": "{secret}"}},
	})
	require.NoError(t, err)
	_, err = d.client.Capabilities.Create(ctx, bctrl.CapabilityCreate{ID: "acme/orders", Methods: []string{"GET", "POST"},
		Paths: []string{"/v1/orders"}})
	require.NoError(t, err)
	for _, b := range []bctrl.Binding{
		{Capability: "openai/chat-completions", SecretRef: ref, Scope: bctrl.Global()},
		{Credential: "openai-prod", SecretRef: ref, Scope: bctrl.InWorkspace("sales")},
	} {
		_, err = d.client.Capabilities.Bind(ctx, b)
		require.NoError(t, err)
	}
	for name, content := range map[string]string{
		".env":       "# for tests\nexport OPENAI_API_KEY='sk-env'\nGITHUB_TOKEN=ghp_env\nSLACK_BOT_TOKEN=\n",
		"report.csv": "a,b\n", "key.txt": "sk-from-a-file\n", "id_ed25519": "-----BEGIN\nlines\n-----END\n",
		"mounts.json": `{"vault": {"allow": ["prod/crm/"], "deny": ["prod/crm/admin/"]}, "storage": {"workspace": "sales"}}`,
	} {
		require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
	}
}

// runIn runs a command line in this process.
func runIn(ctx context.Context, in io.Reader, args ...string) ran {
	var stdout, stderr bytes.Buffer
	code := execute(ctx, args, in, &stdout, &stderr)
	return ran{stdout.String(), stderr.String(), code}
}

// run runs a command line with a standard input.
func (d *desk) run(in string, args ...string) ran {
	d.t.Helper()
	return runIn(d.t.Context(), strings.NewReader(in), args...)
}

// do runs a command line, which must end well, and returns what it printed.
func (d *desk) do(args ...string) string {
	d.t.Helper()
	return d.run("", args...).good(d.t)
}
