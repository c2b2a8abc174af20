package bctrltest_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/bctrltest"
)

// browserProcesses lists the processes that lead a browser each, sorted.
func browserProcesses() (pids []int) {
	for _, pid := range descendants() {
		cmdline, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
		if strings.Contains(string(cmdline), "--remote-debugging-pipe") && !strings.Contains(string(cmdline), "--type=") {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}

// warmBrowsers waits until so many browsers are ready.
func warmBrowsers(t *testing.T, srv *bctrltest.Server, want int) {
	t.Helper()
	require.Eventually(t, func() bool {
		resp, err := http.Get(srv.URL + "/readyz")
		require.NoError(t, err)
		defer resp.Body.Close()
		var health struct {
			WarmBrowsers struct{ Ready, Wanted int }
		}
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&health))
		require.Equal(t, 1, health.WarmBrowsers.Wanted)
		return health.WarmBrowsers.Ready == want
	}, time.Minute, 20*time.Millisecond)
}

func TestAWarmBrowserIsHandedOutOnceAndHeldToItsRuntime(t *testing.T) {
	dir, site, ctx := temporary(t), newTwoNames(t), t.Context()
	t.Run("while the server runs", func(t *testing.T) {
		srv := bctrltest.New(t, bctrltest.WithBrowser(), bctrltest.WithWarmBrowsers(1))
		ws, err := srv.Client().Workspaces.Create(ctx, bctrl.WorkspaceCreate{Name: "sales"})
		require.NoError(t, err)
		launcher := ws.Runtimes.Browser("crm").Narrow(bctrl.Mounts{Web: &bctrl.WebMount{Allow: []string{"localhost"}}})
		var used []int
		for range 2 {
			warmBrowsers(t, srv, 1)
			waiting := browserProcesses()
			require.Len(t, waiting, 1)
			require.NotContains(t, used, waiting[0], "a used browser waits")

			rt, err := launcher.Stagehand(ctx, bctrl.Launch{})
			require.NoError(t, err)
			require.Contains(t, browserProcesses(), waiting[0], "it is the runtime's now")
			_, err = rt.Page.Goto(ctx, site.at("localhost", "/"))
			require.NoError(t, err)
			_, err = rt.Page.Goto(ctx, site.at("127.0.0.1", "/"))
			require.ErrorContains(t, err, "page.host_outside_mount", "it has the gate of its runtime")
			require.NoError(t, rt.Stop(ctx))
			require.NotContains(t, browserProcesses(), waiting[0])
			used = append(used, waiting...)
		}

		warmBrowsers(t, srv, 1)
		waiting := browserProcesses()
		own, err := launcher.Stagehand(ctx, bctrl.Launch{Config: &bctrl.LaunchConfig{Width: 800, Height: 600}})
		require.NoError(t, err)
		warmBrowsers(t, srv, 1)
		require.Subset(t, browserProcesses(), waiting, "one of another form is started anew")
		require.NoError(t, own.Stop(ctx))
		require.Equal(t, waiting, browserProcesses())

		killBrowser(t) // the one that waits
		require.Eventually(t, func() bool {
			now := browserProcesses()
			return len(now) == 1 && now[0] != waiting[0]
		}, time.Minute, 20*time.Millisecond, "another takes the place of one that dies")
		rt, err := launcher.Stagehand(ctx, bctrl.Launch{})
		require.NoError(t, err)
		_, err = rt.Page.Goto(ctx, site.at("localhost", "/"))
		require.NoError(t, err)
		// It, and what waits by now, are left to the server's end.
	})
	requireNothingLeft(t, dir)
}
