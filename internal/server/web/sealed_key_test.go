package web

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/custody"
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/store/storetest"
)

// TestALockDoesNotWaitForAKeyThatIsBeingOpened has the database be slow: what was opened before
// the lock is not kept.
func TestALockDoesNotWaitForAKeyThatIsBeingOpened(t *testing.T) {
	dir, rows, ctx := t.TempDir(), &seal.Rows{}, context.WithoutCancel(t.Context())
	path := filepath.Join(dir, "bctrl.db")
	storetest.Create(t, path)
	db, err := store.Open(ctx, path, rows)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	keeper, err := custody.Open(ctx, custody.Config{DB: db, Rows: rows, KeyFile: filepath.Join(dir, "key")})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, keeper.Close()) })
	k := &Kernel{DB: db, Custody: keeper, Keys: keeper.Keys()}

	writes, goOn, written := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		written <- db.Write(ctx, func(*store.Tx) error {
			close(writes)
			<-goOn
			return nil
		})
	}()
	<-writes
	sk := k.NewSealedKey("test")
	type opened struct {
		key []byte
		err error
	}
	got := make(chan opened, 1)
	go func() {
		key, err := sk.Get(ctx)
		got <- opened{key, err}
	}()
	require.Eventually(t, func() bool {
		if !sk.opening.TryLock() {
			return true
		}
		sk.opening.Unlock()
		return false
	}, time.Minute, time.Millisecond)
	forgotten := make(chan struct{})
	go func() {
		sk.Forget()
		close(forgotten)
	}()
	select {
	case <-forgotten:
	case <-time.After(time.Minute):
		require.Fail(t, "the lock waits")
	}
	close(goOn)
	require.NoError(t, <-written)
	first := <-got
	require.NoError(t, first.err)
	again, err := sk.Get(ctx)
	require.NoError(t, err)
	require.Equal(t, first.key, again)

	keeper.Lock()
	sk.Forget()
	_, err = sk.Get(ctx)
	require.ErrorIs(t, err, seal.ErrLocked)
}
