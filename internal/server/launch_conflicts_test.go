package server

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/trace"
)

// afterRefusedWrites is a tracer that calls a function after each write of a request that was
// refused, before the request goes on.
type afterRefusedWrites struct{ call func() }

func (a *afterRefusedWrites) Start(
	ctx context.Context, name string, _ trace.Kind, _ string,
) (context.Context, trace.Recording) {
	return ctx, &writeEnd{a, name == string(trace.Write)}
}

type writeEnd struct {
	of    *afterRefusedWrites
	write bool
}

func (e *writeEnd) Text(trace.Key, string) {}

func (e *writeEnd) Number(trace.Key, int) {}

func (e *writeEnd) Traceparent() string { return "" }

func (e *writeEnd) End(code string) {
	if e.write && code != "" {
		e.of.call()
	}
}

// TestALaunchIsNotRefusedForWhatHasEnded has what is in the way of a launch end after the launch was
// not written for its sake, before anybody has looked what it was.
func TestALaunchIsNotRefusedForWhatHasEnded(t *testing.T) {
	after := &afterRefusedWrites{}
	h := newHarness(t, func(cfg *Config) { cfg.Tracer = after })
	elsewhere := h.made("elsewhere", object{})
	bystander := h.launch(elsewhere, "bystander", nil)
	h.ok("POST", []string{"browser-profiles"}, object{"id": "p"}, nil)
	profile := h.profileUID("p")
	withProfile := object{"mode": "profile", "profileId": "p"}
	write := func(fn func(*store.Tx) error) {
		assert.NoError(t, h.db.Write(t.Context(), func(tx *store.Tx) error {
			if err := fn(tx); err != nil {
				return err
			}
			return audit.Append(tx, audit.Event{Caller: "test"})
		}))
	}
	org := h.org()
	put := func(ws store.Workspace, alias, profile string) (id string) {
		rt := store.Runtime{
			ID: web.NewID(), WorkspaceID: ws.ID, Alias: alias, ProfileUID: profile, Driver: bctrl.DriverStagehand,
			Status: bctrl.RuntimeActive, Live: true, CreatedAt: store.Now(), UpdatedAt: store.Now(),
		}
		write(func(tx *store.Tx) error { return tx.InsertRuntime(t.Context(), org, rt) })
		return rt.ID
	}
	end := func(id string) {
		write(func(tx *store.Tx) error {
			_, err := tx.SetRuntimeStatus(t.Context(), org, id, bctrl.RuntimeStopped, "", store.Now())
			return err
		})
	}
	for _, tc := range []struct {
		why    string
		of     string // the profile of what is in the way
		alias  string // its alias
		launch object
		next   string // the profile of what is in the way next; empty is nothing
	}{
		{"its alias is free", "", "r", object{}, ""},
		{"its alias is free, and its profile", "", "r", withProfile, ""},
		{"its profile is free", profile, "other", withProfile, ""},
		{"its profile is another's by now", "", "r", withProfile, profile},
	} {
		ws := h.made("w", object{})
		inTheWay, next, refusals := put(ws, tc.alias, tc.of), "", 0
		after.call = func() {
			if refusals++; refusals > 1 {
				return
			}
			end(inTheWay)
			if tc.next != "" {
				next = put(elsewhere, "next", tc.next)
			}
		}
		got := h.do("POST", []string{"workspaces", ws.ID, "runtimes"}, nil,
			object{"alias": "r", "kind": "browser", "driver": "stagehand", "launch": tc.launch})
		require.Positive(t, refusals, tc.why)
		if tc.next == "" {
			require.Equal(t, http.StatusOK, got.Status, "%s: %s", tc.why, got.Body)
			h.ok("POST", []string{"workspaces", ws.ID, "runtimes", "r", "stop"}, nil, nil)
		} else {
			refused(t, got, http.StatusConflict, "profiles.in_use", tc.why)
			require.Contains(t, string(got.Body), next)
			end(next)
		}
		h.ok("DELETE", []string{"workspaces", ws.ID}, nil, nil)
	}
	require.Equal(t, []string{bystander.ID}, h.browsers.Running())
}
