package daemon

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// TestWhatADeadServerLeftIsSweptUntilNothingIsLeft, ever more seldom, or until the server closes.
func TestWhatADeadServerLeftIsSweptUntilNothingIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, tries := time.Now(), 0
		sweepBrowsers(t.Context(), func() (left int) {
			tries++
			return max(0, 10-tries)
		})
		require.Equal(t, 10, tries)
		require.Equal(t, (1+2+4+8+16+32+60+60+60)*time.Second, time.Since(began))

		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(90*time.Second, cancel)
		began = time.Now()
		sweepBrowsers(ctx, func() int { return 1 })
		require.Equal(t, 90*time.Second, time.Since(began))
	})
}
