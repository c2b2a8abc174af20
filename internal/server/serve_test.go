package server

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/server/web"
	"github.com/bctrl-go/bctrl/internal/store/storetest"
)

func TestThePathIsRefusedBeforeRouting(t *testing.T) {
	h := newHarness(t)
	for _, path := range []string{"/v1//vault", "/v1/./vault", "/v1/%2e/vault", "/v1/vault/..", "/v1/vault/%2E.",
		"/v1/vault/a%00", "/v1/vault/", "//"} {
		got := h.send("GET", path, nil, "Authorization", "Bearer "+h.key)
		require.Equal(t, http.StatusBadRequest, got.Status, path)
		require.Empty(t, got.Header.Get("Location"), path)
	}
}

func TestEveryRouteIsDescribedAndNamesItsRight(t *testing.T) {
	h := newHarness(t)
	router, err := describedRoutes()
	require.NoError(t, err)
	for _, rt := range h.server.routes() {
		require.NotEmpty(t, rt.Verb, rt.Path)
		method := rt.Method
		if method == "ANY" {
			continue
		}
		path := strings.NewReplacer("{", "", "}", "").Replace(rt.Path)
		req, err := http.NewRequestWithContext(t.Context(), method, path, nil)
		require.NoError(t, err)
		_, _, err = router.FindRoute(req)
		require.NoError(t, err, "%s %s is not in openapi.yaml", method, rt.Path)
	}
}

// In YAML a comma in braces begins a field: of a description that is not quoted the rest is then
// a name with no value.
func TestTheDescriptionHasNoFieldWithoutAValue(t *testing.T) {
	var described any
	decodeInto(t, newHarness(t).send("GET", "/v1/openapi.json", nil), &described)
	var look func(path string, v any)
	look = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, of := range v {
				look(path+"/"+name, of)
			}
		case []any:
			for i, of := range v {
				look(path+"/"+strconv.Itoa(i), of)
			}
		case nil:
			t.Errorf("%s has no value", path)
		}
	}
	look("", described)
}

func TestARequestWithoutAGoodKeyIsRefused(t *testing.T) {
	h := newHarness(t)
	first := h.send("GET", "/v1/vault", nil)
	require.Equal(t, http.StatusUnauthorized, first.Status)
	for _, header := range []string{"Bearer bctrl_wrong", "Bearer ", "Basic " + h.key, h.key} {
		got := h.send("GET", "/v1/vault", nil, "Authorization", header)
		require.Equal(t, http.StatusUnauthorized, got.Status)
		require.NotContains(t, string(got.Body), "wrong_")
	}
	got := h.send("GET", "/v1/vault", nil, "Authorization", "Bearer "+h.key, "Authorization", "Bearer "+h.key)
	require.Equal(t, http.StatusUnauthorized, got.Status, "a header given twice")
}

func TestAnIdempotencyKeyHasOneEffect(t *testing.T) {
	h := newHarness(t)
	put := func(key, password string) answer {
		return h.do("PUT", []string{"vault", "k"}, nil, object{"password": password}, "Idempotency-Key", key)
	}
	first := put("one", "p")
	require.Equal(t, http.StatusOK, first.Status, "%s", first.Body)
	again := put("one", "p")
	require.Equal(t, string(first.Body), string(again.Body), "the same version: nothing was written")
	require.Equal(t, http.StatusUnprocessableEntity, put("one", "other").Status)
	second := put("two", "p")
	require.NotEqual(t, string(first.Body), string(second.Body))
	h.tamper("UPDATE idempotency SET status = 404")
	require.Equal(t, http.StatusInternalServerError, put("one", "p").Status, "a forged status")
	h.tamper("UPDATE idempotency SET status = 200, sealed = zeroblob(90)")
	require.Equal(t, http.StatusInternalServerError, put("one", "p").Status, "a forged answer")
}

