package daemontest

import (
	"context"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/daemon"
)

// TestLaunchesGoWhereThereIsRoomAndProfilesWhereTheirDataAre asks one node of two for all of it.
func TestLaunchesGoWhereThereIsRoomAndProfilesWhereTheirDataAre(t *testing.T) {
	st := newStage(t, 2, func(cfg *daemon.Config) { cfg.MaxRuntimes, cfg.QueueTime = 2, 10*time.Millisecond })
	ctx := t.Context()
	used := st.launch(0, "used", bctrl.Launch{Mode: bctrl.ModeProfile, ProfileID: "shop"})
	home := st.holder(used)
	other := 1 - home
	rows := []bctrl.Cookie{{Name: "seen", Value: bctrl.NewSecret("yes"), Domain: "example.com", Path: "/"}}
	require.NoError(t, used.Stop(ctx))
	_, err := st.Nodes[other].Client.Profiles.ImportCookies(ctx, "shop", bctrl.CookieImport{Cookies: rows})
	require.NoError(t, err)

	path := "/v1/workspaces/" + st.ws.Latest().ID + "/runtimes"
	launch := func(node int, alias, profile, key string) (int, []byte) {
		with := `{"mode": "ephemeral"}`
		if profile != "" {
			with = `{"mode": "profile", "profileId": "` + profile + `"}`
		}
		body := `{"alias": "` + alias + `", "kind": "browser", "driver": "stagehand", "launch": ` + with + `}`
		res, text := st.ask(ctx, node, http.MethodPost, path, body, "Idempotency-Key", key)
		return res.StatusCode, text
	}
	status, first := launch(other, "again", "shop", "key one")
	require.Equal(t, http.StatusOK, status, string(first))
	require.Equal(t, home, st.holder(st.runtime(0, "again")), "where its data are")
	cookies := st.browsers[home].Cookies(st.runtime(0, "again").Latest().ID)
	require.Len(t, cookies, 1)
	for node := range st.Nodes { // by whichever node it comes again
		status, repeated := launch(node, "again", "shop", "key one")
		require.Equal(t, http.StatusOK, status)
		require.JSONEq(t, string(first), string(repeated))
	}
	settled := func() { // each node has told of what it runs
		require.Eventually(t, func() bool {
			nodes, err := st.Nodes[home].Node().Nodes(ctx)
			require.NoError(t, err)
			for _, n := range nodes {
				for i := range st.Nodes {
					if st.Nodes[i].ID() == n.ID && n.Runtimes != len(st.browsers[i].Running()) {
						return false
					}
				}
			}
			return len(nodes) == 2
		}, time.Minute, 5*time.Millisecond)
	}
	for i := range 3 {
		settled()
		status, text := launch(other, strconv.Itoa(i), "", "fill "+strconv.Itoa(i))
		require.Equal(t, http.StatusOK, status, string(text))
	}
	require.Len(t, st.browsers[0].Running(), 2)
	require.Len(t, st.browsers[1].Running(), 2)
	settled()
	status, text := launch(other, "more", "", "too many")
	require.Equal(t, http.StatusTooManyRequests, status)
	require.Equal(t, "runtimes.at_capacity", code(t, text))
	require.NoError(t, st.runtime(0, "again").Stop(ctx))
	settled()
	status, text = launch(other, "more", "", "room again")
	require.Equal(t, http.StatusOK, status, string(text))
	require.Equal(t, home, st.holder(st.runtime(other, "more")))

	require.NoError(t, st.runtime(other, "more").Stop(ctx))
	st.Nodes[home].Stop()
	status, text = launch(other, "without", "shop", "gone")
	require.Equal(t, http.StatusServiceUnavailable, status, string(text))
	require.Equal(t, "profiles.elsewhere", code(t, text))
	st.Nodes[home].Again()
	profile, err := st.Nodes[other].Client.Profiles.Get(ctx, "shop")
	require.NoError(t, err)
	require.Positive(t, profile.SizeBytes, "its disk is back, at another address")
}

// TestEveryNodeTellsTheSameOfRuntimesAndProfiles asks each for lists of what the other has in
// its memory and on its disk.
func TestEveryNodeTellsTheSameOfRuntimesAndProfiles(t *testing.T) {
	st := newStage(t, 2, func(cfg *daemon.Config) { cfg.MaxRuntimes, cfg.QueueTime = 1, time.Hour })
	ctx := t.Context()
	used := st.launch(0, "used", bctrl.Launch{Mode: bctrl.ModeProfile, ProfileID: "shop"})
	home := st.holder(used)
	require.NoError(t, used.Stop(ctx))
	rows := []bctrl.Cookie{{Name: "seen", Value: bctrl.NewSecret("yes"), Domain: "example.com", Path: "/"}}
	_, err := st.Nodes[home].Client.Profiles.ImportCookies(ctx, "shop", bctrl.CookieImport{Cookies: rows})
	require.NoError(t, err)
	full := func(n int) bool {
		nodes, err := st.Nodes[0].Node().Nodes(ctx)
		require.NoError(t, err)
		return len(nodes) == 2 && nodes[0].Runtimes+nodes[1].Runtimes == n
	}
	for i := range 2 { // each when the other nodes know of those before
		require.Eventually(t, func() bool { return full(i) }, time.Minute, 5*time.Millisecond)
		st.launch(0, "full"+strconv.Itoa(i), bctrl.Launch{})
	}
	require.Eventually(t, func() bool { return full(2) }, time.Minute, 5*time.Millisecond)
	waiting, leave := context.WithCancel(ctx)
	left, ws := make(chan error, 1), st.workspace(0)
	go func() {
		_, err := ws.Runtimes.Browser("waits").Stagehand(waiting, bctrl.Launch{})
		left <- err
	}()
	lists := func(node int) (places map[string]int, size int64) {
		places = map[string]int{}
		for rt, err := range st.workspace(node).Runtimes.List(ctx) {
			require.NoError(t, err)
			places[rt.Latest().Alias+" "+string(rt.Latest().Status)] = rt.Latest().Summary.QueuePlace
		}
		for p, err := range st.Nodes[node].Client.Profiles.List(ctx) {
			require.NoError(t, err)
			size += p.SizeBytes
		}
		return places, size
	}
	require.Eventually(t, func() bool {
		places, _ := lists(0)
		return len(places) == 4
	}, time.Minute, 5*time.Millisecond)
	want := map[string]int{"used stopped": 0, "full0 active": 0, "full1 active": 0, "waits queued": 1}
	for node := range st.Nodes {
		require.EventuallyWithT(t, func(t *assert.CollectT) { // a list lacks what the other does not answer in time
			places, size := lists(node)
			assert.Equal(t, want, places)
			assert.Positive(t, size)
		}, time.Minute, 5*time.Millisecond, "node %d", node)
	}
	leave()
	require.Error(t, <-left)
}
