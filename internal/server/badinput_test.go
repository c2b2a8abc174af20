package server

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/egress"
)

// badRow is a row of the table in docs/broker.md.
type badRow struct {
	what, code string
	status     int
}

func badTable(t *testing.T) (rows []badRow) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "broker.md"))
	require.NoError(t, err)
	_, table, found := strings.Cut(string(text), "| what is wrong | status | code |\n|---|---|---|\n")
	require.True(t, found)
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		require.Len(t, cells, 3, line)
		status, err := strconv.Atoi(strings.TrimSpace(cells[1]))
		require.NoError(t, err)
		rows = append(rows, badRow{what: strings.TrimSpace(cells[0]), status: status,
			code: strings.Trim(strings.TrimSpace(cells[2]), "`")})
	}
	return rows
}

// badRequest is a request that is wrong in one way.
type badRequest struct {
	method, path string
	body         any
	token        string // in place of the organization key
	// sent is set where the provider sees it.
	sent bool
}

// badWorld is a server with much that can be asked for wrongly.
type badWorld struct {
	*callers
	pinned, token string
	// busy counts the provider's handlers that run.
	busy atomic.Int64
}

// privately gives the names of the world their addresses.
type privately struct{}

func (privately) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("10.0.0.7")}, nil
}

func newBadWorld(t *testing.T) *badWorld {
	t.Helper()
	w := &badWorld{}
	w.callers = newCallers(t, func(rw http.ResponseWriter, r *http.Request) {
		w.busy.Add(1)
		defer w.busy.Add(-1)
		misbehave(rw, r)
	}, func(cfg *Config) { cfg.Egress = egress.Policy{Allow: loopback.Allow, Resolver: privately{}} })
	for name, p := range map[string]bctrl.CapabilityPolicy{
		"small": {MaxRequestBytes: 10, MaxResponseBytes: 1000}, "rare": {CallsPerMinute: 1},
	} {
		w.ok("PUT", []string{"capabilities", "acme/" + name}, object{"methods": []string{"GET", "POST"},
			"paths": []string{"/" + name}}, nil)
		_, err := w.client.Capabilities.SetPolicy(t.Context(), "acme/"+name, p)
		require.NoError(t, err)
	}
	w.ok("POST", []string{"capabilities", "acme/rare", "invoke"}, object{}, nil)
	gone := httptest.NewServer(nil)
	gone.Close()
	w.providers.Redirect("gone.example.com:443", gone.Listener.Addr().String())
	for provider, ids := range map[string][]string{"twin": {"twin-a", "twin-b"}, "inside": {"inside"}, "gone": {"gone"},
		"none": nil} {
		for _, id := range ids {
			w.credential(id, provider)
		}
		w.ok("PUT", []string{"capabilities", provider + "/x"}, object{"methods": []string{"GET"}, "paths": []string{"/x"}},
			nil)
	}
	w.credential("disabled", "acme")
	w.ok("PATCH", []string{"credentials", "disabled"}, object{"enabled": false}, nil)
	secret := w.credential("revoked", "acme")
	w.ok("DELETE", []string{"secrets", secret}, nil, nil)
	w.pinned = w.secretIn(globally(), "OPENAI_API_KEY", "sk-pinned").ID

	ws, err := w.client.Workspaces.Create(t.Context(), bctrl.WorkspaceCreate{
		Name: "site", Mounts: bctrl.Mounts{Capabilities: &bctrl.CapabilityMount{Allow: []string{"acme/things"}}},
	})
	require.NoError(t, err)
	rt, err := ws.Runtimes.Browser("agent").Stagehand(t.Context(), bctrl.Launch{})
	require.NoError(t, err)
	token, err := rt.Token(t.Context(), bctrl.TokenRequest{})
	require.NoError(t, err)
	w.token = token.Expose()
	return w
}

// credential makes one of low priority and returns the id of its secret.
func (w *badWorld) credential(id, provider string) string {
	w.Helper()
	secret := w.secretIn(globally(), "KEY_"+id, "key-"+id)
	w.ok("POST", []string{"credentials"}, object{
		"id": id, "provider": provider, "secretRef": "vault:secret:" +
			secret.ID, "scope": globally(), "hosts": []string{provider + ".example.com"}, "priority": -1,
		"auth": object{"type": "header", "headers": object{"X-Key": "{secret}"}},
	}, nil)
	return secret.ID
}

