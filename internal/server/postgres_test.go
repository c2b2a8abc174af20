package server

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/custody"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/store/pgtest"
	"github.com/bctrl-go/bctrl/internal/store/storetest"
)

// TestTheServerKeepsItsPromisesOnPostgreSQL runs a slice of this package's tests on
// PostgreSQL, one or two of each area; .ci/nightly runs them all.
func TestTheServerKeepsItsPromisesOnPostgreSQL(t *testing.T) {
	t.Setenv(storetest.Variable, "postgres")
	for _, tc := range []struct {
		area string
		test func(*testing.T)
	}{
		{"logins", TestALoginComesBackAsItWasSet},
		{"lists", TestNestedMountsListEachKeyOnce},
		{"idempotency", TestAnIdempotencyKeyHasOneEffect},
		{"log", TestFiltersSelectAndPagesMeet},
		{"texts", TestNoTextForgesAnEvent},
		{"verification", TestVerifyThroughTheServer},
		{"events", TestARuntimesEventsTellItsLifeFromLaunchToEnd},
		{"webhooks", TestDeliveriesSurviveTheirServer},
		{"files", TestAnOverwriteIsANewVersionAndLeavesNothingOfTheOld},
		{"folders", TestBrowsingShowsALevelOrAll},
		{"organizations", TestOrganizationsHaveNothingInCommon},
		{"subaccounts", TestDeletingASubaccountEndsAndRemovesAllOfIt},
		{"calls", TestCallsAMinuteHold},
		{"secrets", TestListsSelectByScopeNameAndAttachment},
		{"runtimes", TestARuntimeReachesWhatEveryLevelPermitsAndNothingElse},
		{"operations", TestWhatAServerLeavesRunningIsInterrupted},
		{"revoked rows", TestWhatWasRevokedStaysSoWithTheProofOfBefore},
		{"forged rows", TestAForgedKeyUnlocksNothing},
	} {
		t.Run(tc.area, tc.test)
	}
}

// TestADatabaseThatGoesAwayIsSaidAndTheServerGoesOn kills the server's PostgreSQL, which
// is not this process's end, and starts it again.
func TestADatabaseThatGoesAwayIsSaidAndTheServerGoesOn(t *testing.T) {
	cluster, err := pgtest.New(false)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cluster.Close()) })
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "bctrl.db"), []byte(cluster.URL("postgres")), 0o600))
	h := newHarnessIn(t, dir, custody.Config{})
	set := func(i int) answer {
		return h.do("PUT", []string{"vault", fmt.Sprintf("k%d", i)}, nil, object{"password": "p"})
	}
	get := func(i int) answer { return h.do("GET", []string{"vault", fmt.Sprintf("k%d", i)}, nil, nil) }
	require.Equal(t, 200, set(0).Status)

	require.NoError(t, cluster.Kill())
	for why, away := range map[string]answer{
		"a write": set(1), "a read": get(0), "a list": h.do("GET", []string{"vault"}, nil, nil),
	} {
		require.Equal(t, 503, away.Status, why)
		require.Equal(t, "server.database_unavailable", away.code(), why)
		require.Equal(t, "1", away.Header.Get("Retry-After"), why)
	}
	require.NoError(t, cluster.Start())
	require.Eventually(t, func() bool { return set(1).Status == 200 }, time.Minute, 10*time.Millisecond)
	for i := range 2 {
		require.Equal(t, 200, get(i).Status, "nothing that was acknowledged is lost")
	}
	require.True(t, h.verified())
}

