package server

import (
	"encoding/base64"
	"encoding/json"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/token"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// forged is a token with another last byte.
func forged(token bctrl.Secret) bctrl.Secret {
	text := token.Expose()
	last := "A"
	if text[20:21] == last {
		last = "B"
	}
	return bctrl.NewSecret(text[:20] + last + text[21:])
}

func TestATokenDiesOnTheNextRequest(t *testing.T) {
	for _, tc := range []struct {
		why, code string
		kill      func(h *harness, token bctrl.Secret, path []string)
	}{
		{"its runtime stopped", "auth.runtime_ended", func(h *harness, _ bctrl.Secret, path []string) {
			h.ok("POST", append(path, "stop"), nil, nil)
		}},
		{"its runtime stopped by itself", "auth.runtime_ended", func(h *harness, token bctrl.Secret, path []string) {
			require.Equal(h, http.StatusOK, h.with(token, "POST", append(path, "stop"), nil).Status)
		}},
		{"its alias passed to another runtime", "auth.runtime_ended", func(h *harness, _ bctrl.Secret, path []string) {
			h.ok("POST", append(path, "stop"), nil, nil)
			h.ok("POST", path[:3], object{"alias": "crm", "kind": "browser", "driver": "stagehand", "launch": object{}}, nil)
		}},
		{"its workspace was deleted", "auth.runtime_ended", func(h *harness, _ bctrl.Secret, path []string) {
			got := h.do("DELETE", path[:2], map[string][]string{"force": {"true"}}, nil)
			require.Equal(h, http.StatusOK, got.Status, "%s", got.Body)
		}},
		{"it was revoked", "auth.token_revoked", func(h *harness, token bctrl.Secret, _ []string) {
			h.ok("DELETE", []string{"tokens", tokenID(h.T, token)}, nil, nil)
			h.ok("DELETE", []string{"tokens", tokenID(h.T, token)}, nil, nil) // again
		}},
		{"nobody minted it: its row is gone", "auth.runtime_ended", func(h *harness, _ bctrl.Secret, _ []string) {
			h.tamper("DELETE FROM runtime_tokens")
		}},
	} {
		t.Run(tc.why, func(t *testing.T) {
			h := newHarness(t)
			ws := h.workspace("sales", sales())
			h.launch(ws, "crm", nil)
			path := []string{"workspaces", ws.ID, "runtimes", "crm"}
			token := h.mint(ws.ID, "crm", object{})
			weaker, err := bctrl.Attenuate(token, bctrl.Mounts{Storage: &bctrl.StorageMount{Access: bctrl.StorageNone}},
				timeIn(1))
			require.NoError(t, err)
			for _, held := range []bctrl.Secret{token, weaker} {
				require.Equal(t, http.StatusOK, h.with(held, "GET", []string{"self"}, nil).Status)
			}
			tc.kill(h, token, path)
			for _, held := range []bctrl.Secret{token, weaker} {
				for _, segments := range [][]string{{"self"}, {"vault"}, path} {
					refused(t, h.with(held, "GET", segments, nil), http.StatusUnauthorized, tc.code, tc.why)
				}
			}
		})
	}
}

// timeIn is some minutes from now.
func timeIn(minutes int) time.Time { return time.Now().Add(time.Duration(minutes) * time.Minute) }

// weakened is a token with less.
func weakened(t *testing.T, token bctrl.Secret, m bctrl.Mounts, expiry time.Time) bctrl.Secret {
	t.Helper()
	out, err := bctrl.Attenuate(token, m, expiry)
	require.NoError(t, err)
	return out
}

func TestATokenReachesWhatEveryLevelPermitsAndNothingElse(t *testing.T) {
	h := newHarness(t)
	mounts := bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: []string{"prod/"}, AllowRawReads: new(true)}}
	ws := h.workspace("sales", mounts)
	for _, k := range []string{"prod/crm/a", "prod/crm/b", "prod/hr/a", "dev/a"} {
		h.ok("PUT", []string{"vault", k}, object{"username": "u", "password": "canary-password", "totp": "JBSWY3DPEHPK3PXP"},
			nil)
	}
	h.launch(ws, "crm", object{"vault": object{"deny": []string{"prod/hr/"}}})
	minted := h.mint(ws.ID, "crm", object{})
	crm := weakened(t, minted, vaultMount("prod/crm/"), time.Time{})
	one := weakened(t, crm, vaultMount("prod/crm/a"), time.Time{})
	noRaw := weakened(t, crm, bctrl.Mounts{Vault: &bctrl.VaultMount{AllowRawReads: new(false)}}, time.Time{})
	// The holder asks for more than there is above: it is without effect.
	greedy := weakened(t, minted, bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: []string{"/"}, AllowRawReads: new(true)}},
		time.Time{})
	for _, tc := range []struct {
		why, key  string
		token     bctrl.Secret
		headers   []string
		raw, totp int
	}{
		{"as minted", "prod/crm/a", minted, nil, 200, 200},
		{"the runtime's own deny", "prod/hr/a", minted, nil, 403, 403},
		{"outside the workspace", "dev/a", minted, nil, 403, 403},
		{"inside, missing", "prod/crm/no", minted, nil, 404, 404},
		{"inside what is left", "prod/crm/b", crm, nil, 200, 200},
		{"taken away", "prod/crm/b", one, nil, 403, 403},
		{"left twice", "prod/crm/a", one, nil, 200, 200},
		{"use without raw reads", "prod/crm/a", noRaw, nil, 403, 200},
		{"everything, of what there is", "prod/crm/a", greedy, nil, 200, 200},
		{"everything does not lift a deny", "prod/hr/a", greedy, nil, 403, 403},
		{"everything does not pass the workspace", "dev/a", greedy, nil, 403, 403},
		{"a request's own mounts come below", "prod/crm/b", crm, mountsHeader(`{"vault":{"allow":["prod/crm/a"]}}`), 403,
			403},
		{"and cannot widen", "prod/crm/a", one, mountsHeader(`{"vault":{"allow":["prod/crm/"]}}`), 400, 400},
		{"nor lift raw reads", "prod/crm/a", noRaw, mountsHeader(`{"vault":{"allowRawReads":true}}`), 400, 400},
	} {
		raw := h.with(tc.token, "GET", []string{"vault", tc.key}, nil, tc.headers...)
		require.Equal(t, tc.raw, raw.Status, "%s: %s", tc.why, raw.Body)
		require.NotContains(t, string(raw.Body), "JBSWY", "the seed is for nobody who is a runtime")
		require.Equal(t, raw.Status == 200, strings.Contains(string(raw.Body), "canary"), tc.why)
		require.Equal(t, tc.totp, h.with(tc.token, "GET", []string{"vault", tc.key, "totp"}, nil, tc.headers...).Status,
			tc.why)
	}
	for token, want := range map[*bctrl.Secret]string{&minted: `["prod/crm/a","prod/crm/b"]`,
		&crm: `["prod/crm/a","prod/crm/b"]`, &one: `["prod/crm/a"]`, &greedy: `["prod/crm/a","prod/crm/b"]`} {
		list := h.with(*token, "GET", []string{"vault"}, nil)
		require.JSONEq(t, `{"keys":`+want+`,"nextCursor":null}`, string(list.Body))
	}
	refusal := h.with(noRaw, "GET", []string{"vault", "prod/crm/a"}, nil)
	require.Contains(t, string(refusal.Body), "the missing right is vault.readRaw")

	ws.Mounts.Vault.Allow = []string{"prod/crm/b"}
	org := h.org()
	set := func(m bctrl.Mounts) {
		ws.Mounts = m
		h.write(func(tx *store.Tx) error { return tx.UpdateWorkspace(t.Context(), org, ws) })
	}
	set(ws.Mounts)
	require.Equal(t, 403, h.with(crm, "GET", []string{"vault", "prod/crm/a", "totp"}, nil).Status,
		"the workspace was lowered")
	require.Equal(t, 200, h.with(crm, "GET", []string{"vault", "prod/crm/b", "totp"}, nil).Status)
	set(bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: []string{"/"}, AllowRawReads: new(true)}})
	require.Equal(t, 200, h.with(crm, "GET", []string{"vault", "prod/crm/a", "totp"}, nil).Status)
	require.Equal(t, 403, h.with(crm, "GET", []string{"vault", "dev/a", "totp"}, nil).Status,
		"raised beyond its own declaration")
}

