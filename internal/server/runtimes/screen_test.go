package runtimes

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/live"
)

// TestAStepThatWaitsForAPersonHasItsTimeStill has a person work for longer than the step may
// take.
func TestAStepThatWaitsForAPersonHasItsTimeStill(t *testing.T) {
	for _, c := range []struct {
		why   string
		after time.Duration // what the step does once the person is done
		code  string
	}{
		{"it goes on where it was", 4 * time.Second, ""},
		{"its own time is bounded still", 6 * time.Second, errTimedOut.Code},
	} {
		synctest.Test(t, func(t *testing.T) {
			s, lr := &Service{}, newLiveRuntime("o", "w", "r")
			defer lr.end()
			require.True(t, lr.control.Take("p", func() func() { return func() {} }))
			go func() {
				for range 12 { // the person does something every five seconds, for a minute
					time.Sleep(5 * time.Second) //nolint:forbidigo // of the bubble
					lr.control.Touch("p")
				}
				lr.control.HandBack("p")
			}()
			x := &execution{live: lr}
			done := s.runStep(t.Context(), x, step{
				call: bctrl.CallGoto, timeout: 5 * time.Second, execution: x,
				run: func(ctx context.Context, x *execution, _ func(string)) (any, error) {
					if err := s.awaitPerson(ctx, x); err != nil {
						return nil, err
					}
					return nil, live.Pause(ctx, c.after)
				},
			}, func(string) {})
			if c.code == "" {
				require.Nil(t, done.Error, c.why)
				return
			}
			require.NotNil(t, done.Error, c.why)
			require.Equal(t, c.code, done.Error.Code, c.why)
		})
	}
}

// TestAPageThatShowsNothingIsDropped sends pictures to one that does not say that it shows
// them. Others are not held up by it: see package live.
func TestAPageThatShowsNothingIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		p := &viewer{fail: cancel, change: make(chan struct{})}
		require.True(t, p.awaitShown(ctx, 0), "the first pictures are sent at once")
		go func() {
			time.Sleep(stalledAfter - time.Second) //nolint:forbidigo // of the bubble
			p.set(func() { p.acked = 1 })
		}()
		require.True(t, p.awaitShown(ctx, 1), "it is slow, and shows them")
		begun := time.Now()
		require.False(t, p.awaitShown(ctx, 2))
		require.Equal(t, stalledAfter, time.Since(begun))
		require.ErrorIs(t, context.Cause(ctx), errStalled)
	})
}
