package server

import (
	"database/sql"
	"encoding/hex"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite" // to change rows behind the server's back

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/custody"
	"github.com/bctrl-go/bctrl/internal/store/storetest"
)

// raw opens the database beside the server.
func (h *harness) raw() *sql.DB {
	h.Helper()
	return storetest.Raw(h, filepath.Join(h.dir, "bctrl.db"))
}

// statement is one in the words of the database.
func (h *harness) statement(s string) string {
	return storetest.Statement(filepath.Join(h.dir, "bctrl.db"), s)
}

// behind does to the database what somebody could do who can write it and has
// no master key.
func (h *harness) behind(statements ...string) {
	h.Helper()
	db := h.raw()
	defer func() { require.NoError(h, db.Close()) }()
	for _, s := range statements {
		s = h.statement(s)
		result, err := db.ExecContext(h.Context(), s)
		require.NoError(h, err, s)
		n, err := result.RowsAffected()
		require.NoError(h, err)
		require.NotZero(h, n, "nothing was changed by %s", s)
	}
}

// found requires that verifying names a row, by the start of its name.
func (h *harness) found(record string) {
	h.Helper()
	report, err := h.server.Custody.Verify(h.Context())
	require.NoError(h, err)
	for _, p := range report.All().Problems {
		if strings.HasPrefix(p.Record, record) {
			return
		}
	}
	require.Fail(h, "not named", "%s in %+v", record, report.All().Problems)
}

// TestAForgedKeyIsNobody makes organization keys good without the server: each is
// answered as a key that nobody knows.
func TestAForgedKeyIsNobody(t *testing.T) {
	const like = "INSERT INTO api_keys (id, org_id, hash, label, created_at, proof) SELECT 'forged', org_id, {hash}, " +
		"label, created_at, "
	for _, tc := range []struct{ why, change, uses string }{
		{"inserted", like + "x'' FROM api_keys WHERE label = 'first'", "attacker"},
		{"inserted with the proof of a good one", like + "proof FROM api_keys WHERE label = 'first'", "attacker"},
		{"put in place of a good one", "UPDATE api_keys SET hash = {hash} WHERE label = 'first'", "attacker"},
		{"revoked, and good again", "UPDATE api_keys SET revoked_at = NULL WHERE label = 'revoked'", "revoked"},
		{"of a subaccount, moved here", "UPDATE api_keys SET org_id = (SELECT id FROM organizations WHERE operator) WHERE " +
			"label = 'other'", "other"},
	} {
		t.Run(tc.why, func(t *testing.T) {
			h := newHarness(t)
			h.setLogin("prod/crm")
			attacker, sum := newKey()
			var revoked, other struct{ ID, Key string }
			h.ok("POST", []string{"keys"}, object{"label": "revoked"}, &revoked)
			h.ok("DELETE", []string{"keys", revoked.ID}, nil, nil)
			h.ok("POST", []string{"keys"}, object{"label": "other"}, &other, within(h.subaccount("sub"))...)
			require.True(t, h.verified())
			h.behind(strings.ReplaceAll(tc.change, "{hash}", "x'"+hex.EncodeToString(sum)+"'"))
			key := map[string]string{"attacker": attacker.Expose(), "revoked": revoked.Key, "other": other.Key}[tc.uses]
			got := h.send("GET", "/v1/vault/prod%2Fcrm", nil, "Authorization", "Bearer "+key)
			refused(t, got, 401, "auth.unauthorized", tc.why)
			h.found("api_key:")
			h.ok("GET", []string{"vault", "prod/crm"}, nil, nil) // who is genuine goes on
		})
	}
}

// lowWorld has one of each row that decides, for a caller that may little.
type lowWorld struct {
	*harness
	token bctrl.Secret
	sub   string
}

func newLowWorld(t *testing.T) *lowWorld {
	t.Helper()
	h := &lowWorld{harness: newHarness(t)}
	h.setLogin("prod/crm")
	low := h.made("low", object{"vault": object{"allow": []string{"low/"}}})
	h.made("wide", object{"vault": object{"allow": []string{"/"}, "allowRawReads": true}})
	h.launch(low, "r", nil)
	h.token = h.mint(low.ID, "r", object{})
	h.stored("low", "f.txt", "content")
	h.ok("POST", []string{"browser-profiles"}, object{"id": "p"}, nil)
	h.sub = h.subaccount("sub")
	return h
}