// appended is a token to which its holder appended mounts of its own writing.
func appended(t *testing.T, held bctrl.Secret, mounts string) string {
	t.Helper()
	parsed, err := token.Parse(held.Expose())
	require.NoError(t, err)
	parsed, err = parsed.Add(token.Caveat{Kind: token.Mounts, Body: []byte(mounts)})
	require.NoError(t, err)
	return parsed.Text()
}

func vaultMount(allow ...string) bctrl.Mounts {
	return bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: allow}}
}

func mountsHeader(text string) []string {
	return []string{"BCTRL-Mounts", base64.RawURLEncoding.EncodeToString([]byte(text))}
}

func TestATokenThatIsNotGenuineIsAnsweredLikeAWrongKey(t *testing.T) {
	h := newHarness(t)
	ws := h.workspace("sales", sales())
	h.launch(ws, "crm", nil)
	token := h.mint(ws.ID, "crm", object{"mounts": object{"vault": object{"allow": []string{"prod/crm/"}}}})
	wrong := h.send("GET", "/v1/self", nil, "x-request-id", "1", "Authorization",
		"Bearer bctrl_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	other := newHarness(t) // another server, with a root key of its own
	otherWS := other.workspace("sales", sales())
	other.launch(otherWS, "crm", nil)
	for why, text := range map[string]string{
		"forged": forged(token).Expose(), "of another server": other.mint(otherWS.ID, "crm",
			object{}).Expose(), "cut short": token.Expose()[:150],
		"longer": token.Expose() + "A", "its prefix alone": "bctrl_rt_", "mounts that cannot be meant": appended(t, token,
			`{"vault":{"deny":["prod//"]}}`),
	} {
		got := h.send("GET", "/v1/self", nil, "x-request-id", "1", "Authorization", "Bearer "+text)
		require.Equal(t, http.StatusUnauthorized, got.Status, why)
		require.Equal(t, string(wrong.Body), string(got.Body), why)
	}
	require.Equal(t, http.StatusOK, h.with(token, "GET", []string{"self"}, nil).Status)
	refused(t, h.with(weakened(t, token, bctrl.Mounts{}, time.UnixMilli(1)), "GET", []string{"self"}, nil),
		http.StatusUnauthorized, "auth.token_expired", "expired")
	h.lock() // which forgets the key, as a server's end does
	h.unlock()
	require.Equal(t, http.StatusOK, h.with(token, "GET", []string{"self"}, nil).Status, "the root key outlives the server")
}

func TestMintingIsRefusedWhatWidensOrCannotBe(t *testing.T) {
	h := newHarness(t)
	h.ok("POST", []string{"ai-credentials"}, openAI("mine"), nil)
	ws := h.made("sales", object{"vault": object{"allow": []string{"prod/crm/"}}, "ai": object{"allow": []string{"mine"}}})
	rt := h.launch(ws, "crm", nil)
	path := []string{"workspaces", ws.ID, "runtimes", "crm", "tokens"}
	long := make([]string, 200)
	for i := range long {
		long[i] = "prod/crm/" + strings.Repeat("x", 20)
	}
	for _, tc := range []struct {
		why    string
		body   object
		status int
		code   string
	}{
		{"wider", object{"mounts": object{"vault": object{"allow": []string{"prod/"}}}}, 400, "mounts.scope_widening"},
		{"raw reads", object{"mounts": object{"vault": object{"allowRawReads": true}}}, 400, "mounts.scope_widening"},
		{"a default of another provider", object{"mounts": object{"ai": object{"defaults": object{"anthropic": "mine"}}}},
			400, "mounts.default_wrong_provider"},
		{"too long", object{"mounts": object{"vault": object{"allow": long}}}, 400, "tokens.too_long"},
		{"too short a life", object{"ttlMs": 999}, 400, "tokens.invalid_ttl"},
		{"a negative life", object{"ttlMs": -1}, 400, "tokens.invalid_ttl"},
		{"too long a life", object{"ttlMs": 604800001}, 400, "tokens.invalid_ttl"},
		{"a life that overflows", object{"ttlMs": int64(1) << 62}, 400, "tokens.invalid_ttl"},
		{"null", object{"mounts": object{"vault": nil}}, 400, "mounts.ambiguous_null"},
		{"an unknown field", object{"mount": object{}}, 400, "request.unknown_field"},
		{"another runtime has the alias", object{"runtimeId": web.NewID()}, 409, "runtimes.not_active"},
	} {
		refused(t, h.do("POST", path, nil, tc.body), tc.status, tc.code, tc.why)
	}
	widening := h.do("POST", path, nil, object{"mounts": object{"vault": object{"allow": []string{"prod/"}}}})
	require.Contains(t, string(widening.Body), `"witness":"prod/0"`)
	refused(t, h.do("POST", append(path[:3:3], "no", "tokens"), nil, object{}), 404, "runtimes.not_found",
		"no such runtime")
	refused(t, h.do("DELETE", []string{"tokens", web.NewID()}, nil, nil), 404, "tokens.not_found", "no such token")
	refused(t, h.do("DELETE", []string{"tokens", "x"}, nil, nil), 400, "request.invalid_id", "not an id")
	refused(t, h.do("POST", path, nil, object{}, as(rt)...), 403, "auth.not_for_runtimes", "as the runtime")
	refused(t, h.with(h.mint(ws.ID, "crm", object{}), "POST", path, object{}), 403, "auth.not_for_runtimes",
		"a token mints none")
	h.ok("POST", append(path[:4:4], "stop"), nil, nil)
	refused(t, h.do("POST", path, nil, object{}), 409, "runtimes.not_active", "the runtime has stopped")
}

func TestTheHolderLearnsWhoItIsAndWhatDecides(t *testing.T) {
	h := newHarness(t)
	ws := h.workspace("sales", sales())
	launched := h.launch(ws, "crm", nil)
	var key wire.Self[bctrl.RuntimeInfo]
	h.ok("GET", []string{"self"}, nil, &key)
	require.Equal(t, "key", key.Kind)
	require.NotEmpty(t, key.KeyID)
	require.Nil(t, key.Runtime)

	token := weakened(t, h.mint(ws.ID, "crm", object{"mounts": object{"storage": object{"access": "none"}}}),
		vaultMount("prod/crm/a"), time.Time{})
	var self wire.Self[bctrl.RuntimeInfo]
	got := h.with(token, "GET", []string{"self"}, nil)
	require.NoError(t, json.Unmarshal(got.Body, &self))
	require.Equal(t, "token", self.Kind)
	require.Equal(t, tokenID(t, token), self.TokenID)
	require.Equal(t, key.Organization, self.Organization)
	require.Empty(t, self.KeyID)
	require.Equal(t, launched.ID, self.Runtime.ID)
	require.Equal(t, []string{"prod/crm/a"}, self.Runtime.EffectiveMounts.Vault.Allow,
		"what the token may, not what the runtime may")
	require.Equal(t, bctrl.StorageNone, self.Runtime.EffectiveMounts.Storage.Access)
	var info bctrl.RuntimeInfo
	got = h.with(token, "GET", []string{"workspaces", ws.ID, "runtimes", "crm"}, nil)
	require.NoError(t, json.Unmarshal(got.Body, &info))
	require.Equal(t, self.Runtime.EffectiveMounts, info.EffectiveMounts)
	require.Equal(t, &info.EffectiveMounts, info.Mounts, "nor what the runtime declared")
	require.Empty(t, info.Summary.StorageWorkspace)

	explain := func(token *bctrl.Secret, verb bctrl.Verb, on string, headers ...string) (d bctrl.Decision) {
		path := []string{"workspaces", ws.ID, "runtimes", "crm", "explain"}
		body := object{"verb": verb, "object": on}
		got := h.do("POST", path, nil, body, headers...)
		if token != nil {
			got = h.with(*token, "POST", path, body, headers...)
		}
		require.Equal(t, http.StatusOK, got.Status, "%s", got.Body)
		require.NoError(t, json.Unmarshal(got.Body, &d))
		return d
	}
	for _, tc := range []struct {
		why     string
		token   *bctrl.Secret
		verb    bctrl.Verb
		object  string
		headers []string
		allowed bool
		level   int
		field   string
	}{
		{"the workspace allows", nil, bctrl.UseVault, "prod/crm/b", nil, true, 0, "mounts.vault.allow[0]"},
		{"the workspace does not", nil, bctrl.UseVault, "prod/hr", nil, false, 0, "mounts.vault.allow"},
		{"no raw reads", nil, bctrl.ReadVault, "prod/crm/a", nil, false, 0, "mounts.vault.allowRawReads"},
		{"nothing mounted", nil, bctrl.UseAI, "openai", nil, false, 0, "mounts.ai"},
		{"the attenuation does not", &token, bctrl.UseVault, "prod/crm/b", nil, false, 3, "mounts.vault.allow"},
		{"the attenuation allows", &token, bctrl.UseVault, "prod/crm/a", nil, true, 3, "mounts.vault.allow[0]"},
		{"the token was minted without storage", &token, bctrl.GetStorage, "sales-exports", nil, false, 2,
			"mounts.storage.access"},
		{"the request lowers", &token, bctrl.UseVault, "prod/crm/a", mountsHeader(`{"vault":{"deny":["prod/crm/a"]}}`), false,
			4, "mounts.vault.deny[0]"},
		{"an organization key as the runtime", nil, bctrl.UseVault, "prod/crm/b", as(launched, `{"vault":{"allow":[]}}`),
			false, 2, "mounts.vault.allow"},
		{"no verb of mounts", nil, "runtime.stop", "crm", nil, false, 0, ""},
	} {
		d := explain(tc.token, tc.verb, tc.object, tc.headers...)
		require.Equal(t, tc.allowed, d.Allowed, tc.why)
		require.Equal(t, tc.level, d.Level, tc.why)
		require.Equal(t, tc.field, d.Field, tc.why)
		require.NotEmpty(t, d.Reason, tc.why)
	}
}

func TestWhatATokenDoesIsRecordedAndItsTextNowhere(t *testing.T) {
	h := newHarness(t)
	ws := h.workspace("sales", sales())
	rt := h.launch(ws, "crm", nil)
	h.ok("PUT", []string{"vault", "prod/crm/a"}, object{"totp": "JBSWY3DPEHPK3PXP"}, nil)
	var minted wire.NewToken
	h.ok("POST", []string{"workspaces", ws.ID, "runtimes", "crm", "tokens"}, object{}, &minted, "Idempotency-Key", "once")
	token := bctrl.NewSecret(minted.Token.Reveal())
	var again wire.NewToken
	h.ok("POST", []string{"workspaces", ws.ID, "runtimes", "crm", "tokens"}, object{}, &again, "Idempotency-Key", "once")
	require.Equal(t, minted.ID, again.ID, "a mint whose answer was lost has one effect")
	weaker := weakened(t, token, vaultMount("prod/crm/"), timeIn(1))
	require.Equal(t, 200, h.with(weaker, "GET", []string{"vault", "prod/crm/a", "totp"}, nil).Status)
	require.Equal(t, 403, h.with(weaker, "GET", []string{"vault", "prod/hr", "totp"}, nil).Status)
	require.Equal(t, 403, h.with(weaker, "GET", []string{"keys"}, nil).Status)
	step := object{"call": "page.screenshot", "args": object{}}
	got := h.with(weaker, "POST", []string{"workspaces", ws.ID, "execute"},
		object{"runtime": "crm", "steps": []object{step}})
	require.Equal(t, 200, got.Status, "%s", got.Body)
	h.ok("DELETE", []string{"tokens", minted.ID}, nil, nil)
	require.Equal(t, 401, h.with(weaker, "GET", []string{"self"}, nil).Status)

	seen := map[string]bool{}
	for _, e := range h.events() {
		if e.Caller != "token:"+minted.ID {
			if e.Action == "token.write" {
				require.Equal(t, minted.ID, e.Object)
				require.Equal(t, rt.ID, e.Runtime)
				seen[e.Action] = true
			}
			continue
		}
		if e.Kind != audit.Outcome {
			require.Equal(t, rt.ID, e.Runtime, "%+v", e)
		}
		seen[e.Action+" "+string(e.Decision)+" "+e.Outcome] = true
	}
	for _, want := range []string{"token.write", "vault.use allow ", "vault.use deny vault.outside_mount",
		"key.read deny auth.not_for_runtimes", "runtime.execute allow ", "storage.put allow ok",
		"self.read deny auth.token_revoked"} {
		require.True(t, seen[want], "%s is not in %v", want, seen)
	}
	// A piece of the head that is the same in both, and each one's tag.
	for _, held := range []bctrl.Secret{token, weaker} {
		text := held.Expose()
		for _, piece := range []string{text[:60], text[len(text)-40:]} {
			require.NoError(t, filepath.WalkDir(h.dir, func(path string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				content, err := os.ReadFile(path)
				require.NotContains(t, string(content), piece, path)
				return err
			}))
		}
	}
}

// An idempotency key is the caller's own: nobody occupies another's, is answered
// what another was, or learns from a refusal that another has used it. The
// attenuations of a token, which others may hold, are callers of their own.
func TestAnIdempotencyKeyIsTheCallersOwn(t *testing.T) {
	h := newHarness(t)
	ws := h.workspace("sales", sales())
	rt := h.launch(ws, "crm", nil)
	var second struct{ Key string }
	h.ok("POST", []string{"keys"}, object{"label": "second"}, &second)
	token, other := h.mint(ws.ID, "crm", object{}), h.mint(ws.ID, "crm", object{})
	narrow := bctrl.Mounts{Storage: &bctrl.StorageMount{Access: bctrl.StorageNone}}
	header := base64.RawURLEncoding.EncodeToString([]byte(`{"storage":{"access":"none"}}`))
	bearer := func(text string, more ...string) []string {
		return append([]string{"Authorization", "Bearer " + text}, more...)
	}
	callers := []struct {
		why     string
		headers []string
	}{
		{"an organization key", bearer(h.key)},
		{"another", bearer(second.Key)},
		{"a runtime token", bearer(token.Expose())},
		{"another of the same runtime", bearer(other.Expose())},
		{"an attenuation", bearer(weakened(t, token, narrow, time.Time{}).Expose())},
		{"one that only ends sooner", bearer(weakened(t, token, bctrl.Mounts{}, time.Now().Add(time.Minute)).Expose())},
		{"a token lowered by header", bearer(other.Expose(), "BCTRL-Mounts", header)},
		{"a key that acts as the runtime", bearer(h.key, "BCTRL-Runtime", rt.ID)},
		{"another that does", bearer(second.Key, "BCTRL-Runtime", rt.ID)},
		{"one that acts as less", bearer(h.key, "BCTRL-Runtime", rt.ID, "BCTRL-Mounts", header)},
	}
	ask := func(n int, call string) answer {
		body := `{"runtime":"crm","steps":[{"call":"page.goto","args":{"url":"https://example.com/` + call + `"}}]}`
		headers := append([]string{"Content-Type", "application/json", "Idempotency-Key", "known"}, callers[n].headers...)
		return h.send("POST", "/v1/workspaces/"+ws.ID+"/execute", jsonBody(body), headers...)
	}
	firsts := map[int]string{}
	for n, caller := range callers {
		got := ask(n, strconv.Itoa(n)) // a body of its own each: another's would be a mismatch
		require.Equal(t, http.StatusOK, got.Status, caller.why)
		firsts[n] = string(got.Body)
	}
	before := len(h.log(bctrl.AuditFilter{Action: "runtime.execute"}))
	for n, caller := range callers {
		require.Equal(t, firsts[n], string(ask(n, strconv.Itoa(n)).Body), caller.why)
		refused(t, ask(n, "else"), http.StatusUnprocessableEntity, "request.idempotency_mismatch", caller.why)
	}
	ran := h.log(bctrl.AuditFilter{Action: "runtime.execute", Outcome: "ok"})
	require.Len(t, ran, before, "nothing ran twice")
}

func TestALinkDoesNotOutliveTheTokenThatMadeIt(t *testing.T) {
	h := newHarness(t)
	ws := h.workspace("sales", sales())
	h.launch(ws, "crm", nil)
	h.stored("sales-exports", "a", "x")
	token := h.mint(ws.ID, "crm", object{"ttlMs": 60000})
	var link struct{ ExpiresIn int64 }
	got := h.with(token, "GET", []string{"storage", "namespaces", "sales-exports", "files", "a", "download-url"}, nil)
	require.NoError(t, json.Unmarshal(got.Body, &link))
	require.LessOrEqual(t, link.ExpiresIn, int64(60))
	require.Positive(t, link.ExpiresIn)
}

func TestTokensThatExpiredAreForgottenADayLater(t *testing.T) {
	h := newHarness(t)
	ws := h.workspace("sales", sales())
	h.launch(ws, "crm", nil)
	id := tokenID(t, h.mint(ws.ID, "crm", object{}))
	kept := tokenID(t, h.mint(ws.ID, "crm", object{}))
	h.tamper("UPDATE runtime_tokens SET expires_at = 1 WHERE id = '" + id + "'")
	require.NoError(t, h.server.Sweep(t.Context()))
	_, err := h.db.Read().RuntimeToken(t.Context(), h.org(), id)
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = h.db.Read().RuntimeToken(t.Context(), h.org(), kept)
	require.NoError(t, err)
}

func TestANarrowedCallerLearnsNothingOfWhatItLost(t *testing.T) {
	h := newHarness(t)
	h.ok("POST", []string{"ai-credentials"}, openAI("mine"), nil)
	ws := h.made("w", object{"ai": object{"allow": []string{"mine"}}, "vault": object{"allow": []string{"prod/"}},
		"storage": object{"workspace": "files"}})
	path := []string{"workspaces", ws.ID, "runtimes"}
	var rt bctrl.RuntimeInfo
	h.ok("POST", path, object{
		"alias": "r", "kind": "browser", "driver": "stagehand", "launch": object{"credential": "mine"},
		"mounts": object{"vault": object{"allow": []string{"prod/crm"}}},
	}, &rt)
	path = append(path, "r")
	whole := string(h.do("GET", path, nil, nil, as(rt)...).Body)
	for _, name := range []string{"mine", "prod/crm", "files"} {
		require.Contains(t, whole, name)
	}
	narrowed := h.do("GET", path, nil, nil,
		as(rt, `{"ai": {"allow": []}, "vault": {"allow": []}, "storage": {"access": "none"}}`)...)
	require.Equal(t, http.StatusOK, narrowed.Status, "%s", narrowed.Body)
	for _, name := range []string{"mine", "prod", "files"} {
		require.NotContains(t, string(narrowed.Body), name)
	}
}
