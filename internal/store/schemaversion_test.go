package store

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pressly/goose/v3"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/store/pgtest"
)

// versions are the two questions and the act about a schema, by engine.
func (e engine) versions() (schema, migrate func(t *testing.T, at string) (Schema, error)) {
	if e.driver == "sqlite" {
		return func(t *testing.T, at string) (Schema, error) { t.Helper(); return FileSchema(t.Context(), at) },
			func(t *testing.T, at string) (Schema, error) { t.Helper(); return MigrateFile(t.Context(), at) }
	}
	return func(t *testing.T, at string) (Schema, error) { t.Helper(); return PostgresSchema(t.Context(), at) },
		func(t *testing.T, at string) (Schema, error) { t.Helper(); return MigratePostgres(t.Context(), at) }
}

// TestASchemaIsBroughtUpToDateWithoutAServer puts a store back to the schema of one migration
// before, as far as that can be undone, and brings it to the newest.
func TestASchemaIsBroughtUpToDateWithoutAServer(t *testing.T) {
	eachEngine(t, testASchemaIsBroughtUpToDateWithoutAServer)
}

func testASchemaIsBroughtUpToDateWithoutAServer(t *testing.T, e engine) {
	if e.driver != "sqlite" {
		e.create = func(tb testing.TB) string { return pgtest.Fresh(tb, migrated(tb)) }
	}
	schema, migrate := e.versions()
	db, at := e.openTest(t)
	require.NoError(t, db.Write(t.Context(), func(tx *Tx) error { return insert(t.Context(), tx, "k", entry("k")) }))
	if e.driver != "sqlite" {
		s, err := migrate(t, at)
		require.NoError(t, err, "there is nothing to do, and a server may run")
		require.Equal(t, s.Needed, s.Version)
	}
	require.NoError(t, db.Close())
	newest, err := schema(t, at)
	require.NoError(t, err)
	require.Equal(t, newest.Needed, newest.Version)

	e.takeBack(t, at, newest.Needed)
	before, err := schema(t, at)
	require.NoError(t, err)
	require.Equal(t, newest.Needed-1, before.Version)
	did, err := migrate(t, at)
	require.NoError(t, err)
	require.Equal(t, before, did)
	again, err := migrate(t, at)
	require.NoError(t, err)
	require.Equal(t, newest, again)
	got, err := e.reopen(t, at).Read().VaultEntry(t.Context(), "org", "k")
	require.NoError(t, err)
	require.Equal(t, entry("k"), got)
}

// takeBack undoes the migrations from a version on, the newest first.
func (e engine) takeBack(t *testing.T, at string, version int64) {
	t.Helper()
	files, err := migrations.ReadDir("migrations")
	require.NoError(t, err)
	raw := e.raw(t, at)
	for _, file := range slices.Backward(files) {
		number, err := goose.NumericComponent(file.Name())
		require.NoError(t, err)
		if number < version {
			break
		}
		text, err := migrations.ReadFile("migrations/" + file.Name())
		require.NoError(t, err)
		_, down, found := strings.Cut(string(text), "-- +goose Down")
		require.True(t, found)
		other := map[string]string{"sqlite": ".postgres.sql", "pgx": ".sqlite.sql"}[e.driver]
		if !strings.HasSuffix(file.Name(), other) {
			_, err = raw.ExecContext(t.Context(), down)
			require.NoError(t, err)
		}
	}
	_, err = raw.ExecContext(t.Context(), "DELETE FROM goose_db_version WHERE version_id >= $1", version)
	require.NoError(t, err)
}

// TestAskingForAVersionTouchesNothing compares every byte of a file and what lies beside it, after a
// clean end and as a killed server leaves it.
func TestAskingForAVersionTouchesNothing(t *testing.T) {
	db, path := openTest(t)
	ask := func(why string) {
		before := filesIn(t, filepath.Dir(path))
		s, err := FileSchema(t.Context(), path)
		require.NoError(t, err, why)
		require.Equal(t, s.Needed, s.Version, why)
		require.Equal(t, before, filesIn(t, filepath.Dir(path)), why)
	}
	killed := filepath.Join(t.TempDir(), "bctrl.db")
	for _, beside := range []string{"", "-wal"} {
		text, err := os.ReadFile(path + beside)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(killed+beside, text, 0o600))
	}
	ask("while a server runs")
	require.NoError(t, db.Close())
	ask("after its end")
	path = killed
	s, err := FileSchema(t.Context(), path)
	require.NoError(t, err)
	require.Equal(t, s.Needed, s.Version)
	_, err = os.Stat(killed + "-wal")
	require.NoError(t, err, "the log of a killed server stays")
}

