package server

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

func TestAWorkspaceIsMadeFoundChangedAndDeleted(t *testing.T) {
	h := newHarness(t)
	ws := h.made("sales", object{"vault": object{"allow": []string{"prod/crm/"}}})
	require.EqualValues(t, 1, ws.Version)
	require.Equal(t, &bctrl.StorageMount{Workspace: "sales"}, ws.Mounts.Storage, "its own namespace")
	path := []string{"workspaces", ws.ID}

	var byName struct{ Workspaces []bctrl.WorkspaceInfo }
	got := h.do("GET", path[:1], url.Values{"name": {"sales"}}, nil)
	require.NoError(t, json.Unmarshal(got.Body, &byName))
	require.Len(t, byName.Workspaces, 1)
	require.Equal(t, ws.ID, byName.Workspaces[0].ID)
	got = h.do("GET", path[:1], url.Values{"name": {"nothing"}}, nil)
	require.JSONEq(t, `{"workspaces":[],"nextCursor":null}`, string(got.Body))

	var changed bctrl.WorkspaceInfo
	h.ok("PATCH", path, object{"name": "sales-eu", "mounts": object{"vault": object{"allow": []string{}}}}, &changed,
		"If-Match", `"1"`)
	require.EqualValues(t, 2, changed.Version)
	require.Equal(t, "sales-eu", changed.Name)
	require.NotNil(t, changed.Mounts.Vault)
	require.Empty(t, changed.Mounts.Vault.Allow)
	require.Equal(t, "sales", changed.Mounts.Storage.Workspace, "a renamed workspace keeps its files")

	refused(t, h.do("PATCH", path, nil, object{"name": "x"}, "If-Match", `"1"`), http.StatusPreconditionFailed,
		"request.stale_version", "somebody else changed it")
	refused(t, h.do("DELETE", path, nil, nil, "If-Match", `"1"`), http.StatusPreconditionFailed, "request.stale_version",
		"nor is it deleted")
	refused(t, h.do("PATCH", path, nil, object{}, "If-Match", ""), http.StatusBadRequest, "request.if_match",
		"no version is meant, and not any")
	refused(t, h.do("PATCH", path, nil, object{}, "If-Match", "v1"), http.StatusBadRequest, "request.if_match",
		"not a version")
	h.ok("DELETE", path, nil, nil, "If-Match", `"2"`)
	for _, got := range []answer{h.do("GET", path, nil, nil), h.do("PATCH", path, nil, object{}),
		h.do("DELETE", path, nil, nil), h.do("GET", append(path, "state"), nil, nil)} {
		refused(t, got, http.StatusNotFound, "workspaces.not_found", "it is gone")
	}
	refused(t, h.do("GET", []string{"workspaces", "sales"}, nil, nil), http.StatusBadRequest, "request.invalid_id",
		"a name is not an id")
}

func TestWorkspaceNamesAreUnique(t *testing.T) {
	h := newHarness(t)
	a, _ := h.made("a", object{}), h.made("b", object{})
	refused(t, h.do("POST", []string{"workspaces"}, nil, object{"name": "a"}), http.StatusConflict, "workspaces.exists",
		"made twice")
	refused(t, h.do("PATCH", []string{"workspaces", a.ID}, nil, object{"name": "b"}), http.StatusConflict,
		"workspaces.exists", "renamed onto another")
	h.ok("PATCH", []string{"workspaces", a.ID}, object{"name": "a"}, nil) // its own
	for _, name := range []string{"", ".", "a b", "-a", "a/b", "é"} {
		refused(t, h.do("POST", []string{"workspaces"}, nil, object{"name": name}), http.StatusBadRequest,
			"workspaces.invalid_name", name)
		refused(t, h.do("PATCH", []string{"workspaces", a.ID}, nil, object{"name": name}), http.StatusBadRequest,
			"workspaces.invalid_name", name)
		refused(t, h.do("GET", []string{"workspaces"}, url.Values{"name": {name}}, nil), http.StatusBadRequest,
			"workspaces.invalid_name", name)
	}
}

