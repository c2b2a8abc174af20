package audit

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/store"
)

// TestACheckpointInDoubtIsFoundOut: a database that went away has not said whether it
// took the last one, and the next names the one before it.
func TestACheckpointInDoubtIsFoundOut(t *testing.T) {
	for _, tc := range []struct {
		why   string
		taken bool
	}{{"it took it", true}, {"it did not", false}} {
		t.Run(tc.why, func(t *testing.T) {
			p := newPlace(t).filled()
			require.NoError(t, p.notary.Close()) // from here on the test is the notary
			p.set("org", "k0")
			ctx := context.Background()
			c, err := p.notary.sign(p.store.Head())
			require.NoError(t, err)
			if tc.taken {
				p.write(func(tx *store.Tx) error { return tx.InsertCheckpoint(ctx, c) })
			}
			p.notary.doubtful = &c
			p.set("org", "k0")
			require.NoError(t, p.notary.checkpoint(ctx))
			require.Nil(t, p.notary.doubtful)
			report := p.verifyOf(p.store)
			require.Empty(t, report.report.Problems)
		})
	}
}