// TestWhatTheDatabaseMayHaveDoneKeepsItsBytes: after a change of which nobody knows whether it was done, a row
// may come that needs them. A sweep removes them where none has come.
func TestWhatTheDatabaseMayHaveDoneKeepsItsBytes(t *testing.T) {
	t.Setenv(storetest.Variable, "postgres")
	h := newHarness(t)
	h.stored("s", "f", "old")
	h.ok("POST", []string{"browser-profiles"}, object{"id": "bot"}, nil)
	h.launchWith(h.made("w", object{}), "crm", "bot")
	const inDoubt = " ON %s DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION hush()"
	h.alter("CREATE FUNCTION hush() RETURNS trigger LANGUAGE plpgsql AS " +
		"$$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = 'query_canceled'; END $$" +
		"; CREATE CONSTRAINT TRIGGER hush_files AFTER UPDATE" + fmt.Sprintf(inDoubt, "objects") +
		"; CREATE CONSTRAINT TRIGGER hush_profiles AFTER INSERT" + fmt.Sprintf(inDoubt, "browser_profiles"))
	refused(t, h.put("s", "f", "new"), 503, "server.database_unavailable", "it may have been done")
	refused(t, h.do("POST", []string{"browser-profiles", "bot", "clone"}, nil, object{"id": "copy"}), 503,
		"server.database_unavailable", "as above")
	require.Equal(t, 2, h.kept())
	folders := func() int {
		all, err := os.ReadDir(filepath.Join(h.dir, "profiles"))
		require.NoError(t, err)
		return len(all)
	}
	require.Equal(t, 2, folders())
	refused(t, h.do("POST", []string{"browser-profiles", "bot", "clone"}, nil, object{"id": "copy"}), 503,
		"server.database_unavailable", "again")
	require.Equal(t, 2, folders(), "the one before is known not to have been made")

	h.alter("DROP FUNCTION hush() CASCADE")
	_, err := h.blobs.Sweep(t.Context(), time.Now().Add(time.Hour), h.db.Read().UnknownBlobs)
	require.NoError(t, err)
	require.Equal(t, 1, h.kept())
	require.NoError(t, h.server.RemoveUnmade(t.Context()))
	require.Equal(t, 1, folders())
	require.Equal(t, "old", string(h.do("GET", file("s", "f"), nil, nil).Body))
}

// TestAnEventWhoseCommitWasNotAnsweredIsToldOnce has PostgreSQL wait, once a commit is on its disk, for a
// standby that there is not, and ends the connection meanwhile, as a failover does.
func TestAnEventWhoseCommitWasNotAnsweredIsToldOnce(t *testing.T) {
	cluster, err := pgtest.New(false)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cluster.Close()) })
	dir := t.TempDir()
	path := filepath.Join(dir, "bctrl.db")
	require.NoError(t, os.WriteFile(path, []byte(cluster.URL("postgres")), 0o600))
	h := newHarnessIn(t, dir, custody.Config{})
	hub, raw, org := h.server.events, storetest.Raw(t, path), h.org()
	exec := func(statements ...string) {
		for _, s := range statements {
			_, err := raw.ExecContext(t.Context(), s)
			require.NoError(t, err)
		}
	}
	exec("ALTER SYSTEM SET synchronous_standby_names = 'none'", "SELECT pg_reload_conf()")
	told, ended := 0, 0
	tell := func() {
		hub.Tell(org, bctrl.NewEvent(time.Now(), bctrl.HostRefusedEvent{Host: strconv.Itoa(told)}))
		told++
	}
	require.Eventually(t, func() bool { // of one event, and of several that came meanwhile
		tell()
		tell()
		var some int
		require.NoError(t, raw.QueryRowContext(t.Context(), "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity "+
			"WHERE wait_event = 'SyncRep'").Scan(&some))
		ended += some
		return ended > 2
	}, time.Minute, 50*time.Millisecond)
	exec("ALTER SYSTEM RESET synchronous_standby_names", "SELECT pg_reload_conf()")
	hub.Flush()
	tell() // which would have a gap before it, if one was thought to be missing
	hub.Flush()

	happened, err := h.db.Read().Happened(t.Context(), store.HappenedRange{Org: org, Limit: 2 * told})
	require.NoError(t, err)
	for i, e := range happened {
		require.Equal(t, bctrl.HostRefusedEvent{Host: strconv.Itoa(i)}, e.Data)
	}
	require.Len(t, happened, told)
}
