package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/store"
)

func TestAnAliasIsFreeAgainOnceItsRuntimeHasStopped(t *testing.T) {
	h := newHarness(t)
	ws := h.workspace("sales", sales())
	first := h.launch(ws, "crm", nil)
	require.Equal(t, bctrl.RuntimeActive, first.Status)
	require.Equal(t, []string{first.ID}, h.browsers.Running())

	path := []string{"workspaces", ws.ID, "runtimes"}
	again := h.do("POST", path, nil, object{"alias": "crm", "kind": "browser", "driver": "stagehand", "launch": object{}})
	require.Equal(t, http.StatusConflict, again.Status)
	require.Equal(t, "runtimes.alias_in_use", again.code())

	stopped := h.do("POST", append(path, "crm", "stop"), nil, nil)
	require.Equal(t, http.StatusOK, stopped.Status, "%s", stopped.Body)
	require.Contains(t, string(stopped.Body), `"status":"stopped"`)
	require.Empty(t, h.browsers.Running())
	require.Equal(t, http.StatusOK, h.do("POST", append(path, "crm", "stop"), nil, nil).Status, "stopping twice")

	second := h.launch(ws, "crm", nil)
	require.NotEqual(t, first.ID, second.ID)
	got := h.do("GET", append(path, "crm"), nil, nil)
	require.Contains(t, string(got.Body), second.ID)
	list := h.do("GET", path, nil, nil)
	require.Contains(t, string(list.Body), first.ID)
}

func TestALaunchCannotWidenItsWorkspace(t *testing.T) {
	h := newHarness(t)
	ws := h.workspace("sales", sales())
	got := h.do("POST", []string{"workspaces", ws.ID, "runtimes"}, nil, object{
		"alias": "crm", "kind": "browser", "driver": "stagehand", "launch": object{},
		"mounts": object{"vault": object{"allow": []string{"prod/"}}},
	})
	require.Equal(t, http.StatusBadRequest, got.Status)
	require.Equal(t, "mounts.scope_widening", got.code())
	require.Contains(t, string(got.Body), `"witness":"prod/0"`)
	require.Empty(t, h.browsers.Running())
}

func TestACrashIsSeenAndFreesTheAlias(t *testing.T) {
	h := newHarness(t)
	ws := h.workspace("sales", sales())
	rt := h.launch(ws, "crm", nil)
	require.True(t, h.browsers.Crash(rt.ID))
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		require.Contains(c, string(h.do("GET", []string{"workspaces", ws.ID, "runtimes", "crm"}, nil, nil).Body),
			`"status":"failed"`)
	}, 5*time.Second, 10*time.Millisecond)
	h.launch(ws, "crm", nil)
}

func TestARuntimeReachesWhatEveryLevelPermitsAndNothingElse(t *testing.T) {
	h := newHarness(t)
	ws := h.workspace("sales", sales())
	for _, k := range []string{"prod/crm/a", "prod/crm/b/c", "prod/hr"} {
		require.Equal(t, http.StatusOK, h.do("PUT", []string{"vault", k}, nil,
			object{"password": "p", "totp": "JBSWY3DPEHPK3PXP"}).Status)
	}
	rt := h.launch(ws, "crm", nil)
	narrow := `{"vault":{"allow":["prod/crm/b/"]}}`
	totp := func(key string, headers ...string) answer {
		return h.do("GET", []string{"vault", key, "totp"}, nil, nil, headers...)
	}
	for _, tc := range []struct {
		why, key string
		headers  []string
		want     int
	}{
		{"inside", "prod/crm/a", as(rt), 200},
		{"inside and narrower", "prod/crm/b/c", as(rt, narrow), 200},
		{"narrowed away", "prod/crm/a", as(rt, narrow), 403},
		{"outside, there", "prod/hr", as(rt), 403},
		{"outside, missing", "prod/nothing", as(rt), 403},
		{"inside, missing", "prod/crm/nothing", as(rt), 404},
		{"a widening is refused, not cut", "prod/crm/a", as(rt, `{"vault":{"allow":["prod/"]}}`), 400},
	} {
		require.Equal(t, tc.want, totp(tc.key, tc.headers...).Status, tc.why)
	}
	there, missing := totp("prod/hr", as(rt)...), totp("prod/nothing", as(rt)...)
	require.Equal(t, withoutID(there), withoutID(missing), "the answer tells whether the key exists")

	require.Equal(t, http.StatusForbidden, h.do("GET", []string{"vault", "prod/crm/a"}, nil, nil, as(rt)...).Status,
		"a raw read")
	require.Equal(t, http.StatusForbidden, h.do("PUT", []string{"vault", "prod/crm/a"}, nil, object{"password": "p"},
		as(rt)...).Status)
	list := h.do("GET", []string{"vault"}, nil, nil, as(rt)...)
	require.JSONEq(t, `{"keys":["prod/crm/a","prod/crm/b/c"],"nextCursor":null}`, string(list.Body))
	list = h.do("GET", []string{"vault"}, url.Values{"prefix": {"prod/crm/b"}}, nil, as(rt)...)
	require.JSONEq(t, `{"keys":["prod/crm/b/c"],"nextCursor":null}`, string(list.Body))
}

