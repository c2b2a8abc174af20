package server

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
)

// status is what callers are told of the runtime with an alias.
func (h *harness) status(path []string, alias string) (rt bctrl.RuntimeInfo) {
	h.Helper()
	h.ok("GET", append(path, alias), nil, &rt)
	return rt
}

// TestAnEndThatCannotBeRecordedIsRecordedOnceItCan has the database refuse what is written
// of runtimes, as on a full disk, while one crashes and another does not start.
func TestAnEndThatCannotBeRecordedIsRecordedOnceItCan(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	ws := h.workspace("sales", sales())
	path := []string{"workspaces", ws.ID, "runtimes"}
	crashed := h.launch(ws, "crm", nil)
	h.alter(`CREATE TRIGGER full BEFORE UPDATE ON runtimes BEGIN SELECT RAISE(ABORT, 'no'); END`)
	require.True(t, h.browsers.Crash(crashed.ID))
	launch := object{"alias": "shop", "kind": "browser", "driver": "stagehand", "launch": object{}}
	require.Equal(t, http.StatusServiceUnavailable, h.do("POST", path, nil, launch).Status)
	require.Empty(t, h.browsers.Running(), "no browser is left of one that cannot be recorded")
	require.Equal(t, bctrl.RuntimeActive, h.status(path, "crm").Status, "as it was")
	require.NotEqual(t, http.StatusOK, h.do("POST", append(path, "crm", "stop"), nil, nil).Status)

	h.alter(`DROP TRIGGER full`)
	h.settled(func() bool {
		return h.status(path, "crm").Status == bctrl.RuntimeFailed && h.status(path, "shop").Status == bctrl.RuntimeFailed
	}, "both have ended on record")
	require.Equal(t, "runtimes.browser_crashed", h.status(path, "crm").Summary.Code)
	h.launch(ws, "crm", nil) // their aliases are free
	again := h.launch(ws, "shop", nil)

	h.lock()
	require.True(t, h.browsers.Crash(again.ID))
	h.unlock()
	h.settled(func() bool { return h.status(path, "shop").Status == bctrl.RuntimeFailed }, "ended while locked")
	require.True(t, h.verified())
}

// noDisk is a driver on a machine whose temporary folder is full.
type noDisk struct{ browser.Driver }

func (noDisk) Launch(context.Context, browser.Spec) (browser.Browser, error) {
	return nil, fmt.Errorf("%w: write /tmp/bctrl-1/profile", browser.ErrDiskFull)
}

func TestALaunchOnAFullDiskSaysSo(t *testing.T) {
	h := newHarness(t)
	h.startWith(noDisk{})
	ws := h.workspace("sales", sales())
	path := []string{"workspaces", ws.ID, "runtimes"}
	launch := object{"alias": "crm", "kind": "browser", "driver": "stagehand", "launch": object{}}
	got := h.do("POST", path, nil, launch)
	refused(t, got, http.StatusServiceUnavailable, "runtimes.disk_full", "it can be repeated once there is room")
	require.NotContains(t, string(got.Body), "/tmp/")
	failed := h.status(path, "crm")
	require.Equal(t, bctrl.RuntimeFailed, failed.Status)
	require.Equal(t, "runtimes.disk_full", failed.Summary.Code)
}

func TestABrowserThatLostItsDiskIsToldToAll(t *testing.T) {
	t.Parallel()
	h, r := newHarness(t, impatient), newReceiver(t)
	client := h.sdk(straight)
	hook, err := client.Webhooks.Create(t.Context(), bctrl.WebhookCreate{URL: r.URL,
		Events: []bctrl.EventType{bctrl.EventFailed}})
	require.NoError(t, err)
	ws := h.workspace("sales", sales())
	rt := h.launch(ws, "crm", nil)
	require.True(t, h.browsers.End(rt.ID, browser.ErrDiskFull))
	told := <-r.got
	e, err := bctrl.VerifyWebhook(told.header, told.body, hook.Secret)
	require.NoError(t, err)
	want := bctrl.FailedEvent{Alias: "crm", Reason: browser.ErrDiskFull.Error(), Code: "runtimes.disk_full"}
	require.Equal(t, want, e.Data)
	failed := h.status([]string{"workspaces", ws.ID, "runtimes"}, "crm")
	require.Equal(t, bctrl.RuntimeFailed, failed.Status)
	require.Equal(t, want.Code, failed.Summary.Code)
	require.Equal(t, want.Reason, failed.Summary.Message)
	recorded := h.log(bctrl.AuditFilter{Action: "runtime.failed"})
	require.Len(t, recorded, 1)
	require.Equal(t, rt.ID, recorded[0].RuntimeID)
	h.launch(ws, "crm", nil) // its alias is free
}
