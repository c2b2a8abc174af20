package bctrl

import (
	"context"
	"crypto/rand"
	"io"
	"net/http"
	"strings"
)

// RuntimeFiles are the files that a runtime's pages are given. See [Runtime.Files].
type RuntimeFiles struct{ rt *Runtime }

// Stage puts bytes where the runtime's pages can be given them, under a name that they see:
// in the mounted storage namespace, below "staged/", in a folder of its own, so that it
// never replaces anything. An agent uploads it by its LogicalPath, and a client that drives
// the browser by [ClientPath] of that. What streams, and what is sent again, is as in
// [Storage.Upload]. It stays until it is deleted.
//
// Access: storage.put
func (f *RuntimeFiles) Stage(
	ctx context.Context, name string, r io.Reader, opts ...UploadOption,
) (*StorageObject, error) {
	if name == "" || strings.Contains(name, "/") || sendableStoragePath(name) != nil {
		return nil, refusal(http.StatusBadRequest, "files.invalid_name", "name",
			"the name must be one segment of a storage path, as q1.pdf")
	}
	return f.rt.Storage.Upload(ctx, "staged/"+f.rt.Alias+"/"+rand.Text()+"/"+name, r, opts...)
}
