package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/audit"
	"github.com/bctrl-go/bctrl/internal/blob"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/custody"
	"github.com/bctrl-go/bctrl/internal/egress"
	"github.com/bctrl-go/bctrl/internal/registry"
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/store/storetest"
	"github.com/bctrl-go/bctrl/internal/wire"
)

// loopback lets providers be on this machine.
var loopback = egress.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}

// harness is a server over a real store. Every request and answer that goes
// through it is held to openapi.yaml.
type harness struct {
	*testing.T
	server   *Server
	db       *store.DB
	rows     *seal.Rows
	browsers *browser.Fake
	driver   *exchangedDriver
	blobs    blob.Store
	key      string
	dir      string
}

func newHarness(t *testing.T, change ...func(*Config)) *harness {
	t.Helper()
	dir := t.TempDir()
	storetest.Create(t, filepath.Join(dir, "bctrl.db"))
	return newHarnessIn(t, dir, custody.Config{}, change...)
}

// newHarnessIn is a harness over what lies in dir, sealed as keys says.
func newHarnessIn(t *testing.T, dir string, keys custody.Config, change ...func(*Config)) *harness {
	t.Helper()
	rows := &seal.Rows{}
	db, err := storetest.Open(t.Context(), filepath.Join(dir, "bctrl.db"), rows)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	keys.DB, keys.Rows, keys.KeyFile = db, rows, filepath.Join(dir, "kek")
	kept, err := custody.Open(t.Context(), keys)
	require.NoError(t, err)
	browsers := &browser.Fake{}
	driver := &exchangedDriver{driver: browsers}
	blobs := lazyBlobs{sync.OnceValue(func() blob.Store { return openBlobs(t, dir) })}
	cfg := Config{
		Store:      db,
		Custody:    kept,
		Browsers:   driver,
		Blobs:      blobs,
		ProfileDir: filepath.Join(dir, "profiles"),
		Egress:     loopback,
	}
	for _, fn := range change {
		fn(&cfg)
	}
	s, err := New(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close(context.WithoutCancel(t.Context()))) })
	key, err := s.EnsureOrganization(t.Context())
	require.NoError(t, err)
	return &harness{
		T:        t,
		server:   s,
		db:       db,
		rows:     rows,
		browsers: browsers,
		driver:   driver,
		blobs:    blobs,
		key:      key.Expose(),
		dir:      dir,
	}
}

// exchangedDriver starts browsers with the driver that a test has put in its
// place last.
type exchangedDriver struct {
	mu     sync.Mutex
	driver browser.Driver
}

func (d *exchangedDriver) Launch(ctx context.Context, spec browser.Spec) (browser.Browser, error) {
	d.mu.Lock()
	driver := d.driver
	d.mu.Unlock()
	return driver.Launch(ctx, spec)
}

func (d *exchangedDriver) CheckWebDriver() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.driver.CheckWebDriver()
}

// startWith has the runtimes that are launched from now on started by another
// driver.
func (h *harness) startWith(driver browser.Driver) {
	h.driver.mu.Lock()
	defer h.driver.mu.Unlock()
	h.driver.driver = driver
}

// builtinProviders are the providers that come with the server.
func builtinProviders(t *testing.T) *registry.Registry {
	t.Helper()
	r, err := registry.Builtin()
	require.NoError(t, err)
	return r
}

// openCustody keeps the key of a store in a file of dir, and signs nothing.
func openCustody(t testing.TB, db *store.DB, rows *seal.Rows, dir string) *custody.Custodian {
	t.Helper()
	c, err := custody.Open(t.Context(), custody.Config{DB: db, Rows: rows, KeyFile: filepath.Join(dir, "kek")})
	require.NoError(t, err)
	return c
}

// answer is a response that has been read.
type answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// code is the error code of a refusal.
func (a answer) code() string {
	var e struct{ Code string }
	_ = json.Unmarshal(a.Body, &e)
	return e.Code
}

// do sends a request as the organization key; body is encoded as JSON unless
// nil. segments are the path below /v1, each one segment. Headers come in
// pairs.
func (h *harness) do(method string, segments []string, query url.Values, body any, headers ...string) answer {
	h.Helper()
	var r io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			h.Error(err) // not required, since it may be called from another goroutine than the test's
			return answer{}
		}
		r = bytes.NewReader(raw)
		headers = append([]string{"Content-Type", "application/json"}, headers...)
	}
	return h.send(method, target(segments, query), r, append([]string{"Authorization", "Bearer " + h.key}, headers...)...)
}

