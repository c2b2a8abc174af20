package runtimes

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNothingIsDoneForAPageOnceItsViewHasSettled(t *testing.T) {
	var p viewer
	ctx, end := context.WithCancel(t.Context())
	begun, done := make(chan struct{}), false
	go func() {
		_ = p.act(ctx, func() error {
			close(begun)
			<-ctx.Done()
			done = true
			return nil
		})
	}()
	<-begun
	end()
	p.settle()
	require.True(t, done, "what was begun is waited for")
	require.Error(t, p.act(ctx, func() error {
		t.Error("it was done for a view that has ended")
		return nil
	}))
}
