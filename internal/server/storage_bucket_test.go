package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bctrl-go/bctrl/internal/blob"
	"github.com/bctrl-go/bctrl/internal/blob/s3test"
)

// allInBucket has all tests of files run with the bytes in a bucket, as .ci/nightly does,
// and not a sample.
const allInBucket = "BCTRL_STORAGE_IN_BUCKET"

// TestFilesAreKeptInABucketAsOnADisk runs the tests of files once more, in a process whose
// harnesses keep the bytes in a bucket of a real S3 server.
func TestFilesAreKeptInABucketAsOnADisk(t *testing.T) {
	if os.Getenv(filesInBucket) != "" {
		return // this is that process
	}
	names := []string{
		"TestAFileComesBackAsItWasPut", "TestAnOverwriteIsANewVersionAndLeavesNothingOfTheOld",
		"TestRangesAndConditionsOfADownload", "TestADigestThatIsSentIsHeld", "TestAFileOverTheLimitIsRefusedWhole",
		"TestAnUploadThatBreaksOffLeavesNothingAndCanBeRepeated", "TestASweepRemovesOrphansThatAreOldAndNothingElse",
		"TestLostBytesAreSaidToBeLost", "TestAnUploadThatCannotBeRecordedIsDropped",
		"TestALinkGivesTheFileToAnybodyAndToNoBrowser",
	}
	if os.Getenv(allInBucket) != "" {
		names = testsIn(t, "storage_*_test.go", "storage_test.go", "objects_test.go", "downloads_test.go")
		names = slices.DeleteFunc(names, func(name string) bool {
			return name == "TestAFileIsHandedToTheKernelWhole" // which a disk alone can do
		})
	}
	server := s3test.Start(t)
	dir := server.Bucket(t, "files")
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.run=^("+strings.Join(names, "|")+")$")
	cmd.Env = append(os.Environ(), filesInBucket+"="+server.URL("files"), bucketDir+"="+dir)
	for name, value := range server.Environment() {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	for _, name := range names {
		require.True(t, bytes.Contains(out, []byte("\n--- PASS: "+name+" (")), "%s did not run", name)
	}
	kept, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Greater(t, len(kept), len(names)/2, "the bytes were kept elsewhere")
}

// testsIn are the names of the tests in files.
func testsIn(t *testing.T, patterns ...string) (names []string) {
	t.Helper()
	for _, pattern := range patterns {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, file := range files {
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
			require.NoError(t, err)
			for _, d := range parsed.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && strings.HasPrefix(fn.Name.Name, "Test") {
					names = append(names, fn.Name.Name)
				}
			}
		}
	}
	return names
}

// failingBlobs is a store that fails in one way, or, where after is set, once so many bytes of
// a blob were read.
type failingBlobs struct {
	blob.Store
	err   error
	after int64
}

func (f *failingBlobs) Put(ctx context.Context, r io.Reader, limit int64) (blob.Blob, error) {
	if f.err != nil {
		return blob.Blob{}, fmt.Errorf("PutObject: %w", f.err)
	}
	return f.Store.Put(ctx, r, limit)
}

func (f *failingBlobs) Open(ctx context.Context, b blob.Blob) (io.ReadSeekCloser, int64, error) {
	if f.err != nil && f.after == 0 {
		return nil, 0, fmt.Errorf("GetObject: %w", f.err)
	}
	content, size, err := f.Store.Open(ctx, b)
	if err != nil || f.after == 0 {
		return content, size, err
	}
	return &failingContent{content, f.after, fmt.Errorf("GetObject: %w", f.err)}, size, nil
}

type failingContent struct {
	io.ReadSeekCloser
	left int64
	err  error
}

func (f *failingContent) Read(p []byte) (int, error) {
	if f.left == 0 {
		return 0, f.err
	}
	n, err := f.ReadSeekCloser.Read(p[:min(int64(len(p)), f.left)])
	f.left -= int64(n)
	return n, err
}

