package store

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/store/pgtest"
)

// TestTheDatabasesClockIsTheOneComparedWith gives PostgreSQL another one, an hour ahead.
func TestTheDatabasesClockIsTheOneComparedWith(t *testing.T) {
	db, _ := openTest(t)
	ahead, within, err := db.Clocks(t.Context())
	require.NoError(t, err)
	require.Zero(t, ahead+within, "a file has none of its own")

	at := pgtest.Fresh(t, migrated(t))
	_, err = onPostgres().raw(t, at).ExecContext(t.Context(), `CREATE SCHEMA ahead; CREATE FUNCTION ahead.clock_timestamp()
		RETURNS timestamptz LANGUAGE sql AS $$ SELECT pg_catalog.clock_timestamp() + interval '1 hour' $$`)
	require.NoError(t, err)
	for _, tc := range []struct {
		path string
		want time.Duration
	}{{"public", 0}, {"public,ahead,pg_catalog", -time.Hour}} {
		db, err := OpenPostgres(t.Context(), Postgres{URL: at + "&search_path=" + tc.path}, testProver{})
		require.NoError(t, err)
		ahead, within, err := db.Clocks(t.Context())
		require.NoError(t, err)
		require.LessOrEqual(t, (ahead - tc.want).Abs(), within+time.Millisecond, "both are this machine's")
		require.NoError(t, db.Close())
	}
}