func TestLoweringAWorkspaceLowersItsRuntimesOnTheNextCall(t *testing.T) {
	h := newHarness(t)
	ws := h.workspace("sales", sales())
	require.Equal(t, http.StatusOK, h.do("PUT", []string{"vault", "prod/crm/a"}, nil,
		object{"totp": "JBSWY3DPEHPK3PXP"}).Status)
	rt := h.launch(ws, "crm", object{"vault": object{"allow": []string{"prod/crm/"}}})
	totp := func() int { return h.do("GET", []string{"vault", "prod/crm/a", "totp"}, nil, nil, as(rt)...).Status }
	require.Equal(t, 200, totp())
	orgs, err := h.db.Read().Organizations(t.Context())
	require.NoError(t, err)
	set := func(allow ...string) {
		ws.Mounts.Vault = &bctrl.VaultMount{Allow: allow}
		h.write(func(tx *store.Tx) error { return tx.UpdateWorkspace(t.Context(), orgs[0].ID, ws) })
	}
	set("prod/crm/b/")
	require.Equal(t, 403, totp())
	set("/")
	require.Equal(t, 200, totp())
	require.Equal(t, 403, h.do("GET", []string{"vault", "prod/x", "totp"}, nil, nil, as(rt)...).Status,
		"raised beyond its own declaration")
}

func TestAHandleNarrowedBeforeALoweringKeepsWhatIsLeft(t *testing.T) {
	h := newHarness(t)
	ws := h.workspace("sales", sales())
	for _, k := range []string{"prod/crm/a", "prod/crm/b/c"} {
		require.Equal(t, http.StatusOK, h.do("PUT", []string{"vault", k}, nil, object{"totp": "JBSWY3DPEHPK3PXP"}).Status)
	}
	rt := h.launch(ws, "crm", nil)
	lowered := object{"mounts": object{"vault": object{"allow": []string{"prod/crm/b/"}}}}
	require.Equal(t, http.StatusOK, h.do("PATCH", []string{"workspaces", ws.ID}, nil, lowered).Status)
	totp := func(key, mounts string) int {
		return h.do("GET", []string{"vault", key, "totp"}, nil, nil, as(rt, mounts)...).Status
	}
	declared := `{"vault":{"allow":["prod/crm/"]}}`
	require.Equal(t, 200, totp("prod/crm/b/c", declared))
	require.Equal(t, 403, totp("prod/crm/a", declared))
	require.Equal(t, 400, totp("prod/crm/b/c", `{"vault":{"allow":["prod/"]}}`), "it never fitted")
}

func TestALaunchCannotNameACredentialOutsideItsMounts(t *testing.T) {
	h := newHarness(t)
	ws := h.workspace("sales", sales())
	got := h.do("POST", []string{"workspaces", ws.ID, "runtimes"}, nil, object{
		"alias": "crm", "kind": "browser", "driver": "stagehand", "launch": object{"credential": "openai-prod"},
	})
	require.Equal(t, http.StatusForbidden, got.Status)
	require.Equal(t, "ai.outside_mount", got.code())
	require.Empty(t, h.browsers.Running())
}

