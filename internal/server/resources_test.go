package server

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

func TestResourcesAreForOrganizationKeysAlone(t *testing.T) {
	h := newHarness(t)
	h.ok("POST", []string{"ai-credentials"}, openAI("mine"), nil)
	ws := h.made("w", object{"ai": object{"allow": []string{"mine"}}})
	rt := h.launch(ws, "r", nil)
	for _, tc := range []struct {
		method   string
		segments []string
		body     any
	}{
		{"POST", []string{"ai-credentials"}, openAI("other")},
		{"PATCH", []string{"ai-credentials", "mine"}, object{"enabled": false}},
		{"DELETE", []string{"ai-credentials", "mine"}, nil},
		{"POST", []string{"workspaces"}, object{"name": "x"}},
		{"GET", []string{"workspaces"}, nil},
		{"GET", []string{"workspaces", ws.ID}, nil},
		{"PATCH", []string{"workspaces", ws.ID}, object{"mounts": object{"vault": object{"allow": []string{"/"}}}}},
		{"DELETE", []string{"workspaces", ws.ID}, nil},
		{"GET", []string{"workspaces", ws.ID, "state"}, nil},
		{"POST", []string{"browser-profiles"}, object{"id": "p"}},
		{"GET", []string{"browser-profiles"}, nil},
		{"GET", []string{"browser-profiles", "p"}, nil},
		{"PATCH", []string{"browser-profiles", "p"}, object{}},
		{"DELETE", []string{"browser-profiles", "p"}, nil},
		{"POST", []string{"keys"}, object{}},
		{"GET", []string{"keys"}, nil},
		{"DELETE", []string{"keys", ws.ID}, nil},
	} {
		refused(t, h.do(tc.method, tc.segments, nil, tc.body, as(rt)...), http.StatusForbidden, "auth.not_for_runtimes",
			tc.method+" "+strings.Join(tc.segments, "/"))
	}
	var after bctrl.WorkspaceInfo
	h.ok("GET", []string{"workspaces", ws.ID}, nil, &after)
	require.Equal(t, ws.Version, after.Version, "nothing was changed")
}

func TestACreateWhoseAnswerWasLostHasOneEffect(t *testing.T) {
	h := newHarness(t)
	for _, tc := range []struct {
		segments    []string
		body, other object
	}{
		{[]string{"ai-credentials"}, openAI("a"), openAI("b")},
		{[]string{"workspaces"}, object{"name": "a"}, object{"name": "b"}},
		{[]string{"browser-profiles"}, object{"id": "a"}, object{"id": "b"}},
		{[]string{"keys"}, object{"label": "a"}, object{"label": "b"}},
	} {
		key := []string{"Idempotency-Key", "once " + tc.segments[0]}
		first := h.do("POST", tc.segments, nil, tc.body, key...)
		require.Equal(t, http.StatusOK, first.Status, "%s", first.Body)
		again := h.do("POST", tc.segments, nil, tc.body, key...)
		require.Equal(t, string(first.Body), string(again.Body))
		refused(t, h.do("POST", tc.segments, nil, tc.other, key...), http.StatusUnprocessableEntity,
			"request.idempotency_mismatch", tc.segments[0])
	}
	var keys struct{ Keys []object }
	h.ok("GET", []string{"keys"}, nil, &keys)
	require.Len(t, keys.Keys, 2, "the first one, and one that was made")
}

func TestAListPagesThroughEverythingOnce(t *testing.T) {
	h := newHarness(t)
	var want []string
	for _, id := range []string{"a", "b", "c", "d", "e"} {
		h.ok("POST", []string{"ai-credentials"}, openAI(id), nil)
		h.ok("POST", []string{"workspaces"}, object{"name": id}, nil)
		h.ok("POST", []string{"browser-profiles"}, object{"id": id}, nil)
		want = append(want, id)
	}
	for plural, segment := range map[string]string{"aiCredentials": "ai-credentials", "workspaces": "workspaces",
		"browserProfiles": "browser-profiles"} {
		var names []string
		for cursor := ""; ; {
			got := h.do("GET", []string{segment}, map[string][]string{"limit": {"2"}, "cursor": {cursor}}, nil)
			require.Equal(t, http.StatusOK, got.Status, "%s", got.Body)
			var page map[string]json.RawMessage
			require.NoError(t, json.Unmarshal(got.Body, &page))
			var items []struct{ ID, Name string }
			require.NoError(t, json.Unmarshal(page[plural], &items))
			require.LessOrEqual(t, len(items), 2)
			for _, item := range items {
				if segment == "workspaces" {
					item.ID = item.Name
				}
				names = append(names, item.ID)
			}
			if string(page["nextCursor"]) == "null" {
				break
			}
			require.NoError(t, json.Unmarshal(page["nextCursor"], &cursor))
		}
		require.Equal(t, want, names, segment)
	}
}
