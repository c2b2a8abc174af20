package server

import (
	"encoding/json"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store/storetest"
)

func TestALoginComesBackAsItWasSet(t *testing.T) {
	h := newHarness(t)
	login := object{
		"username": "bot@company.com", "password": "pa\"ss", "totp": "JBSWY3DPEHPK3PXP", "label": "CRM", "notes": "n",
		"fill":         "swap",
		"matchOrigins": []string{"https://Login.Example.com/", "https://*.example.com"},
	}
	set := h.do("PUT", []string{"vault", "prod/crm/salesforce"}, nil, login)
	require.Equal(t, http.StatusOK, set.Status, "%s", set.Body)
	var entry bctrl.VaultEntry
	require.NoError(t, json.Unmarshal(set.Body, &entry))
	require.Equal(t, "prod/crm/salesforce", entry.Key)
	require.EqualValues(t, 1, entry.Version)
	require.NotContains(t, string(set.Body), `pa\"ss`)

	got := h.do("GET", []string{"vault", "prod/crm/salesforce"}, nil, nil)
	require.Equal(t, http.StatusOK, got.Status)
	require.JSONEq(t, `{"username":"bot@company.com","password":"pa\"ss","totp":"JBSWY3DPEHPK3PXP",
		"label":"CRM","notes":"n","fill":"swap",
		"origins":["https://login.example.com"],"originPatterns":["https://*.example.com"]}`, string(got.Body))

	code := h.do("GET", []string{"vault", "prod/crm/salesforce", "totp"}, nil, nil)
	require.Equal(t, http.StatusOK, code.Status)

	require.Equal(t, http.StatusOK, h.do("DELETE", []string{"vault", "prod/crm/salesforce"}, nil, nil).Status)
	gone := h.do("GET", []string{"vault", "prod/crm/salesforce"}, nil, nil)
	require.Equal(t, http.StatusNotFound, gone.Status)
	require.Equal(t, "vault.secret_not_found", gone.code())
}

func TestWhatIsWrongWithALoginIsNamedAtOnceAndNeverQuoted(t *testing.T) {
	h := newHarness(t)
	got := h.do("PUT", []string{"vault", "k"}, nil, object{"password": "canary-password", "totp": "canary!seed",
		"fill": "paste"})
	require.Equal(t, http.StatusBadRequest, got.Status)
	require.NotContains(t, string(got.Body), "canary")
	for _, field := range []string{`"totp"`, `"fill"`} {
		require.Contains(t, string(got.Body), field)
	}
	got = h.send("PUT", "/v1/vault/k", jsonBody(`{"password":"canary-password","Password":"canary-password"}`),
		"Authorization", "Bearer "+h.key, "Content-Type", "application/json")
	require.Equal(t, http.StatusBadRequest, got.Status)
	require.NotContains(t, string(got.Body), "canary")
}

func TestAnEditedOrSwappedRowIsNotUsed(t *testing.T) {
	for _, tc := range []struct{ name, edit string }{
		{"the sealed bytes of two keys exchanged", "UPDATE vault_entries SET sealed = (SELECT sealed FROM vault_entries " +
			"WHERE key = 'b') WHERE key = 'a'"},
		{"an origin added", `UPDATE vault_entries SET meta = '{"origins":["https://evil.example"],"fill":"swap"}' WHERE ` +
			`key = 'a'`},
		{"a key renamed", "UPDATE vault_entries SET key = 'c', folded = 'c' WHERE key = 'a'"},
		{"an older version", "UPDATE vault_entries SET version = version + 1 WHERE key = 'a'"},
		{"one bit", "UPDATE vault_entries SET sealed = CAST(substr(sealed, 1, length(sealed) - 1) || x'00' AS BLOB) WHERE " +
			"key = 'a'"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := newHarness(t)
			for _, k := range []string{"a", "b"} {
				require.Equal(t, http.StatusOK, h.do("PUT", []string{"vault", k}, nil, object{"password": "secret of " + k}).Status)
			}
			h.tamper(tc.edit)
			key := "a"
			if tc.name == "a key renamed" {
				key = "c"
			}
			got := h.do("GET", []string{"vault", key}, nil, nil)
			require.Equal(t, http.StatusInternalServerError, got.Status)
			require.Equal(t, "vault.tampered", got.code())
		})
	}
}