func target(segments []string, query url.Values) string {
	var b strings.Builder
	for _, s := range append([]string{"v1"}, segments...) {
		b.WriteString("/" + url.PathEscape(s))
	}
	if len(query) > 0 {
		b.WriteString("?" + query.Encode())
	}
	return b.String()
}

// send sends a request as it is given.
func (h *harness) send(method, target string, body io.Reader, headers ...string) answer {
	h.Helper()
	return h.sendIn(h.Context(), method, target, body, headers...)
}

// sendIn is [harness.send] for a caller who leaves when ctx ends.
func (h *harness) sendIn(ctx context.Context, method, target string, body io.Reader, headers ...string) answer {
	req := httptest.NewRequestWithContext(ctx, method, target, body)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	conform(h.T, h.server).ServeHTTP(rec, req)
	return answer{Status: rec.Code, Header: rec.Result().Header, Body: rec.Body.Bytes()}
}

const canaryAPIKey = "sk-canary/0123456789+abc"

func openAI(id string) object {
	return object{"id": id, "provider": "openai", "apiKey": canaryAPIKey}
}

// log lists the events that a query selects, newest first.
func (h *harness) log(f bctrl.AuditFilter) (all []bctrl.AuditEvent) {
	h.Helper()
	// What was queued before is written.
	require.NoError(h, h.db.Write(h.Context(), func(*store.Tx) error { return nil }))
	for e, err := range h.sdk(straight).Audit.Events(h.Context(), f) {
		require.NoError(h, err)
		all = append(all, e)
	}
	return all
}

func (h *harness) setLogin(key string) {
	h.Helper()
	require.Equal(h, http.StatusOK, h.do("PUT", []string{"vault", key}, nil,
		object{"password": "p", "totp": "JBSWY3DPEHPK3PXP"}).Status)
}

// refTo is a reference to a secret.
func refTo(id string) string { return "vault:secret:" + id }

// launchIn launches a runtime in a group.
func (h *harness) launchIn(ws store.Workspace, alias, group string) (rt bctrl.RuntimeInfo) {
	h.Helper()
	h.ok("POST", []string{"workspaces", ws.ID, "runtimes"}, object{
		"alias": alias, "kind": "browser", "driver": "stagehand", "launch": object{"mode": "ephemeral"}, "group": group,
	}, &rt)
	return rt
}

// launchRecorded launches a runtime that is recorded, with a browser profile of its own.
func (h *harness) launchRecorded(ws store.Workspace, alias string) (rt bctrl.RuntimeInfo) {
	h.Helper()
	h.ok("POST", []string{"workspaces", ws.ID, "runtimes"}, object{
		"alias": alias, "kind": "browser", "driver": "stagehand",
		"launch": object{"mode": "profile", "profileId": alias, "record": true},
	}, &rt)
	return rt
}

func (h *harness) delete(segments ...string) {
	h.Helper()
	h.ok("DELETE", segments, nil, nil)
}

// ok sends a request that must succeed and decodes its answer into out.
func (h *harness) ok(method string, segments []string, body, out any, headers ...string) {
	h.Helper()
	got := h.do(method, segments, nil, body, headers...)
	require.Equal(h, http.StatusOK, got.Status, "%s %v: %s", method, segments, got.Body)
	if out != nil {
		require.NoError(h, json.Unmarshal(got.Body, out))
	}
}

// refused requires that an answer refuses with a status and a code.
func refused(t *testing.T, got answer, status int, code, why string) {
	t.Helper()
	require.Equal(t, status, got.Status, "%s: %s", why, got.Body)
	require.Equal(t, code, got.code(), why)
}

// events are the audit log's, in order.
func (h *harness) events() (all []audit.Event) {
	h.Helper()
	db := h.raw()
	defer db.Close()
	require.NoError(h, h.db.Write(h.Context(), func(*store.Tx) error { return nil })) // what was queued before is written
	rows, err := db.QueryContext(h.Context(), "SELECT body FROM audit_events ORDER BY seq")
	require.NoError(h, err)
	defer rows.Close()
	for rows.Next() {
		var body []byte
		var e audit.Event
		require.NoError(h, rows.Scan(&body))
		require.NoError(h, json.Unmarshal(body, &e))
		all = append(all, e)
	}
	require.NoError(h, rows.Err())
	return all
}

// made makes a workspace through its route.
func (h *harness) made(name string, mounts any) store.Workspace {
	h.Helper()
	var info bctrl.WorkspaceInfo
	h.ok("POST", []string{"workspaces"}, object{"name": name, "mounts": mounts}, &info)
	return store.Workspace{
		ID:      info.ID,
		Name:    info.Name,
		Version: info.Version,
		Mounts:  info.Mounts,
	}
}

