package audit

import (
	"context"
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/store/storetest"
)

// brokenHead is a head outside that cannot be written while it is broken.
type brokenHead struct {
	HeadStore
	broken  atomic.Bool
	refused chan struct{}
}

func (h *brokenHead) WriteHead(ctx context.Context, text []byte, state string) (string, error) {
	if h.broken.Load() {
		h.refused <- struct{}{}
		return "", errors.New("no space left")
	}
	return h.HeadStore.WriteHead(ctx, text, state)
}

// TestOnlyWhatIsKeptOutsideIsToldAsSigned breaks the head outside, of a server alone and of one that leads
// others: the signatures in the database alone do not count.
func TestOnlyWhatIsKeptOutsideIsToldAsSigned(t *testing.T) {
	for name, leads := range map[string]func() bool{"alone": nil, "of several": func() bool { return true }} {
		t.Run(name, func(t *testing.T) {
			ctx, dir := t.Context(), t.TempDir()
			db, err := storetest.Open(ctx, filepath.Join(dir, "db"), nil)
			require.NoError(t, err)
			defer func() { require.NoError(t, db.Close()) }()
			key, err := seal.CreateFile(filepath.Join(dir, "key"))
			require.NoError(t, err)
			head := &brokenHead{HeadStore: HeadFile(filepath.Join(dir, "head")), refused: make(chan struct{}, 100)}
			kept := make(chan int64, 100)
			cfg := NotaryConfig{DB: db, Key: key, Head: head, Leads: leads, Kept: func(seq int64) { kept <- seq }}
			notary, err := OpenNotary(ctx, cfg)
			require.NoError(t, err)
			require.Zero(t, <-kept)

			record := func() int64 {
				require.NoError(t, New(db).Record(ctx, Event{Caller: "server", Action: Started}))
				return db.Head().Seq
			}
			first := record()
			require.Equal(t, first, <-kept)
			head.broken.Store(true)
			second := record()
			<-head.refused
			newest, err := db.Read().NewestCheckpoint(ctx)
			require.NoError(t, err)
			require.Equal(t, second, newest.Seq, "signed in the database")
			require.Empty(t, kept)
			head.broken.Store(false)
			require.Equal(t, second, <-kept)
			require.NoError(t, notary.Close())

			again, err := OpenNotary(ctx, cfg)
			require.NoError(t, err)
			require.Equal(t, second, <-kept, "by the one before")
			require.NoError(t, again.Close())
		})
	}
}