// TestARequestIsTheSameHoweverItsBodyIsSent: who sends it again may stream it, as may a proxy.
func TestARequestIsTheSameHoweverItsBodyIsSent(t *testing.T) {
	h := newHarness(t)
	make := func(body io.Reader) answer {
		return h.send("POST", "/v1/keys", body, "Authorization", "Bearer "+h.key, "Content-Type", "application/json",
			"Idempotency-Key", "one")
	}
	first := make(jsonBody(`{"label":"l"}`))
	require.Equal(t, http.StatusOK, first.Status, "%s", first.Body)
	require.Equal(t, string(first.Body), string(make(io.MultiReader(jsonBody(`{"label":"l"}`))).Body), "in chunks")
	refused(t, make(io.MultiReader(jsonBody(`{"label":"m"}`))), http.StatusUnprocessableEntity,
		"request.idempotency_mismatch", "another body")
}

func TestABodyWhereNoneIsTakenIsRefused(t *testing.T) {
	h := newHarness(t)
	for _, body := range []io.Reader{jsonBody("{}"), io.MultiReader(jsonBody("{}"))} { // with its length, and in chunks
		refused(t, h.send("GET", "/v1/vault", body, "Authorization", "Bearer "+h.key), http.StatusBadRequest,
			"request.unexpected_body", "a body")
	}
	none := h.send("GET", "/v1/vault", io.MultiReader(), "Authorization", "Bearer "+h.key)
	require.Equal(t, http.StatusOK, none.Status, "no chunk: %s", none.Body)
}

// TestAFirstAnswerIsFoundAsItWasStoredBefore by a server whose data has it as a version of before wrote it, or as
// a file did that was moved: the set is not done again.
func TestAFirstAnswerIsFoundAsItWasStoredBefore(t *testing.T) {
	var cfg Config
	h := newHarness(t, func(c *Config) { cfg = *c })
	const key, inOrder = "0193a5f2-7c1b-7d3a-9f00-0123456789ab", "~0193a5f27c1b"
	put := func() answer {
		return h.do("PUT", []string{"vault", "k"}, nil, object{"password": "p"}, "Idempotency-Key", key)
	}
	first := put()
	require.Equal(t, http.StatusOK, first.Status, "%s", first.Body)
	h.tamper("UPDATE idempotency SET key = CASE WHEN key LIKE '~%' THEN substr(key, 14) ELSE '" + inOrder + "' || key END")
	server, err := New(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close(context.WithoutCancel(t.Context()))) })
	h.server = server
	require.Equal(t, string(first.Body), string(put().Body))
	require.Equal(t, string(first.Body), string(put().Body))
}

// TestAnAnswerThatIsGivenOnceMoreIsNoFault of the server, which says in its log where a route
// has decided nothing.
func TestAnAnswerThatIsGivenOnceMoreIsNoFault(t *testing.T) {
	h := newHarness(t)
	var log strings.Builder
	h.server.Log = slog.New(slog.NewTextHandler(&log, nil))
	for _, rq := range []struct {
		method string
		path   []string
		body   object
	}{
		{"POST", []string{"workspaces"}, object{"name": "sales"}},
		{"PUT", []string{"vault", "k"}, object{"password": "p"}}, // which looks for it once it is refused
	} {
		for range 2 {
			got := h.do(rq.method, rq.path, nil, rq.body, "Idempotency-Key", rq.method)
			require.Less(t, got.Status, http.StatusBadRequest, "%s", got.Body)
		}
	}
	require.Empty(t, log.String())
}

