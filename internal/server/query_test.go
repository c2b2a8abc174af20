package server

import (
	"encoding/json"
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
