package steptime

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errUp = errors.New("the time is up")

func TestTheTimeInWhichSomebodyIsWaitedForDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		task, cancelTask := With(t.Context(), time.Minute, context.DeadlineExceeded)
		defer cancelTask()
		step, cancelStep := With(task, 10*time.Second, errUp)
		defer cancelStep()
		within, cancelWithin := context.WithCancel(step)
		defer cancelWithin()

		time.Sleep(9 * time.Second) //nolint:forbidigo // of the bubble
		resume := Pause(within)
		resumeToo := Pause(step)
		time.Sleep(time.Hour) //nolint:forbidigo // of the bubble
		resume()
		resume()              // twice is once
		time.Sleep(time.Hour) //nolint:forbidigo // of the bubble
		require.NoError(t, within.Err())
		resumeToo()
		deadline, ok := within.Deadline()
		require.True(t, ok)
		require.Equal(t, 2*time.Hour+10*time.Second, deadline.Sub(begun))
		<-within.Done()
		require.Equal(t, 2*time.Hour+10*time.Second, time.Since(begun))
		require.ErrorIs(t, context.Cause(within), errUp)
		require.NoError(t, task.Err())
		<-task.Done()
		require.Equal(t, 2*time.Hour+time.Minute, time.Since(begun))
		require.ErrorIs(t, context.Cause(task), context.DeadlineExceeded)
	})
}

func TestATimeEndsWithWhatItIsPartOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		task, cancelTask := With(t.Context(), time.Second, errUp)
		defer cancelTask()
		step, cancelStep := With(task, time.Minute, context.DeadlineExceeded)
		deadline, _ := step.Deadline()
		require.Equal(t, time.Second, deadline.Sub(begun))
		<-step.Done()
		require.ErrorIs(t, context.Cause(step), errUp)
		cancelStep()
		Pause(step)()
		cancelled, cancel := With(t.Context(), time.Minute, errUp)
		cancel()
		require.ErrorIs(t, context.Cause(cancelled), context.Canceled)
		Pause(t.Context())() // of what has no time, nothing is paused
	})
}
