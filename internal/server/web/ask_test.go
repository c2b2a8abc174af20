package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/cluster"
	"github.com/bctrl-go/bctrl/internal/cluster/peer"
)

// saying are nodes that answer a question by what a test says, whatever they are asked.
type saying struct {
	Peers
	of map[string]map[string]int // by the ids of nodes
	// fails is the error of a node that is not in of.
	fails error
}

// Ask implements [Peers].
func (s saying) Ask(_ context.Context, to cluster.Node, _ string, _, answer any) error {
	of, ok := s.of[to.ID]
	if !ok {
		return s.fails
	}
	*answer.(*map[string]int) = of
	return nil
}

func asked(t *testing.T, s saying, log *slog.Logger, owners map[string]cluster.Node) map[string]int {
	return AskOwners[int](t.Context(), &Kernel{Cluster: cluster.Alone{}, Peers: s, Log: log}, "sizes", owners)
}

// TestANodeIsBelievedOfWhatItWasAskedAboutAlone has one also speak of what another node has.
func TestANodeIsBelievedOfWhatItWasAskedAboutAlone(t *testing.T) {
	one, two := cluster.Node{ID: "one"}, cluster.Node{ID: "two"}
	nodes := saying{of: map[string]map[string]int{
		"one": {"a": 1, "b": 100, "unasked": 100},
		"two": {"b": 2, "a": 100},
	}}
	owners := map[string]cluster.Node{"a": one, "b": two, "unknown": two, "own": {}}
	require.Equal(t, map[string]int{"a": 1, "b": 2}, asked(t, nodes, slog.New(slog.DiscardHandler), owners))
}

// TestAnOlderNodeIsNoWarning has a node not know the question, which each list would tell anew.
func TestAnOlderNodeIsNoWarning(t *testing.T) {
	for _, tc := range []struct {
		fails error
		want  string
	}{
		{fmt.Errorf("asking: %w", peer.ErrUnknownQuestion), "level=DEBUG"},
		{errors.New("gone"), "level=WARN"},
	} {
		var told bytes.Buffer
		log := slog.New(slog.NewTextHandler(&told, &slog.HandlerOptions{Level: slog.LevelDebug}))
		require.Empty(t, asked(t, saying{fails: tc.fails}, log, map[string]cluster.Node{"a": {ID: "one"}}))
		require.Contains(t, told.String(), tc.want)
	}
}
