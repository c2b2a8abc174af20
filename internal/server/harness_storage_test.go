package server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl"
	"github.com/bctrl-go/bctrl/internal/blob"
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

// lazyBlobs is a store of bytes that is made when a test first has some: its
// folders take longer than most tests.
type lazyBlobs struct{ store func() blob.Store }

func (l lazyBlobs) Put(ctx context.Context, r io.Reader, limit int64) (blob.Blob, error) {
	return l.store().Put(ctx, r, limit)
}

func (l lazyBlobs) Open(ctx context.Context, b blob.Blob) (io.ReadSeekCloser, int64, error) {
	return l.store().Open(ctx, b)
}

func (l lazyBlobs) Delete(ctx context.Context, id string) error { return l.store().Delete(ctx, id) }

func (l lazyBlobs) Sweep(
	ctx context.Context, before time.Time, orphans func(context.Context, []string) ([]string, error),
) (int, error) {
	return l.store().Sweep(ctx, before, orphans)
}

// Where these are set, harnesses keep the bytes of files in a bucket: its address, and
// the directory that its server has it in.
const (
	filesInBucket = "BCTRL_TEST_FILES"
	bucketDir     = "BCTRL_TEST_FILES_DIR"
)

// bucketPath is what of the bucket belongs to the harness over dir.
func bucketPath(dir string) string {
	sum := sha256.Sum256([]byte(dir))
	return hex.EncodeToString(sum[:8])
}

// openBlobs opens what has the bytes of the harness over dir.
func openBlobs(t *testing.T, dir string) blob.Store {
	t.Helper()
	address := os.Getenv(filesInBucket)
	if address == "" {
		d, err := blob.OpenDisk(filepath.Join(dir, "blobs"))
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, d.Close()) })
		return d
	}
	cfg, err := blob.ParseS3(address)
	require.NoError(t, err)
	cfg.Prefix = bucketPath(dir) + "/"
	s, err := blob.OpenS3(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// bytesDir is the directory in which the bytes of files lie in the end.
func (h *harness) bytesDir() string {
	if dir := os.Getenv(bucketDir); dir != "" {
		return filepath.Join(dir, bucketPath(h.dir), "blobs")
	}
	return filepath.Join(h.dir, "blobs")
}

// bytesKept lists the files there, on a disk those of unfinished uploads too.
func (h *harness) bytesKept() (names []string) {
	h.Helper()
	require.NoError(h, filepath.WalkDir(h.bytesDir(), func(name string, e os.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && os.Getenv(bucketDir) != "" {
			return nil // of an empty bucket, or one that a file went from
		}
		if err == nil && !e.IsDir() {
			names = append(names, name)
		}
		return err
	}))
	return names
}

// kept counts them.
func (h *harness) kept() int { h.Helper(); return len(h.bytesKept()) }

// begun is how many more are kept once an upload has begun: before a bucket has anything
// of one, it is 8 MiB long.
func (h *harness) begun() int {
	if os.Getenv(bucketDir) != "" {
		return 0
	}
	return 1
}
