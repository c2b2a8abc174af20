package store

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/store/pgtest"
)

// TestADatabaseWithoutRoomSaysSoAndGoesOn fills a small disk, where the machine lets the test mount one,
// and has PostgreSQL say the same where it does not. What was acknowledged is there, and once there is
// room the same store goes on. Then somebody makes the database read-only under the store, and takes
// that back.
func TestADatabaseWithoutRoomSaysSoAndGoesOn(t *testing.T) {
	cluster, err := pgtest.New(false)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cluster.Close()) })
	at, resize, real, err := cluster.SmallDisk("small", 24)
	require.NoError(t, err)
	full, room := func() {}, func() { require.NoError(t, resize(64)) }
	if !real {
		at = cluster.URL("postgres")
		full = func() {
			_, err := onPostgres().raw(t, at).ExecContext(t.Context(), "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE "+
				"plpgsql AS $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '53100'; END $$; CREATE TRIGGER t BEFORE INSERT ON "+
				"vault_entries EXECUTE FUNCTION full_disk()")
			require.NoError(t, err)
		}
		room = func() {
			_, err := onPostgres().raw(t, at).ExecContext(t.Context(), "DROP FUNCTION full_disk CASCADE")
			require.NoError(t, err)
		}
	}
	db, err := OpenPostgres(t.Context(), Postgres{URL: at}, testProver{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	ctx, written := t.Context(), 0
	write := func() error {
		e := entry(fmt.Sprint("k", written))
		e.Sealed = []byte(strings.Repeat(fmt.Sprintf("%08d", written), 64<<10)) // PostgreSQL packs it, but not by much
		for i := range e.Sealed {
			e.Sealed[i] ^= byte(i * (written + 7) >> 5)
		}
		err := db.Write(ctx, func(tx *Tx) error { return insert(ctx, tx, e.Key, e) })
		if err == nil {
			written++
		}
		return err
	}
	require.NoError(t, db.Write(ctx, func(tx *Tx) error { return insertOrganization(ctx, tx, "org") }))
	require.NoError(t, write())
	full()
	for err = write(); err == nil; err = write() {
		require.Less(t, written, 2000, "the disk does not fill")
	}
	require.ErrorIs(t, err, ErrFull)
	room()
	stored := func() int {
		keys, err := db.Read().VaultKeys(ctx, "org", VaultRange{Limit: 1_000_000})
		require.NoError(t, err)
		return len(keys)
	}
	require.Equal(t, written, stored(), "what was acknowledged, and no more")
	require.NoError(t, write())
	require.Equal(t, written, stored())
	requireWholeChain(t, db, written)

	setting := func(statement string) {
		for _, s := range []string{statement, "SELECT pg_reload_conf()"} {
			_, err := onPostgres().raw(t, at+"&default_transaction_read_only=off").ExecContext(ctx, s)
			require.NoError(t, err)
		}
	}
	setting("ALTER SYSTEM SET default_transaction_read_only = on")
	require.Eventually(t, func() bool { err = write(); return err != nil }, time.Minute, 10*time.Millisecond)
	require.ErrorIs(t, err, ErrReadOnly)
	require.Equal(t, written, stored())
	setting("ALTER SYSTEM RESET default_transaction_read_only")
	require.Eventually(t, func() bool { return write() == nil }, time.Minute, 10*time.Millisecond)
	requireWholeChain(t, db, written)
}
