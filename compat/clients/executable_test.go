package clients

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest"
)

// command builds bctrl.
func command(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bctrl")
	// As users build it: with the race detector it takes five times as long to start.
	build := exec.CommandContext(t.Context(), "go", "build", "-race=false", "-o", path, "./cmd/bctrl")
	build.Dir = filepath.Join("..", "..")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	return path
}

// bridged writes an executable that suites and libraries start as their browser: it is a
// runtime of its own in a workspace, behind the bridge of a bctrl.
func bridged(
	t *testing.T, bctrlAt string, srv *bctrltest.Server, workspace string,
) (path string, environment []string) {
	t.Helper()
	_, err := srv.Client().Workspaces.Create(t.Context(), bctrl.WorkspaceCreate{Name: workspace})
	require.NoError(t, err)
	return executable(t, bctrlAt+" runtime bridge "+workspace+" --launch --"),
		[]string{"BCTRL_API_KEY=" + srv.APIKey().Expose(), "BCTRL_BASE_URL=" + srv.URL}
}

// executable writes one that runs a command with the flags that it is given.
func executable(t *testing.T, command string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "browser")
	// Go-rod looks by --dump-dom whether a browser that it has loaded works.
	script := fmt.Sprintf(`#!/bin/sh
case " $* " in *" --dump-dom "*) echo '<html><head></head><body></body></html>'; exit;; esac
exec %s "$@"
`, command)
	require.NoError(t, os.WriteFile(path, []byte(script), 0o700))
	return path
}

// chromium is the browser that runtimes have.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{
		"/usr/lib/chromium/chromium-headless-shell", "/usr/lib/chromium/chromium", "google-chrome-stable",
	} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("no Chromium was found: run scripts/install-browser")
	return ""
}