func TestEveryProblemOfMountsIsNamedAtOnce(t *testing.T) {
	h := newHarness(t)
	h.ok("POST", []string{"ai-credentials"}, openAI("known"), nil)
	type problem struct{ Code, Field string }
	check := func(got answer, why string, want ...problem) {
		t.Helper()
		require.Equal(t, http.StatusBadRequest, got.Status, "%s: %s", why, got.Body)
		var e bctrl.Error
		require.NoError(t, json.Unmarshal(got.Body, &e))
		var named []problem
		for _, p := range e.Problems {
			named = append(named, problem{p.Code, p.Field})
		}
		require.Equal(t, want, named, why)
		require.Equal(t, want[0].Code, e.Code)
	}
	ws := h.made("w", object{"ai": object{"allow": []string{"known"}}})
	for _, tc := range []struct {
		why    string
		mounts object
		want   []problem
	}{
		{"what there is not", object{"ai": object{"allow": []string{"known", "nothing", "nothing", "neither"},
			"defaults": object{"anthropic": "known"}}},
			[]problem{
				{"mounts.unknown_credential", "mounts.ai.allow[1]"}, {"mounts.unknown_credential", "mounts.ai.allow[3]"},
				{"mounts.default_wrong_provider", "mounts.ai.defaults.anthropic"},
			}},
		{"grammar and what there is not", object{
			"ai": object{"allow": []string{"1x",
				"nothing"}}, "vault": object{"deny": []string{"//"}}, "storage": object{"workspace": "a/b"},
		}, []problem{
			{"mounts.invalid_credential_id", "mounts.ai.allow[0]"}, {"mounts.allow_required", "mounts.vault.allow"},
			{"mounts.invalid_prefix", "mounts.vault.deny[0]"}, {"mounts.invalid_namespace", "mounts.storage.workspace"},
			{"mounts.unknown_credential", "mounts.ai.allow[1]"},
		}},
		{"a null", object{"vault": nil}, []problem{{"mounts.ambiguous_null", "mounts.vault"}}},
	} {
		check(h.do("POST", []string{"workspaces"}, nil, object{"name": "x", "mounts": tc.mounts}), tc.why, tc.want...)
		check(h.do("PATCH", []string{"workspaces", ws.ID}, nil, object{"mounts": tc.mounts}), tc.why, tc.want...)
	}
	var after bctrl.WorkspaceInfo
	h.ok("GET", []string{"workspaces", ws.ID}, nil, &after)
	require.EqualValues(t, 1, after.Version, "a refusal changes nothing")
	rt := h.launch(ws, "r", nil)
	h.ok("GET", []string{"ai-credentials", "known"}, nil, nil, as(rt)...) // nor the pins

	check(h.do("POST", []string{"workspaces", ws.ID, "runtimes"}, nil, object{
		"alias": "x", "kind": "browser", "driver": "stagehand", "launch": object{},
		"mounts": object{"ai": object{"defaults": object{"google": "known"}}},
	}), "a runtime's default", problem{"mounts.default_wrong_provider", "mounts.ai.defaults.google"})

	wrong := object{"ai": object{"defaults": object{"google": "known"}}}
	execute := func(execution, step object) answer {
		execution["runtime"], step["call"] = "r", "pages"
		execution["steps"] = []object{{"call": "pages"}, step}
		return h.do("POST", []string{"workspaces", ws.ID, "execute"}, nil, execution)
	}
	check(execute(object{"mounts": wrong}, object{}), "an execution's default",
		problem{"mounts.default_wrong_provider", "mounts.ai.defaults.google"})
	check(execute(object{}, object{"mounts": wrong}), "a step's default",
		problem{"mounts.default_wrong_provider", "steps[1].mounts.ai.defaults.google"})
	check(execute(object{}, object{"mounts": object{"ai": object{"allow": []string{"known", "other"}},
		"vault": object{"allowRawReads": true}}}), "a step that widens",
		problem{"mounts.scope_widening", "steps[1].mounts.ai.allow[1]"},
		problem{"mounts.scope_widening", "steps[1].mounts.vault.allowRawReads"})
	check(execute(object{}, object{"mounts": object{"vault": nil}}), "a null in a step",
		problem{"mounts.ambiguous_null", "steps[1].mounts.vault"})

	h.ok("PATCH", []string{"workspaces", ws.ID}, object{"mounts": object{"ai": object{"allow": []string{}}}}, nil)
	require.Equal(t, http.StatusOK, execute(object{"mounts": wrong}, object{}).Status,
		"of a credential that is no longer mounted nothing is told")
}

