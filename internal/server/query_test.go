package server

import (
	"encoding/json"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/server/web"
)

// TestAParameterOutsideItsDescriptionIsRefused walks all of openapi.yaml. A
// filter that is not understood must not list more than was asked for, nor
// nothing without a word.
func TestAParameterOutsideItsDescriptionIsRefused(t *testing.T) {
	h := newHarness(t)
	ws := h.workspace("sales", bctrl.Mounts{Storage: &bctrl.StorageMount{Workspace: "files"}})
	require.Equal(t, http.StatusOK, h.send("PUT", "/v1/storage/namespaces/files/files/a.txt", strings.NewReader("x"),
		"Authorization", "Bearer "+h.key).Status)
	var stored struct{ Objects []struct{ ID string } }
	require.NoError(t, json.Unmarshal(h.do("GET", []string{"storage", "objects"}, nil, nil).Body, &stored))
	require.Len(t, stored.Objects, 1)
	doc, err := openapi3.NewLoader().LoadFromData(openapiYAML)
	require.NoError(t, err)
	filled := strings.NewReplacer("/workspaces/{id}", "/workspaces/"+ws.ID, "/objects/{id}",
		"/objects/"+stored.Objects[0].ID, "{ns}", "files", "{path}", "a.txt", "{key}", "a", "{id}", web.NewID(), "{alias}",
		"crm")
	tried := 0
	for path, item := range doc.Paths.Map() {
		for method, operation := range item.Operations() {
			for _, p := range slices.Concat(item.Parameters, operation.Parameters) {
				if p.Value.In != openapi3.ParameterInQuery {
					continue
				}
				for _, value := range outside(p.Value.Schema.Value) {
					tried++
					target := filled.Replace(path) + "?" + url.Values{p.Value.Name: {value}}.Encode()
					got := h.send(method, target, nil, "Authorization", "Bearer "+h.key)
					assert.Equal(t, http.StatusBadRequest, got.Status, "%s %s: %s", method, target, got.Body)
				}
			}
		}
	}
	require.Greater(t, tried, 100)
}

// outside are values that a schema does not permit.
func outside(s *openapi3.Schema) []string {
	var values []string
	if len(s.Enum) > 0 {
		values = append(values, "no-such-value", strings.ToUpper(s.Enum[len(s.Enum)-1].(string)), "")
		values = slices.DeleteFunc(values, func(v string) bool { return slices.Contains(s.Enum, any(v)) })
	}
	switch {
	case s.Type.Is("boolean"):
		values = append(values, "", "1", "yes", "TRUE")
	case s.Type.Is("integer"):
		values = append(values, "", "many", "1.5", "0x10", strings.Repeat("9", 30), " 1")
		if s.Min != nil {
			values = append(values, strconv.FormatFloat(*s.Min-1, 'f', -1, 64))
		}
		if s.Max != nil {
			values = append(values, strconv.FormatFloat(*s.Max+1, 'f', -1, 64))
		}
	case s.Format == "date-time":
		values = append(values, "", "yesterday", "2026-02-30T00:00:00Z")
	case s.MinLength > 0:
		values = append(values, "")
	}
	return values
}

// TestEveryListSaysWhereItGoesOn: also one that is always whole, so that a client reads all lists alike.
func TestEveryListSaysWhereItGoesOn(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(openapiYAML)
	require.NoError(t, err)
	lists := 0
	for path, item := range doc.Paths.Map() {
		if item.Get == nil || !strings.HasPrefix(item.Get.OperationID, "list") {
			continue
		}
		lists++
		schema := item.Get.Responses.Status(http.StatusOK).Value.Content.Get("application/json").Schema.Value
		for _, form := range append(schema.OneOf, schema.NewRef()) {
			if len(form.Value.Properties) > 0 {
				assert.Contains(t, form.Value.Required, "nextCursor", path)
			}
		}
	}
	require.Greater(t, lists, 15)
}

// TestATimeOutsideItsDescriptionIsRefused: also one that is within it where its nanoseconds
// are counted in 64 bits.
func TestATimeOutsideItsDescriptionIsRefused(t *testing.T) {
	h := newHarness(t)
	ws := h.workspace("sales", bctrl.Mounts{})
	h.launch(ws, "crm", nil)
	runtime := []string{"workspaces", ws.ID, "runtimes", "crm"}
	var hook struct{ Webhook bctrl.Webhook }
	h.ok("POST", []string{"webhooks"}, object{"url": "https://example.com"}, &hook)
	for _, tc := range []struct {
		path  []string
		field string
		most  int64
		body  func(ms int64) object
	}{
		{[]string{"operations", web.NewID(), "wait"}, "timeoutMs", 60_000, nil},
		{append(runtime, "events", "wait"), "timeoutMs", 60_000, nil},
		{append(runtime, "tokens"), "ttlMs", 604_800_000, nil},
		{append(runtime, "embed", "live"), "ttlMs", 86_400_000, nil},
		{append(runtime, "embed", "recording"), "ttlMs", 86_400_000, nil},
		{[]string{"webhooks", hook.Webhook.ID, "rotate"}, "overlapMs", 2_592_000_000, nil},
		{[]string{"workspaces", ws.ID, "execute"}, "steps[0].timeoutMs", 1_800_000, func(ms int64) object {
			return object{"runtime": "crm", "steps": []object{{"call": "pages", "timeoutMs": ms}}}
		}},
		{runtime[:3], "launch.config.idleTimeoutMs", 86_400_000, launchWith("idleTimeoutMs")},
		{runtime[:3], "launch.config.maxLifeMs", 604_800_000, launchWith("maxLifeMs")},
	} {
		for _, ms := range []int64{
			-1, tc.most + 1,
			math.MaxInt64, math.MinInt64, // -1 and 0 milliseconds
			1<<64/1_000_000 + 10_000, // 10 seconds
		} {
			body := object{tc.field: ms}
			if tc.body != nil {
				body = tc.body(ms)
			}
			got := h.do("POST", tc.path, nil, body)
			var e struct {
				Details struct{ Problems []bctrl.Problem }
			}
			decodeInto(t, got, &e)
			require.Equal(t, http.StatusBadRequest, got.Status, "%v: %s of %d: %s", tc.path, tc.field, ms, got.Body)
			require.Len(t, e.Details.Problems, 1, "%s", got.Body)
			require.Equal(t, tc.field, e.Details.Problems[0].Field)
		}
	}
}

