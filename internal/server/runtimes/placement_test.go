package runtimes

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/cluster"
	"github.com/bctrl-go/bctrl/internal/store"
)

func TestALaunchGoesWhereTheMostRoomIs(t *testing.T) {
	node := func(id string, runtimes, room int) cluster.Node {
		return cluster.Node{ID: id, State: store.NodeServing, Runtimes: runtimes, Room: room}
	}
	drained := node("c", 0, 9)
	drained.State = store.NodeDraining
	for _, c := range []struct {
		why   string
		nodes []cluster.Node
		here  cluster.Node
		want  string // "" is here
	}{
		{"this one has the most", []cluster.Node{node("self", 1, 3), node("b", 2, 2)}, node("self", 1, 3), ""},
		{"another has the most", []cluster.Node{node("self", 1, 2), node("b", 1, 1), node("c", 2, 3)},
			node("self", 1, 2), "c"},
		{"as much here as elsewhere", []cluster.Node{node("b", 0, 3), node("self", 0, 3)}, node("self", 0, 3), ""},
		{"what this one has now counts, not what it has told", []cluster.Node{node("self", 0, 9), node("b", 2, 2)},
			node("self", 9, 0), "b"},
		{"all are full, and it waits here", []cluster.Node{node("self", 3, 0), node("b", 3, 0)}, node("self", 3, 0), ""},
		{"one that is drained takes none", []cluster.Node{node("self", 3, 0), drained}, node("self", 3, 0), ""},
		{"without bounds the fewest runtimes", []cluster.Node{node("self", 2, -1), node("b", 1, -1)},
			node("self", 2, -1), "b"},
		{"nor of those does it count what this one has told", []cluster.Node{node("self", 0, -1), node("b", 1, -1)},
			node("self", 2, -1), "b"},
		{"no bound is more than any", []cluster.Node{node("self", 0, 100), node("b", 50, -1)}, node("self", 0, 100), "b"},
	} {
		got := new(placements).choose(c.nodes, c.here, time.Now())
		require.Equal(t, c.want, got.ID, c.why)
	}
}

// TestABurstOfLaunchesIsSpread places more than one before the others say what they have.
func TestABurstOfLaunchesIsSpread(t *testing.T) {
	nodes := []cluster.Node{
		{ID: "self", State: store.NodeServing, Room: 0},
		{ID: "b", State: store.NodeServing, Room: 2},
		{ID: "c", State: store.NodeServing, Room: 3},
	}
	var p placements
	now := time.Now()
	got := map[string]int{}
	for range 7 {
		got[p.choose(nodes, nodes[0], now).ID]++
	}
	require.Equal(t, map[string]int{"b": 2, "c": 3, "": 2}, got)
	require.Equal(t, "c", p.choose(nodes, nodes[0], now.Add(time.Minute)).ID, "they have said since what they have")
}

func TestALaunchThatComesInOvertakesNobodyWhoWaitsWhereItDoes(t *testing.T) {
	here := cluster.Node{ID: "a", State: store.NodeServing}
	nodes := []cluster.Node{here, {ID: "b", State: store.NodeServing, Room: 1}}
	require.Equal(t, "b", new(placements).arriving(nodes, here, 0, time.Now()).ID)
	require.Empty(t, new(placements).arriving(nodes, here, 1, time.Now()))
	nodes[0].State = store.NodeDraining
	require.Equal(t, "b", new(placements).arriving(nodes, here, 1, time.Now()).ID, "it cannot wait there")
}

func TestARuntimeIsTakenInOnce(t *testing.T) {
	f := newFleet()
	require.NoError(t, f.add(&liveRuntime{id: "a"}))
	require.ErrorIs(t, f.add(&liveRuntime{id: "a"}), errIsHere)
}

// TestANodeThatTookNothingIsNotAskedAgainAtOnce: another one gets its turn.
func TestANodeThatTookNothingIsNotAskedAgainAtOnce(t *testing.T) {
	nodes := []cluster.Node{{ID: "b"}, {ID: "c"}}
	var p placements
	now := time.Now()
	require.Equal(t, nodes, p.toOffer(nodes, now))
	require.True(t, p.refuse("b", now, refusedFor))
	require.False(t, p.refuse("b", now, refusedFor))
	require.Equal(t, nodes[1:], p.toOffer(nodes, now))
	require.Equal(t, nodes, p.toOffer(nodes, now.Add(refusedFor+1)))
	p.refuse("c", now.Add(time.Hour), unreachedTime)
	require.Len(t, p.refused, 1, "it is forgotten")
}
