package server

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// furnish puts one of everything into the organization that headers act in,
// named alike in all of them, and returns its workspace and runtime.
func (h *harness) furnish(secret string, headers ...string) (ws bctrl.WorkspaceInfo, rt bctrl.RuntimeInfo) {
	h.Helper()
	h.ok("PUT", []string{"vault", "prod/crm"}, object{"password": secret}, nil, headers...)
	h.ok("POST", []string{"ai-credentials"}, object{"id": "openai", "provider": "openai", "apiKey": "k"}, nil, headers...)
	h.ok("POST", []string{"browser-profiles"}, object{"id": "bot"}, nil, headers...)
	h.ok("POST", []string{"secrets"}, object{"name": "GITHUB_TOKEN", "value": secret, "scope": globally()}, nil,
		headers...)
	h.ok("POST", []string{"workspaces"}, object{"name": "sales", "mounts": object{
		"vault": object{"allow": []string{"/"}, "allowRawReads": true}, "ai": object{"allow": []string{"openai"}},
	}}, &ws, headers...)
	h.ok("POST", []string{"workspaces", ws.ID, "runtimes"}, object{
		"alias": "crm", "kind": "browser", "driver": "stagehand", "launch": object{"mode": "profile", "profileId": "bot"},
	}, &rt, headers...)
	require.Equal(h, http.StatusOK, h.put("sales", "a.txt", secret, headers...).Status)
	return ws, rt
}

func TestOrganizationsHaveNothingInCommon(t *testing.T) {
	h := newHarness(t)
	foreign, err := h.server.createOrganization(t.Context(), "other")
	require.NoError(t, err)
	sub := h.subaccount("acme")
	first := h.key
	inhabitants := []struct {
		why, key string
		headers  []string
	}{{"the first", first, nil}, {"its subaccount", first, within(sub)}, {"another", foreign.Expose(), nil}}
	rts := map[string]bctrl.RuntimeInfo{}
	for _, who := range inhabitants {
		h.key = who.key
		_, rts[who.why] = h.furnish("secret of "+who.why, who.headers...)
	}
	for _, who := range inhabitants {
		h.key = who.key
		var login wire.VaultCredential
		h.ok("GET", []string{"vault", "prod/crm"}, nil, &login, who.headers...)
		require.Equal(t, "secret of "+who.why, login.Password.Reveal())
		file := []string{"storage", "namespaces", "sales", "files", "a.txt"}
		require.Equal(t, "secret of "+who.why, string(h.do("GET", file, nil, nil, who.headers...).Body))
		var list struct{ Workspaces []bctrl.WorkspaceInfo }
		h.ok("GET", []string{"workspaces"}, nil, &list, who.headers...)
		require.Len(t, list.Workspaces, 1)
		var scoped struct{ Secrets []bctrl.SecretInfo }
		h.ok("GET", []string{"secrets"}, nil, &scoped, who.headers...)
		require.Len(t, scoped.Secrets, 1)
		for _, other := range inhabitants {
			if other.why != who.why {
				h.key = other.key
				refused(t, h.do("POST", []string{"secrets", scoped.Secrets[0].ID, "rotate"}, nil, object{"value": "theirs"},
					other.headers...),
					http.StatusNotFound, "secrets.not_found", "the secret of "+who.why+" for "+other.why)
				refused(t, h.do("POST", []string{"secrets"}, nil,
					object{"name": "X", "value": "v", "scope": inWorkspace(list.Workspaces[0].ID)}, other.headers...),
					http.StatusNotFound, "scope.workspace_not_found", "the workspace of "+who.why+" for "+other.why)
			}
		}
		h.key = who.key

		own := append(as(rts[who.why]), who.headers...)
		h.ok("GET", []string{"vault", "prod/crm"}, nil, &login, own...)
		require.Equal(t, "secret of "+who.why, login.Password.Reveal(), "a runtime is bound to its organization's logins")
		for of, rt := range rts {
			if of != who.why {
				refused(t, h.do("GET", []string{"vault", "prod/crm"}, nil, nil, append(as(rt), who.headers...)...),
					http.StatusConflict, "runtimes.not_active", who.why+" as the runtime of "+of)
			}
		}
	}
}