// filesIn are the digests of the files of a folder, but for SQLite's index of the log, which
// holds locks.
func filesIn(t *testing.T, dir string) map[string][32]byte {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	all := map[string][32]byte{}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), "-shm") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		require.NoError(t, err)
		all[e.Name()] = sha256.Sum256(text)
	}
	return all
}

// TestSeveralThatMigrateAtOnceMigrateOnce, and none while a server has the database.
func TestSeveralThatMigrateAtOnceMigrateOnce(t *testing.T) {
	at := pgtest.Fresh(t, "")
	var group sync.WaitGroup
	before := make([]Schema, 3)
	errs := make([]error, len(before))
	for i := range before {
		group.Go(func() { before[i], errs[i] = MigratePostgres(t.Context(), at) })
	}
	group.Wait()
	for i := range before {
		require.NoError(t, errs[i])
	}
	var applied, versions int
	raw := onPostgres().raw(t, at)
	require.NoError(t, raw.QueryRowContext(t.Context(),
		"SELECT COUNT(*), COUNT(DISTINCT version_id) FROM goose_db_version").Scan(&applied, &versions))
	require.Equal(t, versions, applied)

	running := onPostgres().reopen(t, at)
	_, err := raw.ExecContext(t.Context(), "DELETE FROM goose_db_version WHERE version_id = $1", before[0].Needed)
	require.NoError(t, err)
	_, err = MigratePostgres(t.Context(), at)
	require.ErrorIs(t, err, ErrInUse, "as far as anybody can tell the running server is an older one")
	require.NoError(t, running.Close())
}

// TestAServerThatMayNotMigrateSaysWhichVersionIsNeeded gives it a user of PostgreSQL who may
// use the tables and make none, and one who may then makes them.
func TestAServerThatMayNotMigrateSaysWhichVersionIsNeeded(t *testing.T) {
	at := pgtest.Fresh(t, "")
	raw := onPostgres().raw(t, at)
	run := func(statement string) {
		_, err := raw.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	run("DROP ROLE IF EXISTS serving; CREATE ROLE serving LOGIN")
	serving := strings.Replace(at, "postgres:///", "postgres://serving@/", 1)
	serving = strings.Replace(serving, "postgres@/", "serving@/", 1)
	_, err := onPostgres().open(t.Context(), serving, testProver{})
	require.ErrorContains(t, err, "its schema has version 0 and this bctrl needs version")
	require.ErrorContains(t, err, "run 'bctrl migrate' as a user who may")
	_, err = MigratePostgres(t.Context(), at)
	require.NoError(t, err)
	run("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO serving")
	db, err := onPostgres().open(t.Context(), serving, testProver{})
	require.NoError(t, err)
	require.NoError(t, db.Write(t.Context(), func(tx *Tx) error { return insertOrganization(t.Context(), tx, "org") }))
	require.NoError(t, db.Close())
	run("DROP OWNED BY serving; DROP ROLE serving")
}

// TestMigrationsOnlyAddToWhatNodesShare lets nodes of two versions serve beside each other while
// they are replaced one after the other: the older ones go on with what they know of the schema.
func TestMigrationsOnlyAddToWhatNodesShare(t *testing.T) {
	adds := regexp.MustCompile(`^(CREATE (TABLE|INDEX) |ALTER TABLE \w+ ADD COLUMN \w+ \w+( NOT NULL DEFAULT \S+)?$)`)
	// Older nodes that live go on, and none of them joins: TestNodesBesideOneOfTheVersionBefore.
	meant := []string{
		"ALTER TABLE nodes ADD COLUMN lane BIGINT CHECK (lane >= 0)", "ALTER TABLE nodes ALTER COLUMN lane SET DEFAULT -1",
		"CREATE UNIQUE INDEX nodes_lane ON nodes (lane) WHERE state <> 'ended' AND lane > 0",
	}
	files, err := filepath.Glob("migrations/*.sql")
	require.NoError(t, err)
	looked := 0
	for _, file := range files {
		if filepath.Base(file) < "00012" || strings.HasSuffix(file, ".sqlite.sql") { // before nodes, or of a server alone
			continue
		}
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		up, _, _ := strings.Cut(string(text), "-- +goose Down")
		up = regexp.MustCompile(`(?m)^\s*--.*$`).ReplaceAllString(up, "")
		for statement := range strings.SplitSeq(up, ";") {
			if statement = strings.TrimSpace(statement); statement != "" && !slices.Contains(meant, statement) {
				require.Regexp(t, adds, statement, file)
				looked++
			}
		}
	}
	require.Greater(t, looked, 5)
}