// TestWhatDecidesIsNotBelievedWhereItWasChanged changes rows that decisions rest
// on: each is refused when it is used, recorded, and named by verifying.
func TestWhatDecidesIsNotBelievedWhereItWasChanged(t *testing.T) {
	read := func(h *lowWorld) answer { return h.with(h.token, "GET", []string{"vault", "prod/crm"}, nil) }
	self := func(h *lowWorld) answer { return h.with(h.token, "GET", []string{"self"}, nil) }
	fileIn := func(namespace string) func(*lowWorld) answer {
		return func(h *lowWorld) answer {
			return h.do("GET", []string{"storage", "namespaces", namespace, "files", "f.txt"}, nil, nil)
		}
	}
	profile := func(h *lowWorld) answer { return h.do("GET", []string{"browser-profiles", "p"}, nil, nil) }
	inside := func(h *lowWorld) answer { return h.do("GET", []string{"vault"}, nil, nil, within(h.sub)...) }
	for _, tc := range []struct {
		why, change  string
		use          func(*lowWorld) answer
		status       int
		code, record string
	}{
		{"the mounts of a workspace raised",
			`UPDATE workspaces SET mounts = '{"vault":{"allow":["/"],"allowRawReads":true}}' WHERE name = 'low'`, read, 500,
			"workspaces.tampered", "workspace:"},
		{"those of another put there",
			`UPDATE workspaces SET mounts = (SELECT mounts FROM workspaces WHERE name = 'wide'), proof = (SELECT proof FROM ` +
				`workspaces WHERE name = 'wide') WHERE name = 'low'`,
			read, 500, "workspaces.tampered", "workspace:"},
		{"another version", "UPDATE workspaces SET version = version + 1 WHERE name = 'low'", read, 500,
			"workspaces.tampered", "workspace:"},
		{"the mounts of a runtime raised", `UPDATE runtimes SET mounts = '{"vault":{}}'`, read, 500, "runtimes.tampered",
			"runtime:"},
		{"mounts that are none", `UPDATE runtimes SET mounts = 'x'`, read, 500, "runtimes.tampered", "runtime:"},
		{"text for a number", `UPDATE runtimes SET created_at = 'x'`, read, 500, "runtimes.tampered", "runtime:"},
		{"a runtime given to another group", `UPDATE runtimes SET group_id = 'admin'`, read, 500, "runtimes.tampered",
			"runtime:"},
		{"a runtime given to another workspace",
			`UPDATE runtimes SET workspace_id = (SELECT id FROM workspaces WHERE name = 'wide')`, read, 500, "runtimes.tampered",
			"runtime:"},
		{"a token that is good for longer", `UPDATE runtime_tokens SET expires_at = expires_at + 1`, self, 401,
			"auth.unauthorized", "token:"},
		{"a file given to another namespace", `UPDATE objects SET namespace = 'wide'`, fileIn("wide"), 500,
			"storage.tampered", "object:"},
		{"the bytes of another file", `UPDATE objects SET blob_id = 'x'`, fileIn("low"), 500, "storage.tampered", "object:"},
		{"a profile with the folder of another", `UPDATE browser_profiles SET uid = 'x'`, profile, 500, "profiles.tampered",
			"profile:"},
		{"a subaccount that is closed, but not here", `UPDATE organizations SET name = 'x' WHERE name = 'sub'`, inside, 403,
			"auth.not_subaccount", "organization:"},
	} {
		t.Run(tc.why, func(t *testing.T) {
			if tc.why == "text for a number" {
				storetest.OnSQLite(t) // PostgreSQL takes none
			}
			h := newLowWorld(t)
			require.True(t, h.verified())
			h.behind(tc.change)
			refused(t, tc.use(h), tc.status, tc.code, tc.why)
			events := h.events()
			require.Equal(t, tc.code, events[len(events)-1].Outcome, "it is recorded")
			h.found(tc.record)
		})
	}
}

// TestAForgedKeyUnlocksNothingThatStartedLocked knows the passphrase, and its own
// key is none that the server made.
func TestAForgedKeyUnlocksNothingThatStartedLocked(t *testing.T) {
	dir := t.TempDir()
	var key string
	t.Run("first", func(t *testing.T) {
		h := newHarnessIn(t, dir, custody.Config{Source: bctrl.SealPassphrase, Passphrase: bctrl.NewSecret(rightPassphrase)})
		h.launch(h.made("w", object{}), "r", nil)
		key = h.key
	})
	h := newHarnessIn(t, dir, custody.Config{})
	attacker, sum := newKey()
	h.behind("INSERT INTO api_keys (id, org_id, hash, label, created_at) SELECT 'forged', org_id, x'" +
		hex.EncodeToString(sum) + "', label, created_at FROM api_keys")
	right := object{"passphrase": rightPassphrase}
	h.as(attacker.Expose(), func() {
		refused(t, h.do("POST", []string{"seal", "unlock"}, nil, right), 401, "auth.unauthorized",
			"with the right passphrase")
		locked(t, h.do("GET", []string{"keys"}, nil, nil), "the keys")
	})
	require.True(t, h.server.Custody.Locked())
	h.key = key
	h.ok("POST", []string{"seal", "unlock"}, right, nil)
	h.ok("GET", []string{"keys"}, nil, nil)
	h.as(attacker.Expose(), func() {
		refused(t, h.do("GET", []string{"keys"}, nil, nil), 401, "auth.unauthorized", "unlocked")
	})
	h.found("api_key:forged")
}

