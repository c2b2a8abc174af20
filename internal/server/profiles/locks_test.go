package profiles

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

func TestOneProfileHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l locks
		unlock, err := l.lock(t.Context(), "a")
		require.NoError(t, err)
		other, err := l.lock(t.Context(), "b")
		require.NoError(t, err)
		other()

		ctx, cancel := context.WithCancel(t.Context())
		gaveUp, got := make(chan error, 1), make(chan func(), 1)
		go func() {
			_, err := l.lock(ctx, "a")
			gaveUp <- err
		}()
		go func() {
			next, _ := l.lock(t.Context(), "a")
			got <- next
		}()
		synctest.Wait()
		require.Empty(t, got, "who has the same name waits")
		cancel()
		require.ErrorIs(t, <-gaveUp, context.Canceled)
		unlock()
		(<-got)()
		require.Empty(t, l.byName, "nothing is left of locks that nobody holds")
	})
}
