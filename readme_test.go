package bctrl_test

import (
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/extract"
)

// readmeProgram is the README's program, which compiles here. Its errors are
// left to the reader, as there.
//
//nolint:ineffassign,wastedassign,errcheck // as in the README
func readmeProgram(ctx context.Context) (err error) {
	client, err := bctrl.New() // BCTRL_API_KEY, BCTRL_BASE_URL

	_, err = client.AICredentials.Create(ctx, bctrl.AICredentialCreate{
		ID:       "openai-prod",
		Provider: bctrl.OpenAI,
		Label:    "Production",
		APIKey:   bctrl.NewSecret(os.Getenv("OPENAI_API_KEY")),
	})
	_, err = client.Vault.Set(ctx, "prod/crm/salesforce", bctrl.VaultCredential{
		Username: "bot@company.com",
		Password: bctrl.NewSecret(os.Getenv("SF_PASSWORD")),
		TOTP:     bctrl.NewSecret(os.Getenv("SF_TOTP_SEED")),
		Origins:  []string{"https://login.salesforce.com"}, // filled in nowhere else
	})
	ws, err := client.Workspaces.Create(ctx, bctrl.WorkspaceCreate{
		Name: "sales-pipeline",
		Mounts: bctrl.Mounts{ // the ceiling: what anything in here may use
			AI: &bctrl.AIMount{
				Allow:    []string{"openai-prod"},
				Defaults: map[bctrl.AIProvider]string{bctrl.OpenAI: "openai-prod"},
			},
			Vault:   &bctrl.VaultMount{Allow: []string{"prod/crm/"}},
			Storage: &bctrl.StorageMount{Workspace: "sales-exports"},
		},
	})
	rt, err := ws.Runtimes.Browser("crm").Stagehand(ctx, bctrl.Launch{Mode: bctrl.ModeProfile, ProfileID: "sf-bot"})
	defer rt.Stop(context.WithoutCancel(ctx))

	_, err = rt.Stagehand.Act(ctx, "Log in to Salesforce and export Q1 pipeline")
	return err
}

// readmeAgents is its part about agents.
//
//nolint:ineffassign,wastedassign,staticcheck // as in the README
func readmeAgents(ctx context.Context, rt *bctrl.Runtime) (err error) {
	type Deal struct {
		Name   string      `json:"name"`
		Amount json.Number `json:"amount" jsonschema:"in dollars"`
		Link   extract.URL `json:"link"` // absolute, whatever the page has
	}
	deals, err := extract.Into[[]Deal](ctx, rt, "the open deals") // by a JSON Schema from the type

	found, err := rt.Stagehand.Observe(ctx, "the button that exports the pipeline")
	_, err = rt.Stagehand.Act(ctx, found[0]) // without asking a model

	result, err := rt.Stagehand.Agent(ctx, "Remind every customer whose invoice is overdue", bctrl.AgentOptions{
		MaxSteps: 40,
		MaxCost:  0.50, // US dollars, by the server's price table
	})

	_, _ = deals, result
	return err
}

func TestTheReadmesProgramsCompile(t *testing.T) {
	_, _ = readmeProgram, readmeAgents
	source, err := os.ReadFile("readme_test.go")
	require.NoError(t, err)
	bodies := regexp.MustCompile(`(?s)\(err error\) \{\n(.*?)\n(?:\n\t_, _ = [^\n]*\n)?\treturn err\n\}`).
		FindAllSubmatch(source, -1)
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	shown := regexp.MustCompile("(?s)```go\n(.*?)\n```").FindAllSubmatch(readme, -1)
	require.Len(t, bodies, 2)
	require.GreaterOrEqual(t, len(shown), len(bodies))
	for i, body := range bodies {
		require.Equal(t, regexp.MustCompile(`(?m)^\t`).ReplaceAllString(string(body[1]), ""), string(shown[i][1]))
	}
}

func TestLinksInDocumentsLeadToFiles(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)]+)\)|src="([^"]+)"`)
	documents, checked := 0, 0
	require.NoError(t, fs.WalkDir(os.DirFS("."), ".", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || path.Ext(name) != ".md" {
			return err
		}
		documents++
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		prose := regexp.MustCompile("(?s)```.*?```").ReplaceAllString(string(text), "") // a Go type may look like a link
		for _, m := range link.FindAllStringSubmatch(prose, -1) {
			target, _, _ := strings.Cut(m[1]+m[2], "#")
			if target == "" || strings.Contains(target, "://") {
				continue
			}
			checked++
			_, err := os.Stat(path.Join(path.Dir(name), target))
			require.NoError(t, err, name)
		}
		return nil
	}))
	require.GreaterOrEqual(t, documents, 4)
	require.GreaterOrEqual(t, checked, 5)
}

// TestTheMapNamesWhatThereIs looks for every file and folder that CONTRIBUTING.md
// sends a newcomer to, by the end of its path.
func TestTheMapNamesWhatThereIs(t *testing.T) {
	var there strings.Builder
	err := fs.WalkDir(os.DirFS("."), ".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && path == ".git" && entry.IsDir() {
			return fs.SkipDir
		}
		there.WriteString("/" + path + "\n")
		return err
	})
	require.NoError(t, err)
	text, err := os.ReadFile("CONTRIBUTING.md")
	require.NoError(t, err)
	named := regexp.MustCompile("`([a-z_-]+/[a-z_/-]*[a-z]|[a-zA-Z_/.-]+\\.(?:go|json|md|txt|yaml|yml))/?`").
		FindAllStringSubmatch(string(text), -1)
	require.Greater(t, len(named), 40)
	for _, name := range named {
		require.True(t, strings.Contains(there.String(), "/"+name[1]+"\n"), "%s is not there", name[1])
	}
}
