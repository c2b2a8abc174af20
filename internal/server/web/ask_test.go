package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/cluster"
	"github.com/bctrl-go/bctrl/internal/cluster/peer"
	"github.com/bctrl-go/bctrl/internal/seal"
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

func asking(s saying, log *slog.Logger) *Kernel {
	return &Kernel{Cluster: cluster.Alone{}, Peers: s, Log: log}
}

// TestANodeIsBelievedOfWhatItWasAskedAboutAlone has one also speak of what another node has.
func TestANodeIsBelievedOfWhatItWasAskedAboutAlone(t *testing.T) {
	one, two := cluster.Node{ID: "one"}, cluster.Node{ID: "two"}
	nodes := saying{of: map[string]map[string]int{
		"one": {"a": 1, "b": 100, "unasked": 100},
		"two": {"b": 2, "a": 100},
	}}
	owners := map[string]cluster.Node{"a": one, "b": two, "unknown": two, "own": {}}
	require.Equal(t, map[string]int{"a": 1, "b": 2},
		AskOwners[int](t.Context(), asking(nodes, slog.New(slog.DiscardHandler)), "sizes", owners))
}

// TestWhatListsLackIsToldOnce has several lists ask in vain, and then not: what an operator has
// to look at is one line, and what they know or cannot mend is none.
func TestWhatListsLackIsToldOnce(t *testing.T) {
	for _, tc := range []struct {
		why   string
		fails error
		leave bool // has the one leave whose list it is
		warns int
	}{
		{"it does not answer", errors.New("gone"), false, 1},
		{"it is older", fmt.Errorf("asking: %w", peer.ErrUnknownQuestion), false, 0},
		{"this node is locked", fmt.Errorf("opening: %w", seal.ErrLocked), false, 0},
		{"nobody waits", context.Canceled, true, 0},
	} {
		t.Run(tc.why, func(t *testing.T) {
			var told bytes.Buffer
			log := slog.New(slog.NewTextHandler(&told, &slog.HandlerOptions{Level: slog.LevelDebug}))
			nodes := saying{of: map[string]map[string]int{}, fails: tc.fails}
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			if tc.leave {
				leave()
			}
			k, owners := asking(nodes, log), map[string]cluster.Node{"a": {ID: "one", Address: "10.1.2.3:7443"}}
			count := func(level string) int { return strings.Count(told.String(), "level="+level) }
			for i := range 3 {
				require.Empty(t, AskOwners[int](ctx, k, "sizes", owners))
				require.Equal(t, i+1, count("DEBUG")+count("WARN"))
			}
			require.Equal(t, tc.warns, count("WARN"), told.String())
			require.Contains(t, told.String(), "10.1.2.3:7443")
			nodes.of["one"] = map[string]int{"a": 1}
			for range 3 {
				require.Len(t, AskOwners[int](ctx, k, "sizes", owners), 1)
			}
			require.Equal(t, tc.warns, count("INFO"), "it answers again")
			delete(nodes.of, "one")
			require.Empty(t, AskOwners[int](ctx, k, "sizes", owners))
			require.Equal(t, 2*tc.warns, count("WARN"), "and then does not")
		})
	}
}
