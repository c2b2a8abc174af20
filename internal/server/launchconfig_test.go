package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/egress"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/wire"
)

const launchCanary = "canary-of-a-launch/0123"

// routeDriver is the fake, which remembers what it was to launch last.
type routeDriver struct {
	browser.Driver
	mu   sync.Mutex
	last browser.Spec
}

func (d *routeDriver) Launch(ctx context.Context, spec browser.Spec) (browser.Browser, error) {
	d.mu.Lock()
	d.last = spec
	d.mu.Unlock()
	return d.Driver.Launch(ctx, spec)
}

func (d *routeDriver) route() egress.Route {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.last.Route
}

// launchWorld is a workspace with entries in the vault, and a proxy that lets nobody in.
type launchWorld struct {
	*harness
	ws     store.Workspace
	driver *routeDriver
	path   []string
	proxy  string
}

func newLaunchWorld(t *testing.T) *launchWorld {
	h := newHarness(t)
	w := &launchWorld{harness: h, driver: &routeDriver{Driver: h.browsers}}
	h.startWith(w.driver)
	w.ws = h.made("sales", object{"vault": object{"allow": []string{"stage/"}}})
	w.path = []string{"workspaces", w.ws.ID, "runtimes"}
	for key, body := range map[string]object{
		"stage/token": {"password": launchCanary},
		"stage/bound": {"password": launchCanary, "origins": []string{"https://app.example.com"}},
		"prod/token":  {"password": launchCanary},
	} {
		require.Equal(h, http.StatusOK, h.do("PUT", []string{"vault", key}, nil, body).Status)
	}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusProxyAuthRequired)
	}))
	t.Cleanup(proxy.Close)
	w.proxy = proxy.URL
	return w
}

func (w *launchWorld) launch(alias string, config any) answer {
	w.Helper()
	return w.do("POST", w.path, nil, object{
		"alias": alias, "kind": "browser", "driver": "stagehand", "launch": object{"config": config},
	})
}

func header(more object) object {
	h := object{"name": "Authorization", "hosts": []string{"app.example.com"}}
	for name, value := range more {
		h[name] = value
	}
	return object{"headers": []object{h}}
}

func TestALaunchThatIsRefusedLeavesNothing(t *testing.T) {
	w := newLaunchWorld(t)
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, gone.Close())
	for _, tc := range []struct {
		why         string
		config      any
		status      int
		code, field string
	}{
		{"an unknown option", object{"zoom": 2}, 400, "request.unknown_field", "launch.config.zoom"},
		{"a viewport of no size", object{"width": 0, "height": 0}, 400, "runtimes.invalid_viewport", "launch.config.width"},
		{"no locale", object{"locale": "de_DE"}, 400, "runtimes.invalid_locale", "launch.config.locale"},
		{"no time zone", object{"timezone": "Mars/Olympus"}, 400, "runtimes.invalid_timezone", "launch.config.timezone"},
		{"a password in an address", object{"proxy": object{"server": "http://a:" + launchCanary + "@proxy.example.com"}},
			400, "runtimes.proxy_password_in_url", "launch.config.proxy.server"},
		{"everybody below .com", object{"ignoreCertificateErrors": []string{"*.com"}}, 400,
			"runtimes.invalid_certificate_hosts", "launch.config.ignoreCertificateErrors[0]"},
		{"a header of the connection", object{"headers": []object{
			{"name": "Host", "hosts": []string{"a.example"}, "value": "x"}}}, 400,
			"runtimes.header_not_settable", "launch.config.headers[0].name"},
		{"a secret that the mounts do not permit", header(object{"vaultKey": "prod/token"}), 403, "vault.outside_mount",
			"launch.config.headers[0].vaultKey"},
		{"a secret that there is not", header(object{"vaultKey": "stage/none"}), 404, "vault.secret_not_found", ""},
		{"a secret for another host", object{"headers": []object{{
			"name": "X-Key", "hosts": []string{"other.example.com"}, "vaultKey": "stage/bound"}}}, 422,
			"runtimes.secret_elsewhere", ""},
		{"a proxy that refuses", object{"proxy": object{"server": w.proxy, "vaultKey": "stage/token"}}, 422,
			"runtimes.proxy_refused", "launch.config.proxy.server"},
		{"a proxy that is not there", object{"proxy": object{"server": "http://" + gone.Addr().String()}}, 422,
			"runtimes.proxy_unreachable", "launch.config.proxy.server"},
		{"a proxy where nobody may be", object{"proxy": object{"server": "http://10.0.0.1:3128"}}, 422,
			"runtimes.proxy_address_refused", "launch.config.proxy.server"},
	} {
		got := w.launch("crm", tc.config)
		refused(t, got, tc.status, tc.code, tc.why)
		var e struct {
			Details struct{ Problems []bctrl.Problem }
		}
		decodeInto(t, got, &e)
		if tc.field != "" {
			require.NotEmpty(t, e.Details.Problems, tc.why)
			require.Equal(t, tc.field, e.Details.Problems[0].Field, tc.why)
		}
		require.False(t, bytes.Contains(got.Body, []byte(launchCanary)), "the answer holds a secret: %s", tc.why)
		require.Empty(t, w.browsers.Running(), tc.why)
	}
	require.Equal(t, http.StatusOK, w.launch("crm", object{}).Status, "the alias is free")
}

