package clients

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/bctrltest"
)

// uploads is a site that shows what it was given, and has a file to download.
func uploads(t *testing.T) string {
	t.Helper()
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/report.csv" {
			w.Header().Set("Content-Disposition", `attachment; filename="report.csv"`)
			_, _ = io.WriteString(w, "a,b\n1,2\n")
			return
		}
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, `<a id=report href=/report.csv>Report</a><p id=took></p><input type=file id=file
			onchange="this.files[0].text().then(text => took.textContent = this.files[0].name + ': ' + text)">`)
	}))
	t.Cleanup(site.Close)
	return site.URL
}

// TestLibrariesStartARuntimeAsTheirBrowser and have files of their own machine given to
// pages and downloads in its folders, as with a Chromium of their own. go-rod and chromedp
// do in their suites.
func TestLibrariesStartARuntimeAsTheirBrowser(t *testing.T) {
	t.Parallel()
	browser, env := bridged(t, command(t), bctrltest.New(t, bctrltest.WithBrowser()), "launched")
	file := filepath.Join(t.TempDir(), "q1.txt")
	require.NoError(t, os.WriteFile(file, []byte("first"), 0o600))
	script, err := filepath.Abs(filepath.Join("..", "js", "launched.mjs"))
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, node(t), script, uploads(t), browser, file)
	cmd.Env = append(append(environment(t), "TMPDIR="+t.TempDir()), env...)
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.Output()
	if failed, is := errors.AsType[*exec.ExitError](err); is {
		require.NoError(t, err, string(failed.Stderr))
	}
	require.NoError(t, err)
	var seen map[string][]string
	require.NoError(t, json.Unmarshal(out, &seen), string(out))
	want := []string{"q1.txt: first", "a,b\n1,2\n"}
	require.Equal(t, map[string][]string{"puppeteer": want, "puppeteer by a pipe": want, "playwright": want}, seen)
}
