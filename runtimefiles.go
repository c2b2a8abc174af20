package bctrl

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"io"
	"net/http"
	"strings"
)

// RuntimeFiles are the files that a runtime's pages are given. See [Runtime.Files].
type RuntimeFiles struct{ rt *Runtime }

// Stage puts bytes where the runtime's pages can be given them, under a name that they see:
// in the mounted storage namespace, below "staged/", in a folder of its own, with
// [WithIdempotencyKey] in that of the key, so that it never replaces anything. An agent
// uploads it by its LogicalPath, and a client that drives the browser by [ClientPath] of
// that. What streams, and what is sent again, is as in [Storage.Upload]. It stays until it
// is deleted.
//
// Access: storage.put
func (f *RuntimeFiles) Stage(
	ctx context.Context, name string, r io.Reader, opts ...UploadOption,
) (*StorageObject, error) {
	if name == "" || strings.Contains(name, "/") || sendableStoragePath(name) != nil {
		return nil, refusal(http.StatusBadRequest, "files.invalid_name", "name",
			"the name must be one segment of a storage path, as q1.pdf")
	}
	folder := rand.Text()
	if key, ok := idempotencyKeyOf(opts); ok { // the same path each time, or it were another request
		folder = f.folderOf(key)
		opts = append([]UploadOption{WithIfAbsent()}, opts...) // the key may be a day old, or another caller's too
	}
	return f.rt.Storage.Upload(ctx, "staged/"+f.rt.Alias+"/"+folder+"/"+name, r, opts...)
}

// folderOf names the folder of what is staged in the runtime under an idempotency key.
func (f *RuntimeFiles) folderOf(key string) string {
	sum := sha256.Sum256([]byte(f.rt.ID + " " + key))
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:16])
}

// idempotencyKeyOf is that of an upload which has one of its caller's.
func idempotencyKeyOf(opts []UploadOption) (key string, ok bool) {
	var u upload
	for _, o := range opts {
		o.applyUpload(&u)
	}
	var s callSettings
	for _, o := range u.opts {
		o.apply(&s)
	}
	return s.idempotencyKey, s.hasKey
}