// misbehave is the provider.
func misbehave(w http.ResponseWriter, r *http.Request) {
	flush := http.NewResponseController(w).Flush
	switch r.URL.Path {
	case "/v1/things/never":
		<-r.Context().Done()
	case "/v1/things/slowly":
		_, _ = io.WriteString(w, "half")
		_ = flush()
		<-r.Context().Done()
	case "/small":
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, strings.Repeat("x", 500)); err != nil || flush() != nil {
				return
			}
		}
	case "/v1/things/redirect":
		http.Redirect(w, r, "/v1/things?k="+acmeKey, http.StatusTemporaryRedirect)
	case "/v1/things/header":
		w.Header().Set("X-Big", strings.Repeat("x", 100<<10))
	case "/v1/things/echo":
		_ = json.NewEncoder(w).Encode(map[string]string{"key": r.Header.Get("X-Acme"), "quoted": strconv.Quote(acmeKey)})
	}
}

// requests are what each row means.
func (w *badWorld) requests() map[string][]badRequest {
	invoke := func(capability string, fields object) badRequest {
		return badRequest{method: "POST", path: target([]string{"capabilities", capability, "invoke"}, nil), body: fields}
	}
	things := func(name string, value any) badRequest { return invoke("acme/things", object{name: value}) }
	as := func(token string, r badRequest) badRequest { r.token = token; return r }
	sent := func(r badRequest) badRequest { r.sent = true; return r }
	raw := func(text string) badRequest {
		r := invoke("acme/things", nil)
		r.body = json.RawMessage(text)
		return r
	}
	secret := func(scope any) badRequest {
		body := object{"name": "NEW", "value": acmeKey}
		if scope != nil {
			body["scope"] = scope
		}
		return badRequest{method: "POST", path: "/v1/secrets", body: body}
	}
	credential := func(provider string, hosts ...string) badRequest {
		body := object{"id": "new", "provider": provider, "secretRef": "vault:secret:" + w.pinned, "scope": globally()}
		if hosts != nil {
			body["hosts"] = hosts
		}
		return badRequest{method: "POST", path: "/v1/credentials", body: body}
	}
	own := func(host string) badRequest {
		r := credential("mine", host)
		r.body.(object)["auth"] = object{"type": "header", "headers": object{"X-Key": "{secret}"}}
		return r
	}
	return map[string][]badRequest{
		"no scope": {secret(nil)},
		"a group without a workspace": {secret(object{"type": "group", "groupId": "g"}),
			things("context", object{"type": "group", "groupId": "g"})},
		"a blank id": {secret(inWorkspace("")), secret(inGroup("site", " ")), things("context", inWorkspace(""))},
		"an id with a separator": {secret(inGroup("site", "a/b")), secret(inGroup("site", "a,b")),
			things("context", inGroup("site", "a:b"))},
		"an id of no workspace": {secret(inWorkspace("stie")), things("context", inGroup("stie", "g"))},

		"an unknown provider without hosts": {credential("mine")},
		"a host that is none of the provider's": {credential("openai", "api.openai.com.evil.example"),
			credential("openai", "api.openai.com:8443")},
		"an address in place of a host, in any notation": {
			own("127.0.0.1"), own("10.0.0.1:443"), own("[::1]"), own("::ffff:127.0.0.1"), own("0x7f000001"), own("0x7f.1"),
			own("2130706433"), own("0177.0.0.1"),
			own("127.1"), own("localhost"), own("169.254.169.254"), own("１２７.0.0.1"),
		},
		"a secret that is pinned to another provider": {credential("github")},

		"two credentials in one tier":                  {invoke("twin/x", nil)},
		"no credential that the context sees":          {invoke("none/x", nil)},
		"a credential that is disabled":                {things("credential", "disabled")},
		"a credential whose secret was deleted":        {things("credential", "revoked")},
		"a credential of another provider":             {things("credential", "inside")},
		"an unknown capability":                        {invoke("acme/nothing", nil)},
		"a method that the capability does not permit": {things("method", "DELETE"), things("method", "get")},
		"a path that the capability does not permit": {things("path", "/v1/thingsmore"), things("path", "/v1/repos/o"),
			things("path", "/")},
		"a path that is outside of the capability where an encoded slash is read as a slash": {
			things("path", "/v1%2fthings"), things("path", "/v1/repos/o%2Fr"), things("path",
				"/v1/repos%2Fo/r/issues"), things("path", "/v1%2Fthings/x"),
		},
		"a path in which anybody reads `..`, a backslash, a tab, a double slash or a slash encoded twice": {
			things("path", "/v1/things/a%2f..%2f..%2fadmin"), things("path", "/v1/things/a%252fb"), things("path",
				"/v1/things/a%2F%2Fb"),
			things("path", "/v1/things/..;x=1/admin"), things("path", "/v1/things/%25252e%25252e/admin"),
			things("path", "/v1/things/../admin"), things("path", "/v1/things/%2e%2e/admin"), things("path",
				"/v1/things/.%2E/admin"), things("path", "/v1/things/..%2fadmin"),
			things("path", "/v1/things/%252e%252e/admin"), things("path", `/v1/things\..\admin`), things("path",
				"/v1/things/%5c"), things("path", "/v1/things/a\tb"),
			things("path", "/v1/things/%09"), things("path", "/v1//things"), things("path",
				"//evil.example/v1/things"), things("path", "/v1/things?x=1"),
		},
		"a url in the envelope": {things("url", "https://evil.example/"), things("URL", "/")},
		"another host": {things("host", "evil.example"), things("host", "127.0.0.1"),
			things("host", acmeHost+"@evil.example"), things("host", acmeHost+":8443")},
		"a second body":  {raw(`{"body":1,"rawBody":"eA=="}`), raw(`{"body":1,"body":2}`), raw(`{"body":1,"multipart":[]}`)},
		"a header twice": {raw(`{"headers":{"X-A":"1","X-A":"2"}}`), raw(`{"headers":{"X-A":"1","x-a":"2"}}`)},
		"a websocket, or another protocol": {
			things("headers", object{"Upgrade": "websocket", "Connection": "Upgrade",
				"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version": "13"}),
			things("headers", object{"upgrade": "TLS/1.2"}), things("headers",
				object{"sec_websocket_key": "x"}), things("headers", object{"Upgrade": "h2c, websocket"}),
		},
		"a header that means another path, host or method": {
			things("headers", object{"X-Original-URL": "/admin"}), things("headers",
				object{"X_Rewrite_Url": "/admin"}), things("headers", object{"X-HTTP-Method-Override": "DELETE"}),
			things("headers", object{"X-Method-Override": "DELETE"}), things("headers",
				object{"X-Original-Uri": "/admin"}), things("headers", object{"X-Envoy-Original-Path": "/admin"}),
			things("headers", object{"X-Host": "evil.example"}), things("headers",
				object{"X-Original-Host": "evil.example"}), things("headers", object{"X-HTTP-Path-Override": "/admin"}),
		},
		"a header that names something else than the path": {
			things("headers", object{"x-amz-copy-source": "/b/k"}), things("headers",
				object{"X-Amz-Copy-Source-Range": "bytes=0-9"}), things("headers", object{"x-amz-rename-source": "/b/k"}),
			things("headers", object{"X-Goog-Copy-Source": "/b/k"}), things("headers",
				object{"X-Ms-Copy-Source": "https://a.example/k"}), things("headers", object{"X-Ms-Source": "/b/k"}),
			things("headers", object{"X-Ms-Rename-Source": "/b/k"}), things("headers",
				object{"X-Oss-Copy-Source": "/b/k"}), things("headers", object{"X-Cos-Copy-Source": "/b/k"}),
			things("headers", object{"X-Obs-Copy-Source": "/b/k"}), things("headers",
				object{"Destination": "/admin"}), things("headers", object{"X-Copy-From": "b/k"}),
			things("headers", object{"x_oss_copy_source": "/b/k"}), things("headers",
				object{"X-Tos-Copy-Source": "/b/k"}), things("headers", object{"X-Object-Manifest": "b/k"}),
		},
		"a range that is not one of bytes": {
			things("headers", object{"Range": "bytes=0-7,16-23"}), things("headers",
				object{"Range": "bytes=9-1"}), things("headers", object{"range": "bytes=x"}),
		},
		"authentication of the caller's own": {
			things("headers", object{"Authorization": "Bearer x"}), things("headers", object{"x-acme": "x"}), things("headers",
				object{"Cookie": "a=b"}),
			things("headers", object{"X_ACME": "x"}), things("headers", object{"Proxy-Authorization": "Basic eA=="}),
		},
		"a body beyond the policy": {invoke("acme/small",
			object{"method": "POST", "body": "more than ten bytes"})},
		"a call beyond the calls a minute": {invoke("acme/rare", nil)},
		"a runtime that names another context": {as(w.token, things("context", inGroup("site", "g"))),
			as(w.token, things("consumer", "another"))},
		"a capability that is not mounted": {as(w.token, invoke("acme/small", nil)),
			as(w.token, invoke("acme/nothing", nil))},

		"a name that means a private address": {invoke("inside/x", nil)},
		"a provider that cannot be reached":   {invoke("gone/x", nil)},
		"a provider that answers too slowly": {sent(invoke("acme/things", object{"path": "/v1/things/slowly",
			"timeoutMs": 100}))},
		"a provider that never answers": {sent(invoke("acme/things",
			object{"path": "/v1/things/never", "timeoutMs": 100}))},
		"a provider that answers too much":                   {sent(invoke("acme/small", nil))},
		"a provider that redirects":                          {sent(things("path", "/v1/things/redirect"))},
		"a provider whose answer has a header beyond 64 KiB": {sent(things("path", "/v1/things/header"))},
		"a provider that repeats the key":                    {sent(things("path", "/v1/things/echo"))},
	}
}

