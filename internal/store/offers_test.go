package store

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestALaunchIsTakenByOneNodeAndByItsNewestOfferAlone has node "b" be offered a runtime of "a".
func TestALaunchIsTakenByOneNodeAndByItsNewestOfferAlone(t *testing.T) {
	eachEngine(t, func(t *testing.T, e engine) {
		for _, c := range []struct {
			why   string
			first func(tx *Tx) error // by a
			took  error
			left  error // what a finds, who then gives the offer up
		}{
			{"nothing came between", func(*Tx) error { return nil }, nil, ErrNotFound},
			{"it was given up before", func(tx *Tx) error { return tx.EndOffer(t.Context(), Offer{Org: "org", Runtime: "r"}) },
				ErrNotFound, nil},
			{"it is to end", func(tx *Tx) error { return tx.AskToEnd(t.Context(), "org", "r") }, ErrNotFound, nil},
			{"another node took it", func(tx *Tx) error {
				_, err := tx.exec(t.Context(), "UPDATE runtime_nodes SET node_id = 'c' WHERE runtime_id = 'r'")
				return err
			}, ErrNotFound, ErrNotFound},
		} {
			t.Run(c.why, func(t *testing.T) {
				db, _ := e.openTest(t)
				ctx := t.Context()
				register(t, db, "a", testLease)
				register(t, db, "b", testLease)
				db.Fence("a")
				offer := Offer{Org: "org", Runtime: "r", Node: "a"}
				require.NoError(t, db.Write(ctx, func(tx *Tx) error {
					_, err := tx.exec(ctx, "INSERT INTO runtime_nodes (org_id, runtime_id, node_id) VALUES ('org', 'r', 'a')")
					return err
				}))
				require.NoError(t, db.Write(ctx, c.first))
				db.Fence("b")
				for range 2 { // as where nobody knows whether the first was durable
					require.ErrorIs(t, db.Write(ctx, func(tx *Tx) error { return tx.TakeOffer(ctx, offer) }), c.took)
				}
				db.Fence("a")
				for range 2 {
					require.ErrorIs(t, db.Write(ctx, func(tx *Tx) error { return tx.EndOffer(ctx, offer) }), c.left)
				}
				if c.left != nil {
					return
				}
				db.Fence("b")
				require.ErrorIs(t, db.Write(ctx, func(tx *Tx) error { return tx.TakeOffer(ctx, offer) }), ErrNotFound, "late")
			})
		}
		t.Run("its node is dead", func(t *testing.T) {
			db, _ := e.openTest(t)
			ctx := t.Context()
			register(t, db, "a", testLease)
			register(t, db, "b", testLease)
			db.Fence("b")
			require.NoError(t, db.Write(ctx, func(tx *Tx) error {
				_, err := tx.exec(ctx, "INSERT INTO runtime_nodes (org_id, runtime_id, node_id) VALUES ('org', 'r', 'a')")
				return err
			}))
			require.NoError(t, db.ExpireLease(ctx, "a"))
			require.ErrorIs(t, db.Write(ctx, func(tx *Tx) error {
				return tx.TakeOffer(ctx, Offer{Org: "org", Runtime: "r", Node: "a"})
			}), ErrNotFound)
		})
	})
}
