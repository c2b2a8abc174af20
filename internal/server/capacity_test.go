package server

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

// askedToLaunch launches beside the test, and returns the answer and how to leave.
func (h *harness) askedToLaunch(ws store.Workspace, alias string) (got <-chan answer, leave func()) {
	ctx, leave := context.WithCancel(h.Context())
	h.Cleanup(leave)
	answered := make(chan answer, 1)
	body, err := json.Marshal(object{"alias": alias, "kind": "browser", "driver": "stagehand", "launch": object{}})
	require.NoError(h, err)
	go func() {
		answered <- h.sendIn(ctx, "POST", "/v1/workspaces/"+ws.ID+"/runtimes", bytes.NewReader(body),
			"Content-Type", "application/json", "Authorization", "Bearer "+h.key)
	}()
	return answered, leave
}

// queuedAt waits until a runtime is at a place of the queue.
func (h *harness) queuedAt(ws store.Workspace, alias string, place int) {
	h.Helper()
	h.settled(func() bool {
		got := h.do("GET", []string{"workspaces", ws.ID, "runtimes", alias}, nil, nil)
		var rt bctrl.RuntimeInfo
		return got.Status == http.StatusOK && json.Unmarshal(got.Body, &rt) == nil &&
			rt.Status == bctrl.RuntimeQueued && rt.Summary.QueuePlace == place
	}, alias+" is queued")
}

func TestALaunchWithoutRoomWaitsAtItsPlaceForItsCaller(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.Capacity = Capacity{Runtimes: 1, QueueTime: time.Hour} })
	busy, other := h.workspace("busy", sales()), h.workspace("other", sales())
	stop := func(ws store.Workspace, alias string) {
		h.ok("POST", []string{"workspaces", ws.ID, "runtimes", alias, "stop"}, nil, nil)
	}
	h.launch(busy, "r0", nil)
	first, _ := h.askedToLaunch(busy, "r1")
	h.queuedAt(busy, "r1", 1)
	second, leave := h.askedToLaunch(busy, "r2")
	h.queuedAt(busy, "r2", 2)
	third, _ := h.askedToLaunch(other, "r3")
	h.queuedAt(other, "r3", 1) // it has none yet
	h.queuedAt(busy, "r1", 2)
	taken := h.do("POST", []string{"workspaces", busy.ID, "runtimes"}, nil,
		object{"alias": "r1", "kind": "browser", "driver": "stagehand", "launch": object{}})
	require.Equal(t, "runtimes.alias_in_use", taken.code(), "who waits has its alias")

	leave()
	require.Equal(t, web.ErrAbandoned.Code, (<-second).code())
	h.queuedAt(busy, "r1", 2)
	var ended bctrl.RuntimeInfo
	h.ok("GET", []string{"workspaces", busy.ID, "runtimes", "r2"}, nil, &ended)
	require.Equal(t, bctrl.RuntimeStopped, ended.Status)
	require.Contains(t, ended.Summary.Message, "given up")

	stop(busy, "r0")
	require.Equal(t, http.StatusOK, (<-third).Status)
	h.queuedAt(busy, "r1", 1)
	fourth, _ := h.askedToLaunch(busy, "r4")
	h.queuedAt(busy, "r4", 2)
	stop(busy, "r4")
	require.Equal(t, "runtimes.ended", (<-fourth).code(), "one that waits can be stopped")
	stop(other, "r3")
	require.Equal(t, http.StatusOK, (<-first).Status)
	require.Len(t, h.browsers.Running(), 1)
}

func TestALaunchThatFindsNoRoomInTimeIsRefusedAndMayComeAgain(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.Capacity = Capacity{Runtimes: 1, QueueTime: time.Millisecond} })
	ws := h.workspace("sales", sales())
	h.launch(ws, "r0", nil)
	launch := func() answer {
		return h.do("POST", []string{"workspaces", ws.ID, "runtimes"}, nil,
			object{"alias": "r1", "kind": "browser", "driver": "stagehand", "launch": object{}}, "Idempotency-Key", "one")
	}
	refused := launch()
	require.Equal(t, http.StatusTooManyRequests, refused.Status)
	require.Equal(t, "runtimes.at_capacity", refused.code())
	require.Equal(t, "5", refused.Header.Get("Retry-After"))
	require.Contains(t, string(refused.Body), "place 1")
	h.ok("POST", []string{"workspaces", ws.ID, "runtimes", "r0", "stop"}, nil, nil)
	require.Equal(t, http.StatusOK, launch().Status, "the same request, with the same key")
}

func TestLockingTheServerEndsTheQueue(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.Capacity = Capacity{Runtimes: 1, QueueTime: time.Hour} })
	ws := h.workspace("sales", sales())
	h.launch(ws, "r0", nil)
	waiting, _ := h.askedToLaunch(ws, "r1")
	h.queuedAt(ws, "r1", 1)
	h.lock()
	require.Equal(t, "seal.locked", (<-waiting).code())
	h.unlock()
	h.ok("POST", []string{"workspaces", ws.ID, "runtimes", "r0", "stop"}, nil, nil)
	require.Empty(t, h.browsers.Running())
	h.launch(ws, "r1", nil) // its alias is free
}