// TestWhatWasDoneOnceIsAnsweredOnce asks again when what was done could not be done any more, and uses
// the keys for something else.
func TestWhatWasDoneOnceIsAnsweredOnce(t *testing.T) {
	h := newHarness(t)
	put := func(key string, body object) answer {
		return h.do("PUT", []string{"vault", "k"}, nil, body, "Idempotency-Key", key)
	}
	remove := func(key string) answer {
		return h.do("DELETE", []string{"vault", "k"}, nil, nil, "Idempotency-Key", key)
	}
	first, removed := put("put", object{"password": "p"}), remove("remove")
	require.Equal(t, http.StatusOK, first.Status, "%s", first.Body)
	require.Equal(t, http.StatusOK, removed.Status, "%s", removed.Body)
	require.Equal(t, string(first.Body), string(put("put", object{"password": "p"}).Body))
	require.Equal(t, removed.Status, remove("remove").Status, "what is removed already")
	refused(t, h.do("GET", []string{"vault", "k"}, nil, nil), http.StatusNotFound, "vault.secret_not_found",
		"not set anew")
	refused(t, remove("another"), http.StatusNotFound, "vault.secret_not_found", "the first answer to this key")
	refused(t, put("put", object{"password": "other"}), http.StatusUnprocessableEntity, "request.idempotency_mismatch",
		"another request")
	refused(t, put("put", object{"password": 7}), http.StatusUnprocessableEntity, "request.idempotency_mismatch",
		"another request that would be refused")
	refused(t, remove("put"), http.StatusUnprocessableEntity, "request.idempotency_mismatch", "another route")
	require.Equal(t, http.StatusBadRequest, put("refused", object{"password": 7}).Status)
	require.Equal(t, http.StatusOK, put("unused", object{"password": "p"}).Status)
	refused(t, remove("another"), http.StatusNotFound, "vault.secret_not_found", "as it was then")
	require.Equal(t, http.StatusBadRequest, put("refused", object{"password": 7}).Status, "as it was then")
}

func TestNoGuessAtAPasswordCanBeTriedOnAnIdempotencyKey(t *testing.T) {
	storetest.OnSQLite(t)
	h := newHarness(t)
	const body = `{"password":"hunter2"}`
	headers := []string{"Authorization", "Bearer " + h.key, "Content-Type", "application/json"}
	got := h.send("PUT", "/v1/vault/k", jsonBody(body), append(headers, "Idempotency-Key", "one")...)
	require.Equal(t, http.StatusOK, got.Status, "%s", got.Body)

	// What whoever has a copy of the data can compute for each guess.
	var fingerprint []byte
	routes := web.NewRouter(h.server.Kernel, []web.Route{
		web.Raw("PUT /v1/vault/{key}", access.VaultWrite, func(_ http.ResponseWriter, rq *web.Request) (err error) {
			require.NoError(t, rq.Authorize("k"))
			fingerprint, err = rq.Fingerprint()
			return err
		}),
	})
	req := httptest.NewRequestWithContext(t.Context(), "PUT", "/v1/vault/k", jsonBody(body))
	for ; len(headers) > 0; headers = headers[2:] {
		req.Header.Set(headers[0], headers[1])
	}
	routes.ServeHTTP(httptest.NewRecorder(), req)
	require.NotEmpty(t, fingerprint)
	for _, file := range []string{"bctrl.db", "bctrl.db-wal"} {
		data, err := os.ReadFile(filepath.Join(h.dir, file))
		require.NoError(t, err)
		require.False(t, bytes.Contains(data, fingerprint), "%s holds a hash of the request", file)
	}
}

func TestABodyThatIsNotUnicodeIsRefusedAsDescribed(t *testing.T) {
	h := newHarness(t)
	got := h.send("POST", "/v1/workspaces", jsonBody(`{"name":"a\ud800"}`), "Authorization", "Bearer "+h.key,
		"Content-Type", "application/json")
	require.Equal(t, "request.invalid_utf8", got.code())
}

func TestUnknownAndRepeatedParametersAreRefused(t *testing.T) {
	h := newHarness(t)
	for _, q := range []url.Values{{"prefx": {"prod/"}}, {"limit": {"1", "2"}}, {"limit": {"0"}}, {"limit": {"1001"}},
		{"hasTotp": {"yes"}}, {"prefix": {"//"}}, {"cursor": {"%"}}} {
		require.Equal(t, http.StatusBadRequest, h.do("GET", []string{"vault"}, q, nil).Status, "%v", q)
	}
}

func TestACallerWhoLeavesIsNoFaultOfTheServer(t *testing.T) {
	h := newHarness(t)
	ctx, leave := context.WithCancel(t.Context())
	leave()
	var log strings.Builder
	h.server.Log = slog.New(slog.NewTextHandler(&log, nil))
	req := httptest.NewRequestWithContext(ctx, "PUT", "/v1/vault/k", jsonBody(`{"password":"p"}`))
	req.Header.Set("Authorization", "Bearer "+h.key)
	req.Header.Set("Content-Type", "application/json")
	rec := httptest.NewRecorder()
	h.server.ServeHTTP(rec, req)
	require.Equal(t, http.StatusRequestTimeout, rec.Code, "%s", rec.Body)
	require.Empty(t, log.String())
}

