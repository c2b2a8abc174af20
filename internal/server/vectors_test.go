package server

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/vectors"
)

// ask sends a request past the check against openapi.yaml: some vectors are not
// text that its validator takes.
func (h *harness) ask(method string, segments []string, headers ...string) answer {
	h.Helper()
	req := httptest.NewRequestWithContext(h.Context(), method, target(segments, nil), nil)
	req.Header.Set("Authorization", "Bearer "+h.key)
	for ; len(headers) > 0; headers = headers[2:] {
		req.Header.Set(headers[0], headers[1])
	}
	rec := httptest.NewRecorder()
	h.server.ServeHTTP(rec, req)
	return answer{Status: rec.Code, Header: rec.Header(), Body: rec.Body.Bytes()}
}

func TestTheServerAgreesWithTheVectorsOfDecisions(t *testing.T) {
	cases, err := vectors.Decides()
	require.NoError(t, err)
	h := newHarness(t)
	ws := h.made("w", object{})
	rt := h.launch(ws, "r", nil)
	for _, c := range cases {
		h.ok("PATCH", []string{"workspaces", ws.ID},
			object{"mounts": object{"vault": object{"allow": c.Allow, "deny": c.Deny}}}, nil)
		want := http.StatusForbidden
		if c.Allowed {
			want = http.StatusNotFound
		}
		require.Equal(t, want, h.ask("GET", []string{"vault", c.Key, "totp"}, as(rt)...).Status, "%s: %s", c.ID, c.Why)
	}
}

func TestTheServerAgreesWithTheVectorsOfNarrowing(t *testing.T) {
	cases, err := vectors.Narrows()
	require.NoError(t, err)
	h := newHarness(t)
	for _, c := range cases {
		vault := func(v vectors.Vault) object { return object{"vault": v} }
		ws := h.made(c.ID, vault(c.Parent))
		launch := object{"alias": "r", "kind": "browser", "driver": "stagehand", "launch": object{}, "mounts": vault(c.Child)}
		declared := h.do("POST", []string{"workspaces", ws.ID, "runtimes"}, nil, launch)
		delete(launch, "mounts")
		launch["alias"] = "all"
		var whole bctrl.RuntimeInfo
		h.ok("POST", []string{"workspaces", ws.ID, "runtimes"}, launch, &whole)
		text, err := json.Marshal(vault(c.Child))
		require.NoError(t, err)
		narrowed := h.ask("GET", []string{"vault"}, as(whole, string(text))...)
		for how, got := range map[string]answer{"declared": declared, "narrowed": narrowed} {
			if c.Accepted {
				require.Equal(t, http.StatusOK, got.Status, "%s, %s: %s: %s", how, c.ID, c.Why, got.Body)
				continue
			}
			refusal := &bctrl.Error{}
			require.NoError(t, json.Unmarshal(got.Body, refusal))
			refusal.Status = got.Status
			require.ErrorIs(t, refusal, bctrl.ErrWidening, "%s, %s: %s", how, c.ID, c.Why)
			require.Equal(t, c.Witness, refusal.Witness, "%s, %s: %s", how, c.ID, c.Why)
		}
	}
}

func TestTheServerAgreesWithTheVectorsOfGrammar(t *testing.T) {
	h := newHarness(t)
	ws := h.made("w", object{})
	keys, err := vectors.Keys()
	require.NoError(t, err)
	for _, c := range keys {
		want := http.StatusBadRequest
		if c.Valid {
			want = http.StatusNotFound
		}
		if c.Key == "" {
			continue // has no segment
		}
		require.Equal(t, want, h.ask("GET", []string{"vault", c.Key, "totp"}).Status, "%s: %s", c.ID, c.Why)
	}
	prefixes, err := vectors.Prefixes()
	require.NoError(t, err)
	for _, c := range prefixes {
		want := http.StatusBadRequest
		if c.Valid {
			want = http.StatusOK
		}
		for _, list := range []string{"allow", "deny"} {
			vault := object{"allow": []string{"/"}}
			vault[list] = []string{c.Prefix}
			got := h.do("PATCH", []string{"workspaces", ws.ID}, nil, object{"mounts": object{"vault": vault}})
			require.Equal(t, want, got.Status, "%s, %s: %s: %s", c.ID, list, c.Why, got.Body)
		}
	}
}
