package server

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

// latin1 is "latin-é" in ISO 8859-1: bytes that are no UTF-8.
const latin1 = "latin-\xe9"

// TestWhatIsNoTextIsRefusedWhereverItIsRead covers the places that a request
// has: an answer in JSON could give none of it back.
func TestWhatIsNoTextIsRefusedWhereverItIsRead(t *testing.T) {
	h := newHarness(t)
	auth := []string{"Authorization", "Bearer " + h.key}
	asJSON := append([]string{"Content-Type", "application/json"}, auth...)
	for _, tc := range []struct{ why, method, target, body, code, field string }{
		{"a body", "PUT", "/v1/vault/a", `{"password":"` + latin1 + `"}`, "request.invalid_utf8", "password"},
		{"half a surrogate pair", "PUT", "/v1/vault/a", `{"password":"a\ud800"}`, "request.invalid_utf8", "password"},
		{"the other half", "POST", "/v1/secrets", `{"name":"A","scope":{"type":"global"},"value":"\udc00"}`,
			"request.invalid_utf8", "value"},
		{"halves in the wrong order", "PUT", "/v1/vault/a", `{"notes":"\udc00\ud800"}`, "request.invalid_utf8", "notes"},
		{"a byte order mark before it", "PUT", "/v1/vault/a", "\ufeff{}", "request.invalid_json", ""},
		{"UTF-16", "PUT", "/v1/vault/a", "\xff\xfe{\x00}\x00", "request.invalid_json", ""},
		{"a query", "GET", "/v1/vault?prefix=latin-%E9", "", "request.invalid_utf8", "prefix"},
		{"a query as it is", "GET", "/v1/audit?object=" + latin1, "", "request.invalid_utf8", "object"},
		{"a surrogate in UTF-8's clothes", "GET", "/v1/secrets?name=%ED%A0%80", "", "request.invalid_utf8", "name"},
		{"a broken escape", "GET", "/v1/secrets?name=%zz", "", "request.query", ""},
		{"a path", "GET", "/v1/vault/latin-%E9", "", "request.invalid_utf8", ""},
		{"a path that is made", "PUT", "/v1/storage/namespaces/a/files/latin-%E9", "", "request.invalid_utf8", ""},
	} {
		var body io.Reader
		headers := auth
		if tc.body != "" {
			body, headers = strings.NewReader(tc.body), asJSON
		}
		got := h.send(tc.method, tc.target, body, headers...)
		require.Equal(t, http.StatusBadRequest, got.Status, tc.why)
		require.Equal(t, tc.code, got.code(), tc.why)
		require.Contains(t, string(got.Body), tc.field, tc.why)
		require.NotContains(t, string(got.Body), "latin-", tc.why)
	}
	for _, field := range []string{"workspace", "path", "source", "runtimeId", "driver", "target", "filename"} {
		given := map[string]string{"workspace": "s", "path": "f", field: latin1}
		fields := []string{"workspace", given["workspace"], "path", given["path"]}
		if field != "workspace" && field != "path" {
			fields = append(fields, field, latin1)
		}
		got := h.post(append(fields, "file", "x"))
		require.Equal(t, http.StatusBadRequest, got.Status, field)
		require.Equal(t, "request.invalid_utf8", got.code(), field)
	}
}

// TestAFormToAProviderHasTheNamesItWasGiven sends parts as JSON, and as a form
// as the SDK does.
func TestAFormToAProviderHasTheNamesItWasGiven(t *testing.T) {
	type got struct{ name, filename, content string }
	arrived := make(chan []got, 1)
	c := newCallers(t, func(w http.ResponseWriter, r *http.Request) {
		var all []got
		parts, err := r.MultipartReader()
		if err == nil {
			for part, err := parts.NextPart(); err == nil; part, err = parts.NextPart() {
				text, _ := io.ReadAll(part) // what is missing shows below
				// The part's own FileName leaves out folders.
				disposition := part.Header.Get("Content-Disposition")
				_, filename, _ := strings.Cut(disposition, `filename="`)
				all = append(all, got{part.FormName(), strings.TrimSuffix(filename, `"`), string(text)})
			}
		}
		arrived <- all
	})
	names := []got{{"a", "", latin1}, {"ä b;c", "exports/März 1.csv", "x"}, {"d", "..", "y"}}
	var inJSON []object
	inv := bctrl.Invocation{Capability: "acme/things", Method: "POST"}
	for _, n := range names {
		inJSON = append(inJSON, object{"name": n.name, "filename": n.filename, "data": []byte(n.content)})
		inv.Multipart = append(inv.Multipart, bctrl.FormPart{Name: n.name, Filename: n.filename,
			Content: strings.NewReader(n.content)})
	}
	invoke := []string{"capabilities", "acme/things", "invoke"}
	require.Equal(t, 200, c.do("POST", invoke, nil, object{"method": "POST", "multipart": inJSON}).Status)
	require.Equal(t, names, <-arrived)
	_, err := c.client.Capabilities.Invoke(t.Context(), inv)
	require.NoError(t, err)
	require.Equal(t, names, <-arrived)

	for field, part := range map[string]object{
		"multipart[0].name": {"name": "a\r\nb"}, "multipart[0].filename": {"name": "a", "filename": "a\n"},
		"multipart[0].contentType": {"name": "a", "contentType": "a/a\r\nX-Other: y"},
	} {
		refused := c.do("POST", invoke, nil, object{"method": "POST", "multipart": []object{part}})
		require.Equal(t, 400, refused.Status, field)
		require.Equal(t, "invoke.invalid_parts", refused.code(), field)
		require.Contains(t, string(refused.Body), field)
	}
	require.Empty(t, arrived)
}
