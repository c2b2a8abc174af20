package peer

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/cluster"
)

// cutOff has a node that lives reach no other one, and learn nothing of that until the test ends.
func cutOff(t *testing.T, n *node) {
	t.Helper()
	over := make(chan struct{})
	t.Cleanup(func() { close(over) })
	n.transport.DialTLSContext = func(context.Context, string, string) (net.Conn, error) {
		<-over
		return nil, net.ErrClosed
	}
}

// TestANodeThatCannotBeReachedIsGivenUpWithinEightSeconds, and not before five: as docs/cluster.md says.
func TestANodeThatCannotBeReachedIsGivenUpWithinEightSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, owner := newNode(t, 1, nil), cluster.Node{ID: uuid.NewString()}
		here.member.live.Store(&[]cluster.Node{owner})
		cutOff(t, here)
		gone := time.Now()
		ctx, done := here.follow(t.Context(), owner)
		defer done()
		<-ctx.Done()
		require.ErrorIs(t, context.Cause(ctx), ErrLost)
		require.GreaterOrEqual(t, time.Since(gone), 5*time.Second)
		require.LessOrEqual(t, time.Since(gone), 8*time.Second)
	})
}

// TestNobodyWaitsForANodeForMoreThanTwoSeconds: not for a connection with all that comes before a request,
// and not for an answer to a question.
func TestNobodyWaitsForANodeForMoreThanTwoSeconds(t *testing.T) {
	to := cluster.Node{ID: uuid.NewString()}
	for _, tc := range []struct {
		why  string
		wait func(t *testing.T) error
	}{
		{"a connection", func(t *testing.T) error {
			here := New(Config{
				Member: newMember(),
				Seed:   func(ctx context.Context) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() },
				Log:    slog.New(slog.DiscardHandler),
			})
			t.Cleanup(here.Close)
			_, err := here.dial(context.WithValue(t.Context(), nodeKey{}, to), "", "")
			return err
		}},
		{"an answer", func(t *testing.T) error {
			here := newNode(t, 1, nil)
			cutOff(t, here)
			var answer string
			return here.Ask(t.Context(), to, "what", "question", &answer)
		}},
	} {
		t.Run(tc.why, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				require.ErrorIs(t, tc.wait(t), context.DeadlineExceeded)
				require.Equal(t, 2*time.Second, time.Since(begun))
			})
		})
	}
}
