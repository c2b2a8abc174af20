package compat

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

// given is what a program of python/ or js/ reads from its standard input: where
// its SDK is to go, and what it has as its key.
type given struct {
	Base string `json:"base"`
	Key  string `json:"key"`
	// Direct is set where that is the provider itself, with the provider's key.
	Direct bool `json:"direct"`
}

// scripted runs a program of python/ or js/ at the provider itself and then
// through the server, with a runtime token in place of the key, and holds what
// it prints to want in both. Its base URL is the provider's with path behind it.
func scripted(
	t *testing.T, program string, of func(testing.TB) *upstream, with provider, path string, want map[string]any,
) {
	t.Helper()
	t.Run(program+" directly", func(t *testing.T) {
		u := of(t)
		srv := httptest.NewServer(u)
		t.Cleanup(srv.Close)
		require.Equal(t, want, run(t, program, given{srv.URL + path, with.key, true}))
	})
	u := of(t)
	srv, token := with.server(t, u)
	for _, target := range with.targets() {
		keys := map[string]bctrl.Secret{"a runtime token": token}
		if strings.HasSuffix(program, ".py") {
			keys["an organization key"] = srv.APIKey()
		}
		for who, key := range keys {
			t.Run(program+" at "+target+" with "+who, func(t *testing.T) {
				u.forget()
				got := run(t, program, given{proxyURL(srv.URL, target) + path, key.Expose(), false})
				require.Equal(t, want, got)
				require.LessOrEqual(t, u.times(elsewhere), 1, "what is refused for good is asked for once")
			})
		}
	}
}

// proxyURL is where the proxy takes requests for a target.
func proxyURL(server, target string) string {
	return server + "/v1/proxy/" + strings.Replace(target, "/", "~", 1)
}

// run runs a program and returns what it prints, one object of JSON.
func run(t testing.TB, program string, in given) map[string]any {
	t.Helper()
	installed(t)
	command := []string{"node", program}
	if strings.HasSuffix(program, ".py") {
		command[0] = filepath.Join("python", "venv", "bin", "python")
	}
	text, err := json.Marshal(in)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "LANG=C.UTF-8", "PYTHONDONTWRITEBYTECODE=1",
		"AWS_EC2_METADATA_DISABLED=true",
		// What goes elsewhere than to this machine does not get there.
		"HTTPS_PROXY=http://127.0.0.1:9", "NO_PROXY=127.0.0.1",
	}
	cmd.WaitDelay = 5 * time.Second
	var out, log bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(text), &out, &log
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", program, err, strings.ReplaceAll(log.String(), in.Key, "[secret]"))
	}
	if strings.Contains(out.String(), in.Key) {
		t.Fatalf("%s prints its key", program)
	}
	var printed map[string]any
	require.NoError(t, json.Unmarshal(out.Bytes(), &printed), program)
	return printed
}

// installed fails where the SDKs are not there as they are pinned.
func installed(t testing.TB) {
	t.Helper()
	js, err := filepath.EvalSymlinks(filepath.Join("js", "node_modules"))
	require.NoError(t, err, install)
	editors, err := filepath.EvalSymlinks(filepath.Join("editors", "node_modules"))
	require.NoError(t, err, install)
	for pinned, there := range map[string]string{
		filepath.Join("python", "requirements.txt"):   filepath.Join("python", "venv", "requirements.txt"),
		filepath.Join("agents", "requirements.txt"):   filepath.Join("agents", "venv", "requirements.txt"),
		filepath.Join("js", "package-lock.json"):      filepath.Join(filepath.Dir(js), "package-lock.json"),
		filepath.Join("editors", "package-lock.json"): filepath.Join(filepath.Dir(editors), "package-lock.json"),
	} {
		want, err := os.ReadFile(pinned)
		require.NoError(t, err)
		got, err := os.ReadFile(there)
		require.NoError(t, err, install)
		require.True(t, bytes.Equal(want, got), install)
	}
}

const install = "the SDKs of Python and JavaScript are not installed in the versions that are pinned: run " +
	"scripts/install-sdks, as make compat does"

// list is what JSON makes of a list.
func list(items ...any) []any { return items }
