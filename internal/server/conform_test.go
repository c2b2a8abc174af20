package server

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/sample"
)

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

// alike counts the answers of each kind.
var alike struct {
	sync.Mutex
	of map[alikeAnswers]int
}

// alikeAnswers is a kind of answers.
type alikeAnswers struct {
	method, path string
	status       int
	refusal      string
}

// isCompared reports whether an answer is one to compare with its description, which takes longer than
// to answer: it is of the first of its kind, that is of its route, status and code, or one of 16 after.
func isCompared(route *routers.Route, a answer) bool {
	alike.Lock()
	defer alike.Unlock()
	if alike.of == nil {
		alike.of = map[alikeAnswers]int{}
	}
	kind := alikeAnswers{route.Method, route.Path, a.Status, ""}
	if a.Status >= http.StatusBadRequest {
		kind.refusal = a.code()
	}
	alike.of[kind]++
	n := alike.of[kind]
	return n <= 4 || sample.All() || n%16 == 0
}

// conform fails the test when an answer, or a request that succeeded, is not
// as openapi.yaml has it, and when the route is not in it at all. Of very many that are
// alike it compares some.
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
		if !isCompared(found, answer{Status: rec.Code, Body: rec.Body.Bytes()}) {
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

// TestAZeroIsAsDescribedWhereItStandsForADefault sends the zeros that the SDK leaves out, as
// clients in other languages do not.
func TestAZeroIsAsDescribedWhereItStandsForADefault(t *testing.T) {
	c := newCallers(t, func(http.ResponseWriter, *http.Request) {})
	ws := c.workspace("sales", sales())
	c.launch(ws, "crm", nil)
	router, err := describedRoutes()
	require.NoError(t, err)
	runtimes := "/v1/workspaces/" + ws.ID + "/runtimes"
	for _, tc := range []struct{ path, body string }{
		{runtimes + "/crm/tokens", `{"ttlMs":0}`},
		{runtimes + "/crm/embed/live", `{"ttlMs":0}`},
		{runtimes, `{"alias":"zeros","kind":"browser","driver":"stagehand","launch":{"config":{"idleTimeoutMs":0,` +
			`"maxLifeMs":0,"maxMemoryBytes":0,"deviceScaleFactor":0,"downloads":{"maxBytes":0}}}}`},
		{"/v1/workspaces/" + ws.ID + "/execute", `{"runtime":"crm","steps":[{"call":"pages","args":{},"timeoutMs":0},` +
			`{"call":"page.pdf","args":{"width":0,"height":0,"scale":0}}]}`},
		{"/v1/capabilities/acme%2Fthings/invoke", `{"timeoutMs":0}`},
	} {
		asked := httptest.NewRequestWithContext(t.Context(), "POST", tc.path, strings.NewReader(tc.body))
		asked.Header.Set("Content-Type", "application/json")
		route, params, err := router.FindRoute(asked)
		require.NoError(t, err)
		require.NoError(t, openapi3filter.ValidateRequest(t.Context(), &openapi3filter.RequestValidationInput{
			Request: asked, PathParams: params, Route: route,
			Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
		}), tc.body)
		got := c.send("POST", tc.path, strings.NewReader(tc.body), "Content-Type", "application/json",
			"Authorization", "Bearer "+c.key)
		require.Equal(t, http.StatusOK, got.Status, "%s: %s", tc.body, got.Body)
	}
}