// TestAForgedKeyUnlocksNothing tries a key of an attacker's on a server that was
// locked, and whose key file is where it is.
func TestAForgedKeyUnlocksNothing(t *testing.T) {
	h := newHarness(t)
	attacker, sum := newKey()
	h.lock()
	h.behind("INSERT INTO api_keys (id, org_id, hash, label, created_at) SELECT 'forged', org_id, x'" +
		hex.EncodeToString(sum) + "', label, created_at FROM api_keys")
	h.as(attacker.Expose(), func() {
		for _, route := range []string{"vault", "keys", "workspaces", "audit", "self"} {
			locked(t, h.do("GET", []string{route}, nil, nil), route)
		}
		refused(t, h.do("POST", []string{"seal", "unlock"}, nil, object{}), 401, "auth.unauthorized",
			"the key file is where it is")
		require.True(t, h.server.Custody.Locked())
	})
	h.ok("GET", []string{"keys"}, nil, nil)
	h.unlock()
	events := h.events()
	require.Equal(t, "auth.unauthorized", events[len(events)-3].Outcome)
	h.as(attacker.Expose(), func() {
		refused(t, h.do("GET", []string{"vault"}, nil, nil), 401, "auth.unauthorized", "unlocked")
	})
}

// TestWhatEndsWhileLockedHasEndedAfterwards ends a key, a token and a runtime of a
// locked server: what it knew to be genuine, and nothing else.
func TestWhatEndsWhileLockedHasEndedAfterwards(t *testing.T) {
	h := newLowWorld(t)
	var spare struct{ ID, Key string }
	h.ok("POST", []string{"keys"}, object{"label": "spare"}, &spare)
	ws, err := h.db.Read().WorkspaceByName(t.Context(), h.org(), "low")
	require.NoError(t, err)
	h.lock()
	h.ok("DELETE", []string{"keys", spare.ID}, nil, nil)
	h.ok("DELETE", []string{"tokens", tokenID(t, h.token)}, nil, nil)
	h.ok("POST", []string{"workspaces", ws.ID, "runtimes", "r", "stop"}, nil, nil)
	h.unlock()
	require.True(t, h.verified())
	refused(t, h.send("GET", "/v1/vault", nil, "Authorization", "Bearer "+spare.Key), 401, "auth.unauthorized",
		"revoked while locked")
	h.ok("GET", []string{"workspaces", ws.ID, "runtimes", "r"}, nil, nil)
}

// TestAStartBlessesNothing starts a server over a live runtime that was given
// other mounts: it ends what it finds, and proves no row that was not.
func TestAStartBlessesNothing(t *testing.T) {
	h := newLowWorld(t)
	h.behind(`UPDATE runtimes SET mounts = '{"vault":{}}'`)
	next, err := New(t.Context(), Config{
		Store:      h.db,
		Custody:    h.server.Custody,
		Browsers:   h.browsers,
		ProfileDir: filepath.Join(h.dir, "profiles"),
	})
	require.NoError(t, err)
	require.NoError(t, next.Close(t.Context()))
	h.found("runtime:")
	refused(t, h.with(h.token, "GET", []string{"vault", "prod/crm"}, nil), 500, "runtimes.tampered", "still")
}