// write changes the store, and records it.
func (h *harness) write(fn func(*store.Tx) error) {
	h.Helper()
	require.NoError(h, h.db.Write(h.Context(), func(tx *store.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return audit.Append(tx, audit.Event{Caller: "test"})
	}))
}

// workspace puts a workspace into the store.
func (h *harness) workspace(name string, mounts bctrl.Mounts) store.Workspace {
	h.Helper()
	orgs, err := h.db.Read().Organizations(h.Context())
	require.NoError(h, err)
	now := time.Now()
	ws := store.Workspace{
		ID:        web.NewID(),
		Name:      name,
		Version:   1,
		Mounts:    mounts,
		CreatedAt: now,
		UpdatedAt: now,
	}
	h.write(func(tx *store.Tx) error { return tx.InsertWorkspace(h.Context(), orgs[0].ID, ws) })
	return ws
}

// launch launches a runtime and returns it.
func (h *harness) launch(ws store.Workspace, alias string, mounts any) bctrl.RuntimeInfo {
	h.Helper()
	body := object{"alias": alias, "kind": "browser", "driver": "stagehand", "launch": object{"mode": "ephemeral"}}
	if mounts != nil {
		body["mounts"] = mounts
	}
	got := h.do("POST", []string{"workspaces", ws.ID, "runtimes"}, nil, body)
	require.Equal(h, http.StatusOK, got.Status, "%s", got.Body)
	var rt bctrl.RuntimeInfo
	require.NoError(h, json.Unmarshal(got.Body, &rt))
	return rt
}

// as are the headers that make a request the runtime's own.
func as(rt bctrl.RuntimeInfo, mounts ...string) []string {
	headers := []string{"BCTRL-Runtime", rt.ID}
	for _, m := range mounts {
		headers = append(headers, "BCTRL-Mounts", base64.RawURLEncoding.EncodeToString([]byte(m)))
	}
	return headers
}

func sales() bctrl.Mounts {
	return bctrl.Mounts{Vault: &bctrl.VaultMount{Allow: []string{"prod/crm/"}},
		Storage: &bctrl.StorageMount{Workspace: "sales-exports"}}
}

func (h *harness) lock() { h.Helper(); h.ok("POST", []string{"seal", "lock"}, nil, nil) }

func (h *harness) unlock() { h.Helper(); h.ok("POST", []string{"seal", "unlock"}, object{}, nil) }

func globally() object { return object{"type": "global"} }

func inWorkspace(id string) object { return object{"type": "workspace", "workspaceId": id} }

func inGroup(ws, g string) object { return object{"type": "group", "workspaceId": ws, "groupId": g} }

func attachmentOf(id, ws, g string) []string {
	return []string{"secrets", id, "attachments", ws, g}
}

// secretIn stores a secret and returns it.
func (h *harness) secretIn(scope object, name, value string, aliases ...string) (out bctrl.SecretInfo) {
	h.Helper()
	h.ok("POST", []string{"secrets"}, object{"name": name, "value": value, "scope": scope,
		"aliases": append([]string{}, aliases...)}, &out)
	return out
}

// secretValue opens a secret as it is stored, and proves its index.
func (h *harness) secretValue(id string) string {
	h.Helper()
	row, err := h.db.Read().Secret(h.Context(), h.org(), id)
	require.NoError(h, err)
	sec, err := h.server.catalog.OpenSecret(h.org(), row)
	require.NoError(h, err)
	return sec.Value.Reveal()
}

// decodeInto reads an answer.
func decodeInto(t *testing.T, got answer, out any) {
	t.Helper()
	require.NoError(t, json.Unmarshal(got.Body, out), "%s", got.Body)
}

// listed are the ids of a list of secrets.
func (h *harness) listed(pairs ...string) (ids []string) {
	h.Helper()
	query := url.Values{"limit": {"2"}}
	for i := 0; i < len(pairs); i += 2 {
		query.Set(pairs[i], pairs[i+1])
	}
	for {
		var page struct {
			Secrets    []bctrl.SecretInfo
			NextCursor *string
		}
		got := h.do("GET", []string{"secrets"}, query, nil)
		require.Equal(h, http.StatusOK, got.Status, "%s", got.Body)
		decodeInto(h.T, got, &page)
		for _, s := range page.Secrets {
			ids = append(ids, s.ID)
		}
		if page.NextCursor == nil {
			return ids
		}
		query.Set("cursor", *page.NextCursor)
	}
}