func TestAListNamesKeysOnSegmentBoundaries(t *testing.T) {
	h := newHarness(t)
	for _, k := range []string{"prod", "prod/a", "prod/b", "prod-x", "prod.y/z", "production/c", "a"} {
		require.Equal(t, http.StatusOK, h.do("PUT", []string{"vault", k}, nil, object{"password": "p"}).Status)
	}
	for _, tc := range []struct {
		prefix string
		want   []string
	}{
		{"prod/", []string{"prod/a", "prod/b"}},
		{"prod", []string{"prod", "prod/a", "prod/b"}},
		{"/", []string{"a", "prod", "prod-x", "prod.y/z", "prod/a", "prod/b", "production/c"}},
	} {
		var all []string
		for cursor := ""; ; {
			got := h.do("GET", []string{"vault"}, url.Values{"prefix": {tc.prefix}, "limit": {"2"}, "cursor": {cursor}}, nil)
			require.Equal(t, http.StatusOK, got.Status, "%s", got.Body)
			var page struct {
				Keys       []string
				NextCursor *string
			}
			require.NoError(t, json.Unmarshal(got.Body, &page))
			require.LessOrEqual(t, len(page.Keys), 2)
			all = append(all, page.Keys...)
			if page.NextCursor == nil {
				break
			}
			cursor = *page.NextCursor
		}
		require.Equal(t, tc.want, all, "prefix %s", tc.prefix)
	}
}

func TestNestedMountsListEachKeyOnce(t *testing.T) {
	h := newHarness(t)
	keys := []string{"a", "a/b/1", "a/b/2", "a/c/1", "a/x", "b"}
	for _, key := range keys {
		require.Equal(t, http.StatusOK, h.do("PUT", []string{"vault", key}, nil, object{"password": "p"}).Status)
	}
	for _, c := range []struct {
		allow []string
		want  []string
		why   string
	}{
		{[]string{"a/", "a/b/", "a/c/"}, keys[1:5], "two subtrees inside a third"},
		{[]string{"a/c/", "a", "a/b/", "a/b/1"}, keys[:5], "a key and what is below it"},
		{[]string{"/", "a/b/", "b"}, keys, "everything, and parts of it"},
		{[]string{"b", "a/c/", "a/b/"}, []string{"a/b/1", "a/b/2", "a/c/1", "b"}, "beside each other"},
	} {
		ws := h.workspace("w"+web.NewID(), bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: c.allow}})
		rt := h.launch(ws, "crm", nil)
		for _, limit := range []string{"2", "1000"} {
			require.Equal(t, c.want, h.vaultKeys(limit, as(rt)), c.why)
		}
	}
}

// vaultKeys lists all keys, page by page.
func (h *harness) vaultKeys(limit string, headers []string) (keys []string) {
	h.Helper()
	for cursor := ""; ; {
		got := h.do("GET", []string{"vault"}, url.Values{"limit": {limit}, "cursor": {cursor}}, nil, headers...)
		var page struct {
			Keys       []string
			NextCursor *string
		}
		require.NoError(h, json.Unmarshal(got.Body, &page))
		keys = append(keys, page.Keys...)
		if page.NextCursor == nil {
			return keys
		}
		cursor = *page.NextCursor
	}
}

// TestASetFollowsWhatIsStored sets an entry that is not what the server wrote last.
func TestASetFollowsWhatIsStored(t *testing.T) {
	h := newHarness(t)
	set := func(password string) (e bctrl.VaultEntry) {
		h.ok("PUT", []string{"vault", "k"}, object{"password": password}, &e)
		var got object
		h.ok("GET", []string{"vault", "k"}, nil, &got)
		require.Equal(t, password, got["password"])
		return e
	}
	first := set("1")
	require.EqualValues(t, 1, first.Version)
	second := set("2")
	require.EqualValues(t, 2, second.Version)
	require.Equal(t, first.CreatedAt, second.CreatedAt)
	h.tamper("UPDATE vault_entries SET version = 7")
	require.EqualValues(t, 8, set("3").Version, "somebody else has written")
	h.ok("DELETE", []string{"vault", "k"}, nil, nil)
	require.EqualValues(t, 1, set("4").Version, "it was deleted")
	h.ok("DELETE", []string{"vault", "k"}, nil, nil)
	h.ok("PUT", []string{"vault", "K"}, object{"password": "5"}, nil)
	refused(t, h.do("PUT", []string{"vault", "k"}, nil, object{"password": "6"}), http.StatusConflict,
		"vault.key_case_conflict", "another has taken its key")
}

// TestASetReadsNothingWhereItsGuessIsRight has what is stored be unreadable: only a set that does
// not read it succeeds.
func TestASetReadsNothingWhereItsGuessIsRight(t *testing.T) {
	storetest.OnSQLite(t) // PostgreSQL takes no 7 for a BOOLEAN
	h := newHarness(t)
	set := func() answer { return h.do("PUT", []string{"vault", "k"}, nil, object{"password": "secret"}) }
	require.Equal(t, http.StatusOK, set().Status)
	for range 2 {
		h.tamper("UPDATE vault_entries SET has_totp = 7")
		require.Equal(t, http.StatusOK, set().Status)
	}
	h.tamper("UPDATE vault_entries SET has_totp = 7, version = 9")
	require.Equal(t, http.StatusInternalServerError, set().Status, "it reads where the guess is wrong")
}
