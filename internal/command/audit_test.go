package command

import (
	"database/sql"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/daemon"
)

// leftData makes a data directory that a server has left, and that commands
// find.
func (d *desk) leftData() {
	d.t.Helper()
	srv, err := daemon.Open(d.t.Context(), daemon.Config{DataDir: "left/data", KeyFile: "left/key",
		Browsers: &browser.Fake{}})
	require.NoError(d.t, err)
	require.NoError(d.t, srv.Close())
	d.t.Setenv("BCTRL_DATA_DIR", "left/data")
	d.t.Setenv("BCTRL_KEY_FILE", "left/key")
}

func TestVerifyFindsWithAServerAndWithoutWhatWasDoneToTheLog(t *testing.T) {
	p := newPlace(t)
	t.Setenv("BCTRL_DATA_DIR", p.data)
	t.Setenv("BCTRL_KEY_FILE", p.key)
	srv := p.start(t)
	t.Setenv("BCTRL_API_KEY", srv.firstKey)
	t.Setenv("BCTRL_BASE_URL", srv.url)
	c := srv.client(srv.firstKey)
	for range 3 {
		_, err := c.Vault.Set(t.Context(), "k", bctrl.VaultCredential{Password: bctrl.NewSecret("p")})
		require.NoError(t, err)
	}
	run := func(args ...string) ran {
		return runIn(t.Context(), strings.NewReader(""), append([]string{"audit"}, args...)...)
	}
	require.Contains(t, run("verify").good(t), "whole")
	srv.terminate()
	require.Contains(t, run("verify").good(t), "whole")
	require.Equal(t, 2, run("accept").code, "why?")
	require.Equal(t, 2, run("accept", "--why", "caf\xe9").code, "no text, which the log would hold as another")

	db, err := sql.Open("sqlite", filepath.Join(p.data, "bctrl.db"))
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), "UPDATE vault_entries SET version = 2 WHERE key = 'k'")
	require.NoError(t, err)
	require.NoError(t, db.Close())
	require.NoError(t, os.Remove(p.key+".head"))

	found := run("verify")
	require.Equal(t, 1, found.code)
	require.Contains(t, found.stdout, "record_older")
	require.Contains(t, found.stdout, "head_missing")
	require.Contains(t, found.stderr, "behind the server's back")
	require.Contains(t, p.refused(t, nil), "head of the audit log")

	run("accept", "--why", "the head was lost").good(t)
	srv = p.start(t)
	t.Setenv("BCTRL_BASE_URL", srv.url)
	found = run("verify", "--json")
	require.Equal(t, 1, found.code, "what was done inside stays a problem")
	var report bctrl.AuditReport
	require.NoError(t, json.Unmarshal([]byte(found.stdout), &report))
	require.Len(t, report.Problems, 1)
	require.Equal(t, bctrl.AuditRecordOlder, report.Problems[0].Kind)
	require.NotEmpty(t, report.Accepted)
	accepted := run("tail", "--action", "audit.accept").good(t)
	require.Contains(t, accepted, "the head was lost")
	require.Contains(t, accepted, "by operator")
	srv.terminate()
}

func TestVerifyMakesNothingWhereNoServerRan(t *testing.T) {
	p := newPlace(t)
	t.Setenv("BCTRL_DATA_DIR", p.data)
	t.Setenv("BCTRL_KEY_FILE", p.key)
	t.Setenv("BCTRL_API_KEY", "")
	require.Equal(t, 1, runIn(t.Context(), strings.NewReader(""), "audit", "verify").code)
	require.NoFileExists(t, p.key)
	require.NoDirExists(t, p.data)
}
