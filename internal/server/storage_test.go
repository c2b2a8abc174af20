package server

import (
	"bytes"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
)

// file is the route of a file in a namespace.
func file(namespace, path string) []string {
	return []string{"storage", "namespaces", namespace, "files", path}
}

// put uploads a file with the organization key.
func (h *harness) put(namespace, path, content string, headers ...string) answer {
	h.Helper()
	return h.send("PUT", target(file(namespace, path), nil), bytes.NewReader([]byte(content)),
		append([]string{"Authorization", "Bearer " + h.key}, headers...)...)
}

// stored uploads a file that must be taken.
func (h *harness) stored(namespace, path, content string, headers ...string) bctrl.StorageObject {
	h.Helper()
	a := h.put(namespace, path, content, headers...)
	require.Equal(h, http.StatusOK, a.Status, "%s", a.Body)
	return object1(h, a)
}

func object1(h *harness, a answer) (o bctrl.StorageObject) {
	h.Helper()
	require.NoError(h, json.Unmarshal(a.Body, &o))
	return o
}

func TestAFileComesBackAsItWasPut(t *testing.T) {
	h := newHarness(t)
	o := h.stored("sales", "exports/q1.csv", "a,b\n1,2\n", "Content-Type", "text/csv; charset=utf-8")
	require.Equal(t, "sales/exports/q1.csv", o.ObjectKey)
	require.Equal(t, "text/csv; charset=utf-8", o.ContentType)
	require.Equal(t, "q1.csv", o.Filename)

	got := h.do("GET", file("sales", "exports/q1.csv"), nil, nil)
	require.Equal(t, http.StatusOK, got.Status)
	require.Equal(t, "a,b\n1,2\n", string(got.Body))
	require.Equal(t, "text/csv; charset=utf-8", got.Header.Get("Content-Type"))
	require.Equal(t, o.ETag, got.Header.Get("ETag"))
	head := h.do("HEAD", file("sales", "exports/q1.csv"), nil, nil)
	require.Equal(t, http.StatusOK, head.Status)
	require.Equal(t, "8", head.Header.Get("Content-Length"))
	require.Empty(t, head.Body)

	require.Equal(t, http.StatusOK, h.do("DELETE", file("sales", "exports/q1.csv"), nil, nil).Status)
	gone := h.do("GET", file("sales", "exports/q1.csv"), nil, nil)
	require.Equal(t, http.StatusNotFound, gone.Status)
	require.Equal(t, "storage.file_not_found", gone.code())
}
