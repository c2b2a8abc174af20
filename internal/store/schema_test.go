package store

import (
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/store/pgtest"
)

// foreignSchema is a change that adds to a database what would write with the
// server's hand, or takes from it what holds rows apart.
type foreignSchema struct {
	why, change, undo string
	names             []string
}

func foreignSchemas(e engine) []foreignSchema {
	trigger := func(name, when, table, does string) string {
		if e.driver == "sqlite" {
			return "CREATE TRIGGER " + name + " " + when + " ON " + table + " BEGIN " + does + "; END"
		}
		return "CREATE FUNCTION does() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN " + does + "; RETURN NEW; END $$; " +
			"CREATE TRIGGER " + name + " " + when + " ON " + table + " FOR EACH ROW EXECUTE FUNCTION does()"
	}
	evil := []string{"trigger evil"}
	if e.driver != "sqlite" {
		evil = []string{"function does", "trigger evil"}
	}
	noTrigger := "DROP FUNCTION IF EXISTS does CASCADE"
	changes := []foreignSchema{
		{"a trigger", trigger("evil", "AFTER UPDATE", "api_keys", "UPDATE api_keys SET revoked_at = NULL"), noTrigger, evil},
		{"a trigger on what is not compared",
			trigger("evil", "AFTER INSERT", "goose_db_version", "DELETE FROM api_keys"), noTrigger, evil},
		{"a view", "CREATE VIEW evil AS SELECT * FROM api_keys", "DROP VIEW evil", []string{"view evil"}},
		{"a table", "CREATE TABLE evil (a TEXT)", "DROP TABLE evil", []string{"table evil"}},
		{"a column", "ALTER TABLE api_keys ADD COLUMN evil TEXT", "ALTER TABLE api_keys DROP COLUMN evil",
			[]string{"table api_keys"}},
	}
	if e.driver == "sqlite" {
		for i := range changes {
			changes[i].undo = "" // each has a file of its own
		}
		return append(changes, lastSchema())
	}
	return append(changes,
		foreignSchema{"a rule", "CREATE RULE evil AS ON DELETE TO api_keys DO INSTEAD NOTHING", "DROP RULE evil ON api_keys",
			[]string{"rule evil"}},
		foreignSchema{"a policy", "CREATE POLICY evil ON api_keys USING (false)", "DROP POLICY evil ON api_keys",
			[]string{"policy evil"}},
		foreignSchema{"a default", "ALTER TABLE api_keys ALTER revoked_at SET DEFAULT 1",
			"ALTER TABLE api_keys ALTER revoked_at DROP DEFAULT", []string{"table api_keys"}},
		foreignSchema{"a type", "ALTER TABLE api_keys ALTER label TYPE VARCHAR(9)",
			`ALTER TABLE api_keys ALTER label TYPE TEXT COLLATE "C"`, []string{"table api_keys"}},
		foreignSchema{"another order", `ALTER TABLE api_keys ALTER label TYPE TEXT COLLATE "POSIX"`,
			`ALTER TABLE api_keys ALTER label TYPE TEXT COLLATE "C"`, []string{"table api_keys"}},
		lastSchema(),
	)
}

func lastSchema() foreignSchema {
	return foreignSchema{"an index that is gone", "DROP INDEX workspaces_name", "", []string{"index workspaces_name"}}
}

func TestAForeignSchemaIsRefusedAndFound(t *testing.T) {
	eachEngine(t, testAForeignSchemaIsRefusedAndFound)
}

func testAForeignSchemaIsRefusedAndFound(t *testing.T, e engine) {
	fresh := e
	if e.driver != "sqlite" {
		at := pgtest.Fresh(t, migrated(t)) // making one takes longer than a row of the table
		fresh.create = func(testing.TB) string { return at }
	}
	for _, tc := range foreignSchemas(e) {
		t.Run(tc.why, func(t *testing.T) {
			db, at := fresh.openEmpty(t)
			find := func() (found []string) {
				require.NoError(t, db.Snapshot(t.Context(), func(q Queries) error {
					return q.schema(t.Context(), func(f Finding) { found = append(found, f.UID) })
				}))
				return found
			}
			require.Empty(t, find())
			raw := e.raw(t, at)
			_, err := raw.ExecContext(t.Context(), tc.change)
			require.NoError(t, err)
			require.Equal(t, tc.names, find(), "while a server runs")
			require.NoError(t, db.Close())
			_, err = e.open(t.Context(), at, testProver{})
			require.ErrorIs(t, err, ErrForeignSchema)
			for _, name := range tc.names {
				require.ErrorContains(t, err, name)
			}
			if tc.undo != "" {
				_, err = raw.ExecContext(t.Context(), tc.undo)
				require.NoError(t, err)
			}
		})
	}
}

// TestADigestIsThatOfTheSchemaItStandsFor fails after a new migration until the digest is the new one.
func TestADigestIsThatOfTheSchemaItStandsFor(t *testing.T) {
	newest, err := newestSchema()
	require.NoError(t, err)
	require.Equal(t, newestDigest, schemaDigest(newest), "newestDigest is to be the second: what the migrations make")
	index, err := schemaMadeBy(t.Context(), indexSchema)
	require.NoError(t, err)
	require.Equal(t, indexDigest, schemaDigest(index), "indexDigest is to be the second: what logindex.sql makes")
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