// get describes a secret.
func (h *harness) get(id string) (out bctrl.SecretInfo) {
	h.Helper()
	h.ok("GET", []string{"secrets", id}, nil, &out)
	return out
}

// verified reports whether the audit log agrees with all that is stored.
func (h *harness) verified() bool {
	h.Helper()
	var report bctrl.AuditReport
	h.ok("GET", []string{"audit", "verify"}, nil, &report)
	// none is kept here
	report.Problems = slices.DeleteFunc(report.Problems, func(p bctrl.AuditProblem) bool {
		return p.Kind == "head_missing"
	})
	for _, p := range report.Problems {
		h.Log(p)
	}
	return len(report.Problems) == 0
}

func jsonBody(text string) io.Reader { return strings.NewReader(text) }

// tamper edits the database behind the server's back.
func (h *harness) tamper(statement string) {
	h.Helper()
	db := h.raw()
	defer db.Close()
	res, err := db.ExecContext(h.Context(), h.statement(statement))
	require.NoError(h, err)
	n, err := res.RowsAffected()
	require.NoError(h, err)
	require.Positive(h, n, "nothing was edited")
}

// live serves the harness's server over real connections, where bodies are
// streams that can break.
func (h *harness) live() *httptest.Server {
	srv := httptest.NewServer(h.server)
	h.Cleanup(srv.Close)
	return srv
}

// dial opens a connection and sends a request's beginning.
func (h *harness) dial(srv *httptest.Server, lines ...string) (net.Conn, *bufio.Reader) {
	h.Helper()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	require.NoError(h, err)
	h.Cleanup(func() { _ = conn.Close() })
	_, err = io.WriteString(conn, strings.Join(lines, "\r\n"))
	require.NoError(h, err)
	return conn, bufio.NewReader(conn)
}

// settled waits until the server has dealt with requests that nobody waits for.
func (h *harness) settled(condition func() bool, why string) {
	h.Helper()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for late := time.After(10 * time.Second); !condition(); { // here, so that it may require something too
		select {
		case <-again.C:
		case <-late:
			require.Fail(h, "this never comes to be", why)
		}
	}
}

// org is the harness's organization.
func (h *harness) org() string {
	h.Helper()
	orgs, err := h.db.Read().Organizations(h.Context())
	require.NoError(h, err)
	return orgs[0].ID
}

// sdk is the SDK against the harness's server behind a handler.
func (h *harness) sdk(through func(http.Handler) http.Handler) *bctrl.Client {
	h.Helper()
	srv := httptest.NewServer(through(h.server))
	h.Cleanup(srv.Close)
	client, err := bctrl.New(bctrl.WithAPIKey(bctrl.NewSecret(h.key)), bctrl.WithBaseURL(srv.URL),
		bctrl.WithRetryWait(time.Millisecond, 10*time.Millisecond))
	require.NoError(h, err)
	h.Cleanup(client.CloseIdleConnections)
	return client
}

func straight(next http.Handler) http.Handler { return next }

// subaccount makes one and returns its id.
func (h *harness) subaccount(name string) string {
	h.Helper()
	var sub bctrl.Subaccount
	h.ok("POST", []string{"subaccounts"}, object{"name": name}, &sub)
	return sub.ID
}

// within are the headers that act for a subaccount.
func within(sub string) []string { return []string{"BCTRL-Subaccount-Id", sub} }

// mint mints a token of a runtime.
func (h *harness) mint(workspace, alias string, body object) bctrl.Secret {
	h.Helper()
	var minted wire.NewToken
	h.ok("POST", []string{"workspaces", workspace, "runtimes", alias, "tokens"}, body, &minted)
	return bctrl.NewSecret(minted.Token.Reveal())
}

// as lets requests come with another key for as long as fn runs.
func (h *harness) as(key string, fn func()) {
	h.Helper()
	before := h.key
	h.key = key
	defer func() { h.key = before }()
	fn()
}

// with sends a request with a token.
func (h *harness) with(token bctrl.Secret, method string, segments []string, body any, headers ...string) (got answer) {
	h.Helper()
	h.as(token.Expose(), func() { got = h.do(method, segments, nil, body, headers...) })
	return got
}

func tokenID(t *testing.T, token bctrl.Secret) string {
	t.Helper()
	info, err := bctrl.InspectToken(token)
	require.NoError(t, err)
	return info.ID
}

type object = map[string]any

// tooLong are milliseconds above a limit; as nanoseconds the last two wrap around to 0 and below it.
func tooLong(limit int64) []int64 { return []int64{limit + 1, 1 << 58, math.MaxInt64} }