// ask sends a request over the network and returns its id beside the answer.
func (w *badWorld) ask(r badRequest) (got answer, id string) {
	w.Helper()
	body := r.body
	if fields, ok := body.(object); ok && fields == nil {
		body = object{}
	}
	text, err := json.Marshal(body)
	require.NoError(w, err)
	req, err := http.NewRequestWithContext(w.Context(), r.method, w.srv.URL+r.path, bytes.NewReader(text))
	require.NoError(w, err)
	token := w.key
	if r.token != "" {
		token = r.token
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := w.srv.Client().Do(req)
	require.NoError(w, err)
	defer resp.Body.Close()
	got = answer{Status: resp.StatusCode, Header: resp.Header}
	got.Body, err = io.ReadAll(resp.Body)
	require.NoError(w, err)
	return got, resp.Header.Get("X-Request-Id")
}

// rows is all that is listed, as text.
func (w *badWorld) rows() string {
	w.Helper()
	var all strings.Builder
	for _, path := range []string{"/v1/secrets", "/v1/credentials", "/v1/bindings", "/v1/workspaces",
		"/v1/capabilities?provider=acme", "/v1/ai-credentials"} {
		got := w.send("GET", path, nil, "Authorization", "Bearer "+w.key)
		require.Equal(w, http.StatusOK, got.Status, path)
		all.Write(got.Body)
	}
	return all.String()
}

// TestEachBadInputHasItsCode does what each row of the table in docs/broker.md
// says: over the network, with a provider that is one.
func TestEachBadInputHasItsCode(t *testing.T) {
	w := newBadWorld(t)
	wrong, before := w.requests(), w.rows()
	for _, row := range badTable(t) {
		requests := wrong[row.what]
		delete(wrong, row.what)
		require.NotEmpty(t, requests, "the table has a row of which nobody knows what it means: %q", row.what)
		for _, r := range requests {
			hits := w.hits.Load()
			got, id := w.ask(r)
			require.Equal(t, row.status, got.Status, "%s: %v: %s", row.what, r.body, got.Body)
			if row.status != http.StatusOK {
				require.Equal(t, row.code, got.code(), "%s: %v", row.what, r.body)
			}
			require.NotContains(t, string(got.Body), acmeKey, row.what)
			require.Equal(t, r.sent, w.hits.Load() > hits, "%s: whether it was sent", row.what)
			w.recorded(row, id)
		}
	}
	require.Empty(t, wrong, "these are not in the table")
	require.Equal(t, before, w.rows(), "nothing is left behind")
	require.Eventually(t, func() bool { return w.busy.Load() == 0 }, 10*time.Second, time.Millisecond, "no call goes on")
	require.True(t, w.verified())
}

// recorded requires one event of the request, with the row's code.
func (w *badWorld) recorded(row badRow, id string) {
	w.Helper()
	var outcomes []string
	for _, e := range w.log(bctrl.AuditFilter{}) {
		if e.RequestID == id {
			outcomes = append(outcomes, e.Outcome)
		}
	}
	require.Equal(w, []string{row.code}, outcomes, row.what)
}