// noOwner is a driver that cannot tell whose connections are.
type noOwner struct{ browser.Driver }

func (noOwner) Launch(context.Context, browser.Spec) (browser.Browser, error) {
	return nil, fmt.Errorf("%w: readlink /proc/4711/fd/3", browser.ErrNoOwner)
}

func TestALaunchWithSecretsIsRefusedWhereOthersCouldUseThem(t *testing.T) {
	h := newHarness(t)
	h.startWith(noOwner{})
	ws := h.workspace("sales", sales())
	got := h.do("POST", []string{"workspaces", ws.ID, "runtimes"}, nil, object{"alias": "crm", "kind": "browser",
		"driver": "stagehand", "launch": object{}})
	refused(t, got, http.StatusUnprocessableEntity, "runtimes.secrets_unguarded", "no launch that callers repeat")
	require.Contains(t, string(got.Body), "Linux", "what the operator can do")
	require.NotContains(t, string(got.Body), "/proc/")
}

func TestASecretHeaderIsDecidedAtEachRequest(t *testing.T) {
	w := newLaunchWorld(t)
	got := w.launch("crm", header(object{"vaultKey": "stage/token", "prefix": "Bearer "}))
	require.Equal(t, http.StatusOK, got.Status, "%s", got.Body)
	require.False(t, bytes.Contains(got.Body, []byte(launchCanary)), "the caller sees the secret")
	var rt bctrl.RuntimeInfo
	decodeInto(t, got, &rt)
	require.Equal(t, "stage/token", rt.Launch.Config.Headers[0].VaultKey, "what was launched is shown")

	require.True(t, w.driver.route().HasSecrets())
	one := w.driver.route().Headers[0]
	require.True(t, one.Of("app.example.com"))
	require.False(t, one.Of("example.com"))
	requireValue := func(want, why string) {
		t.Helper()
		value, err := one.Value(t.Context(), "https://app.example.com")
		require.NoError(t, err, why)
		require.True(t, value == want, why)
	}
	requireValue("Bearer "+launchCanary, "the entry's password")
	requireValue("Bearer "+launchCanary, "again")
	changed := w.do("PUT", []string{"vault", "stage/token"}, nil, object{"password": "another"})
	require.Equal(t, http.StatusOK, changed.Status)
	requireValue("Bearer another", "an entry that has changed since")
	used := 0
	for _, e := range w.log(bctrl.AuditFilter{}) {
		if e.Action == string(bctrl.UseVault) && e.Object == "stage/token" {
			used++
			require.Equal(t, rt.ID, e.RuntimeID)
		}
	}
	require.Equal(t, 2, used, "one event for each value that was read")

	w.ok("PATCH", []string{"workspaces", w.ws.ID}, object{"mounts": object{"vault": object{"allow": []string{}}}}, nil)
	_, err := one.Value(t.Context(), "https://app.example.com")
	require.ErrorIs(t, err, bctrl.ErrOutsideMount, "a workspace that was lowered")
	denied := func() (n int) {
		for _, e := range w.log(bctrl.AuditFilter{}) {
			if e.Action == string(bctrl.UseVault) && e.Object == "stage/token" && e.Decision == "deny" {
				n++
			}
		}
		return n
	}
	refuses := func(want error, recorded int, why string) {
		t.Helper()
		for range 20 {
			_, err := one.Value(t.Context(), "https://app.example.com")
			require.ErrorIs(t, err, want, why)
		}
		require.Equal(t, recorded, denied(), "%s: a page does not fill the log", why)
	}
	mount := func(prefixes []string) {
		w.ok("PATCH", []string{"workspaces", w.ws.ID}, object{"mounts": object{"vault": object{"allow": prefixes}}}, nil)
	}
	refuses(bctrl.ErrOutsideMount, 1, "the first was recorded")
	require.Equal(t, http.StatusOK, w.do("DELETE", []string{"vault", "stage/token"}, nil, nil).Status)
	refuses(bctrl.ErrOutsideMount, 1, "what is outside the mounts has no other state")
	mount([]string{"stage/"})
	events := len(w.events())
	refuses(bctrl.ErrNotFound, 1, "an entry that is gone")
	require.LessOrEqual(t, len(w.events()), events+1)
	mount([]string{})
	refuses(bctrl.ErrOutsideMount, 2, "lowered again, which is another state")
	mount([]string{"stage/"})
	require.Equal(t, http.StatusOK, w.do("PUT", []string{"vault", "stage/token"}, nil, object{"password": "new"}).Status)
	requireValue("Bearer new", "it serves again at once")
	var log strings.Builder
	require.NoError(t, json.NewEncoder(&log).Encode(w.events()))
	require.False(t, strings.Contains(log.String(), launchCanary), "an event holds a secret")
}

