package daemontest

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

// refusedOn has a runtime on each node, which may speak to one host alone, and whose browser was
// refused another one, named after the node.
func refusedOn(t *testing.T, nodes int) *stage {
	t.Helper()
	st := newStage(t, nodes)
	ctx := t.Context()
	require.NoError(t, st.ws.Update(ctx, bctrl.WorkspaceUpdate{
		Mounts: &bctrl.Mounts{
			Storage: &bctrl.StorageMount{Workspace: "shared"},
			Web:     &bctrl.WebMount{Allow: []string{"inside.example"}},
		},
	}))
	for i, name := range []string{"one", "two", "three"}[:nodes] {
		require.Eventually(t, func() bool { // the node that is asked has the fewest as all know
			nodes, err := st.Nodes[i].Node().Nodes(ctx)
			require.NoError(t, err)
			for j, n := range nodes {
				if n.Runtimes != map[bool]int{true: 1}[j < i] {
					return false
				}
			}
			return true
		}, time.Minute, 5*time.Millisecond)
		rt := st.launch(i, name, bctrl.Launch{})
		require.Equal(t, i, st.holder(rt))
		for range i + 1 {
			require.False(t, st.browsers[i].Visit(ctx, rt.Latest().ID, name+".example"))
		}
	}
	return st
}

// blocked are the hosts that a list of a node tells of, by the aliases of runtimes, and how many
// requests there were.
func (st *stage) blocked(node int) (hosts map[string][]string, requests map[string]int) {
	st.Helper()
	hosts, requests = map[string][]string{}, map[string]int{}
	for rt, err := range st.workspace(node).Runtimes.List(st.Context()) {
		require.NoError(st, err)
		told := rt.Latest()
		require.Equal(st, bctrl.RuntimeActive, told.Status)
		hosts[told.Alias], requests[told.Alias] = told.Summary.BlockedHosts, told.Summary.BlockedRequests
	}
	return hosts, requests
}

func TestEveryNodeListsTheHostsThatBrowsersOfTheOthersWereRefused(t *testing.T) {
	st := refusedOn(t, 3)
	for node := range st.Nodes {
		require.EventuallyWithT(t, func(t *assert.CollectT) { // a list lacks what another does not answer in time
			hosts, requests := st.blocked(node)
			assert.Equal(t, map[string][]string{
				"one":   {"one.example"},
				"two":   {"two.example"},
				"three": {"three.example"},
			}, hosts)
			assert.Equal(t, map[string]int{"one": 1, "two": 2, "three": 3}, requests)
		}, time.Minute, 5*time.Millisecond, "node %d", node)
	}
}

// TestAListLacksWhatANodeDoesNotAnswer has the others find one node where connections are taken
// and nothing ever answers. A list that waited for it would never come.
func TestAListLacksWhatANodeDoesNotAnswer(t *testing.T) {
	st := refusedOn(t, 2)
	silent, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, silent.Close()) }()
	st.Exec("UPDATE nodes SET address = $1 WHERE id = $2", silent.Addr().String(), st.Nodes[0].ID())
	hosts, requests := st.blocked(1)
	require.Equal(t, map[string][]string{"one": nil, "two": {"two.example"}}, hosts)
	require.Equal(t, map[string]int{"one": 0, "two": 2}, requests)
	hosts, _ = st.blocked(0)
	require.Equal(t, []string{"one.example"}, hosts["one"], "its own it knows")
}