func TestASubaccountIsActedForByItsParentAlone(t *testing.T) {
	h := newHarness(t)
	foreign, err := h.server.createOrganization(t.Context(), "other")
	require.NoError(t, err)
	sub, sister := h.subaccount("acme"), h.subaccount("emca")
	org := h.org()
	first := h.key
	vault := func(key, sub string) answer {
		h.key = key
		defer func() { h.key = first }()
		return h.do("GET", []string{"vault"}, nil, nil, append(within(sub), "x-request-id", "same")...)
	}
	require.Equal(t, http.StatusOK, vault(first, sub).Status)

	var made wire.NewKey
	h.ok("POST", []string{"keys"}, object{"label": "acme's own"}, &made, within(sub)...)
	own := made.Key.Reveal()
	none := vault(first, web.NewID())
	refused(t, none, http.StatusForbidden, "auth.not_subaccount", "an id that does not exist")
	for _, tc := range []struct{ why, key, sub string }{
		{"the organization itself", first, org},
		{"another organization's subaccount", foreign.Expose(), sub},
		{"the subaccount's own key for it", own, sub},
		{"the subaccount's own key for its sister", own, sister},
		{"the subaccount's own key for its parent", own, org},
	} {
		require.Equal(t, string(none.Body), string(vault(tc.key, tc.sub).Body), tc.why)
	}
	for _, id := range []string{"", "acme", sub + " ", "{" + sub + "}"} {
		refused(t, vault(first, id), http.StatusBadRequest, "auth.subaccount", id)
	}
	refused(t, h.do("GET", []string{"vault"}, nil, nil, append(within(sub), within(sister)...)...), http.StatusBadRequest,
		"auth.subaccount", "twice")

	// Its own key is at home there, and makes no subaccounts.
	h.key = own
	h.ok("PUT", []string{"vault", "prod/crm"}, object{"password": "p"}, nil)
	refused(t, h.do("POST", []string{"subaccounts"}, nil, object{"name": "deeper"}), http.StatusForbidden,
		"subaccounts.nested", "one level")
	h.ok("DELETE", []string{"keys", made.ID}, nil, nil) // its last: the parent can make another
	require.Equal(t, http.StatusUnauthorized, h.do("GET", []string{"vault"}, nil, nil).Status)
	h.key = first
	require.Equal(t, http.StatusOK, h.do("GET", []string{"vault", "prod/crm"}, nil, nil, within(sub)...).Status)
	refused(t, h.do("GET", []string{"vault", "prod/crm"}, nil, nil), http.StatusNotFound, "vault.secret_not_found",
		"the parent's own vault is empty")
}

func TestTheLogNamesTheSubaccountAndWhoActedForIt(t *testing.T) {
	h := newHarness(t)
	sub, org := h.subaccount("acme"), h.org()
	h.ok("PUT", []string{"vault", "k"}, object{"password": "p"}, nil, within(sub)...)
	h.ok("GET", []string{"vault", "k"}, nil, nil, within(sub)...)
	kinds := map[audit.Kind]int{}
	for _, e := range h.events() {
		if e.Action == "vault.write" || e.Action == string(bctrl.ReadVault) {
			require.Equal(t, sub, e.Org)
			require.Equal(t, org, e.Parent)
			kinds[e.Kind]++
		}
	}
	require.Equal(t, map[audit.Kind]int{audit.Both: 1, audit.Intent: 1, audit.Outcome: 1}, kinds)
}

func TestSubaccountsAreListedByAgeAndNamedOnce(t *testing.T) {
	h := newHarness(t)
	ids := []string{h.subaccount("b"), h.subaccount("a"), h.subaccount("c")}
	refused(t, h.do("POST", []string{"subaccounts"}, nil, object{"name": "a"}), http.StatusConflict, "subaccounts.exists",
		"the name is taken")
	for _, name := range []string{"", "a b", "-a", "a/b"} {
		refused(t, h.do("POST", []string{"subaccounts"}, nil, object{"name": name}), http.StatusBadRequest,
			"subaccounts.invalid_name", name)
	}
	var page struct {
		Subaccounts []bctrl.Subaccount
		NextCursor  string
	}
	var seen []string
	for query := map[string][]string{"limit": {"2"}}; ; query["cursor"] = []string{page.NextCursor} {
		page.NextCursor = ""
		require.NoError(t, json.Unmarshal(h.do("GET", []string{"subaccounts"}, query, nil).Body, &page))
		for _, s := range page.Subaccounts {
			seen = append(seen, s.ID)
		}
		if page.NextCursor == "" {
			break
		}
	}
	require.Equal(t, ids, seen)
	foreign, err := h.server.createOrganization(t.Context(), "other")
	require.NoError(t, err)
	h.key = foreign.Expose()
	h.ok("POST", []string{"subaccounts"}, object{"name": "a"}, nil) // names are each organization's own
	refused(t, h.do("DELETE", []string{"subaccounts", ids[0]}, nil, nil), http.StatusNotFound, "subaccounts.not_found",
		"another organization's")
}