func TestASecretHeaderGoesToTheOriginsOfItsEntryAlone(t *testing.T) {
	w := newLaunchWorld(t)
	got := w.launch("crm", object{
		"headers": []object{
			{"name": "X-Bound", "hosts": []string{"*.example.com"}, "vaultKey": "stage/bound"},
			{"name": "X-Free", "hosts": []string{"*.example.com"}, "vaultKey": "stage/token"},
		},
		"ignoreCertificateErrors": []string{"untrusted.example.com"},
	})
	require.Equal(t, http.StatusOK, got.Status, "%s", got.Body)
	headers := w.driver.route().Headers
	for _, tc := range []struct {
		to          string
		bound, free bool
		why         string
	}{
		{"https://app.example.com", true, true, "its origin"},
		{"http://app.example.com", false, false, "everybody on the way could read it"},
		{"http://app.example.com:443", false, false, "the port says nothing of the scheme"},
		{"https://app.example.com:8443", false, true, "another port is another server"},
		{"https://other.example.com", false, true, "another host"},
		{"https://untrusted.example.com", false, false, "whoever is in the middle has a certificate that is taken"},
	} {
		for i, want := range []bool{tc.bound, tc.free} {
			value, err := headers[i].Value(t.Context(), tc.to)
			require.True(t, (err == nil) == want && (value == launchCanary) == want,
				"%s to %s: %s", headers[i].Name, tc.to, tc.why)
		}
	}
	denied := func() (n int) {
		for _, e := range w.log(bctrl.AuditFilter{}) {
			if e.Action == string(bctrl.UseVault) && e.Object == "stage/bound" && e.Decision == "deny" {
				n++
			}
		}
		return n
	}
	before := denied()
	require.Equal(t, 3, before, "the first request to each host is recorded")
	for range 20 {
		_, err := headers[0].Value(t.Context(), "https://other.example.com")
		require.Error(t, err)
	}
	require.Equal(t, before, denied(), "a page does not fill the log")
	config := header(object{"vaultKey": "stage/token"})
	config["ignoreCertificateErrors"] = []string{"app.example.com"}
	refused(t, w.launch("two", config), 422, "runtimes.secret_elsewhere", "a launch whose header could never be sent")
}

func TestATokenIsShownNoLaunchSecretThatItMayNotUse(t *testing.T) {
	w := newLaunchWorld(t)
	config := header(object{"vaultKey": "stage/token", "prefix": "Bearer "})
	require.Equal(t, http.StatusOK, w.launch("crm", config).Status)
	shown := func(body object) bctrl.LaunchHeader {
		token := w.mint(w.ws.ID, "crm", body)
		var rt bctrl.RuntimeInfo
		got := w.with(token, "GET", append(w.path, "crm"), nil)
		require.Equal(t, http.StatusOK, got.Status, "%s", got.Body)
		decodeInto(t, got, &rt)
		return rt.Launch.Config.Headers[0]
	}
	require.Equal(t, "stage/token", shown(object{}).VaultKey, "it may use it")
	denied := shown(object{"mounts": object{"vault": object{"allow": []string{}}}})
	require.Empty(t, denied.VaultKey+denied.Prefix, "its mounts do not permit the entry")
	require.Equal(t, "Authorization", denied.Name, "the other fields stay")
}

func TestARuntimeEndsInItsTime(t *testing.T) {
	t.Parallel()
	w := newLaunchWorld(t)
	for alias, config := range map[string]object{"idle": {"idleTimeoutMs": 1000}, "old": {"maxLifeMs": 1000}} {
		require.Equal(t, http.StatusOK, w.launch(alias, config).Status, alias)
	}
	for alias, code := range map[string]string{"idle": "runtimes.idle_timeout", "old": "runtimes.max_life"} {
		var rt bctrl.RuntimeInfo
		require.Eventually(t, func() bool {
			w.ok("GET", append(w.path, alias), nil, &rt)
			return rt.Status == bctrl.RuntimeStopped
		}, time.Minute, 20*time.Millisecond, alias)
		require.NotEmpty(t, rt.Summary.Message, "it says why")
		require.Equal(t, code, rt.Summary.Code)
		list, err := w.db.Read().Happened(t.Context(), store.HappenedRange{Org: w.org(), Runtime: rt.ID, Limit: 10})
		require.NoError(t, err)
		require.Equal(t, bctrl.StoppedEvent{Alias: alias, Reason: rt.Summary.Message, Code: code}, list[len(list)-1].Data)
	}

	before := time.Now()
	require.Equal(t, http.StatusOK, w.launch("long", object{"maxLifeMs": time.Hour.Milliseconds()}).Status)
	var url wire.Connection
	w.ok("GET", append(w.path, "long", "connect"), nil, &url)
	require.WithinRange(t, url.ExpiresAt, before.Add(time.Hour), time.Now().Add(time.Hour), "its URL ends with it")
	w.ok("POST", append(w.path, "long", "stop"), nil, nil)
	require.Empty(t, w.browsers.Running())
}
