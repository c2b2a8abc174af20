package store

import (
	"cmp"
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// takeCall is what a call asks, an event with it as in the server. It may be asked from other
// goroutines than the test's.
func takeCall(t assert.TestingT, db *DB, capability string, perMinute int, now time.Time) (wait time.Duration) {
	err := db.Write(context.Background(), func(tx *Tx) (err error) {
		if err := tx.CountCalls(context.Background(), "org", capability); err != nil {
			return err
		}
		wait, err = tx.TakeCall(context.Background(), "org", capability, perMinute, now)
		return err
	})
	assert.NoError(t, err)
	return wait
}

// TestNoMinuteHasMoreCallsThanPermitted lets calls come at any times, and
// counts, for each minute that begins with one, what was let through in it.
func TestNoMinuteHasMoreCallsThanPermitted(t *testing.T) {
	db, _ := openTest(t)
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		capability := "acme/" + strconv.Itoa(n)
		limit := rapid.IntRange(1, 5).Draw(t, "limit")
		now := time.UnixMilli(1_800_000_000_000)
		var taken []time.Time
		for _, gap := range rapid.SliceOfN(rapid.Int64Range(0, 30_000), 1, 30).Draw(t, "gaps") {
			now = now.Add(time.Duration(gap) * time.Millisecond)
			wait := takeCall(t, db, capability, limit, now)
			if wait == 0 {
				taken = append(taken, now)
				continue
			}
			require.LessOrEqual(t, wait, rateWindow*time.Second)
			if rapid.Bool().Draw(t, "come back") {
				now = now.Add(wait)
				require.Zero(t, takeCall(t, db, capability, limit, now), "it was told when there is room")
				taken = append(taken, now)
			}
		}
		for i, from := range taken {
			n := 0
			for _, at := range taken[i:] {
				if at.Before(from.Add(time.Minute)) {
					n++
				}
			}
			require.LessOrEqual(t, n, limit)
		}
	})
}

// TestALimitHoldsAcrossConnections has two openings of one database share it.
func TestALimitHoldsAcrossConnections(t *testing.T) { eachEngine(t, testALimitHoldsAcrossConnections) }

func testALimitHoldsAcrossConnections(t *testing.T, e engine) {
	first, path := e.openTest(t)
	const capability = "acme/users"
	now := time.Now()
	var taken atomic.Int32
	var group sync.WaitGroup
	for range 40 {
		group.Go(func() {
			if takeCall(t, first, capability, 7, now) == 0 {
				taken.Add(1)
			}
		})
	}
	group.Wait()
	require.EqualValues(t, 7, taken.Load())
	require.NoError(t, first.Close())

	second, err := e.open(t.Context(), path, testProver{})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, second.Close()) })
	require.NotZero(t, takeCall(t, second, capability, 7, now), "a restart forgets nothing")
	require.NotZero(t, takeCall(t, second, capability, 7, now.Add(-time.Hour)), "nor does a clock that is set back")
	require.Zero(t, takeCall(t, second, capability, 7, now.Add(2*time.Minute)))
	require.NotZero(t, takeCall(t, second, "acme/none", 0, now))
}

// TestNobodyCountsFromLess deletes a count, and puts an older one back with the
// proof that it had.
func TestNobodyCountsFromLess(t *testing.T) { eachEngine(t, testNobodyCountsFromLess) }

func testNobodyCountsFromLess(t *testing.T, e engine) {
	const capability = "acme/users"
	take := func(db *DB) error {
		return db.Write(t.Context(), func(tx *Tx) error {
			_, err := tx.TakeCall(t.Context(), "org", capability, 100, time.Now())
			return err
		})
	}
	for _, tc := range []struct{ why, keep, change string }{
		{"deleted", "", "DELETE FROM invoke_rates"},
		{"edited", "", "UPDATE invoke_rates SET calls = '[]'"},
		{"put back", "CREATE TEMP TABLE kept AS SELECT * FROM invoke_rates",
			"UPDATE invoke_rates SET calls = (SELECT calls FROM kept), proof = (SELECT proof FROM kept)"},
	} {
		t.Run(tc.why, func(t *testing.T) {
			db, path := e.openTest(t)
			raw := e.raw(t, path)
			raw.SetMaxOpenConns(1)
			require.NoError(t, db.Write(t.Context(),
				func(tx *Tx) error { return tx.CountCalls(t.Context(), "org", capability) }))
			require.NoError(t, take(db))
			_, err := raw.ExecContext(t.Context(), tc.keep)
			require.NoError(t, err)
			for range 3 {
				require.NoError(t, take(db))
			}
			failed := errors.New("not now")
			require.ErrorIs(t, db.Write(t.Context(), func(tx *Tx) error {
				return cmp.Or(tx.CountCalls(t.Context(), "org", "acme/others"), failed)
			}), failed, "what is undone takes no count with it")
			_, err = raw.ExecContext(t.Context(), tc.change)
			require.NoError(t, err)
			var forged *ForgedError
			require.ErrorAs(t, take(db), &forged)
			require.Equal(t, KindInvokeRate, forged.Kind)
		})
	}
}
