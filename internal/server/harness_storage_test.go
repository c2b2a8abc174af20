package server

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"

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
	return h.send("PUT", target(file(namespace, path), nil), strings.NewReader(content),
		append([]string{"Authorization", "Bearer " + h.key}, headers...)...)
}

// stored uploads a file that must be taken.
func (h *harness) stored(namespace, path, content string, headers ...string) bctrl.StorageObject {
	h.Helper()
	return h.storedObject(h.put(namespace, path, content, headers...))
}

func (h *harness) storedObject(a answer) (o bctrl.StorageObject) {
	h.Helper()
	require.Equal(h, http.StatusOK, a.Status, "%s", a.Body)
	require.NoError(h, json.Unmarshal(a.Body, &o))
	return o
}

// kept counts the files on the disk, those of unfinished uploads too.
func (h *harness) kept() (n int) {
	h.Helper()
	require.NoError(h, filepath.WalkDir(filepath.Join(h.dir, "blobs"), func(_ string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			n++
		}
		return err
	}))
	return n
}