func TestARuntimeSeesItselfAlone(t *testing.T) {
	h := newHarness(t)
	ws := h.workspace("sales", sales())
	a, _ := h.launch(ws, "a", nil), h.launch(ws, "b", nil)
	get := func(alias string) int {
		return h.do("GET", []string{"workspaces", ws.ID, "runtimes", alias}, nil, nil, as(a)...).Status
	}
	require.Equal(t, 200, get("a"))
	require.Equal(t, 403, get("b"))
	require.Equal(t, 403, get("nothing"))
	require.Equal(t, 403, h.do("GET", []string{"workspaces", ws.ID, "runtimes"}, nil, nil, as(a)...).Status)
	require.Equal(t, 200, h.do("POST", []string{"workspaces", ws.ID, "runtimes", "a", "stop"}, nil, nil, as(a)...).Status)
	require.Equal(t, 409, get("a"), "it has ended, and its caller with it")
}

func withoutID(a answer) string {
	var body map[string]any
	_ = json.Unmarshal(a.Body, &body)
	delete(body, "requestId")
	raw, _ := json.Marshal(body)
	return string(raw)
}

// noSandbox is a driver on a machine that denies Chromium its sandbox.
type noSandbox struct{ browser.Driver }

func (noSandbox) Launch(context.Context, browser.Spec) (browser.Browser, error) {
	return nil, fmt.Errorf("the browser ended by itself: /opt/secret-path: %w", browser.ErrNoSandbox)
}

func TestALaunchSaysWhatTheOperatorCanDoAboutAMissingSandbox(t *testing.T) {
	h := newHarness(t)
	h.startWith(noSandbox{})
	ws := h.workspace("sales", sales())
	got := h.do("POST", []string{"workspaces", ws.ID, "runtimes"}, nil, object{"alias": "crm", "kind": "browser",
		"driver": "stagehand", "launch": object{}})
	require.Equal(t, http.StatusServiceUnavailable, got.Status)
	require.Contains(t, string(got.Body), "user namespaces")
	require.NotContains(t, string(got.Body), "/opt/secret-path")
	failed := h.do("GET", []string{"workspaces", ws.ID, "runtimes", "crm"}, nil, nil)
	require.Contains(t, string(failed.Body), "the browser did not start")
	require.NotContains(t, string(failed.Body), "namespaces", "a runtime learns nothing of the machine")
}

// noWebDriver is a driver on a machine that has no chromedriver.
type noWebDriver struct{ browser.Driver }

func (noWebDriver) CheckWebDriver() error { return browser.ErrNoWebDriver }

func TestALaunchForSeleniumSaysWhatToInstall(t *testing.T) {
	h := newHarness(t)
	h.startWith(noWebDriver{h.browsers})
	ws := h.workspace("sales", sales())
	got := h.do("POST", []string{"workspaces", ws.ID, "runtimes"}, nil, object{"alias": "crm", "kind": "browser",
		"driver": "selenium", "launch": object{}})
	require.Equal(t, http.StatusUnprocessableEntity, got.Status)
	require.Contains(t, string(got.Body), "runtimes.no_webdriver")
	require.Contains(t, string(got.Body), "apt-get install --no-install-recommends chromium-driver")
	got = h.do("GET", []string{"workspaces", ws.ID, "runtimes", "crm"}, nil, nil)
	require.Equal(t, http.StatusNotFound, got.Status, "nothing was begun")
}

// TestARuntimeThatIsActiveTakesCalls has somebody else than its launcher look for it.
func TestARuntimeThatIsActiveTakesCalls(t *testing.T) {
	h := newHarness(t)
	ws, org := h.workspace("sales", sales()), h.org()
	for n := range 60 {
		alias := fmt.Sprint("r", n)
		executed := make(chan answer, 1)
		go func() {
			for t.Context().Err() == nil {
				rt, err := h.db.Read().RuntimeByAlias(t.Context(), org, ws.ID, alias)
				if err == nil && rt.Status == bctrl.RuntimeActive {
					break
				}
			}
			executed <- h.do("POST", []string{"workspaces", ws.ID, "execute"}, nil,
				object{"runtime": alias, "steps": []object{{"call": "pages", "args": object{}}}})
		}()
		rt := h.launch(ws, alias, nil)
		got := <-executed
		require.Equal(t, http.StatusOK, got.Status, "%s", got.Body)
		h.ok("POST", []string{"workspaces", ws.ID, "runtimes", rt.Alias, "stop"}, nil, nil)
	}
}
