package command

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/store/pgtest"
)

// TestMigrateSaysWhatItFoundAndDid, by its text and its exit code, on a file and on PostgreSQL.
func TestMigrateSaysWhatItFoundAndDid(t *testing.T) {
	ctx := t.Context()
	none := runIn(ctx, strings.NewReader(""), "migrate", "--data-dir", t.TempDir())
	require.Equal(t, 1, none.code)
	require.Contains(t, none.stderr, "there is no data of a server")

	p := newPlace(t)
	srv := p.start(t)
	onFile := []string{"migrate", "--data-dir", p.data}
	for _, args := range [][]string{onFile, append(onFile, "--check")} {
		got := runIn(ctx, strings.NewReader(""), args...)
		if len(args) == len(onFile) {
			require.Equal(t, 1, got.code)
			require.Contains(t, got.stderr, "another server uses this data directory")
			continue
		}
		require.Contains(t, got.good(t), "Needed")
	}
	srv.terminate()
	require.Contains(t, runIn(ctx, strings.NewReader(""), onFile...).stderr, "Nothing to do")
	file, err := sql.Open("sqlite", filepath.Join(p.data, "bctrl.db"))
	require.NoError(t, err)
	defer func() { require.NoError(t, file.Close()) }()

	at := pgtest.Fresh(t, "")
	onServer := []string{"migrate", "--database", at}
	empty := runIn(ctx, strings.NewReader(""), append(onServer, "--check")...)
	require.Equal(t, 1, empty.code)
	require.Contains(t, empty.stdout, "Version  0\n")
	require.Contains(t, empty.stderr, "'bctrl migrate'")
	made := runIn(ctx, strings.NewReader(""), onServer...)
	require.Zero(t, made.code, made.stderr)
	require.Contains(t, made.stderr, "Made the schema")
	server, err := sql.Open("pgx", at)
	require.NoError(t, err)
	defer func() { require.NoError(t, server.Close()) }()

	for _, c := range []struct {
		db   *sql.DB
		args []string
	}{{file, onFile}, {server, onServer}} {
		runIn(ctx, strings.NewReader(""), append(c.args, "--check")...).good(t)
		_, err := c.db.ExecContext(ctx, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (4711, TRUE)")
		require.NoError(t, err)
		for _, check := range []bool{false, true} {
			args := c.args
			if check {
				args = append(args, "--check")
			}
			newer := runIn(ctx, strings.NewReader(""), args...)
			require.Equal(t, 1, newer.code)
			require.Contains(t, newer.stderr, "start one that knows version 4711")
		}
	}
}
