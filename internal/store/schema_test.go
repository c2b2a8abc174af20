package store

import (
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAForeignSchemaIsRefusedAndFound adds to a database what would write with
// the server's hand, or takes from it what holds rows apart.
func TestAForeignSchemaIsRefusedAndFound(t *testing.T) {
	for _, tc := range []struct{ why, change, name string }{
		{"a trigger", "CREATE TRIGGER evil AFTER UPDATE ON api_keys BEGIN UPDATE api_keys " +
			"SET revoked_at = NULL; END", "trigger evil"},
		{"a trigger on what is not compared", "CREATE TRIGGER evil AFTER INSERT ON goose_db_version BEGIN DELETE " +
			"FROM api_keys; END", "trigger evil"},
		{"a view", "CREATE VIEW evil AS SELECT * FROM api_keys", "view evil"},
		{"a table", "CREATE TABLE evil (a TEXT)", "table evil"},
		{"a column", "ALTER TABLE api_keys ADD COLUMN evil TEXT", "table api_keys"},
		{"an index that is gone", "DROP INDEX workspaces_name", "index workspaces_name"},
	} {
		t.Run(tc.why, func(t *testing.T) {
			db, path := openTest(t)
			raw, err := sql.Open("sqlite", path)
			require.NoError(t, err)
			defer func() { require.NoError(t, raw.Close()) }()
			find := func() (found []string) {
				require.NoError(t, db.Snapshot(t.Context(), func(q Queries) error {
					return q.schema(t.Context(), func(f Finding) { found = append(found, f.UID) })
				}))
				return found
			}
			require.Empty(t, find())
			_, err = raw.ExecContext(t.Context(), tc.change)
			require.NoError(t, err)
			require.Equal(t, []string{tc.name}, find(), "while a server runs")
			_, err = Open(t.Context(), path, testProver{})
			require.ErrorIs(t, err, ErrForeignSchema)
			require.ErrorContains(t, err, tc.name)
		})
	}
}

// TestDataWithoutProofsIsRefused puts a database back to where rows were not
// proven.
func TestDataWithoutProofsIsRefused(t *testing.T) {
	db, path := openTest(t)
	require.NoError(t, db.Close())
	raw, err := sql.Open("sqlite", path)
	require.NoError(t, err)
	defer func() { require.NoError(t, raw.Close()) }()
	for _, table := range []string{
		"organizations", "api_keys", "workspaces", "ai_mounts", "browser_profiles", "runtimes", "runtime_tokens",
		"operations", "objects", "invoke_rates",
	} {
		_, err := raw.ExecContext(t.Context(), "ALTER TABLE "+table+" DROP COLUMN proof")
		require.NoError(t, err)
	}
	_, err = raw.ExecContext(t.Context(), "ALTER TABLE organizations DROP COLUMN operator")
	require.NoError(t, err)
	_, err = raw.ExecContext(t.Context(), "DELETE FROM goose_db_version WHERE version_id >= 7")
	require.NoError(t, err)
	_, err = Open(t.Context(), path, testProver{})
	require.ErrorIs(t, err, ErrUnproven)
}
