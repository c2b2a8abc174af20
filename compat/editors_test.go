package compat

import (
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/evanw/esbuild/pkg/api"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest"
	"github.com/bctrl-go/bctrl/bctrltest/modeltest"
)

// TestAnAgentTypesIntoTheEditorsOfOthers replaces the text of editors that keep a model of
// it, with one line and with two, and reads what their models hold: neither lost nor
// doubled, and nothing of what was there before.
func TestAnAgentTypesIntoTheEditorsOfOthers(t *testing.T) {
	site := editors(t)
	for editor, two := range map[string]string{
		"slate":       "first line second line", // a break within one paragraph
		"lexical":     "first line|second line",
		"draft":       "first line|second line",
		"prosemirror": "first line|second line",
		"quill":       "first line|second line",
	} {
		t.Run(editor, func(t *testing.T) {
			typesInto(t, site+"/"+editor, map[string]string{
				"Grüße, 世界! (once)":       "Grüße, 世界! (once)",
				"first line\nsecond line": two,
			})
		})
	}
}

// typesInto has an agent type texts into the editor of a page, and holds what the editor
// has then to what is wanted.
func typesInto(t *testing.T, address string, texts map[string]string) {
	t.Helper()
	for text, want := range texts {
		srv := bctrltest.New(t, bctrltest.WithBrowser(), bctrltest.WithModel(script(
			func(t modeltest.Turn) modeltest.Call { return modeltest.Type(t.Find("textbox", "Editor"), text) },
			func(t modeltest.Turn) modeltest.Call {
				return modeltest.Done(strings.Contains(t.View.Outline, "text: model: "+want+"."), t.View.Outline)
			},
		)))
		client := srv.Client()
		_, err := client.AICredentials.Create(t.Context(), srv.ModelCredential("scripted"))
		require.NoError(t, err)
		ws, err := client.Workspaces.Create(t.Context(), bctrl.WorkspaceCreate{
			Name:   "editors",
			Mounts: bctrl.Mounts{AI: &bctrl.AIMount{Allow: []string{"scripted"}}},
		})
		require.NoError(t, err)
		rt, err := ws.Runtimes.Browser("editor").Stagehand(t.Context(), bctrl.Launch{Mode: bctrl.ModeEphemeral})
		require.NoError(t, err)
		_, err = rt.Page.Goto(t.Context(), address)
		require.NoError(t, err)
		result, err := rt.Stagehand.Act(t.Context(), "Write it down", bctrl.ActOptions{})
		require.NoError(t, err)
		require.True(t, result.Success, "%q became\n%s", text, result.Message)
		require.NoError(t, rt.Stop(t.Context()))
	}
}

// editors is a site with a page for each editor, put together from what is installed.
func editors(t *testing.T) string {
	t.Helper()
	installed(t)
	entry, err := filepath.Abs(filepath.Join("editors", "editors.mjs"))
	require.NoError(t, err)
	built := api.Build(api.BuildOptions{
		EntryPoints: []string{entry},
		Bundle:      true,
		Define:      map[string]string{"process.env.NODE_ENV": `"production"`, "global": "globalThis"},
		LogLevel:    api.LogLevelSilent,
	})
	require.Empty(t, built.Errors)
	require.Len(t, built.OutputFiles, 1)
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/editors.js" {
			w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
			_, _ = w.Write(built.OutputFiles[0].Contents)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, `<!doctype html><div id=editor></div><p id=out></p><script src=/editors.js></script>`)
	}))
	t.Cleanup(site.Close)
	return site.URL
}
