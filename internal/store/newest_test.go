package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestAWriteSeesWhatTheOneBeforeItHasWritten lets two writes share a transaction,
// whose events come after both: neither takes what the other wrote for a row that
// was put back, or deleted, by somebody else.
func TestAWriteSeesWhatTheOneBeforeItHasWritten(t *testing.T) {
	eachEngine(t, testAWriteSeesWhatTheOneBeforeItHasWritten)
}

func testAWriteSeesWhatTheOneBeforeItHasWritten(t *testing.T, e engine) {
	db, _ := e.openTest(t)
	ctx, at := t.Context(), time.UnixMilli(1_700_000_000_000)
	ws := Workspace{
		ID:        "ws",
		Name:      "w",
		Version:   1,
		CreatedAt: at,
		UpdatedAt: at,
	}
	policy := CapabilityPolicy{
		UID:        PolicyUID("org", "a/b"),
		Capability: "a/b",
		Version:    1,
		Meta:       []byte("{}"),
		Sealed:     []byte("s"),
		UpdatedAt:  at,
	}
	insert := func(tx *Tx) error {
		if err := tx.InsertWorkspace(ctx, "org", ws); err != nil {
			return err
		}
		if err := logged(tx); err != nil {
			return err
		}
		if err := tx.InsertCapabilityPolicy(ctx, "org", policy); err != nil {
			return err
		}
		return logged(tx)
	}
	require.NoError(t, db.Write(ctx, insert))
	change := func(tx *Tx) error {
		ws.Version++
		if err := tx.UpdateWorkspace(ctx, "org", ws); err != nil {
			return err
		}
		if err := logged(tx); err != nil {
			return err
		}
		if err := tx.DeleteCapabilityPolicy(ctx, "org", policy.UID); err != nil {
			return err
		}
		return logged(tx)
	}
	read := func(tx *Tx) error {
		found, err := tx.Workspace(ctx, "org", ws.ID)
		if err != nil || found.Version != 2 {
			return fmt.Errorf("the workspace is of version %d: %w", found.Version, err)
		}
		if _, err = tx.CapabilityPolicy(ctx, "org", "a/b"); !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("the policy is not gone: %w", err)
		}
		return nil
	}
	jobs := []*job{{ctx: context.Background(), fn: change}, {ctx: context.Background(), fn: read}}
	ran := make(chan error, 1)
	held := make(chan struct{})
	go func() {
		ran <- db.Write(ctx, func(*Tx) error { <-held; return nil }) // both wait for the transaction after this one
	}()
	for _, j := range jobs {
		j.done = make(chan error, 1)
		require.NoError(t, db.enqueue(ctx, j))
	}
	close(held)
	require.NoError(t, <-ran)
	for _, j := range jobs {
		require.NoError(t, <-j.done)
	}
	found, err := db.Read().Workspace(ctx, "org", ws.ID)
	require.NoError(t, err)
	require.EqualValues(t, 2, found.Version)
}

// TestTheNewestEventOfARecordIsFoundByItsIndex of every kind that anybody looks for, and what no event wrote is
// found without going through the log for each row.
func TestTheNewestEventOfARecordIsFoundByItsIndex(t *testing.T) {
	db, _ := openTest(t)
	for _, k := range recordTables() {
		if k.kind == KindVault {
			require.Panics(t, func() { newestEvent(k.kind, "t") }, "the index has none of them")
		} else {
			plan := strings.Join(queryPlan(t, db, "SELECT id"+newestEvent(k.kind, "t")+" FROM (SELECT 'x' AS id) AS t"), "; ")
			require.Contains(t, plan, "SEARCH audit_events USING INDEX audit_events_record (record=?)", k.kind)
		}
		plan := queryPlan(t, db, "SELECT 1 FROM "+k.table+" AS t WHERE "+k.unrecorded())
		at := slices.IndexFunc(plan, func(step string) bool { return strings.Contains(step, "audit_events") })
		require.GreaterOrEqual(t, at, 0, k.kind)
		if strings.HasPrefix(plan[at], "SCAN") {
			require.NotContains(t, strings.Join(plan[:at], "; "), "CORRELATED", "%s: %s", k.kind, plan)
		}
	}
}