func TestABodyThatBreaksOffIsNoFaultOfTheServer(t *testing.T) {
	h := newHarness(t)
	var logged lines
	h.server.Log = slog.New(slog.NewTextHandler(&logged, nil))
	srv := h.live()
	for _, tc := range []struct{ why, framing, body string }{
		{"its length is not reached", "Content-Length: 20", `{"label":`},
		{"its last chunk is missing", "Transfer-Encoding: chunked", "9\r\n{\"label\":\r\n"},
		{"a chunk has no length", "Transfer-Encoding: chunked", "many\r\n{}"},
		{"a chunk is longer than it says", "Transfer-Encoding: chunked", "1\r\n{}\r\n0\r\n\r\n"},
		{"a chunk is longer than any", "Transfer-Encoding: chunked", strings.Repeat("f", 17) + "\r\n{}"},
	} {
		for _, key := range []string{"X-None: x", "Idempotency-Key: " + tc.framing + tc.why} {
			conn, in := h.dial(srv, "POST /v1/keys HTTP/1.1", "Host: here", "Authorization: Bearer "+h.key,
				"Content-Type: application/json", key, tc.framing, "", tc.body)
			require.NoError(t, conn.(*net.TCPConn).CloseWrite())
			resp, err := http.ReadResponse(in, nil)
			require.NoError(t, err, tc.why)
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			refused(t, answer{Status: resp.StatusCode, Body: body}, http.StatusRequestTimeout, "request.incomplete_body", tc.why)
			require.NoError(t, resp.Body.Close())
		}
	}
	require.Empty(t, logged.String())
	require.Len(t, h.log(bctrl.AuditFilter{Action: "key.write", Outcome: "request.incomplete_body"}), 10)
}

// TestEveryPathTakesTheMethodsThatAreDescribed: HEAD too, which the mux would
// give to a route for GET, and those that HTTP does not name.
func TestEveryPathTakesTheMethodsThatAreDescribed(t *testing.T) {
	h := newHarness(t)
	described := map[string][]string{}
	for _, rt := range h.server.routes() {
		described[rt.Path] = append(described[rt.Path], rt.Method)
	}
	for path, methods := range described {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE", "get"} {
			if slices.Contains(methods, method) || methods[0] == "ANY" {
				continue
			}
			got := h.send(method, strings.NewReplacer("{", "", "}", "").Replace(path), nil, "Authorization", "Bearer "+h.key)
			require.Equal(t, http.StatusMethodNotAllowed, got.Status, "%s %s", method, path)
			for _, m := range methods {
				require.Contains(t, strings.Split(got.Header.Get("Allow"), ", "), m)
			}
		}
	}
	for _, method := range []string{"GET", "PURGE", "OPTIONS"} {
		got := h.send(method, "/v1/nothing", nil, "Authorization", "Bearer "+h.key)
		require.Equal(t, http.StatusNotFound, got.Status, method)
	}
}

// TestWhoIsNobodyIsToldHowToSayWho holds every 401 to RFC 9110, 15.5.2.
func TestWhoIsNobodyIsToldHowToSayWho(t *testing.T) {
	h := newHarness(t)
	for _, ask := range []struct{ path, header, value string }{
		{"/v1/self", "Accept", "*/*"}, {"/v1/self", "Authorization", "Bearer nobody's"},
		{"/v1/audit/stream", "Authorization", "Bearer nobody's"}, {"/v1/vault/k", "Authorization", "Basic bm9ib2R5Og=="},
	} {
		got := h.send("GET", ask.path, nil, ask.header, ask.value)
		require.Equal(t, http.StatusUnauthorized, got.Status, ask)
		require.Equal(t, "Bearer", got.Header.Get("WWW-Authenticate"), ask)
	}
}
