package server

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
)

func TestWhatIsReadAndWhatPermittedItAreOfOneMoment(t *testing.T) {
	l := newLowering(t, "http://127.0.0.1:9/v1")
	// read asks a route that shows whether the login is permitted, and changes
	// the rules after it has looked for the first time.
	read := func(change func()) (reads int, got answer) {
		routes := web.NewRouter(l.server.Kernel, []web.Route{
			web.Endpoint("GET /v1/x", bctrl.UseVault, func(_ context.Context, rq *web.Request, _ web.None) (object, error) {
				permitted := rq.Authorize("prod/crm") == nil
				if reads++; reads == 1 {
					change()
				}
				return object{"permitted": permitted}, nil
			}),
		})
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/x", nil)
		req.Header.Set("Authorization", "Bearer "+l.token)
		rec := httptest.NewRecorder()
		routes.ServeHTTP(rec, req)
		return reads, answer{Status: rec.Code, Header: rec.Header(), Body: rec.Body.Bytes()}
	}
	reads, got := read(func() {})
	require.JSONEq(t, `{"permitted": true}`, string(got.Body))
	require.Equal(t, 1, reads)

	// Lowered while it read, and not yet asked about again.
	reads, got = read(func() {
		org := l.org()
		l.write(func(tx *store.Tx) error {
			ws, err := tx.Workspace(t.Context(), org, l.ws.ID)
			if err != nil {
				return err
			}
			ws.Version, ws.Mounts.Vault = ws.Version+1, nil
			return tx.UpdateWorkspace(t.Context(), org, ws)
		})
	})
	require.JSONEq(t, `{"permitted": false}`, string(got.Body), "what was read after the lowering is decided by it")
	require.Equal(t, 2, reads)

	reads, got = read(func() { l.to(l.mounts("s")) })
	require.JSONEq(t, `{"permitted": true}`, string(got.Body), "raised")
	require.Equal(t, 2, reads)

	_, got = read(func() { l.to(object{}) })
	refused(t, got, http.StatusForbidden, "vault.outside_mount", "lowered, and asked about again")
	l.to(l.mounts("s"))
	_, got = read(func() { l.ok("DELETE", []string{"tokens", l.tokenID}, nil, nil) })
	refused(t, got, http.StatusUnauthorized, "auth.token_revoked",
		"nothing that was read after its end is shown to a token")
}

func TestARememberedAnswerIsDecidedAgain(t *testing.T) {
	l := newLowering(t, "http://127.0.0.1:9/v1")
	l.stored("s", "f", "content")
	send := func(method, path, key string) answer {
		return l.send(method, path, nil, "Authorization", "Bearer "+l.token, "Idempotency-Key", key)
	}
	test, remove := target([]string{"ai-credentials", "mine", "test"}, nil), target(file("s", "f"), nil)
	first, deleted := send("POST", test, "a"), send("DELETE", remove, "b")
	require.Equal(t, http.StatusOK, first.Status, "%s", first.Body)
	require.Equal(t, http.StatusOK, deleted.Status, "%s", deleted.Body)
	require.Equal(t, first.Body, send("POST", test, "a").Body)

	l.to(object{"storage": object{"workspace": "other"}})
	refused(t, send("POST", test, "a"), 403, "ai.outside_mount", "the credential is no longer mounted")
	refused(t, send("DELETE", remove, "b"), 403, "storage.outside_mount", "the namespace is no longer mounted")
	events := l.events()
	last := events[len(events)-1]
	require.Equal(t, audit.Denied, last.Decision, "on record")
	require.Equal(t, "s", last.Object)

	l.to(l.mounts("s"))
	require.Equal(t, first.Body, send("POST", test, "a").Body, "permitted again, and still the first answer")
	require.Equal(t, deleted.Body, send("DELETE", remove, "b").Body)
}

// TestANarrowedHandleIsHeldToItsMountsWithoutTheSDK sends what the SDK would
// have refused.
func TestANarrowedHandleIsHeldToItsMountsWithoutTheSDK(t *testing.T) {
	l := newLowering(t, "http://127.0.0.1:9/v1")
	narrow := `{"vault": {"allow": ["prod/crm"]}, "storage": {"access": "none"}}`
	l.ok("PUT", []string{"vault", "prod/hr"}, object{"password": "p", "totp": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"}, nil)
	refused(t, l.do("GET", []string{"vault", "prod/hr", "totp"}, nil, nil, as(l.rt, narrow)...), 403,
		"vault.outside_mount", "outside the handle")
	refused(t, l.do("GET", file("s", "f"), nil, nil, as(l.rt, narrow)...), 403, "storage.outside_mount",
		"the handle has no storage")
	wide := l.do("GET", []string{"vault"}, nil, nil, as(l.rt, `{"vault": {"allow": ["/"]}}`)...)
	refused(t, wide, 400, "mounts.scope_widening", "wider than the runtime")
	require.Contains(t, string(wide.Body), `"witness":"0"`)

	// Executions and steps carry mounts of their own.
	step := object{"call": "page.screenshot"}
	run := func(execution, of object, headers ...string) answer {
		body := object{"runtime": "r", "steps": []object{of}}
		for k, v := range execution {
			body[k] = v
		}
		return l.do("POST", []string{"workspaces", l.ws.ID, "execute"}, nil, body, headers...)
	}
	none := object{"storage": object{"access": "none"}}
	with := func(m object) object { return object{"call": "page.screenshot", "mounts": m} }
	require.Contains(t, string(run(nil, step).Body), `"logicalPath"`)
	for why, got := range map[string]answer{
		"the handle": run(nil, step, as(l.rt, narrow)...), "the execution": run(object{"mounts": none},
			step), "the step": run(nil, with(none)),
	} {
		require.Contains(t, string(got.Body), `"storage.outside_mount"`, why)
	}
	for why, got := range map[string]answer{
		"an execution above its runtime": run(object{"mounts": object{"vault": object{"allow": []string{"/"}}}}, step),
		"a step above its execution":     run(object{"mounts": none}, with(object{"storage": object{"workspace": "s"}})),
		"a step above its handle": run(nil, with(object{"vault": object{"allow": []string{"prod/"}}}),
			as(l.rt, narrow)...),
	} {
		refused(t, got, 400, "mounts.scope_widening", why)
	}

	// The SDK refuses the same before it sends anything, with the same witness.
	client := l.sdk(straight)
	ws, err := client.Workspaces.Get(t.Context(), l.ws.ID)
	require.NoError(t, err)
	rt, err := ws.Runtimes.Get(t.Context(), "r")
	require.NoError(t, err)
	lower, err := rt.Narrow(bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: []string{"prod/crm"}}})
	require.NoError(t, err)
	before := len(l.events())
	_, err = lower.Narrow(bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: []string{"prod/"}}})
	require.ErrorIs(t, err, bctrl.ErrWidening)
	require.Equal(t, "prod/0", err.(*bctrl.Error).Witness) //nolint:errorlint // it is that type
	_, err = lower.Vault.TOTP(t.Context(), "prod/hr")
	require.ErrorIs(t, err, bctrl.ErrOutsideMount)
	require.Len(t, l.events(), before, "the server heard of neither")
}