func TestDeletingASubaccountEndsAndRemovesAllOfIt(t *testing.T) {
	h := newHarness(t)
	sub := h.subaccount("acme")
	_, rt := h.furnish("theirs", within(sub)...)
	_, kept := h.furnish("ours")
	var made wire.NewKey
	h.ok("POST", []string{"keys"}, object{}, &made, within(sub)...)
	for range 2*emptyAtOnce + 1 {
		require.Equal(t, http.StatusOK, h.send("PUT", "/v1/vault/bulk%2F"+web.NewID(), jsonBody(`{"password":"p"}`),
			append(within(sub), "Authorization", "Bearer "+h.key, "Content-Type", "application/json")...).Status)
	}
	path := []string{"subaccounts", sub}
	refused(t, h.do("DELETE", path, nil, nil), http.StatusConflict, "subaccounts.not_empty", "it holds data")
	require.ElementsMatch(t, []string{rt.ID, kept.ID}, h.browsers.Running())
	files := h.kept()

	require.Equal(t, http.StatusOK, h.do("DELETE", path, map[string][]string{"force": {"true"}}, nil).Status)
	require.Equal(t, []string{kept.ID}, h.browsers.Running())
	require.Equal(t, files-1, h.kept(), "the bytes of its file")
	profiles, err := os.ReadDir(filepath.Join(h.dir, "profiles"))
	require.True(t, err == nil || os.IsNotExist(err))
	require.LessOrEqual(t, len(profiles), 1)
	refused(t, h.do("GET", []string{"vault"}, nil, nil, within(sub)...), http.StatusForbidden, "auth.not_subaccount",
		"it is gone")
	first := h.key
	h.key = made.Key.Reveal()
	require.Equal(t, http.StatusUnauthorized, h.do("GET", []string{"vault"}, nil, nil).Status, "its key is gone with it")
	h.key = first
	refused(t, h.do("DELETE", path, nil, nil), http.StatusNotFound, "subaccounts.not_found", "it is gone")
	require.NotEqual(t, sub, h.subaccount("acme"), "the name is free, and means another")
	h.ok("GET", []string{"vault", "prod/crm"}, nil, nil)

	orgs, err := h.db.Read().Organizations(t.Context())
	require.NoError(t, err)
	require.False(t, slices.ContainsFunc(orgs, func(o store.Organization) bool { return o.ID == sub }))
	h.ok("DELETE", []string{"subaccounts", h.subaccount("empty")}, nil, nil)
}

func TestWhatACrashLeftOfADeletedSubaccountIsRemoved(t *testing.T) {
	h := newHarness(t)
	sub, org := h.subaccount("acme"), h.org()
	h.ok("PUT", []string{"vault", "k"}, object{"password": "p"}, nil, within(sub)...)
	h.write(func(tx *store.Tx) error {
		return closeSubaccount(t.Context(), tx, org, sub, audit.Event{Org: org, Action: "subaccount.write"})
	})
	refused(t, h.do("GET", []string{"vault"}, nil, nil, within(sub)...), http.StatusForbidden, "auth.not_subaccount",
		"it is closed")
	refused(t, h.do("DELETE", []string{"subaccounts", sub}, nil, nil), http.StatusNotFound, "subaccounts.not_found",
		"it is closed")
	next, err := New(t.Context(), Config{
		Store:      h.db,
		Custody:    openCustody(t, h.db, h.rows, h.dir),
		Browsers:   h.browsers,
		ProfileDir: filepath.Join(h.dir, "profiles"),
	})
	require.NoError(t, err)
	require.NoError(t, next.Close(t.Context()))
	closed, err := h.db.Read().ClosedOrganizations(t.Context())
	require.NoError(t, err)
	require.Empty(t, closed)
	holds, err := h.db.Read().HoldsData(t.Context(), sub)
	require.NoError(t, err)
	require.False(t, holds)
}