func TestANamespaceWithFilesIsNobodysToGetSilently(t *testing.T) {
	h := newHarness(t)
	h.stored("exports", "a", "1")
	create := func(name string, mounts object) answer {
		return h.do("POST", []string{"workspaces"}, nil, object{"name": name, "mounts": mounts})
	}
	refused(t, create("exports", object{}), http.StatusConflict, "mounts.namespace_in_use", "it holds files")
	shared := h.made("exports", object{"storage": object{"workspace": "exports"}})
	require.Equal(t, "exports", shared.Mounts.Storage.Workspace, "said so")
	refused(t, h.do("PATCH", []string{"workspaces", shared.ID}, nil, object{"mounts": object{}}), http.StatusConflict,
		"mounts.namespace_in_use", "not by a change either")

	own := h.made("sales", object{})
	h.stored("sales", "a", "1")
	h.ok("PATCH", []string{"workspaces", own.ID}, object{"mounts": object{}}, nil) // it is its own
	h.ok("PATCH", []string{"workspaces", own.ID}, object{"name": "sales-eu"}, nil)
	refused(t, create("sales", object{}), http.StatusConflict, "mounts.namespace_in_use", "the renamed one's")
	h.ok("DELETE", []string{"workspaces", own.ID}, nil, nil)
	refused(t, create("sales", object{}), http.StatusConflict, "mounts.namespace_in_use", "files outlive their workspace")

	empty := h.made("empty", object{})
	h.ok("PATCH", []string{"workspaces", empty.ID}, object{"name": "full"}, nil)
	refused(t, create("empty", object{}), http.StatusConflict, "mounts.namespace_in_use",
		"an empty one of a renamed workspace")
	none := h.made("none", object{"storage": object{"access": "none"}})
	require.Equal(t, bctrl.StorageNone, none.Mounts.Storage.Access)
}

func TestAWorkspaceInUseIsDeletedWithForceAlone(t *testing.T) {
	h := newHarness(t)
	ws := h.made("sales", object{})
	rt := h.launch(ws, "crm", nil)
	path := []string{"workspaces", ws.ID}
	refused(t, h.do("DELETE", path, nil, nil), http.StatusConflict, "workspaces.in_use", "a live runtime")
	require.Equal(t, []string{rt.ID}, h.browsers.Running())
	force := url.Values{"force": {"true"}}
	refused(t, h.do("DELETE", path, force, nil, "If-Match", `"7"`), http.StatusPreconditionFailed, "request.stale_version",
		"a stale version")
	require.Equal(t, []string{rt.ID}, h.browsers.Running(), "stops nothing")
	require.Equal(t, http.StatusOK, h.do("DELETE", path, force, nil).Status)
	require.Empty(t, h.browsers.Running())
	var stops []string
	for _, e := range h.events() {
		if e.Action == "runtime.stop" {
			stops = append(stops, string(e.Kind)+" "+e.Object)
		}
	}
	require.Contains(t, stops, "intent "+rt.ID, "what force stops is on record before it is stopped")
	refused(t, h.do("GET", path, nil, nil, as(rt)...), http.StatusConflict, "runtimes.not_active", "its runtimes are gone")

	ws = h.made("busy", object{})
	path[1] = ws.ID
	orgs, err := h.db.Read().Organizations(t.Context())
	require.NoError(t, err)
	now := time.Now().UTC()
	op := bctrl.OperationInfo{
		ID:          web.NewID(),
		WorkspaceID: ws.ID,
		Status:      bctrl.OperationRunning,
		CreatedAt:   now,
		UpdatedAt:   now,
	}
	require.NoError(t, h.db.Write(t.Context(), func(tx *store.Tx) error {
		return tx.InsertOperation(t.Context(), orgs[0].ID, op)
	}))
	refused(t, h.do("DELETE", path, nil, nil), http.StatusConflict, "workspaces.in_use", "an operation")
	require.Equal(t, http.StatusOK, h.do("DELETE", path, force, nil).Status)
}

func TestTheStateOfAWorkspaceIsWhatItHoldsNow(t *testing.T) {
	h := newHarness(t)
	ws := h.made("sales", object{})
	var state bctrl.WorkspaceState
	h.ok("GET", []string{"workspaces", ws.ID, "state"}, nil, &state)
	require.Empty(t, state.Runtimes)
	rt := h.launch(ws, "crm", nil)
	h.stored("sales", "a", "123")
	h.stored("sales", "b/c", "1234")
	h.stored("other", "c", "12345")
	h.ok("GET", []string{"workspaces", ws.ID, "state"}, nil, &state)
	require.Len(t, state.Runtimes, 1)
	require.Equal(t, rt.ID, state.Runtimes[0].ID)
	require.Equal(t, bctrl.StorageUsage{Namespace: "sales", FileCount: 2, TotalBytes: 7}, state.Storage)
	require.Empty(t, state.Operations)
}