func TestADownloadThatTheStoreBreaksOffIsNotTakenForWhole(t *testing.T) {
	var log bytes.Buffer
	store := &failingBlobs{}
	h := newHarness(t, func(cfg *Config) {
		store.Store, cfg.Blobs = cfg.Blobs, store
		cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
	})
	srv := h.live()
	h.stored("s", "f", strings.Repeat("x", 1<<20))
	store.after = 600 << 10
	for _, err := range []error{blob.ErrUnavailable, blob.ErrDigest} {
		for _, ranged := range []string{"", "bytes=1000-", "bytes=0-10,20-"} {
			store.err = err
			req, made := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL+target(file("s", "f"), nil), nil)
			require.NoError(t, made)
			req.Header = http.Header{"Authorization": {"Bearer " + h.key}}
			if ranged != "" {
				req.Header.Set("Range", ranged)
			}
			resp, sent := srv.Client().Do(req)
			require.NoError(t, sent)
			_, read := io.Copy(io.Discard, resp.Body)
			require.ErrorIs(t, read, io.ErrUnexpectedEOF, "%s %v", ranged, err)
			require.NoError(t, resp.Body.Close())
		}
	}
	srv.Close() // what is logged is logged
	require.Equal(t, 6, strings.Count(log.String(), "the store of files failed"), "the operator learns of each")
}

func TestAStoreOfFilesThatFailsIsSaidToBeAway(t *testing.T) {
	store := &failingBlobs{}
	h := newHarness(t, func(cfg *Config) { store.Store, cfg.Blobs = cfg.Blobs, store })
	h.stored("s", "f", "kept")
	link := h.linkTo("s", "f", "")
	for _, c := range []struct {
		err    error
		status int
		code   string
	}{
		{blob.ErrUnavailable, http.StatusServiceUnavailable, "storage.unavailable"},
		{blob.ErrForbidden, http.StatusServiceUnavailable, "storage.bucket_forbidden"},
		{blob.ErrNoBucket, http.StatusServiceUnavailable, "storage.bucket_missing"},
		{blob.ErrDigest, http.StatusServiceUnavailable, "storage.wrong_digest"},
		{errors.New("disk on fire"), http.StatusInternalServerError, "server.internal"},
	} {
		store.err = c.err
		for _, got := range []answer{
			h.put("s", "f", "new"),
			h.do("GET", file("s", "f"), nil, nil),
			h.visit(link),
		} {
			refused(t, got, c.status, c.code, c.err.Error())
			if c.status == http.StatusServiceUnavailable {
				require.NotEmpty(t, got.Header.Get("Retry-After"), c.err)
			}
			require.False(t, bytes.Contains(got.Body, []byte("Object:")), "what the store said is for the log")
		}
	}
	store.err = nil
	require.Equal(t, "kept", string(h.do("GET", file("s", "f"), nil, nil).Body))
	require.Equal(t, 1, h.kept(), "nothing is half written")
}

// linked notes what it is asked to link to.
type linked struct {
	id  string
	as  blob.Described
	ttl time.Duration
}

func (l *linked) Link(_ context.Context, id string, as blob.Described, ttl time.Duration) (string, error) {
	*l = linked{id, as, ttl}
	return "https://bucket.example.com/" + id + "?signed", nil
}

func TestADirectLinkIsDecidedBeforeItSendsOn(t *testing.T) {
	bucket := &linked{}
	h := newHarness(t, func(cfg *Config) { cfg.DirectLinks = bucket })
	h.stored("s", "d/größe.html", "kept", "Content-Type", "text/html")
	link := h.linkTo("s", "d/größe.html", "")
	got := h.visit(link)
	require.Equal(t, http.StatusTemporaryRedirect, got.Status)
	require.Equal(t, "https://bucket.example.com/"+bucket.id+"?signed", got.Header.Get("Location"))
	require.Equal(t, "private, no-store", got.Header.Get("Cache-Control"))
	require.Equal(t, "no-referrer", got.Header.Get("Referrer-Policy"))
	require.Empty(t, got.Body)
	require.Equal(t, blob.Described{
		ContentType:        "text/html",
		ContentDisposition: `attachment; filename="gr__e.html"; filename*=UTF-8''gr%C3%B6%C3%9Fe.html`,
		CacheControl:       "private, no-store",
	}, bucket.as, "as the server itself describes it")
	require.Equal(t, time.Minute, bucket.ttl, "however long the link itself lasts")
	head := h.send("HEAD", link, nil)
	require.Equal(t, http.StatusOK, head.Status, "what describes a file is the server's")
	require.Equal(t, "kept", string(h.do("GET", file("s", "d/größe.html"), nil, nil).Body), "nor are callers sent on")

	h.stored("s", "d/größe.html", "changed")
	h.dead(link, "the file has changed")
	link = h.linkTo("s", "d/größe.html", "")
	h.delete(file("s", "d/größe.html")...)
	h.dead(link, "the file is gone")
}
