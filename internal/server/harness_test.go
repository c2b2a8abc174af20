package server

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/blob"
	"github.com/bctrl-go/bctrl/internal/browser"
	"github.com/bctrl-go/bctrl/internal/custody"
	"github.com/bctrl-go/bctrl/internal/egress"
	"github.com/bctrl-go/bctrl/internal/registry"
	"github.com/bctrl-go/bctrl/internal/seal"
	"github.com/bctrl-go/bctrl/internal/store"
	"github.com/bctrl-go/bctrl/internal/store/storetest"
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
	db, err := store.Open(t.Context(), filepath.Join(dir, "bctrl.db"), rows)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	keys.DB, keys.Rows, keys.KeyFile = db, rows, filepath.Join(dir, "kek")
	kept, err := custody.Open(t.Context(), keys)
	require.NoError(t, err)
	browsers := &browser.Fake{}
	driver := &exchangedDriver{driver: browsers}
	blobs := lazyBlobs{sync.OnceValue(func() *blob.Disk {
		d, err := blob.OpenDisk(filepath.Join(dir, "blobs"))
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, d.Close()) })
		return d
	})}
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

// lazyBlobs is a store of bytes that is made when a test first has some: its
// folders take longer than most tests.
type lazyBlobs struct{ disk func() *blob.Disk }

func (l lazyBlobs) Put(ctx context.Context, r io.Reader, limit int64) (blob.Blob, error) {
	return l.disk().Put(ctx, r, limit)
}

func (l lazyBlobs) Open(ctx context.Context, id string) (io.ReadSeekCloser, int64, error) {
	return l.disk().Open(ctx, id)
}

func (l lazyBlobs) Delete(ctx context.Context, id string) error { return l.disk().Delete(ctx, id) }

func (l lazyBlobs) Sweep(
	ctx context.Context, before time.Time, orphans func(context.Context, []string) ([]string, error),
) (int, error) {
	return l.disk().Sweep(ctx, before, orphans)
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
		require.NoError(h, err)
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
	req := httptest.NewRequestWithContext(h.Context(), method, target, body)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	conform(h.T, h.server).ServeHTTP(rec, req)
	return answer{Status: rec.Code, Header: rec.Result().Header, Body: rec.Body.Bytes()}
}

var describedRoutes = sync.OnceValues(func() (routers.Router, error) {
	doc, err := openapi3.NewLoader().LoadFromData(openapiYAML)
	if err != nil {
		return nil, err
	}
	if err := doc.Validate(context.Background()); err != nil {
		return nil, err
	}
	doc.Servers = nil // any host
	return gorillamux.NewRouter(doc)
})

// wholeSentences fails the test when a refusal has a gap where a word was to
// stand.
func wholeSentences(t *testing.T, body []byte) {
	t.Helper()
	var refused struct{ Error, Code, Hint string }
	if json.Unmarshal(body, &refused) != nil || refused.Code == "" || refused.Error == "" {
		return
	}
	for _, text := range []string{refused.Error, refused.Hint} {
		trimmed := strings.TrimRight(strings.TrimSpace(text), ":,;(")
		if strings.HasSuffix(text, ">:") { // of a digest's form
			trimmed = text
		}
		assert.Equal(t, trimmed, text, "%s begins or ends with a gap", refused.Code)
		for _, gap := range []string{"  ", ": :", " ,", ", ,", " ;", "()", `""`, "%!", "<nil>"} {
			assert.NotContains(t, text, gap, refused.Code)
		}
	}
}

// conform fails the test when an answer, or a request that succeeded, is not
// as openapi.yaml has it, and when the route is not in it at all.
func conform(t *testing.T, next http.Handler) http.Handler {
	t.Helper()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		router, err := describedRoutes()
		if !assert.NoError(t, err) {
			return
		}
		var body []byte
		if r.Body != nil {
			body, err = io.ReadAll(r.Body)
			assert.NoError(t, err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, r)
		for k, v := range rec.Header() {
			w.Header()[k] = v
		}
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes())
		wholeSentences(t, rec.Body.Bytes())

		asked := r.Clone(r.Context())
		asked.Body = io.NopCloser(bytes.NewReader(body))
		found, params, err := router.FindRoute(asked)
		if err != nil {
			assert.Contains(t, []int{400, 404, 405}, rec.Code, "%s %s is not in openapi.yaml", r.Method, r.URL.Path)
			return
		}
		in := &openapi3filter.RequestValidationInput{
			Request:    asked,
			PathParams: params,
			Route:      found,
			Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc,
				IncludeResponseStatus: true},
		}
		if rec.Code < 300 {
			assert.NoError(t, openapi3filter.ValidateRequest(r.Context(), in),
				"the server took what openapi.yaml does not describe")
		}
		assert.NoError(t, openapi3filter.ValidateResponse(r.Context(), &openapi3filter.ResponseValidationInput{
			RequestValidationInput: in,
			Status:                 rec.Code,
			Header:                 rec.Header(),
			Options:                in.Options,
			Body:                   io.NopCloser(bytes.NewReader(rec.Body.Bytes())),
		}), "%s %s answered %d", r.Method, r.URL.Path, rec.Code)
	})
}
