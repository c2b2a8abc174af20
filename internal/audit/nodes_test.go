package audit

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/store"
)

// TestWhatADeadNodeHadUnderwayIsUnknownAndNobodyElses has two nodes with an intent each, by
// turns on one store, of which one dies. Its own outcome comes too late.
func TestWhatADeadNodeHadUnderwayIsUnknownAndNobodyElses(t *testing.T) {
	p := newPlace(t)
	ctx := t.Context()
	begin := func(node string) RecordOutcome {
		_, err := p.store.RegisterNode(ctx, store.Node{ID: node}, "", time.Hour)
		require.NoError(t, err)
		p.store.Fence(node)
		require.NoError(t, p.log.StartNode(ctx, node))
		done, err := p.log.Begin(ctx, Event{Org: "org", Caller: "key:k", Action: "vault.use", Object: node})
		require.NoError(t, err)
		return done
	}
	lateEnd, end := begin("dies"), begin("lives")
	require.NoError(t, p.store.ExpireLease(ctx, "dies"))
	var ended []store.Node
	p.write(func(tx *store.Tx) (err error) {
		ended, err = tx.EndDeadNodes(ctx)
		return err
	})
	require.Len(t, ended, 1)
	for range 2 { // as two nodes that settle it at once
		nodes, err := p.store.Read().UnsettledNodes(ctx)
		require.NoError(t, err)
		for _, n := range nodes {
			require.NoError(t, p.log.EndNode(ctx, n))
			require.NoError(t, p.log.EndNode(ctx, n))
		}
	}
	require.NoError(t, lateEnd(End{Outcome: OK}))
	outcomes := func() map[string]string {
		require.NoError(t, p.store.CatchUp(ctx))
		page, err := List(ctx, p.store.Read(), "org", bctrl.AuditFilter{Action: "vault.use"}, true, 0, 10)
		require.NoError(t, err)
		found := map[string]string{}
		for _, e := range page.Events {
			found[e.Object] = e.Outcome
		}
		return found
	}
	require.Equal(t, map[string]string{"dies": Unknown, "lives": ""}, outcomes())
	require.NoError(t, end(End{Outcome: OK}))
	require.Equal(t, map[string]string{"dies": Unknown, "lives": OK}, outcomes())
	require.True(t, p.verify().All().OK)
}

// TestWhatWasSettledInPartIsSettledToTheEnd: the server that did so ended between two
// transactions.
func TestWhatWasSettledInPartIsSettledToTheEnd(t *testing.T) {
	p := newPlace(t)
	ctx := t.Context()
	n, err := p.store.RegisterNode(ctx, store.Node{ID: "dies"}, "", time.Hour)
	require.NoError(t, err)
	p.store.Fence("dies")
	require.NoError(t, p.log.StartNode(ctx, "dies"))
	for range 3 {
		_, err := p.log.Begin(ctx, Event{Org: "org", Caller: "key:k", Action: "vault.use", Object: "k"})
		require.NoError(t, err)
	}
	p.store.Fence("")
	require.NoError(t, p.store.ExpireLease(ctx, "dies"))
	p.write(func(tx *store.Tx) error { _, err := tx.EndDeadNodes(ctx); return err })
	left, err := p.log.intentsWithoutOutcome(ctx, n.LogFrom, "dies")
	require.NoError(t, err)
	require.Len(t, left, 3)
	p.write(func(tx *store.Tx) error { return appendUnknown(tx, left[:1]) })
	require.NoError(t, p.log.EndNode(ctx, n))
	page, err := List(ctx, p.store.Read(), "org", bctrl.AuditFilter{Action: "vault.use"}, true, 0, 10)
	require.NoError(t, err)
	for _, e := range page.Events {
		require.Equal(t, Unknown, e.Outcome)
	}
	unsettled, err := p.store.Read().UnsettledNodes(ctx)
	require.NoError(t, err)
	require.Empty(t, unsettled)
	require.True(t, p.verify().All().OK)
}

// TestADeadNodeIsLookedForAfterWhatIsSettled has two nodes of which one dies.
func TestADeadNodeIsLookedForAfterWhatIsSettled(t *testing.T) {
	p := newPlace(t)
	ctx := t.Context()
	join := func(node string) {
		_, err := p.store.RegisterNode(ctx, store.Node{ID: node}, "", time.Hour)
		require.NoError(t, err)
		p.store.Fence(node)
		require.NoError(t, p.log.StartNode(ctx, node))
	}
	begin := func() RecordOutcome {
		done, err := p.log.Begin(ctx, Event{Org: "org", Caller: "key:k", Action: "vault.use", Object: "k"})
		require.NoError(t, err)
		return done
	}
	settled := func() (all []int64) {
		require.NoError(t, p.store.CatchUp(ctx))
		require.NoError(t, p.log.NoteSettled(ctx))
		nodes, err := p.store.Read().Nodes(ctx)
		require.NoError(t, err)
		for _, n := range nodes {
			all = append(all, n.LogFrom)
		}
		return all
	}
	last := func() int64 {
		last, err := p.store.Read().LastEvent(ctx)
		require.NoError(t, err)
		return last
	}
	join("lives")
	require.Equal(t, []int64{last()}, settled(), "nothing is underway")
	before := last()
	end := begin()
	join("dies")
	joined, err := p.store.Read().Nodes(ctx)
	require.NoError(t, err)
	require.Equal(t, []int64{before, joined[1].LogFrom}, settled(), "an intent of the other node is underway")
	p.store.Fence("lives")
	require.NoError(t, end(End{Outcome: OK}))
	require.NoError(t, p.store.CatchUp(ctx))
	p.store.Fence("dies")
	require.Equal(t, []int64{last(), last()}, settled())
	before = last()
	begin()
	require.NoError(t, begin()(End{Outcome: OK}))
	require.Equal(t, []int64{before, before}, settled(), "the intent before an outcome is underway")
	for atOnce := range last() {
		found, err := settledFrom(ctx, p.store.Read(), 0, last(), atOnce+1)
		require.NoError(t, err)
		require.Equal(t, before, found, "reading %d at once", atOnce+1)
	}

	p.store.Fence("lives")
	require.NoError(t, p.store.ExpireLease(ctx, "dies"))
	p.write(func(tx *store.Tx) error { _, err := tx.EndDeadNodes(ctx); return err })
	unsettled, err := p.store.Read().UnsettledNodes(ctx)
	require.NoError(t, err)
	require.Len(t, unsettled, 1)
	require.Equal(t, before, unsettled[0].LogFrom)
	require.NoError(t, p.log.EndNode(ctx, unsettled[0]))
	page, err := List(ctx, p.store.Read(), "org", bctrl.AuditFilter{Outcome: Unknown}, true, 0, 10)
	require.NoError(t, err)
	require.Len(t, page.Events, 1)
	require.Equal(t, []int64{last()}, settled())
}
