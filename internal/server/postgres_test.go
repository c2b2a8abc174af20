package server

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/custody"
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