// TestIndexesAreComparedWithWhatTheyFind adds to indexes, and takes from them.
func TestIndexesAreComparedWithWhatTheyFind(t *testing.T) {
	for _, tc := range []struct{ why, change, record string }{
		{"an attachment added", "INSERT INTO secret_attachments SELECT org_id, workspace_id, 'admin', secret_id FROM " +
			"secret_attachments", "secret_attachment:"},
		{"an attachment removed", "DELETE FROM secret_attachments", "secret_attachment:"},
		{"a name added", "INSERT INTO secret_names SELECT org_id, workspace_id, group_id, 'OTHER', secret_id FROM " +
			"secret_names", "secret_name:"},
		{"a name removed", "DELETE FROM secret_names", "secret_name:"},
		{"a credential brought to a group", "INSERT INTO credential_reach SELECT org_id, provider, workspace_id, 'admin', " +
			"credential_uid FROM credential_reach", "credential_reach:"},
		{"a credential sent away", "DELETE FROM credential_reach", "credential_reach:"},
		{"a secret of a credential", "UPDATE credential_secrets SET field = 'x'", "credential_secret:"},
		{"a count removed", "DELETE FROM invoke_rates", "invoke_rate:"},
		{"a sum edited", "UPDATE folders SET total_bytes = 1 WHERE path = ''", "folder:"},
		{"a sum removed", "DELETE FROM folders", "folder:"},
		{"a file removed", "DELETE FROM objects", "object:"},
		{"a pin removed", "DELETE FROM ai_mounts", "ai_mount:"},
	} {
		t.Run(tc.why, func(t *testing.T) {
			h := newHarness(t)
			h.ok("POST", []string{"ai-credentials"}, object{"id": "ai", "provider": "openai", "apiKey": "k"}, nil)
			ws := h.made("w", object{"ai": object{"allow": []string{"ai"}}})
			h.stored("w", "a/f.txt", "content")
			var sec struct{ ID string }
			h.ok("POST", []string{"secrets"}, object{"name": "TOKEN", "value": "v", "scope": object{"type": "global"}}, &sec)
			h.ok("PUT", []string{"secrets", sec.ID, "attachments", ws.ID, "g"}, nil, nil)
			h.ok("POST", []string{"credentials"}, object{"id": "gh", "provider": "github", "secretRef": "vault:secret:" + sec.ID,
				"scope": object{"type": "global"}}, nil)
			h.ok("PUT", []string{"capabilities", "github/repos", "policy"}, object{"callsPerMinute": 5}, nil)
			require.True(t, h.verified())
			h.behind(tc.change)
			h.found(tc.record)
		})
	}
}

// TestWhatWasRevokedStaysSoWithTheProofOfBefore puts rows back to what they were
// before they were revoked, proofs and all.
func TestWhatWasRevokedStaysSoWithTheProofOfBefore(t *testing.T) {
	h := newLowWorld(t)
	var spare struct{ ID, Key string }
	h.ok("POST", []string{"keys"}, object{"label": "spare"}, &spare)
	proofOf := func(table, id string) (proof string) {
		db := h.raw()
		defer func() { require.NoError(h, db.Close()) }()
		require.NoError(t, db.QueryRowContext(t.Context(),
			h.statement("SELECT hex(proof) FROM "+table+" WHERE id = $1"), id).Scan(&proof))
		return "x'" + proof + "'"
	}
	minted := tokenID(t, h.token)
	key, token := proofOf("api_keys", spare.ID), proofOf("runtime_tokens", minted)
	h.ok("DELETE", []string{"keys", spare.ID}, nil, nil)
	h.ok("DELETE", []string{"tokens", minted}, nil, nil)
	require.True(t, h.verified())
	h.behind(
		"UPDATE api_keys SET revoked_at = NULL, proof = "+key+" WHERE id = '"+spare.ID+"'",
		"UPDATE runtime_tokens SET revoked_at = NULL, proof = "+token+" WHERE id = '"+minted+"'",
	)
	refused(t, h.send("GET", "/v1/vault", nil, "Authorization", "Bearer "+spare.Key), 401, "auth.unauthorized",
		"the log knows better")
	var listed struct{ Keys []struct{ ID string } }
	h.ok("GET", []string{"keys"}, nil, &listed)
	require.Len(t, listed.Keys, 1, "it is no key, and not among them")
	refused(t, h.do("DELETE", []string{"keys", listed.Keys[0].ID}, nil, nil), 409, "keys.last",
		"nor one that is left when the last good one goes")
	h.found("api_key:")
	h.found("token:")
}

// TestALimitThatWasDeletedIsMissed deletes the policy of a capability, which would
// permit what it forbade: it is missed when the capability is looked at.
func TestALimitThatWasDeletedIsMissed(t *testing.T) {
	h := newHarness(t)
	policy := []string{"capabilities", "github/repos", "policy"}
	show := func() answer { return h.do("GET", []string{"capabilities", "github/repos"}, nil, nil) }
	h.ok("PUT", policy, object{"maxRequestBytes": 5}, nil)
	h.ok("PUT", policy, object{}, nil)
	require.Equal(t, 200, show().Status, "deleted by who may")
	h.ok("PUT", policy, object{"maxRequestBytes": 5}, nil)
	require.Equal(t, 200, show().Status, "and set again")
	require.True(t, h.verified())
	h.behind("DELETE FROM capability_policies")
	refused(t, show(), 500, "capabilities.tampered", "deleted by another")
	h.found("capability_policy:")
}
