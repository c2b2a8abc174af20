package bctrltest_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest"
)

// TestEveryCreateWhoseAnswerIsLostHasOneEffect drops the answers of the first
// two attempts of each call that makes something. The third attempt must be
// the same request, succeed, and find the thing made once.
func TestEveryCreateWhoseAnswerIsLostHasOneEffect(t *testing.T) {
	srv := bctrltest.New(t)
	client, ctx := srv.Client(), t.Context()
	ws, err := client.Workspaces.Create(ctx, bctrl.WorkspaceCreate{Name: "w"})
	require.NoError(t, err)
	rt, err := ws.Runtimes.Browser("own").Stagehand(ctx, bctrl.Launch{})
	require.NoError(t, err)
	objects := func(t *testing.T, path string) (n int) {
		t.Helper()
		for _, err := range client.Storage("w").Objects(ctx, bctrl.ObjectFilter{PathPrefix: path}) {
			require.NoError(t, err)
			n++
		}
		return n
	}
	for _, tc := range []struct {
		what string
		make func(t *testing.T) error
		// count is how many there are afterwards.
		count func(t *testing.T) int
	}{
		{"a vault key", func(t *testing.T) error {
			entry, err := client.Vault.Set(ctx, "k", bctrl.VaultCredential{Password: bctrl.NewSecret("p")})
			if err == nil {
				require.EqualValues(t, 1, entry.Version, "written once")
			}
			return err
		}, func(t *testing.T) (n int) {
			for _, err := range client.Vault.List(ctx, "") {
				require.NoError(t, err)
				n++
			}
			return n
		}},
		{"an AI credential", func(t *testing.T) error {
			_, err := client.AICredentials.Create(ctx, bctrl.AICredentialCreate{ID: "c", Provider: bctrl.OpenAI,
				APIKey: bctrl.NewSecret("k")})
			return err
		}, func(t *testing.T) (n int) {
			for _, err := range client.AICredentials.List(ctx) {
				require.NoError(t, err)
				n++
			}
			return n
		}},
		{"a workspace", func(t *testing.T) error {
			_, err := client.Workspaces.Create(ctx, bctrl.WorkspaceCreate{Name: "other"})
			return err
		}, func(t *testing.T) (n int) {
			for w, err := range client.Workspaces.List(ctx) {
				require.NoError(t, err)
				if w.Name == "other" {
					n++
				}
			}
			return n
		}},
		{"a profile", func(t *testing.T) error {
			_, err := client.Profiles.Create(ctx, bctrl.BrowserProfileCreate{ID: "p"})
			return err
		}, func(t *testing.T) (n int) {
			for _, err := range client.Profiles.List(ctx) {
				require.NoError(t, err)
				n++
			}
			return n
		}},
		{"a runtime", func(t *testing.T) error {
			_, err := ws.Runtimes.Browser("launched").Stagehand(ctx, bctrl.Launch{})
			return err
		}, func(t *testing.T) (n int) {
			for r, err := range ws.Runtimes.List(ctx) {
				require.NoError(t, err)
				if r.Alias == "launched" {
					n++
				}
			}
			return n
		}},
		{"an execution", func(t *testing.T) error { // a name of the server's choice each time
			_, err := rt.Page.Screenshot(ctx, bctrl.ScreenshotArgs{})
			return err
		}, func(t *testing.T) int { return objects(t, "screenshots/") }},
		{"an upload", func(t *testing.T) error { // a second one would be refused
			_, err := client.Storage("w").Upload(ctx, "f.txt", strings.NewReader("x"), bctrl.WithIfAbsent())
			return err
		}, func(t *testing.T) int { return objects(t, "f.txt") }},
	} {
		t.Run(tc.what, func(t *testing.T) {
			before := len(srv.Requests())
			srv.DropReply(2)
			require.NoError(t, tc.make(t))
			sent := srv.Requests()[before:]
			require.Len(t, sent, 3, "two lost, one answered")
			for _, r := range sent {
				require.NotEmpty(t, r.Header.Get("Idempotency-Key"))
				require.Equal(t, sent[0].Header.Get("Idempotency-Key"), r.Header.Get("Idempotency-Key"))
			}
			require.True(t, sent[0].Injected && sent[1].Injected)
			require.Equal(t, http.StatusOK, sent[2].Status)
			require.Equal(t, 1, tc.count(t))
		})
	}
}