// TestARefusalNamesAFieldAsTheRequestDoes: a scope is a field of some, and parameters, parts of the path or
// headers of others.
func TestARefusalNamesAFieldAsTheRequestDoes(t *testing.T) {
	h := newHarness(t)
	secret := h.secretIn(globally(), "A", "v").ID
	h.ok("PUT", []string{"capabilities", "acme/x"}, object{"methods": []string{"GET"}, "paths": []string{"/"}}, nil)
	invoke := []string{"capabilities", "acme/x", "invoke"}
	for _, tc := range []struct {
		method string
		path   []string
		query  url.Values
		body   any
		field  string
	}{
		{"POST", []string{"secrets"}, nil, object{"name": "!", "value": "v", "scope": globally()}, "name"},
		{"POST", []string{"secrets"}, nil, object{"name": "B", "value": "v", "scope": inWorkspace("none")},
			"scope.workspaceId"},
		{"GET", []string{"secrets"}, url.Values{"name": {"!"}}, nil, "name"},
		{"GET", []string{"secrets"}, url.Values{"groupId": {"g"}}, nil, "workspaceId"},
		{"GET", []string{"secrets"}, url.Values{"workspaceId": {"none"}}, nil, "workspaceId"},
		{"GET", []string{"secrets"}, url.Values{"attachedWorkspaceId": {"none"}, "attachedGroupId": {"g"}}, nil,
			"attachedWorkspaceId"},
		{"GET", []string{"secrets"}, url.Values{"attachedWorkspaceId": {"none"}, "attachedGroupId": {"/"}}, nil,
			"attachedGroupId"},
		{"GET", []string{"bindings"}, url.Values{"workspaceId": {"none"}}, nil, "workspaceId"},
		{"DELETE", []string{"bindings"}, url.Values{"capability": {"acme/x"}}, nil, "scope"},
		{"DELETE", []string{"bindings"}, url.Values{"capability": {"acme/x"}, "workspaceId": {"none"}}, nil, "workspaceId"},
		{"GET", []string{"capabilities"}, url.Values{"workspaceId": {"none"}}, nil, "workspaceId"},
		{"PUT", attachmentOf(secret, "none", "g"), nil, nil, "workspaceId"},
		{"PUT", attachmentOf(secret, "none", " "), nil, nil, "groupId"},
		{"POST", invoke, nil, object{"context": inWorkspace("none")}, "context.workspaceId"},
		{"POST", invoke, nil, object{"context": inGroup("sales", " ")}, "context.groupId"},
	} {
		got := h.do(tc.method, tc.path, tc.query, tc.body)
		var e struct {
			Details struct{ Problems []bctrl.Problem }
		}
		decodeInto(t, got, &e)
		require.Len(t, e.Details.Problems, 1, "%s", got.Body)
		require.Equal(t, tc.field, e.Details.Problems[0].Field, "%s %v: %s", tc.method, tc.path, got.Body)
	}
	var e struct{ Error struct{ Param string } }
	decodeInto(t, h.do("GET", []string{"proxy", "acme~x", "y"}, nil, nil, "BCTRL-Group-Id", "g"), &e)
	require.Equal(t, "BCTRL-Workspace-Id", e.Error.Param)
}

// TestOfTwoThatAreWrongAlwaysTheSameIsNamed, so that nobody mends by turns.
func TestOfTwoThatAreWrongAlwaysTheSameIsNamed(t *testing.T) {
	h := newHarness(t)
	for range 20 {
		for want, got := range map[string]answer{
			"workspaceId": h.do("GET", []string{"secrets"}, url.Values{"workspaceId": {"none"},
				"attachedWorkspaceId": {"none"}, "attachedGroupId": {"g"}}, nil),
			"since": h.do("GET", []string{"audit"}, url.Values{"since": {"x"}, "until": {"x"}}, nil),
			"driver": h.post([]string{"workspace", "s", "path", "f", "target", "\xff", "driver", "\xff",
				"file", "x"}),
		} {
			var e struct {
				Details struct{ Problems []bctrl.Problem }
			}
			decodeInto(t, got, &e)
			require.Len(t, e.Details.Problems, 1, "%s", got.Body)
			require.Equal(t, want, e.Details.Problems[0].Field, "%s", got.Body)
		}
	}
}

// launchWith makes the body of a launch whose configuration has one field.
func launchWith(field string) func(int64) object {
	return func(value int64) object {
		return object{"alias": "new", "kind": "browser", "driver": "stagehand",
			"launch": object{"config": object{field: value}}}
	}
}
